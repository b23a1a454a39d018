"""The application's work in threads: one registry of queries, and no import on the event loop."""

import asyncio
import subprocess
import sys
import threading
from contextlib import suppress

import httpx

from leadlog import dashboard
from leadlog.dashboard.sql import Queries
from tests.bench.made_events import write

BLOCKED = """
import asyncio, sys, threading
import httpx
from leadlog import dashboard

app = dashboard.app(sys.argv[1], authorize=lambda scope: True, hosts=["crm.example"])
found = []


class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("leadlog", "pyarrow", "duckdb")):
            if threading.current_thread() is threading.main_thread():
                found.append(name)


async def visit():
    transport = httpx.ASGITransport(app=app)
    same = {"sec-fetch-site": "same-origin", "origin": "http://crm.example"}
    async with httpx.AsyncClient(transport=transport, base_url="http://crm.example") as client:
        for path, given, status in [
            ("cancel", {"name": "a"}, 200),
            ("export", {"name": "a", "sql": "SELECT 1", "since": "never"}, 400),
        ]:
            told = await client.post(f"/api/sql/{path}", json=given, headers=same)
            assert told.status_code == status, told.text
        told = await client.post("/api/sql", json={"since": "never"}, headers=same)
        assert told.status_code == 400, told.text
        assert "never" in told.json()["error"]


sys.meta_path.insert(0, Finder())
asyncio.run(visit())
app.close()
assert found == [], found
assert "leadlog.dashboard.sql" in sys.modules
"""


def test_requests_at_once_share_their_queries(tmp_path, monkeypatch):
    """Whichever request is first: a query that only one of several objects knows has no cancel."""
    write(tmp_path / "log", "2026-11-01", 5)
    together, made, create = threading.Barrier(4), [], Queries.__init__

    def init(self, directory):
        made.append(self)
        with suppress(threading.BrokenBarrierError):
            together.wait(0.3)  # for requests that are about to create one, too
        create(self, directory)

    monkeypatch.setattr(Queries, "__init__", init)
    app = dashboard.app(tmp_path / "log", authorize=lambda scope: True, hosts=["crm.example"])

    async def visit():
        transport = httpx.ASGITransport(app=app)
        headers = {"sec-fetch-site": "same-origin", "origin": "http://crm.example"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://crm.example", headers=headers
        ) as client:
            return await asyncio.gather(
                *(client.post("/api/sql/cancel", json={"name": f"{n}"}) for n in range(4))
            )

    try:
        told = asyncio.run(visit())
    finally:
        app.close()
    assert [one.json() for one in told] == [{"cancelled": False}] * 4
    assert len(made) == 1


def test_sql_requests_import_nothing_on_the_event_loop(tmp_path):
    """Modules are imported in threads, so that other visitors are served; bad times are told."""
    write(tmp_path / "log", "2026-11-01", 5)
    result = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(tmp_path / "log")],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
