"""How the lead store opens, shares and closes connections to SQLite and PostgreSQL.

Writers of one process queue on a lock of ours, in which they sleep instead of polling SQLite's
file. An in-memory database is one connection, which its threads share in turn. SQLite begins a
write with BEGIN IMMEDIATE: a deferred one would read first, find at its first write that somebody
else wrote in between, and fail. WAL lets readers go on meanwhile, with `synchronous=NORMAL`: a
crash of the process loses nothing, a power failure may lose the last commits, and neither damages
the file.
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
"""Longest wait for another user of the same store object."""

_BUSY_SECONDS = 10.0  # for each of several attempts
_EXTRAS = {"sqlite": "async", "postgresql": "postgres"}
_BEGIN = "leadlog_begin"

IMMEDIATE = {_BEGIN: "BEGIN IMMEDIATE"}
"""Execution options of a connection that begins to write."""

_BULK_LOADING = ("PRAGMA cache_size=-16384", "PRAGMA wal_autocheckpoint=16384")
"""Settings of a SQLite connection that writes much: KiB of cache, and 4 KiB pages of log."""


def _sleep(seconds: float) -> None:
    time.sleep(seconds)  # as it is then: gevent's and eventlet's lets other green threads go on


class _ThreadLock:
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
        lock: Makes a lock for one thread or task at a time, which names what it guards.
        sleep: Waits, seconds.
        abandon: Closes the connections of a store that was forgotten.
    """

    create: Callable[..., Engine] = create_engine
    pool: type[Pool] = QueuePool
    lock: Callable[[str], AbstractContextManager[None]] = _ThreadLock
    sleep: Callable[[float], None] = _sleep
    abandon: Callable[[Engine], None] = Engine.dispose


def _open_engine(url: URL, strategy: EngineStrategy) -> Engine:
    """Return an engine on a database, whose connections are set up for the store.

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


T = TypeVar("T")

_inherited: list[Pool] = []


class Connections:
    """The open database: read connections, write sessions and sessions for the user.

    Args:
        url: Where the database is.
        strategy: How connections are made and waited for.

    Attributes:
        url: Where the database is; its text and `repr` hide the password.
        engine: SQLAlchemy's engine, on which all connections are made.
        sqlite: Whether it is SQLite.
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
        # Shares the pool and the events of `engine`, at the price of some time for each event.
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
        """Give a forked child connections and locks of its own."""
        self._set_locks()
        if not self._memory:  # a database in memory was copied with the process
            # Never released: closing them here would end the parent's transactions.
            _inherited.append(self.engine.pool)
            self.engine.dispose(close=False)

    def close(self) -> None:
        """Close all connections; what comes after is a `StoreError`."""
        self._closed = True
        self.engine.dispose()

    def abandon(self) -> None:
        """Close what a caller left open."""
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
        """Lend a connection for reading, in one transaction that is rolled back at the end."""
        self._check_open()
        with self._readers, self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Lend a session in a write transaction; commit it at the end, or roll back on error."""
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
        """Do work in a write transaction, and again where the database gave it up for another.

        Args:
            work: Called with a session that it need not commit; perhaps several times.
        """

        def attempt() -> T:
            with self.write() as session:
                return work(session)

        return retry_transient(attempt, self._sleep)

    def reading(self, work: Callable[[Connection], T]) -> T:
        """Do work on a connection for reading, and again where the database was locked.

        Args:
            work: Called with a connection in a transaction; perhaps several times.
        """

        def attempt() -> T:
            with self.read() as connection:
                return work(connection)

        return retry_transient(attempt, self._sleep)

    def refresh_statistics(self) -> None:
        """Tell SQLite's planner how many leads have the same value, where it knows little.

        Without it a search by two fields may take the index of the worse one. Samples only;
        PostgreSQL sees to it by itself.
        """
        if not self.sqlite:
            return
        try:
            with self.write() as session:
                connection = session.connection()
                connection.exec_driver_sql("PRAGMA analysis_limit=400")
                connection.exec_driver_sql("ANALYZE")
        except DBAPIError:  # locked: the leads are stored all the same
            pass

    def vacuum(self) -> None:
        """Give unused space back and refresh what the planner knows."""
        self._check_open()
        with self._writers, self.engine.connect() as connection:
            if self.sqlite:
                connection.exec_driver_sql("COMMIT")  # ours, which every statement begins
                for statement in ("VACUUM", "ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"):
                    connection.exec_driver_sql(statement)
            else:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.exec_driver_sql("VACUUM (ANALYZE) leads, lead_key, lead_merge")

    @contextmanager
    def bulk_loading(self) -> Iterator[None]:
        """Write much for a while, with settings of SQLite that suit it; others may go on meanwhile.

        Pages stay in memory for longer, and are brought from the write-ahead log into the database
        less often, a last time at the end. A power failure may lose all commits since the last
        time, so this is for writers that go on where the database is.
        """
        if not self.sqlite or self._memory:
            yield
            return
        self._bulk_loads += 1
        try:
            yield
        finally:
            self._bulk_loads -= 1
            # Whatever goes wrong here goes wrong with the next commit as well, which tells it.
            with (
                suppress(sqlite3.Error, DBAPIError),
                closing(self.engine.raw_connection()) as connection,
            ):
                connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")
            self.engine.dispose()  # new connections have the usual settings

    @contextmanager
    def session(self, *, read_only: bool) -> Iterator[Session]:
        """Lend a session to the user of the store; see `LeadDatabase.session`."""
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
    """An open database, and how calls on it are recorded and dated.

    Attributes:
        connections: The open database.
        capture: What opens the operations that are recorded; None to record none.
        clock: Gives the present time, microseconds since 1970.
    """

    connections: Connections
    capture: Handle | None
    clock: Callable[[], int]

    def now(self) -> datetime:
        """Return the present time."""
        return _EPOCH + timedelta(microseconds=self.clock())
