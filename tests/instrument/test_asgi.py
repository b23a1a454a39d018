"""FastAPI, Starlette and plain ASGI applications under a real uvicorn."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import httpx
import pytest
import sqlalchemy as sa
import structlog
import uvicorn
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import leadlog
from tests.instrument.conftest import Serve
from tests.instrument.models import Base, Deal

Logged = Callable[..., list[dict[str, Any]]]
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def application(engine: sa.Engine) -> FastAPI:
    """Return a small application with routes, streams, tasks and errors."""
    app = FastAPI()
    router = APIRouter(prefix="/v1")

    def database() -> Iterator[Session]:
        with Session(engine) as session:
            yield session

    def user() -> None:
        leadlog.bind(user="ana")

    @router.patch("/deals/{deal_id}", dependencies=[Depends(user)])
    def rename(deal_id: int, title: str, session: Annotated[Session, Depends(database)]) -> str:
        deal = session.get(Deal, deal_id)
        if deal is None:
            raise HTTPException(404, "no such deal")
        deal.title = title
        session.commit()
        return deal.title

    @router.get("/boom")
    async def boom() -> None:
        structlog.contextvars.bind_contextvars(tenant="acme")
        raise RuntimeError("the price is missing")

    @router.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for n in range(3):
                leadlog.get_logger().info("part.made", n=n)
                yield f"{n};".encode()

        return StreamingResponse(parts())

    @router.get("/endless")
    async def endless() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            while True:
                yield b"."
                await asyncio.sleep(0.01)

        return StreamingResponse(parts())

    @router.post("/later", status_code=202)
    def later(tasks: BackgroundTasks) -> None:
        tasks.add_task(lambda: leadlog.get_logger().info("later.done"))

    @app.websocket("/echo/{room}")
    async def echo(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        leadlog.get_logger().info("said", text=await websocket.receive_text(), room=room)
        await websocket.send_text("hello")
        await websocket.close(4000)

    app.include_router(router, prefix="/api")
    return app


def test_a_request_is_one_record_and_all_inside_is_its_session(
    engine: sa.Engine, serve: Serve, requests: Logged, logged: Logged
) -> None:
    """The record has route template, status and duration; the change has its session and trace."""
    app = application(engine)
    leadlog.instrument(app, engine, Base, response_header="x-session-id", operations="update")
    answer = serve(app).patch(
        "/api/v1/deals/3",
        params={"title": "sold"},
        headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
    )
    assert (answer.status_code, answer.json()) == (200, "sold")
    (request,) = requests()
    (change,) = logged("database_operations")
    info = request["request_info"]
    assert request["event_name"] == "http.request"
    assert request["operation_info"]["operation_name"] == "PATCH /api/v1/deals/{deal_id}"
    assert (info["kind"], info["method"], info["status"]) == ("http", "PATCH", 200)
    assert (info["path"], info["route"]) == ("/api/v1/deals/3", "/api/v1/deals/{deal_id}")
    assert (info["outcome"], request["operation_info"]["success"]) == ("completed", True)
    assert request["operation_info"]["total_duration_ms"] > 0
    assert request["performance_data"]["database_queries"] == 3  # get, update, refresh
    assert request["performance_data"]["cpu_time_ms"] is None
    assert change["data_details"]["fields_changed"]["title"] == {"old": "deal 3", "new": "sold"}
    session = answer.headers["x-session-id"]
    for record in (request, change):
        assert record["session_id"] == session
        assert record["context"] == {"user": "ana"}
        assert record["trace_id"] == TRACE
    assert request["span_id"] == change["span_id"] != PARENT
    assert info["parent_span_id"] == PARENT


def test_an_unhandled_error_is_one_record_with_the_applications_frames_first(
    engine: sa.Engine, serve: Serve, requests: Logged, logged: Logged
) -> None:
    """The caller gets status 500; the error names the file and line of the application."""
    app = application(engine)
    leadlog.instrument(app, engine, Base)
    assert serve(app).get("/api/v1/boom").status_code == 500
    (request,) = requests()
    (error,) = logged("error_logs")
    info, details = request["request_info"], error["error_details"]
    assert (info["status"], info["outcome"]) == (500, "failed")
    assert info["exception_class"] == "RuntimeError"
    assert info["error_message"] == "the price is missing"
    assert re.fullmatch(
        rf"{re.escape(__file__)}:\d+ in application.<locals>.boom", info["raised_at"]
    )
    assert error["context"]["called_from"] == info["raised_at"]
    assert error["context"]["operation_id"] == request["operation_info"]["operation_id"]
    assert error["context"]["tenant"] == "acme"
    own, _, whole = details["stack_trace"].partition("\n\n")
    assert own.count('File "') == own.count(__file__) == 1
    assert "site-packages" in whole
    assert whole.endswith("RuntimeError: the price is missing")


def test_an_error_of_the_database_is_recorded_once(
    engine: sa.Engine, serve: Serve, requests: Logged, logged: Logged
) -> None:
    """An unhandled unique violation gives one error, that of the operation, and one request."""
    app = application(engine)
    leadlog.instrument(app, engine, Base)
    assert serve(app).patch("/api/v1/deals/3", params={"title": "deal 1"}).status_code == 500
    (request,) = requests()
    (error,) = logged("error_logs")
    assert error["error_details"]["error_code"] == "SQLITE_CONSTRAINT_UNIQUE"
    assert request["session_id"] == error["session_id"]
    assert request["request_info"]["exception_class"] == "sqlalchemy.exc.IntegrityError"
    assert "in application.<locals>.rename" in request["request_info"]["raised_at"]


def test_what_a_column_holds_that_is_excluded_is_in_no_request(
    engine: sa.Engine, serve: Serve, requests: Logged, logged: Logged
) -> None:
    """Neither error nor request contains an excluded value that the database quotes."""
    app = application(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(Deal), {"title": "Zq7 secret", "cents": 1})
    leadlog.instrument(app, engine, Base, exclude="title")
    client = serve(app)
    assert client.patch("/api/v1/deals/3", params={"title": "Zq7 secret"}).status_code == 500
    told = str(requests()) + str(logged("error_logs")) + str(logged("database_operations"))
    assert "IntegrityError" in told
    assert "Zq7" not in told


def test_refused_requests_and_unknown_routes_are_no_errors(
    engine: sa.Engine, serve: Serve, requests: Logged, logged: Logged
) -> None:
    """404 is a warning, with the route's template if there is one, otherwise without."""
    app = application(engine)
    leadlog.instrument(app, engine, Base)
    client = serve(app)
    assert client.patch("/api/v1/deals/9", params={"title": "x"}).status_code == 404
    assert client.get("/favicon.ico").status_code == 404
    known, unknown = requests(2)
    assert known["operation_info"]["operation_name"] == "PATCH /api/v1/deals/{deal_id}"
    assert unknown["operation_info"]["operation_name"] == "GET (no route)"
    assert unknown["request_info"]["route"] is None
    for record in (known, unknown):
        assert (record["level"], record["request_info"]["outcome"]) == ("warning", "completed")
    assert logged("error_logs") == []


