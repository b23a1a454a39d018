"""Runs programs, each in a process of its own that exits like any other.

server.py [warm]

Reads one request per line and forks; the child continues to the end of this module: it runs the
program and is finalised by the interpreter, with its own exit code. Slow modules are imported
beforehand; leadlog only if the server is `warm`, and a process without capture never imports it.

request: program, kind, url, captured, collector, output, directory, seconds
answer: exit, or "hangs"
"""

import asyncio
import gc
import json
import os
import signal
import sys
import time
from typing import Any

import aiosqlite  # noqa: F401 - imported once for all
import attrs  # noqa: F401
import orjson  # noqa: F401
import psutil  # noqa: F401
import sqlalchemy as sa
import structlog  # noqa: F401
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import greenlet_spawn

from tests.capture.programs.programs import PROGRAMS
from tests.capture.programs.shop import Base, Booking, Seat, Shop, fill

try:
    import asyncpg  # noqa: F401
    import psycopg  # noqa: F401
except ImportError:
    pass

if sys.argv[1:] == ["warm"]:
    import leadlog.recording.capture.targets  # noqa: F401 - see above

ASYNC = {"aiosqlite": ("sqlite:", "sqlite+aiosqlite:"), "asyncpg": ("+psycopg:", "+asyncpg:")}


def serve() -> dict[str, Any]:
    """Serve requests; in each forked child, return that child's request."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            return dict(request)
        print(json.dumps(_wait(child, request["seconds"])), flush=True)
    os._exit(0)


def _wait(child: int, seconds: float) -> int | str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _no_isolation(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def engine_of(kind: str, url: str) -> sa.Engine:
    """Return an engine, or the synchronous engine of an asynchronous one."""
    if kind in ASYNC:
        return create_async_engine(url.replace(*ASYNC[kind])).sync_engine
    if kind == "sqlite_memory":
        engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        fill(engine)
        return engine
    options = {"isolation_level": "AUTOCOMMIT"} if kind.endswith("autocommit") else {}
    engine = sa.create_engine(url, **options)
    if kind == "sqlite_begin":
        sa.event.listen(engine, "connect", _no_isolation)
        sa.event.listen(engine, "begin", _begin)
    return engine


def run(request: dict[str, Any]) -> Shop:
    """Run a program as an application does, with or without capture."""
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    program = PROGRAMS[request["program"]]
    shop = Shop(request["kind"], request["url"], engine_of(request["kind"], request["url"]))
    if program.before is not None:
        program.before(shop)
    if request["captured"]:
        import leadlog

        leadlog.configure(directory=request["directory"])
        leadlog.capture(shop.engine, Seat, Booking)
    if not request["collector"]:
        gc.disable()
    return shop


warm = sa.create_engine("sqlite://")
fill(warm)  # configures the mappers, and imports what the first statement needs
warm.dispose()
gc.collect()
gc.freeze()  # the children need not collect the shared objects
asked = serve()
shop = run(asked)
assert Base.metadata.tables
if asked["kind"] in ASYNC:

    async def main() -> None:
        """Run the program in a greenlet, as AsyncSession does."""
        await greenlet_spawn(PROGRAMS[asked["program"]].run, shop)

    asyncio.run(main())
else:
    PROGRAMS[asked["program"]].run(shop)
