"""Instrumented Flask and plain WSGI applications on werkzeug's own server."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import flask
import httpx
import pytest
import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session
from werkzeug.serving import make_server
from werkzeug.wsgi import FileWrapper

import leadlog
from tests.instrument.models import Base, Deal

Logged = Callable[..., list[dict[str, Any]]]
Serve = Callable[..., httpx.Client]


@pytest.fixture
def serve_wsgi() -> Iterator[Serve]:
    """Serve a WSGI application with werkzeug, by default with one thread for all requests."""
    with contextlib.ExitStack() as stack:

        def start(app: Any, *, threaded: bool = False) -> httpx.Client:
            server = make_server("127.0.0.1", 0, app, threaded=threaded)
            thread = threading.Thread(target=server.serve_forever)
            thread.start()

            def stop() -> None:
                server.shutdown()
                thread.join(20)
                server.server_close()

            stack.callback(stop)
            base = f"http://127.0.0.1:{server.server_port}"
            return stack.enter_context(httpx.Client(base_url=base, timeout=20))

        yield start


def application(engine: sa.Engine) -> flask.Flask:
    """Return a small application with routes, streams and errors."""
    app = flask.Flask(__name__)

    @app.post("/deals/<int:deal_id>")
    def rename(deal_id: int) -> str:
        leadlog.bind(user="bo")
        with Session(engine) as session:
            session.get_one(Deal, deal_id).title = flask.request.args["title"]
            session.commit()
        return "renamed"

    @app.get("/boom")
    def boom() -> str:
        structlog.contextvars.bind_contextvars(tenant="acme")
        return {}["price"]

    @app.get("/teapot")
    def teapot() -> str:
        flask.abort(418)

    @app.get("/stream")
    def stream() -> flask.Response:
        def parts() -> Iterator[str]:
            for n in range(3):
                leadlog.get_logger().info("part.made", n=n)
                yield f"{n};"

        return flask.Response(flask.stream_with_context(parts()))

    return app


def test_a_request_is_one_record_with_its_changes(
    engine: sa.Engine, serve_wsgi: Serve, requests: Logged, logged: Logged
) -> None:
    """The record has rule, status and CPU time; bound values do not reach the next request."""
    app = application(engine)
    leadlog.instrument(app, engine, Base, response_header="X-Session-Id", operations="update")
    client = serve_wsgi(app)
    assert client.get("/boom").status_code == 500
    answer = client.post("/deals/3", params={"title": "sold"})
    assert answer.text == "renamed"
    failed, request = requests(2)
    (change,) = logged("database_operations")
    assert request["operation_info"]["operation_name"] == "POST /deals/<int:deal_id>"
    assert request["request_info"]["path"] == "/deals/3"
    assert (request["request_info"]["status"], request["level"]) == (200, "info")
    assert request["performance_data"]["cpu_time_ms"] > 0
    assert request["session_id"] == change["session_id"] == answer.headers["x-session-id"]
    assert request["context"] == change["context"] == {"user": "bo"}
    assert failed["context"] == {"tenant": "acme"}


def test_what_flask_answers_with_500_is_an_error(
    engine: sa.Engine, serve_wsgi: Serve, requests: Logged, logged: Logged
) -> None:
    """The record has an exception that Flask handles before it reaches the server."""
    app = application(engine)
    leadlog.instrument_flask(app)
    client = serve_wsgi(app)
    assert client.get("/boom").status_code == 500
    assert client.get("/teapot").status_code == 418
    failed, refused = requests(2)
    (error,) = logged("error_logs")
    assert failed["request_info"]["exception_class"] == "KeyError"
    assert "boom" in failed["request_info"]["raised_at"]
    assert error["context"]["called_from"] == failed["request_info"]["raised_at"]
    assert error["error_details"]["stack_trace"].startswith("The application's own frames")
    assert (refused["request_info"]["status"], refused["level"]) == (418, "warning")


def test_parts_of_a_stream_belong_to_the_request(
    engine: sa.Engine, serve_wsgi: Serve, requests: Logged, logged: Logged
) -> None:
    """Parts that the server requests after the view has returned belong to the request."""
    app = application(engine)
    leadlog.instrument(app)
    assert serve_wsgi(app, threaded=True).get("/stream").text == "0;1;2;"
    (request,) = requests()
    assert {r["session_id"] for r in logged("monitoring_data")} == {request["session_id"]}
    assert request["request_info"]["outcome"] == "completed"


def test_release_gives_flask_back(engine: sa.Engine, serve_wsgi: Serve, requests: Logged) -> None:
    """After `release` the application has its original `wsgi_app`."""
    app = application(engine)
    instrumented = leadlog.instrument(app)
    assert "wsgi_app" in vars(app)
    instrumented.release()
    assert serve_wsgi(app).get("/teapot").status_code == 418
    requests(0)


def test_a_body_that_the_server_looks_at_stays_what_it_is(requests: Logged) -> None:
    """A list, which gives the Content-Length, and a file, for sendfile, are passed unchanged."""
    bodies: list[Any] = [[b"one"], FileWrapper(iter([b"two"])), iter([b"three"])]

    def app(_environ: Any, start: Any) -> Any:
        start("200 OK", [])
        return bodies[0]

    recorded = leadlog.instrument_wsgi(app, ignore="/health")
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.file_wrapper": FileWrapper}
    assert recorded({**environ, "PATH_INFO": "/health"}, lambda *_: None) is bodies[0]
    assert recorded({**environ}, lambda *_: None) is bodies.pop(0)
    assert recorded({**environ}, lambda *_: None) is bodies.pop(0)
    body: Any = recorded({**environ}, lambda *_: None)
    assert body is not bodies[0]
    assert list(body) == [b"three"]
    body.close()
    body.close()
    assert [r["request_info"]["outcome"] for r in requests(3)] == ["completed"] * 3


def test_a_response_that_nobody_reads_to_its_end_is_cancelled(requests: Logged) -> None:
    """If the client leaves, the server closes the body early, and the request is cancelled."""

    def app(_environ: Any, start: Any) -> Iterator[bytes]:
        start("200 OK", [])
        yield b"one"
        yield b"two"

    body: Any = leadlog.instrument_wsgi(app)({"REQUEST_METHOD": "GET"}, lambda *_: None)
    assert next(iter(body)) == b"one"
    body.close()
    (request,) = requests()
    assert request["request_info"]["outcome"] == "cancelled"


@pytest.mark.parametrize(
    ("headers", "parts", "read", "outcome"),
    [
        ([("Content-Length", "6")], [b"one", b"two"], 2, "completed"),
        ([("content-length", " 6 ")], [b"one", b"two"], 1, "cancelled"),
        ([("Content-Length", "6")], [b"onetwo"], 1, "completed"),
        ([("Content-Length", "6")], [b"onetwo, and more"], 1, "completed"),
        ([("Content-Length", "many")], [b"one"], 1, "cancelled"),
        ([("Content-Length", 3)], [b"one"], 1, "completed"),
        ([("Content-Length", "9" * 5000)], [b"one"], 1, "cancelled"),
        ([("Content-Length", "3")], [None], 1, "cancelled"),
        ([], [b"one"], 1, "cancelled"),
        ([], [], 1, "completed"),
    ],
)
def test_a_response_is_complete_with_its_last_byte(
    requests: Logged, headers: list[tuple[str, Any]], parts: list[Any], read: int, outcome: str
) -> None:
    """A response is complete at its stated length, even if its body is never closed."""

    def app(_environ: Any, start: Any) -> Iterator[bytes]:
        start("200 OK", headers)
        yield from parts

    recorded = leadlog.instrument_wsgi(app)
    for number, closed in enumerate((True, False), 1):
        body: Any = recorded({"REQUEST_METHOD": "GET"}, lambda *_: None)
        for _ in range(read):
            next(body, None)
        if closed:
            body.close()
        del body
        assert [one["request_info"]["outcome"] for one in requests(number)] == [outcome] * number


def one_part(_environ: Any, start: Any) -> Iterator[bytes]:
    """An application whose body is a generator with one part."""
    start("200 OK", [("Content-Length", "3")])
    yield b"one"


def test_the_duration_ends_when_the_server_has_sent_the_last_part(requests: Logged) -> None:
    """The server asks for another part only then."""
    body: Any = leadlog.instrument_wsgi(one_part)({"REQUEST_METHOD": "GET"}, lambda *_: None)
    assert next(body) == b"one"
    time.sleep(0.05)  # a slow client
    assert next(body, None) is None
    body.close()
    (request,) = requests()
    assert request["operation_info"]["total_duration_ms"] >= 50
    assert request["request_info"]["background_ms"] < 50


def test_a_client_that_leaves_during_the_last_part_cancels_the_request(requests: Logged) -> None:
    """The server closes the body while its error is in flight."""
    body: Any = leadlog.instrument_wsgi(one_part)({"REQUEST_METHOD": "GET"}, lambda *_: None)

    def serve() -> None:
        try:
            next(body)
            raise BrokenPipeError
        finally:
            body.close()

    with pytest.raises(BrokenPipeError):
        serve()
    (request,) = requests()
    assert request["request_info"]["outcome"] == "cancelled"


def test_a_request_inside_the_end_of_another_is_a_record_of_its_own(requests: Logged) -> None:
    """A body that calls another recorded application after its last part."""
    inner = leadlog.instrument_wsgi(one_part)

    def app(_environ: Any, start: Any) -> Iterator[bytes]:
        start("200 OK", [("Content-Length", "3")])
        yield b"two"
        found: Any = inner({"REQUEST_METHOD": "GET", "PATH_INFO": "/inner"}, lambda *_: None)
        list(found)
        found.close()

    body: Any = leadlog.instrument_wsgi(app)(
        {"REQUEST_METHOD": "GET", "PATH_INFO": "/outer"}, lambda *_: None
    )
    list(body)
    body.close()
    assert [one["request_info"]["path"] for one in requests(2)] == ["/inner", "/outer"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_open_requests_to_its_parent(requests: Logged) -> None:
    """The child ends without a record of them; the parent writes the only one."""
    body: Any = leadlog.instrument_wsgi(one_part)({"REQUEST_METHOD": "GET"}, lambda *_: None)
    assert next(body) == b"one"
    child = os.fork()
    if child == 0:
        del body
        leadlog.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    body.close()
    assert requests()[0]["process_id"] == os.getpid()


def test_requests_of_a_test_client_are_recorded(
    engine: sa.Engine, requests: Logged, logged: Logged
) -> None:
    """Requests of a test client, which closes no response, have status, route and exception."""
    app = application(engine)
    leadlog.instrument(app, engine, Base, operations="update")
    client = app.test_client()
    assert client.post("/deals/3?title=sold").status_code == 200
    assert client.get("/boom").status_code == 500
    assert client.get("/teapot").status_code == 418
    assert client.get("/nowhere").status_code == 404
    with client.get("/nowhere"):
        pass  # closing it also ends the previous request
    found = [
        (one["operation_info"]["operation_name"], one["request_info"]["outcome"])
        for one in requests(5)
    ]
    assert found == [
        ("POST /deals/<int:deal_id>", "completed"),
        ("GET /boom", "failed"),
        ("GET /teapot", "completed"),
        ("GET (no route)", "completed"),
        ("GET (no route)", "completed"),
    ]
    *unclosed, closed = requests(5)
    assert all(one["operation_info"]["total_duration_ms"] > 0 for one in (*unclosed, closed))
    for one in unclosed:  # the time until the next request does not count
        assert one["performance_data"]["cpu_time_ms"] is None
        assert one["request_info"]["background_ms"] is None
    assert closed["performance_data"]["cpu_time_ms"] is not None
    assert closed["request_info"]["background_ms"] is not None
    (error,) = logged("error_logs")
    assert error["error_details"]["exception_class"] == "KeyError"


def test_an_exception_in_a_body_goes_on_to_the_server(requests: Logged, logged: Logged) -> None:
    """An exception in a body reaches the server, and is one error."""

    def app(_environ: Any, start: Any) -> Iterator[bytes]:
        start("200 OK", [])
        yield b"one"
        raise ValueError("torn")

    body: Any = leadlog.instrument_wsgi(app)({"REQUEST_METHOD": "GET"}, lambda *_: None)
    with pytest.raises(ValueError, match="torn"):
        list(body)
    body.close()
    (request,) = requests()
    assert request["request_info"]["outcome"] == "failed"
    (error,) = logged("error_logs")
    assert error["error_details"]["error_message"] == "torn"
