"""Fixtures for the tests of instrumented applications: a real server, a database, and a request."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import uvicorn

from tests.instrument.models import Base, Deal

Serve = Callable[..., httpx.Client]


@pytest.fixture(autouse=True)
def released(captures_end: None) -> None:
    """Release every capture at the end of its test."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    """Provide a database file with three deals, which threads of a server may use."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/deals.db")
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(Deal), [{"title": f"deal {n}", "cents": n} for n in (1, 2, 3)])
    yield engine
    engine.dispose()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve an ASGI application with uvicorn on loopback; yield a client of it."""
    with contextlib.ExitStack() as stack:

        def start(app: Any, **options: Any) -> httpx.Client:
            taken = socket.socket()
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            server = uvicorn.Server(uvicorn.Config(app, log_level="critical", **options))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
            thread.start()

            def stop() -> None:
                server.should_exit = True
                thread.join(20)
                taken.close()

            stack.callback(stop)
            deadline = time.monotonic() + 20
            while not server.started and time.monotonic() < deadline:
                time.sleep(0.01)
            return stack.enter_context(
                httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)
            )

        yield start


@pytest.fixture
def requests(logged: Callable[..., list[dict[str, Any]]]) -> Callable[..., list[dict[str, Any]]]:
    """Return the records of requests, tasks and commands; wait until there are enough."""

    def read(count: int = 1) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 20
        while True:
            found = [r for r in logged("performance_metrics") if "request_info" in r]
            if len(found) >= count or time.monotonic() > deadline:
                assert len(found) == count, found
                return found
            time.sleep(0.02)

    return read