def test_streams_background_tasks_and_websockets_belong_to_their_request(
    engine: sa.Engine, serve: Serve, requests: Logged, logged: Logged
) -> None:
    """Parts of a stream, background tasks and WebSockets log in their request's session."""
    app = application(engine)
    leadlog.instrument(app, engine, Base)
    client = serve(app)
    assert client.get("/api/v1/stream").text == "0;1;2;"
    assert client.post("/api/v1/later").status_code == 202
    stream, later = requests(2)
    own = logged("monitoring_data")
    assert [r["event_name"] for r in own] == ["part.made"] * 3 + ["later.done"]
    assert {r["session_id"] for r in own[:3]} == {stream["session_id"]}
    assert own[3]["session_id"] == later["session_id"] != stream["session_id"]
    assert later["request_info"]["background_ms"] > 0


def test_a_websocket_is_one_record(
    engine: sa.Engine, serve: Serve, requests: Logged, logged: Logged
) -> None:
    """A WebSocket is one record, whose status is the close code; its messages pass unchanged."""
    app = application(engine)
    leadlog.instrument(app, engine, Base)
    address = str(serve(app).base_url.join("/echo/blue")).replace("http", "ws", 1)
    with connect(address) as websocket:
        websocket.send("hi")
        assert websocket.recv() == "hello"
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4000
    (request,) = requests()
    (said,) = logged("monitoring_data")
    assert request["event_name"] == "websocket.connection"
    assert request["operation_info"]["operation_name"] == "WEBSOCKET /echo/{room}"
    info = request["request_info"]
    assert (info["kind"], info["status"], info["outcome"]) == ("websocket", 4000, "completed")
    assert said["session_id"] == request["session_id"]


