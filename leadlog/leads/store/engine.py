"""How the lead store opens, shares and closes connections to SQLite and PostgreSQL.

Writers of one process queue on a lock of ours, in which they sleep instead of polling SQLite's
file. An in-memory database is one connection, which its threads share in turn.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from typing import TypeVar

from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool

from leadlog.core.errors import StoreError
from leadlog.core.forks import renew_after_fork
from leadlog.leads.store.engine_strategy import BULK_LOADING, IMMEDIATE, EngineStrategy, open_engine
from leadlog.leads.store.location import in_memory
from leadlog.leads.store.retries import retry_transient

__all__ = ["Connections"]

T = TypeVar("T")

_inherited: list[Pool] = []


class Connections:
    """The open database: read connections, write sessions and sessions for the user.

    Args:
        url: Where the database is.
        ways: How connections are made and waited for.

    Attributes:
        url: Where the database is; its text and `repr` hide the password.
        engine: SQLAlchemy's engine, on which all connections are made.
        sqlite: Whether it is SQLite.
    """

    def __init__(self, url: URL, ways: EngineStrategy | None = None) -> None:
        self.url = url
        self._closed = False
        self._bulk_loads = 0
        self._ways = ways or EngineStrategy()
        self._sleep = self._ways.sleep
        self.engine = open_engine(url, self._ways)
        self.sqlite = url.get_backend_name() == "sqlite"
        self._memory = self.sqlite and in_memory(url)
        self._set_turns()
        renew_after_fork(self)
        # Shares the pool and the events of `engine`, at the price of some time for each event.
        self._writing = self.engine.execution_options(**IMMEDIATE)

    def _set_turns(self) -> None:
        self._readers: AbstractContextManager[None] = nullcontext()
        self._writers: AbstractContextManager[None] = nullcontext()
        if self._memory:
            self._readers = self._writers = self._ways.turns(
                "the one connection of an in-memory database"
            )
        elif self.sqlite:
            self._writers = self._ways.turns("an open write session")

    def after_fork(self) -> None:
        """Give a forked child connections and locks of its own."""
        self._set_turns()
        if not self._memory:  # a database in memory was copied with the process
            # Kept for ever: closing them here would end the parent's transactions.
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
            self._ways.abandon(self.engine)

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
                    for setting in BULK_LOADING:
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
