"""Replaying the log reconstructs the table after any sequence of operations."""

import asyncio
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import leadlog
from leadlog.recording.sinks import MemorySink, SinkStats
from tests.capture.people import Base, Note, Person, Topic, begin_recipe, logging_to_memory
from tests.capture.schedules import Actor, disagreements, schedules, table_of, table_of_people

EXAMPLES = 2_000 if os.environ.get("SOAK") else 20
KINDS = (
    "sqlite",
    "sqlite_begin",
    "sqlite_autocommit",
    "postgresql",
    "postgresql_autocommit",
    "aiosqlite",
    "psycopg_async",
    "asyncpg",
)

Run = Callable[[Callable[[Session], Any]], None]


class Place:
    """A captured database, and a method to run a session on it.

    Args:
        kind: one of KINDS.
        plain: URL of the database with a synchronous driver.
    """

    def __init__(self, kind: str, plain: str) -> None:
        options: dict[str, Any] = {}
        if kind.endswith("autocommit"):
            options["isolation_level"] = "AUTOCOMMIT"
        self.oracle = sa.create_engine(plain)
        Base.metadata.create_all(self.oracle)
        self.is_async = kind in ("aiosqlite", "psycopg_async", "asyncpg")
        if self.is_async:
            url = plain.replace("sqlite:", "sqlite+aiosqlite:")
            url = url.replace("+psycopg:", "+asyncpg:") if kind == "asyncpg" else url
            self.engine: Any = create_async_engine(url)
        else:
            self.engine = sa.create_engine(plain, **options)
            if kind == "sqlite_begin":
                begin_recipe(self.engine)
        self.handle = leadlog.capture(self.engine, Person, Note, Topic)

    def run(self, schedule: Any) -> None:
        """Run every session of a schedule."""
        if self.is_async:
            asyncio.run(self._run_async(schedule))
            return
        for actions, end, recover in schedule:
            with Session(self.engine) as session:
                Actor(session, recover=recover).run(actions, end)

    async def _run_async(self, schedule: Any) -> None:
        for actions, end, recover in schedule:
            async with AsyncSession(self.engine) as session:
                await session.run_sync(
                    lambda inner, actions=actions, end=end, recover=recover: Actor(
                        inner, recover=recover
                    ).run(actions, end)
                )
        await self.engine.dispose()

    def empty(self) -> None:
        """Remove all rows."""
        with self.oracle.begin() as connection:
            for table in reversed(Base.metadata.sorted_tables):
                connection.execute(table.delete())

    def close(self) -> None:
        """Release all resources."""
        self.handle.release()
        if not self.is_async:
            self.engine.dispose()
        self.oracle.dispose()


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each database in turn."""
    if request.param.startswith("sqlite") or request.param == "aiosqlite":
        url = f"sqlite:///{tmp_path}/people.db"
    else:
        url = request.getfixturevalue("postgres_database")
    found = Place(request.param, url)
    yield found
    found.close()


HALF_WRITTEN = [
    ([("add_customer", 0, 0), ("add", 0, 0)], "commit", False),
    ([("delete", 0, 0)], "commit", False),
]
"""Without a transaction, a refused person leaves an incomplete customer behind.

SQLAlchemy warns about it, and about other incomplete rows that schedules leave.
"""


UNREAD = [([("insert_unread", 0, 0), ("update_half_read", 7, 1)], "commit", False)]
"""On SQLite an open cursor would make COMMIT fail."""


@contextmanager
def collecting(on: bool) -> Iterator[None]:
    """Run the block with or without the garbage collector."""
    if on:
        yield
        return
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.hypothesis
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
@settings(
    max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None, print_blob=True
)
@given(schedule=schedules, collector=st.booleans())
@example(schedule=HALF_WRITTEN, collector=True)
@example(schedule=UNREAD, collector=False)
def test_the_log_replays_to_the_table(place: Place, schedule: Any, collector: bool) -> None:
    """Replay of the committed records from an empty table gives the table, except for unknowns.

    This holds without the garbage collector, too: capture must not depend on it.
    """
    place.empty()
    with logging_to_memory() as log, collecting(collector):
        place.run(schedule)
        records = log.records()
    with place.oracle.connect() as connection:
        assert disagreements(records, connection) == []


class Refusing:
    """A sink that raises for every line."""

    def write(self, category: str, line: bytes) -> bool:
        raise OSError("no space left on device")

    def flush(self, timeout: float) -> bool:
        return True

    def close(self, timeout: float) -> None:
        """Do nothing."""

    def stats(self) -> SinkStats:
        return MemorySink().stats()


@pytest.fixture
def pair() -> Iterator[list[sa.Engine]]:
    """A captured and an uncaptured engine, each with its own database."""
    engines = [sa.create_engine("sqlite://", poolclass=sa.StaticPool) for _ in range(2)]
    for engine in engines:
        Base.metadata.create_all(engine)
    handle = leadlog.capture(engines[0], Person, Note, Topic)
    yield engines
    handle.release()
    for engine in engines:
        engine.dispose()


@pytest.mark.timeout(600)
@pytest.mark.hypothesis
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None)
@given(schedule=schedules)
def test_a_sink_that_raises_changes_nothing(pair: list[sa.Engine], schedule: Any) -> None:
    """Rows and errors equal those of an uncaptured engine.

    Without the collector, because the objects still held by a session would otherwise be
    random.
    """
    found = []
    for engine in pair:
        errors: list[str] = []
        with engine.begin() as connection:
            for table in reversed(Base.metadata.sorted_tables):
                connection.execute(table.delete())
        with leadlog.configure(sink=Refusing()), collecting(False):
            for actions, end, recover in schedule:
                with Session(engine) as session:
                    actor = Actor(session, recover=recover)
                    actor.run(actions, end)
                    errors += actor.errors
        with engine.connect() as connection:
            tables = [table_of(connection, table) for table in Base.metadata.sorted_tables]
            found.append((table_of_people(connection), tables, errors))
    assert found[0] == found[1]