def test_a_client_that_leaves_cancels_its_request(
    engine: sa.Engine, serve: Serve, requests: Logged, logged: Logged
) -> None:
    """An endless response ends when its client leaves: cancelled, which is not an error."""
    app = application(engine)
    leadlog.instrument(app, engine, Base)
    with serve(app).stream("GET", "/api/v1/endless") as response:
        assert next(response.iter_bytes())
    (request,) = requests()
    assert request["request_info"]["outcome"] == "cancelled"
    assert request["operation_info"]["success"] is False
    assert logged("error_logs") == []


def test_lifespan_and_middleware_go_on_as_before(serve: Serve, requests: Logged) -> None:
    """Startup and shutdown run once; a middleware added later runs inside the record."""
    seen: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        seen.append("start")
        yield
        seen.append("stop")

    app = FastAPI(lifespan=lifespan)
    leadlog.instrument_fastapi(app)

    @app.middleware("http")
    async def refuse(_request: Any, _call: Any) -> PlainTextResponse:
        return PlainTextResponse("closed", 503)

    assert serve(app).get("/").text == "closed"
    assert seen == ["start"]
    (request,) = requests()
    assert (request["request_info"]["status"], request["level"]) == (503, "error")


def test_a_start_that_fails_is_an_error(logged: Logged) -> None:
    """A failed startup is one error with class, message and line of the application."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        raise RuntimeError("table deals already exists")
        yield

    app = FastAPI(lifespan=lifespan)
    leadlog.instrument(app)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on", port=0))
    with pytest.raises(SystemExit):
        server.run()
    leadlog.flush()
    (error,) = logged("error_logs")
    details = error["error_details"]
    assert error["event_name"] == "error.startup"
    assert details["error_message"] == "table deals already exists"
    assert re.fullmatch(
        rf"{re.escape(__file__)}:\d+ in .*lifespan", error["context"]["called_from"]
    )
    assert details["stack_trace"].count("already exists") >= 1


def test_an_application_without_a_lifespan_has_not_failed(serve: Serve, logged: Logged) -> None:
    """An application may raise for `lifespan`, as ASGI allows; that is not recorded as an error."""

    async def bare(scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    assert serve(leadlog.instrument_asgi(bare)).get("/").status_code == 204
    leadlog.flush()
    assert logged("error_logs") == []


def test_a_plain_route_in_fastapi_has_its_template(serve: Serve, requests: Logged) -> None:
    """Plain Starlette routes, such as /docs, have a template, though FastAPI does not name them."""
    app = FastAPI()
    app.add_route("/plain/{name}", lambda _request: PlainTextResponse("hello"))
    leadlog.instrument(app)
    client = serve(app)
    assert client.get("/docs").status_code == client.get("/plain/x").status_code == 200
    names = [record["operation_info"]["operation_name"] for record in requests(2)]
    assert names == ["GET /docs", "GET /plain/{name}"]


def test_mounted_applications_are_recorded_once_with_their_whole_route(
    serve: Serve, requests: Logged
) -> None:
    """Mounted applications, with parameters of the mount, are one record with the whole route."""
    inner = FastAPI()

    @inner.get("/items/{item}")
    def item(item: int, tenant: str = "") -> int:
        return item

    def hello(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("hello")

    app = Starlette(
        routes=[Mount("/shops/{shop}", app=inner), Mount("/m", routes=[Route("/p/{q}", hello)])]
    )
    leadlog.instrument(app)
    leadlog.instrument(inner)
    client = serve(app)
    assert client.get("/shops/acme/items/3").json() == 3
    assert client.get("/m/p/1").text == "hello"
    names = [record["operation_info"]["operation_name"] for record in requests(2)]
    assert names == ["GET /shops/{shop}/items/{item}", "GET /m/p/{q}"]


def test_ignored_paths_are_not_recorded_and_release_ends_it(
    engine: sa.Engine, serve: Serve, requests: Logged, logged: Logged
) -> None:
    """Paths that match `ignore` are not recorded; after `release` no request is."""
    app = application(engine)
    instrumented = leadlog.instrument(app, engine, Base, ignore=["/api/v1/str*", "/health"])
    client = serve(app)
    assert client.get("/api/v1/stream").text == "0;1;2;"
    assert client.patch("/api/v1/deals/1", params={"title": "one"}).status_code == 200
    requests(1)
    before = len(logged("database_operations"))
    assert before > 0
    instrumented.release()
    instrumented.release()
    assert client.patch("/api/v1/deals/1", params={"title": "two"}).status_code == 200
    requests(1)
    assert len(logged("database_operations")) == before


def test_any_asgi_application_can_be_wrapped(serve: Serve, requests: Logged) -> None:
    """Without a framework the route is null, and a missing response is a failure."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

    client = serve(leadlog.instrument_asgi(app, response_header="x-id"), lifespan="off")
    answer = client.get("/")
    assert answer.status_code == 204
    assert client.get("/none").status_code == 500  # uvicorn's own
    good, bad = requests(2)
    assert answer.headers["x-id"] == good["session_id"]
    assert (good["request_info"]["status"], bad["request_info"]["status"]) == (204, None)
    assert bad["request_info"]["outcome"] == "failed"


