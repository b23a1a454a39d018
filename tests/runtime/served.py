"""An application behind WSGI, ASGI and a Celery worker: each request logs a few events."""

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import celery

import leadlog

EVENTS = 20

leadlog.configure()
log = leadlog.get_logger()
log.info("boot")

tasks = celery.Celery(broker="filesystem://", backend="file://results")
tasks.conf.broker_transport_options = {
    "data_folder_in": "queue",
    "data_folder_out": "queue",
    "control_folder": "control",
}


def serve(request: int) -> bytes:
    """Log a few events; return the process id."""
    for number in range(EVENTS):
        log.info("line", request=request, number=number)
    return str(os.getpid()).encode()


def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a WSGI request."""
    body = serve(int(environ["QUERY_STRING"]))
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(
    scope: dict[str, Any], _receive: object, send: Callable[..., Awaitable[None]]
) -> None:
    """Answer an ASGI request."""
    assert scope["type"] == "http"
    body = serve(int(scope["query_string"]))
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@tasks.task(name="serve")
def task(request: int) -> int:
    """Handle a message."""
    return int(serve(request))
