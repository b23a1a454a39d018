"""The page on FastAPI: its applications run under a real server, and are asked at the same time."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

Logged = Callable[..., list[dict[str, Any]]]


@pytest.fixture(params=["app:app", "async_app:app"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, files_of: Callable[[str], None]
) -> Iterator[httpx.Client]:
    """One of the page's applications, and a client; stopped as a user stops it."""
    files_of("capture-fastapi.md")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["uvicorn", request.param, "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(command, cwd=tmp_path)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            _wait_for(client, process)
            yield client
        process.send_signal(signal.SIGINT)
        process.wait(30)
    finally:
        process.kill()
        process.wait()


def _wait_for(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            client.get("/openapi.json")
            return
        time.sleep(0.05)
    pytest.fail(f"the server did not start: {process.returncode}")


def written(logged: Logged, directory: Path, count: int) -> list[dict[str, Any]]:
    """The records of changes, once there are so many: the server writes them on its own."""
    deadline = time.monotonic() + 20
    while True:
        found = [
            record
            for record in logged("database_operations", directory)
            if record["operation_details"]["operation_type"] != "read"
        ]
        if len(found) >= count or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def test_each_request_has_a_session_of_its_own(
    server: httpx.Client, tmp_path: Path, logged: Logged
) -> None:
    """Twenty requests at a time: each one's id, from its response, names its own change."""

    def create(i: int) -> tuple[str, int]:
        answer = server.post("/customers", json={"name": f"Ana {i}", "email": f"a{i}@acme.com"})
        assert answer.status_code == 201, answer.text
        return answer.headers["x-session-id"], answer.json()

    with ThreadPoolExecutor(20) as pool:
        created = dict(pool.map(create, range(20)))
    assert len(created) == 20
    records = written(logged, tmp_path / "database_logs", 20)
    assert {r["session_id"]: r["lead_identifier"]["lead_id"] for r in records} == {
        session_id: str(key) for session_id, key in created.items()
    }
    assert len(records) == 20
    for record in records:
        assert record["event_name"] == "customer.create"
        assert record["operation_details"]["outcome"] == "committed"
        assert len(record["trace_id"]) == 32


@pytest.mark.parametrize("server", ["app:app"], indirect=True)
def test_what_a_caller_is_refused_is_not_committed(
    server: httpx.Client, tmp_path: Path, logged: Logged
) -> None:
    """A second customer with the same address: 409, and no record says that it was written."""
    new = {"name": "Ana", "email": "ana@acme.com"}
    assert server.post("/customers", json=new).status_code == 201
    refused = server.post("/customers", json=new)
    assert refused.status_code == 409
    renamed = server.patch("/customers/1", params={"name": "Ana Gómez"})
    assert renamed.json() == "Ana Gómez"
    records = written(logged, tmp_path / "database_logs", 3)
    committed = [r for r in records if r["operation_details"]["outcome"] == "committed"]
    assert [r["event_name"] for r in committed] == ["customer.create", "customer.update"]
    assert committed[1]["session_id"] == renamed.headers["x-session-id"]
    assert committed[1]["data_details"]["fields_changed"] == {
        "name": {"old": "Ana", "new": "Ana Gómez"}
    }
    assert refused.headers["x-session-id"] not in {r["session_id"] for r in committed}