@pytest.mark.parametrize(
    "header", ["", "00-xyz", f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01"]
)
def test_a_bad_traceparent_begins_a_new_trace(header: str, serve: Serve, requests: Logged) -> None:
    """A traceparent that does not follow the standard is ignored, as the standard requires."""
    app = FastAPI()
    leadlog.instrument(app)
    serve(app).get("/", headers={"traceparent": header})
    (request,) = requests()
    assert re.fullmatch("[0-9a-f]{32}", request["trace_id"])
    assert request["trace_id"] != TRACE
    assert request["request_info"]["parent_span_id"] is None


def test_what_cannot_be_instrumented_is_told_with_the_remedy() -> None:
    """An unknown application or option is refused with an error that names the remedy."""
    with pytest.raises(TypeError, match=r"cannot instrument 3; .*instrument_asgi"):
        leadlog.instrument(3)
    with pytest.raises(TypeError, match=r"no option 'ignor'; did you mean 'ignore'\?"):
        leadlog.instrument(FastAPI(), ignor="/")


def test_requests_at_the_same_time_do_not_mix(
    engine: sa.Engine, serve: Serve, requests: Logged, logged: Logged
) -> None:
    """Each change of twenty concurrent requests, in threads or the loop, has its own session."""
    from concurrent.futures import ThreadPoolExecutor

    app = application(engine)
    leadlog.instrument(app, engine, Base, response_header="x-session-id", operations=["update"])
    client = serve(app)

    def rename(n: int) -> tuple[str, str]:
        answer = client.patch(f"/api/v1/deals/{n % 3 + 1}", params={"title": f"t{n}"})
        return answer.headers["x-session-id"], f"t{n}"

    with ThreadPoolExecutor(10) as pool:
        told = dict(pool.map(rename, range(20)))
    requests(20)
    changed = {
        r["session_id"]: r["data_details"]["fields_changed"]["title"]["new"]
        for r in logged("database_operations")
        if "title" in (r["data_details"]["fields_changed"] or {})
    }
    assert changed == told
    assert isinstance(client, httpx.Client)
