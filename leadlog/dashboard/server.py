"""The dashboard's ASGI application: access checks, routes and lifespan."""

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import orjson
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route, Router

from leadlog.core.errors import LeadlogError, MissingExtraError, QueryLimitError
from leadlog.dashboard.access import HEADERS, Access, RefusedError
from leadlog.dashboard.assets import asset, page
from leadlog.dashboard.live import IndexFollower, stream
from leadlog.dashboard.log import Log
from leadlog.reading.index import IndexUnavailableError

if TYPE_CHECKING:
    from leadlog.dashboard.sql import Queries
    from leadlog.dashboard.views import View

__all__ = ["PAGES", "Application"]

PAGES: Final = (
    *("", "explore", "errors", "entity", "session", "runs", "quality", "alerts", "sql"),
)
"""The paths of the nine pages."""

_BODY_BYTES: Final = 256 * 1024
_LARGEST: Final = (1 << 53) - 1
"""Largest integer that JavaScript represents exactly."""
_OPEN: Final = frozenset({"/login", "/assets/app.css", "/assets/icon.svg"})
"""Paths open to visitors without a token; none shows anything of the log."""
_log = logging.getLogger("leadlog.dashboard")

Send = Callable[[Any], Awaitable[None]]


class Application:
    """The dashboard of one log, as an ASGI application.

    Args:
        directory: the log directory.
        access: decides who may see it.

    Raises:
        IndexUnavailableError: the index cannot be created.
    """

    def __init__(self, directory: str | os.PathLike[str], access: Access) -> None:
        self._log = Log(directory)
        self._follower = IndexFollower(self._log)
        self._kept_queries: Queries | None = None
        self._lock = threading.Lock()
        self._access = access
        self._stopping: asyncio.Event | None = None
        self._routes = Router(
            [
                *(Route(f"/{name}", self._page, methods=["GET"]) for name in PAGES),
                Route("/assets/{name}", self._asset, methods=["GET"]),
                Route("/login", self._login, methods=["GET", "POST"]),
                Route("/live", self._live, methods=["GET"]),
                Route("/api/sql", self._sql, methods=["POST"]),
                Route("/api/sql/cancel", self._cancel, methods=["POST"]),
                Route("/api/sql/export", self._export, methods=["POST"]),
                Route("/api/{name}", self._view, methods=["GET"]),
                Route("/api/{name}", self._change, methods=["POST"]),
            ],
            redirect_slashes=False,
        )

    def close(self) -> None:
        """Stop the thread, cancel queries and close the index; idempotent."""
        with self._lock:
            queries = self._kept_queries
        if queries is not None:
            queries.cancel_all()
        self._follower.stop()
        self._log.close()

    # ------------------------------------------------------------------------------- the guard

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":  # WebSockets are refused: they would need separate checks
            await send({"type": "websocket.close", "code": 1008})
            return
        self._follower.start()
        if self._stopping is None:
            self._stopping = asyncio.Event()
        guarded = _with_headers(send)
        try:
            self._check(scope)
        except RefusedError as refusal:
            await self._refused(refusal, scope)(scope, receive, guarded)
            return
        await self._routes(scope, receive, guarded)

    def _check(self, scope: Any) -> None:
        """Raise `RefusedError` unless the request is allowed."""
        headers, method = scope["headers"], scope["method"]
        self._access.check_host(headers)
        if method not in {"GET", "HEAD", "POST"}:
            raise RefusedError(405, f"{method} is not allowed here.")
        path = _path_of(scope)
        if path == "/login" and method == "POST":
            self._access.check_site(headers, change=False)
            return
        if path in _OPEN:
            return
        if path.startswith(("/api/", "/live")) or method == "POST":
            self._access.check_site(headers, change=method == "POST")
        if not self._access.may_see(scope):
            raise RefusedError(401, "This page needs the token that `leadlog dashboard` printed.")

    def _refused(self, refusal: RefusedError, scope: Any) -> Response:
        path = _path_of(scope)
        if refusal.status == 401 and path.strip("/") in PAGES:
            token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            if token:
                return self._enter(scope, token, path.strip("/"))
            return self._login_page(scope, 401, "")
        return _json({"error": refusal.text}, refusal.status)

    async def _lifespan(self, receive: Any, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._follower.start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if self._stopping is not None:
                    self._stopping.set()
                await run_in_threadpool(self.close)
                await send({"type": "lifespan.shutdown.complete"})
                return

    # -------------------------------------------------------------------------------- entering

    def _enter(self, scope: Any, token: str, name: str) -> Response:
        cookie = self._access.let_in(token)
        if cookie is None:
            return self._login_page(
                scope, 401, "That token is not valid, or was used already. Start again."
            )
        response = _moved(scope, name)
        response.headers["set-cookie"] = cookie
        return response

    async def _login(self, request: Request) -> Response:
        if request.method != "POST":
            return self._login_page(request.scope, 200, "")
        body = await _body(request)
        token = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
        return self._enter(request.scope, token, "")

    @staticmethod
    def _login_page(scope: Any, status: int, text: str) -> Response:
        root = scope.get("root_path", "")
        content = page("login.html").replace("{root}", _escaped(root))
        return HTMLResponse(content.replace("{text}", _escaped(text)), status)

    # ------------------------------------------------------------------------------------ pages

    async def _page(self, request: Request) -> Response:
        if "token" in request.query_params and self._access.may_see(request.scope):
            # Remove the token from the address, so it is not in the history or in a copied link.
            return _moved(request.scope, _path_of(request.scope).strip("/"))
        root = _escaped(request.scope.get("root_path", ""))
        content = page("app.html").replace("{root}", root)
        changes = "yes" if self._access.allow_changes else "no"
        # What views need takes a moment to load: the browser reads the page meanwhile.
        return HTMLResponse(
            content.replace("{changes}", changes), background=BackgroundTask(_views)
        )

    async def _asset(self, request: Request) -> Response:
        found = asset(request.path_params["name"])
        if found is None:
            return _json({"error": "there is no such file"}, 404)
        return Response(found.content, headers={"content-type": found.type})

    async def _live(self, request: Request) -> Response:
        del request
        assert self._stopping is not None  # set by the guard  # noqa: S101
        return StreamingResponse(
            stream(self._follower, self._stopping), media_type="text/event-stream"
        )

    async def _view(self, request: Request) -> Response:
        view = (await run_in_threadpool(_views)).VIEWS.get(request.path_params["name"])
        if view is None:
            return _json({"error": "there is no such view"}, 404)
        given = dict(request.query_params)
        return await _answered(lambda: self._told(view, given))

    def _told(self, view: "View", given: dict[str, str]) -> dict[str, Any]:
        status = self._follower.status()  # before the figures: later events are sent again
        told = view(_views().Asked(self._log, given))
        return {"status": status, **told}

    async def _change(self, request: Request) -> Response:
        change = (await run_in_threadpool(_views)).CHANGES.get(request.path_params["name"])
        if change is None:
            return _json({"error": "there is no such change"}, 404)
        if not self._access.allow_changes:
            return _json(
                {
                    "error": "This dashboard changes nothing; start it with --allow-changes, or "
                    "use the command below."
                },
                403,
            )
        given = await _object(request)
        return await _answered(lambda: change(self._log, given))

    # -------------------------------------------------------------------------------------- SQL

    def _queries(self) -> "Queries":
        """Return the queries of this application; imports modules, so call it in a thread."""
        from leadlog.dashboard.sql import Queries

        with self._lock:
            if self._kept_queries is None:
                self._kept_queries = Queries(self._log.directory)
            return self._kept_queries

    async def _sql(self, request: Request) -> Response:
        given = await _object(request)

        def run() -> dict[str, Any]:
            name, sql, since, until, _ = _asked(given)
            return self._queries().run(name, sql, since, until)

        return await _answered(run)

    async def _cancel(self, request: Request) -> Response:
        given = await _object(request)
        return await _answered(
            lambda: {"cancelled": self._queries().cancel(str(given.get("name")))}
        )

    async def _export(self, request: Request) -> Response:
        given = await _object(request)

        def begin() -> tuple[Any, Any, str]:
            name, sql, since, until, form = _asked(given)
            pieces = self._queries().export(name, sql, since, until, form)
            return next(pieces, b""), pieces, form

        try:
            begun, pieces, form = await run_in_threadpool(begin)
        except (LeadlogError, OSError) as error:
            return await run_in_threadpool(_told_error, error)

        def rest() -> Any:
            yield begun
            yield from pieces

        kind = "application/vnd.apache.parquet" if form == "parquet" else "text/csv; charset=utf-8"
        return StreamingResponse(
            rest(),
            media_type=kind,
            headers={"content-disposition": f'attachment; filename="leadlog.{form}"'},
        )


def _moved(scope: Any, name: str) -> Response:
    """Return a redirect to one of the known pages, never to a path from the request."""
    response = Response(status_code=303)
    response.headers["location"] = f"{scope.get('root_path', '')}/{name if name in PAGES else ''}"
    return response


def _path_of(scope: Any) -> str:
    """Return the request path relative to the mount point, as the routes see it."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(root) else path


def _with_headers(send: Send) -> Send:
    async def guarded(message: Any) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in HEADERS}
            kept = [one for one in message.get("headers", ()) if one[0].lower() not in own]
            message = {**message, "headers": [*kept, *HEADERS]}
        await send(message)

    return guarded


def _json(value: Any, status: int) -> Response:
    options = orjson.OPT_NON_STR_KEYS
    try:
        body = orjson.dumps(value, default=str, option=options | orjson.OPT_STRICT_INTEGER)
    except orjson.JSONEncodeError:  # a number that no browser can hold is shown as a text
        plain = orjson.loads(orjson.dumps(value, default=str, option=options))
        body = orjson.dumps(_exact(plain))
    return Response(body, status, media_type="application/json")


def _exact(value: Any) -> Any:
    if type(value) is int and abs(value) > _LARGEST:
        return str(value)
    if type(value) is list:
        return [_exact(one) for one in value]
    if type(value) is dict:
        return {key: _exact(one) for key, one in value.items()}
    return value


async def _answered(work: Callable[[], Any]) -> Response:
    """Run the work in a thread; return its response, or one that states why it failed."""
    try:
        found = await run_in_threadpool(work)
        return await run_in_threadpool(_json, found, 200)
    except (LeadlogError, OSError) as error:
        return await run_in_threadpool(_told_error, error)
    except Exception:  # noqa: BLE001 - whatever it is, the page must hear of it
        _log.exception("a view of the dashboard failed")
        return _json({"error": "This view failed; the server's standard error says why."}, 500)


def _told_error(error: Exception) -> Response:
    from leadlog_processors.masking import mask_text

    if isinstance(error, MissingExtraError):
        status = 501
    elif isinstance(error, ValueError | QueryLimitError):
        status = 400
    elif isinstance(error, IndexUnavailableError):
        status = 503
    else:
        status = 500
    return _json({"error": mask_text(str(error))}, status)


def _views() -> Any:
    from leadlog.dashboard import views

    return views


def _asked(given: dict[str, Any]) -> tuple[str, str, str | None, str | None, str]:
    since, until = given.get("since"), given.get("until")
    period = _views().period_text(since, until)
    form = "parquet" if given.get("form") == "parquet" else "csv"
    return str(given.get("name")), str(given.get("sql", "")), *period, form


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _BODY_BYTES:
            return b""
    return body


async def _object(request: Request) -> dict[str, Any]:
    try:
        found = orjson.loads(await _body(request))
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _escaped(text: str) -> str:
    from html import escape

    return escape(text, quote=True)
