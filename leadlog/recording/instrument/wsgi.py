"""WSGI: one record for each request."""

import atexit
import sys
import threading
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
    """Return the length that a response states; None where it states none."""
    for name, value in headers:
        if name.lower() == "content-length" and value.strip().isdecimal():
            return int(value)
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


def _cancel_unsent(work: RecordedWork) -> None:
    if not work.has_responded and not work.has_failed:
        work.outcome = "cancelled"


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
        self._sent = 0
        self._parts: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            part = self._context.run(self._next)
        except StopIteration:
            self._sent_all()
            raise
        except BaseException as error:
            if self._work is not None:
                self._work.fail(error)
            raise
        self._sent += len(part)
        if self._start.length is not None and self._sent >= self._start.length:
            self._sent_all()
        return part

    def _next(self) -> bytes:
        if self._parts is None:
            self._parts = iter(self._body)
        return next(self._parts)

    def _sent_all(self) -> None:
        if self._work is not None and not self._work.has_responded:
            self._work.responded()

    def close(self) -> None:
        """Note that the response was sent or the client left; called by the server."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                self._context.run(close)
        except BaseException:
            self._end(*sys.exc_info())
            raise
        self._end(None, None, None)

    def _end(self, *raised: Any) -> None:
        work = self._take()
        if work is not None:
            if raised[0] is None:
                _cancel_unsent(work)
            self._context.run(work.__exit__, *raised)

    def _take(self) -> RecordedWork | None:
        _unended.discard(self)
        work, self._work = self._work, None
        return work

    @property
    def is_sent(self) -> bool:
        """Whether the whole body was sent but is not closed yet."""
        return self._work is not None and self._work.has_responded

    def leave(self) -> None:
        """End the request of a body that is not going to be closed; never raise."""
        with suppress(Exception):  # the interpreter may be ending
            work = self._take()
            if work is not None:
                _cancel_unsent(work)
                self._context.run(work.leave_unended)

    __del__ = leave


_thread = threading.local()
_unended: weakref.WeakSet[_Body] = weakref.WeakSet()


def _end_the_last() -> None:
    """End the thread's previous request if its response was sent but not closed."""
    last = getattr(_thread, "last", None)
    body = None if last is None else last()
    if body is not None and body.is_sent:
        body.leave()


@atexit.register
def _end_all() -> None:
    for body in list(_unended):
        body.leave()


forks.in_child(_unended.clear)  # they are the parent's
