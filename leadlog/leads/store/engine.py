"""The connections of the lead store to SQLite and PostgreSQL: opened, shared and closed.

Writers of one process queue on a lock of ours, on which they sleep instead of polling SQLite's
file lock. An in-memory database is a single connection that threads use in turn. On SQLite a write
begins with BEGIN IMMEDIATE: a deferred transaction would read first, find at its first write that
another writer committed in between, and fail. WAL lets readers continue during a write. With
`synchronous=NORMAL` a crash of the process loses nothing and a power failure may lose the last
commits; neither damages the file.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool, QueuePool

from leadlog.core.errors import StoreError
from leadlog.core.forks import renew_after_fork
from leadlog.leads.store.location import in_memory, make_folder
from leadlog.leads.store.retries import retry_transient
from leadlog.recording.capture.targets import Handle

__all__ = [
    "IMMEDIATE",
    "WAIT_SECONDS",
    "Connections",
    "EngineStrategy",
    "OpenStore",
]

WAIT_SECONDS = 30.0
"""Maximum wait for another thread or task that uses the same store object."""

_BUSY_SECONDS = 10.0  # for each attempt of `retry_transient`
_EXTRAS = {"sqlite": "async", "postgresql": "postgres"}
_BEGIN = "leadlog_begin"

IMMEDIATE = {_BEGIN: "BEGIN IMMEDIATE"}
"""Execution options of a connection that begins a write transaction."""

_BULK_LOADING = ("PRAGMA cache_size=-16384", "PRAGMA wal_autocheckpoint=16384")
"""Settings of a SQLite connection for bulk loads: KiB of cache, and 4 KiB pages of the WAL."""


def _sleep(seconds: float) -> None:
    time.sleep(seconds)  # looked up on each call: gevent and eventlet may have replaced it


class _ThreadLock:
    """A lock for one thread at a time; raises instead of letting a thread deadlock on itself."""

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
        create: Creates an engine, like `sqlalchemy.create_engine`.
        pool: Pool class for SQLite.
        lock: Creates a lock for one thread or task at a time; takes the name of what it guards.
        sleep: Sleeps for a number of seconds.
        abandon: Closes the connections of a store that was never closed.
    """

    create: Callable[..., Engine] = create_engine
    pool: type[Pool] = QueuePool
    lock: Callable[[str], AbstractContextManager[None]] = _ThreadLock
    sleep: Callable[[float], None] = _sleep
    abandon: Callable[[Engine], None] = Engine.dispose


def _open_engine(url: URL, strategy: EngineStrategy) -> Engine:
    """Return an engine whose connections are configured for the store.

    Raises:
        StoreError: The driver is not installed.
    """
    try:
        if url.get_backend_name() != "sqlite":
            return strategy.create(url, json_serializer=_dumps, pool_pre_ping=True)
        make_folder(url)
        options: dict[str, Any] = {"pool_size": 1, "max_overflow": 0} if in_memory(url) else {}
        arguments: dict[str, Any] = {"check_same_thread": False}
        if "timeout" not in url.query:
            arguments["timeout"] = _BUSY_SECONDS
        engine = strategy.create(
            url, json_serializer=_dumps, poolclass=strategy.pool, connect_args=arguments, **options
        )
    except ModuleNotFoundError as error:
        raise StoreError(
            f"the driver for {url.drivername} is not installed; "
            f'install it with: pip install "leadlog[{_EXTRAS[url.get_backend_name()]}]"'
        ) from error
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


# ASCII with escapes: lone surrogates, which raw data may contain, cannot be encoded.
_dumps = json.JSONEncoder(separators=(",", ":")).encode


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # None: otherwise the driver itself begins (deferred) transactions; `_begin_sqlite` does it.
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


T = TypeVar("T")

_inherited: list[Pool] = []


