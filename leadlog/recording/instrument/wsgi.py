"""WSGI: one record for each request."""

import atexit
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any

from leadlog.recording.instrument.work import RecordedWork, Recorder
from leadlog_processors import forks

__all__ = ["RecordedWSGI"]

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

WORK = "leadlog.work"
"""Key of the environ under which a framework's module finds the work."""


class RecordedWSGI:
    """A recorded WSGI application. Requests and responses are passed on unchanged.

    Each request runs in a copy of the server's context, so values that it binds are gone when the
    thread serves the next request.

    Args:
        app: the application.
        recorder: begins the records.

    Attributes:
        app: the application.
    """

    def __init__(self, app: Application, recorder: Recorder) -> None:
        self.app = app
        self._recorder = recorder

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, as specified by PEP 3333."""
        if WORK in environ:
            return self.app(environ, start_response)
        _end_the_last()
        work = _begin(self._recorder, environ)
        if work is None:
            return self.app(environ, start_response)
        environ[WORK] = work
        context = copy_context()
        context.run(work.__enter__)
        start = _Start(work, start_response, self._recorder.response_header)
        try:
            body = context.run(self.app, environ, start)
        except BaseException:
            context.run(work.__exit__, *sys.exc_info())
            raise
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(body, list | tuple) or (
            isinstance(wrapper, type) and isinstance(body, wrapper)
        ):
            # The server checks the type of these: it counts the parts of a list or tuple, and lets
            # the kernel send a file.
            context.run(work.__exit__, None, None, None)
            return body
        found = _Body(body, work, context, start)
        _thread.last = weakref.ref(found)
        _unended.add(found)
        return found


def _code(status: str) -> int | None:
    first = status.split(" ", 1)[0]
    return int(first) if first.isdigit() else None


def _content_length(headers: list[tuple[str, str]]) -> int | None:
    """Return the stated length of a response; None if there is none. Never raise."""
    try:
        for name, value in headers:
            if name.lower() == "content-length":
                return int(value)
    except Exception:  # noqa: BLE001 - malformed headers are the server's to refuse
        return None
    return None


def _begin(recorder: Recorder, environ: Environ) -> RecordedWork | None:
    method = environ.get("REQUEST_METHOD")
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    path = path.encode("latin-1", "replace").decode("utf-8", "replace")  # PEP 3333's own encoding
    return recorder.begin(
        "http",
        "wsgi",
        f"{method} (no route)",
        path,
        timed=True,
        traceparent=environ.get("HTTP_TRACEPARENT"),
        details={"method": method, "path": path},
    )


class _Start:
    """The `start_response` that the application gets; keeps the stated length of the response.

    Separate from the body, whose generator often holds a reference to it: a reference cycle would
    keep the body alive.
    """

    def __init__(
        self, work: RecordedWork, start_response: StartResponse, header: str | None
    ) -> None:
        self._work = work
        self._start_response = start_response
        self._header = header
        self.length: int | None = None

    def __call__(self, status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        self._work.status = _code(status)
        self.length = _content_length(headers)
        if self._header is not None:
            headers = [*headers, (self._header, self._work.session.session_id)]
        return self._start_response(status, headers, *rest)


class _Body:
    """A response body whose parts are generated in the request's context.

    Test clients do not close it. The request then ends when the thread begins its next one, the
    body is garbage-collected, or the process exits.
    """

    def __init__(
        self, body: Iterable[bytes], work: RecordedWork, context: Context, start: _Start
    ) -> None:
        self._body = body
        self._work: RecordedWork | None = work
        self._context = context
        self._start = start
        self._produced = 0
        self._whole_ns: int | None = None
        self._parts: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            part = self._context.run(self._next)
        except StopIteration:
            if self._work is not None:  # the server asks again when it has sent the last part
                self._work.responded()
            raise
        except BaseException as error:
            if self._work is not None:
                self._work.fail(error)
            raise
        self._count(part)
        return part

    def _next(self) -> bytes:
        if self._parts is None:
            self._parts = iter(self._body)
        return next(self._parts)

    def _count(self, part: bytes) -> None:
        """Note when the stated length is reached; a server need not ask for more then."""
        if self._start.length is not None and self._whole_ns is None:
            with suppress(Exception):  # not a part that has a length: the server refuses it
                self._produced += len(part)
                if self._produced >= self._start.length:
                    self._whole_ns = time.perf_counter_ns()

    def close(self) -> None:
        """Note that the response was sent or the client left; called by the server."""
        if self._whole_ns is not None and sys.exc_info()[0] is None:
            self._respond(None)
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                self._context.run(close)
        except BaseException:
            self._context.run(self._end, *sys.exc_info())
            raise
        self._context.run(self._end, None, None, None)

    def _respond(self, at_ns: int | None) -> None:
        if self._work is not None and not self._work.has_responded:
            self._work.responded(at_ns)

    def _end(self, *raised: Any) -> None:
        _unended.discard(self)
        work, self._work = self._work, None
        if work is not None:
            if not work.has_responded and not work.has_failed and raised[0] is None:
                work.outcome = "cancelled"
            work.__exit__(*raised)

    @property
    def is_whole(self) -> bool:
        """Whether all parts were produced, and the body is not closed yet."""
        work = self._work
        return work is not None and (work.has_responded or self._whole_ns is not None)

    def leave(self) -> None:
        """End the request of a body that is not going to be closed; never raise."""
        with suppress(Exception):  # the body is still producing, or the interpreter is ending
            self._context.run(self._leave)

    def _leave(self) -> None:
        if self._work is not None:
            if self._whole_ns is not None:
                self._respond(self._whole_ns)
            self._work.was_left = True
            self._end(None, None, None)

    def forget(self) -> None:
        """Write no record of the request: it is the parent process's."""
        self._work = None

    __del__ = leave


_thread = threading.local()
_unended: weakref.WeakSet[_Body] = weakref.WeakSet()


def _end_the_last() -> None:
    """End the thread's previous request if its body is whole but not closed."""
    last = getattr(_thread, "last", None)
    body = None if last is None else last()
    if body is not None and body.is_whole:
        body.leave()


@atexit.register
def _end_all() -> None:
    with suppress(RuntimeError):  # a thread that still serves adds to them
        for body in list(_unended):
            body.leave()


def _forget_all() -> None:
    with suppress(RuntimeError):  # forked while another thread added to them
        for body in list(_unended):
            body.forget()
    _unended.clear()


forks.in_child(_forget_all)
