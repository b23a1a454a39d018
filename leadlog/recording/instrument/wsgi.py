"""WSGI: one record for each request."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, copy_context
from typing import Any

from leadlog.recording.instrument.work import RecordedWork, Recorder

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
        work = None if WORK in environ else _begin(self._recorder, environ)
        if work is None:
            return self.app(environ, start_response)
        environ[WORK] = work
        context = copy_context()
        context.run(work.__enter__)
        header = self._recorder.response_header

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            work.status = _code(status)
            if header is not None:
                headers = [*headers, (header, work.session.session_id)]
            return start_response(status, headers, *rest)

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
        return _Body(body, work, context)


def _code(status: str) -> int | None:
    first = status.split(" ", 1)[0]
    return int(first) if first.isdigit() else None


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


class _Body:
    """A response body whose parts are generated in the request's context."""

    def __init__(self, body: Iterable[bytes], work: RecordedWork, context: Context) -> None:
        self._body = body
        self._work: RecordedWork | None = work
        self._context = context
        self._parts: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return self._context.run(self._next)
        except StopIteration:
            if self._work is not None:
                self._work.responded()
            raise
        except BaseException as error:
            if self._work is not None:
                self._work.fail(error)
            raise

    def _next(self) -> bytes:
        if self._parts is None:
            self._parts = iter(self._body)
        return next(self._parts)

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
        work, self._work = self._work, None
        if work is not None:
            if not work.has_responded and not work.has_failed and raised[0] is None:
                work.outcome = "cancelled"
            self._context.run(work.__exit__, *raised)