class Connections:
    """The open database: read connections, write sessions and sessions for the user.

    Args:
        url: URL of the database.
        strategy: How connections are made and waited for.

    Attributes:
        url: URL of the database; its `str` and `repr` mask the password.
        engine: The SQLAlchemy engine of all connections.
        sqlite: Whether the database is SQLite.
    """

    def __init__(self, url: URL, strategy: EngineStrategy | None = None) -> None:
        self.url = url
        self._closed = False
        self._bulk_loads = 0
        self._strategy = strategy or EngineStrategy()
        self._sleep = self._strategy.sleep
        self.engine = _open_engine(url, self._strategy)
        self.sqlite = url.get_backend_name() == "sqlite"
        self._memory = self.sqlite and in_memory(url)
        self._set_locks()
        renew_after_fork(self)
        # Shares the pool and the events of `engine`, which costs some time per event.
        self._writing = self.engine.execution_options(**IMMEDIATE)

    def _set_locks(self) -> None:
        self._readers: AbstractContextManager[None] = nullcontext()
        self._writers: AbstractContextManager[None] = nullcontext()
        if self._memory:
            self._readers = self._writers = self._strategy.lock(
                "the one connection of an in-memory database"
            )
        elif self.sqlite:
            self._writers = self._strategy.lock("an open write session")

    def after_fork(self) -> None:
        """Give a forked child its own connections and locks."""
        self._set_locks()
        if not self._memory:  # a database in memory was copied with the process
            # Kept referenced forever: closing them here would end the parent's transactions.
            _inherited.append(self.engine.pool)
            self.engine.dispose(close=False)

    def close(self) -> None:
        """Close all connections; later use raises a `StoreError`."""
        self._closed = True
        self.engine.dispose()

    def abandon(self) -> None:
        """Close the connections if the caller did not."""
        if not self._closed:
            self._closed = True
            self._strategy.abandon(self.engine)

    @property
    def closed(self) -> bool:
        """Whether `close` or `abandon` was called."""
        return self._closed

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the lead store {self.url} is closed; open it again")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Lend a connection for reading, in one transaction that is rolled back on exit."""
        self._check_open()
        with self._readers, self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Lend a session in a write transaction; commit on exit, or roll back on an error."""
        self._check_open()
        with (
            self._writers,
            Session(self.engine, autoflush=False, expire_on_commit=False) as session,
        ):
            connection = session.connection(execution_options=IMMEDIATE)
            if self._bulk_loads:
                with closing(connection.connection.cursor()) as cursor:
                    for setting in _BULK_LOADING:
                        cursor.execute(setting)
            yield session
            session.commit()

    def in_transaction(self, work: Callable[[Session], T]) -> T:
        """Run a function in a write transaction, and retry it after a transient database error.

        Args:
            work: Called with a session, once per attempt; need not commit.
        """

        def attempt() -> T:
            with self.write() as session:
                return work(session)

        return retry_transient(attempt, self._sleep)

    def reading(self, work: Callable[[Connection], T]) -> T:
        """Run a function on a connection for reading, and retry it if the database was locked.

        Args:
            work: Called with a connection in a transaction, once per attempt.
        """

        def attempt() -> T:
            with self.read() as connection:
                return work(connection)

        return retry_transient(attempt, self._sleep)

    def refresh_statistics(self) -> None:
        """Update the statistics of SQLite's query planner by a sample (ANALYZE).

        Without them a search by two fields may use the less selective index. PostgreSQL updates its
        statistics automatically.
        """
        if not self.sqlite:
            return
        try:
            with self.write() as session:
                connection = session.connection()
                connection.exec_driver_sql("PRAGMA analysis_limit=400")
                connection.exec_driver_sql("ANALYZE")
        except DBAPIError:  # locked: the statistics are optional
            pass

    def vacuum(self) -> None:
        """Reclaim unused space and refresh the planner's statistics."""
        self._check_open()
        with self._writers, self.engine.connect() as connection:
            if self.sqlite:
                connection.exec_driver_sql("COMMIT")  # ends `_begin_sqlite`'s transaction
                for statement in ("VACUUM", "ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"):
                    connection.exec_driver_sql(statement)
            else:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.exec_driver_sql("VACUUM (ANALYZE) leads, lead_key, lead_merge")

    @contextmanager
    def bulk_loading(self) -> Iterator[None]:
        """Apply SQLite settings for bulk loads while the context is open; others may still write.

        The page cache is larger and checkpoints are rarer, with a last one on exit. A power failure
        may lose all commits since the last checkpoint, so this is for writers that resume from the
        state of the database.
        """
        if not self.sqlite or self._memory:
            yield
            return
        self._bulk_loads += 1
        try:
            yield
        finally:
            self._bulk_loads -= 1
            # An error here will occur in the next commit as well, which reports it.
            with (
                suppress(sqlite3.Error, DBAPIError),
                closing(self.engine.raw_connection()) as connection,
            ):
                connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")
            self.engine.dispose()  # new connections have the usual settings

    @contextmanager
    def session(self, *, read_only: bool) -> Iterator[Session]:
        """Lend a session to the store's user; see `LeadDatabase.session`."""
        self._check_open()
        if not read_only:
            with self._writers, Session(self._writing, expire_on_commit=False) as session:
                yield session
                session.commit()
            return
        with self._readers, self.engine.connect() as connection:
            if not self.sqlite:
                connection.execution_options(postgresql_readonly=True)
            else:
                connection.exec_driver_sql("PRAGMA query_only=ON")
            try:
                with Session(connection, expire_on_commit=False) as session:
                    yield session
            finally:
                if self.sqlite:
                    connection.rollback()
                    connection.exec_driver_sql("PRAGMA query_only=OFF")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class OpenStore:
    """An open database, with the capture and the clock of its calls.

    Attributes:
        connections: The open database.
        capture: Opens the operations that are recorded; None to record none.
        clock: Returns the current time in microseconds since 1970.
    """

    connections: Connections
    capture: Handle | None
    clock: Callable[[], int]

    def now(self) -> datetime:
        """Return the current time as an aware datetime in UTC."""
        return _EPOCH + timedelta(microseconds=self.clock())
