"""ASGI: one record for each request and each WebSocket connection."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from leadlog.recording.instrument.work import RecordedWork, Recorder

__all__ = ["RecordedASGI", "instrument_stack"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_SEEN = "leadlog.work"
_UNKNOWN_ROUTE = "(no route)"
_NORMAL_CLOSE = 1000
_NO_STATUS_CLOSE = 1005
_GONE_CLOSES = (1001, 1006)
"""Close codes of a client that left or was lost."""
_LIFESPAN_FAILURES = ("lifespan.startup.failed", "lifespan.shutdown.failed")


class RecordedASGI:
    """A recorded ASGI application. Messages are passed on unchanged.

    Args:
        app: the application.
        recorder: begins the records.

    Attributes:
        app: the application.
    """

    def __init__(self, app: Application, recorder: Recorder) -> None:
        self.app = app
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as specified by ASGI."""
        work = None
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        if scope["type"] in ("http", "websocket") and _SEEN not in scope:
            work = _begin(self._recorder, scope)
        if work is None:
            await self.app(scope, receive, send)
            return
        scope[_SEEN] = True  # one record if a recorded application is mounted in another
        connection = _Connection(work, receive, send, self._recorder.response_header)
        with work:
            try:
                await self.app(scope, connection.receive, connection.send)
            finally:
                _name(work, scope)
                connection.ended()

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application's lifespan, and record the exception that ends it."""
        failed = ""

        async def look(message: Message) -> None:
            nonlocal failed
            if message["type"] in _LIFESPAN_FAILURES:
                failed = message["type"].split(".")[1]
            await send(message)

        try:
            await self.app(scope, receive, look)
        except Exception as error:
            # An application without lifespan support raises as well, but without such a message.
            if failed:
                self._recorder.failed(failed, error)
            raise


def _begin(recorder: Recorder, scope: Scope) -> RecordedWork | None:
    path = _path(scope)
    method = scope.get("method") if scope["type"] == "http" else "WEBSOCKET"
    return recorder.begin(
        scope["type"],
        "asgi",
        f"{method} {_UNKNOWN_ROUTE}",
        path,
        timed=False,  # a thread serves many requests, and a request may use many threads
        traceparent=_header(scope.get("headers", ()), b"traceparent"),
        details={"method": method, "path": path},
    )


def _path(scope: Scope) -> str:
    """Return the whole path; before ASGI 2.4, servers left `root_path` out of `path`."""
    path, root = str(scope.get("path", "")), str(scope.get("root_path", ""))
    return path if not root or path.startswith(root) else root + path


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """Return the value of a header that occurs exactly once, otherwise None."""
    found = [value for key, value in headers if key.lower() == name]
    return found[0].decode("latin-1") if len(found) == 1 else None


class _Connection:
    """Observer of the messages of one connection."""

    def __init__(
        self, work: RecordedWork, receive: Receive, send: Send, header: str | None
    ) -> None:
        self._work = work
        self._receive = receive
        self._send = send
        self._header = header
        self._gone = False
        self._trailers = False

    async def receive(self) -> Message:
        """Receive a message for the application, and note a disconnect."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._gone = True
        elif message["type"] == "websocket.disconnect" and self._work.status is None:
            self._work.status = message.get("code", _NO_STATUS_CLOSE)
        return message

    async def send(self, message: Message) -> None:
        """Forward a message of the application, and note the state of the response."""
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self._work.status = message["status"]
            self._trailers = message.get("trailers", False)
        elif kind == "websocket.close":
            self._work.status = message.get("code", _NORMAL_CLOSE)
        if self._header is not None and kind in ("http.response.start", "websocket.accept"):
            named = (self._header.encode("latin-1"), self._work.session.session_id.encode())
            message = {**message, "headers": [*message.get("headers", ()), named]}
        await self._send(message)
        if (
            (kind == "http.response.body" and not message.get("more_body") and not self._trailers)
            or (kind == "http.response.trailers" and not message.get("more_trailers"))
            or kind == "http.response.pathsend"
        ):
            self._work.responded()

    def ended(self) -> None:
        """Note that the application has returned or raised."""
        work = self._work
        if work.kind == "http" and self._gone and not work.has_responded:
            work.outcome = "cancelled"
        elif work.kind == "websocket" and work.status in _GONE_CLOSES:
            work.outcome = "completed"


def _name(work: RecordedWork, scope: Scope) -> None:
    """Name the work after its route, which is known once the application has run."""
    route = _route(scope)
    if route is not None:
        work.route = route
        method = scope.get("method") if work.kind == "http" else "WEBSOCKET"
        work.name = f"{method} {route}"


def _route(scope: Scope) -> str | None:
    """Return the template of the route that served a request; None if the framework has none.

    Starlette, FastAPI and Litestar store the route in the scope. In a mounted application or an
    included router, the template lacks the prefix, which is taken from the path; parameter
    values in it are replaced by the parameters' names.
    """
    template = scope.get("path_template")
    if isinstance(template, str):
        return template
    route = scope.get("route") or _starlette_route(scope)
    template = getattr(route, "path_format", None) or getattr(route, "path", None)
    if not isinstance(template, str):
        return None
    parameters = {str(key): str(value) for key, value in scope.get("path_params", {}).items()}
    path, tail = _path(scope), template
    for name, value in parameters.items():
        tail = tail.replace(f"{{{name}}}", value)
    if path == tail or not path.endswith(tail):
        return template
    names = {value: f"{{{name}}}" for name, value in parameters.items()}
    before = path[: len(path) - len(tail)].split("/")
    return "/".join(names.get(part, part) for part in before) + template


def _starlette_route(scope: Scope) -> object:
    """Return the route of the endpoint that FastAPI called, searched among the app's routes."""
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return None
    routes = getattr(scope.get("app"), "routes", ())
    return next((one for one in routes if getattr(one, "endpoint", None) is endpoint), None)


def instrument_stack(app: Any, recorder: Recorder) -> Callable[[], None]:
    """Record a Starlette or FastAPI application from outside all its middleware.

    Args:
        app: the application, before or after its first request.
        recorder: begins the records.

    Returns:
        A function that undoes it.
    """
    build = app.build_middleware_stack

    def build_recorded() -> RecordedASGI:
        return RecordedASGI(build(), recorder)

    app.build_middleware_stack = build_recorded
    if app.middleware_stack is not None:
        app.middleware_stack = RecordedASGI(app.middleware_stack, recorder)

    def undo() -> None:
        recorder.active = False
        if app.build_middleware_stack is build_recorded:
            app.build_middleware_stack = build

    return undo
