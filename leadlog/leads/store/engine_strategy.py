"""How connections are made and waited for: the engine, its settings for SQLite, and turns.

SQLite begins a write with BEGIN IMMEDIATE: a deferred one would read first, find at its first
write that somebody else wrote in between, and fail. WAL lets readers go on meanwhile, with
`synchronous=NORMAL`: a crash of the process loses nothing, a power failure may lose the last
commits, and neither damages the file.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import Pool, QueuePool

from leadlog.core.errors import StoreError
from leadlog.leads.store.location import in_memory, make_folder

__all__ = ["BULK_LOADING", "IMMEDIATE", "WAIT_SECONDS", "EngineStrategy", "open_engine"]

WAIT_SECONDS = 30.0
"""Longest wait for another user of the same store object."""

_BUSY_SECONDS = 10.0  # for each of several attempts
_EXTRAS = {"sqlite": "async", "postgresql": "postgres"}
_BEGIN = "leadlog_begin"

IMMEDIATE = {_BEGIN: "BEGIN IMMEDIATE"}
"""Execution options of a connection that begins to write."""

BULK_LOADING = ("PRAGMA cache_size=-16384", "PRAGMA wal_autocheckpoint=16384")
"""What a SQLite connection is told that writes much: KiB of cache, and pages of log, of 4 KiB."""


def _sleep(seconds: float) -> None:
    time.sleep(seconds)  # as it is then: gevent's and eventlet's lets other green threads go on


class _Turns:
    """A lock for one thread at a time, which says so when a thread would wait for itself."""

    __slots__ = ("_lock", "_owner", "_what")

    def __init__(self, what: str) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._what = what

    def __enter__(self) -> None:
        me = threading.get_ident()
        if self._owner == me:
            raise StoreError(
                f"this thread already has {self._what}; use the open session for it, or close it "
                "first"
            )
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise StoreError(
                f"waited {WAIT_SECONDS:g} s for another thread that has {self._what}; keep "
                "sessions short"
            )
        self._owner = me

    def __exit__(self, *_: object) -> None:
        self._owner = None
        self._lock.release()


@dataclass(frozen=True, slots=True)
class EngineStrategy:
    """How connections are made and waited for: in threads, or in the tasks of an event loop.

    Attributes:
        create: Makes an engine, as `sqlalchemy.create_engine` does.
        pool: The pool for SQLite.
        turns: Makes a lock for one thread or task at a time, which names what it guards.
        sleep: Waits, seconds.
        abandon: Closes the connections of a store that was forgotten.
    """

    create: Callable[..., Engine] = create_engine
    pool: type[Pool] = QueuePool
    turns: Callable[[str], AbstractContextManager[None]] = _Turns
    sleep: Callable[[float], None] = _sleep
    abandon: Callable[[Engine], None] = Engine.dispose


def open_engine(url: URL, ways: EngineStrategy) -> Engine:
    """An engine on a database, whose connections are set up for the store.

    Raises:
        StoreError: The driver is not installed.
    """
    try:
        if url.get_backend_name() != "sqlite":
            return ways.create(url, json_serializer=_dumps, pool_pre_ping=True)
        make_folder(url)
        options: dict[str, Any] = {"pool_size": 1, "max_overflow": 0} if in_memory(url) else {}
        arguments: dict[str, Any] = {"check_same_thread": False}
        if "timeout" not in url.query:
            arguments["timeout"] = _BUSY_SECONDS
        engine = ways.create(
            url, json_serializer=_dumps, poolclass=ways.pool, connect_args=arguments, **options
        )
    except ModuleNotFoundError as error:
        raise StoreError(
            f"the driver for {url.drivername} is not installed; "
            f'install it with: pip install "leadlog[{_EXTRAS[url.get_backend_name()]}]"'
        ) from error
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


# ASCII with escapes: half surrogate pairs, which raw data may hold, would not encode.
_dumps = json.JSONEncoder(separators=(",", ":")).encode


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # Off: the driver would begin transactions on its own, and deferred ones. `_begin_sqlite` does.
    connection.isolation_level = None
    cursor = connection.cursor()  # `connection.execute` of SQLAlchemy 2.0's aiosqlite has none
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA journal_mode")
    (mode,) = cursor.fetchone()
    if mode not in {"wal", "memory"}:
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
