"""Whatever is done to a table, replaying the log gives the table."""

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
    """A captured database, and a way to run a session on it.

    Args:
        kind: one of KINDS.
        plain: URL of the database by a synchronous driver.
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
        """Runs every session of a schedule."""
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
        """Removes all rows."""
        with self.oracle.begin() as connection:
            for table in reversed(Base.metadata.sorted_tables):
                connection.execute(table.delete())

    def close(self) -> None:
        """Releases everything."""
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
"""Without a transaction, a refused person leaves a customer behind that is none.

SQLAlchemy warns of it, and of other halves that schedules leave.
"""


UNREAD = [([("insert_unread", 0, 0), ("update_half_read", 7, 1)], "commit", False)]
"""A cursor that stays open would refuse COMMIT on SQLite."""


@contextmanager
def collecting(on: bool) -> Iterator[None]:
    """With or without the garbage collector for a while."""
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
    """Committed records from an empty table give the table, but for what they leave open.

    Without the garbage collector, too: nothing that is captured may wait for it.
    """
    place.empty()
    with logging_to_memory() as log, collecting(collector):
        place.run(schedule)
        records = log.records()
    with place.oracle.connect() as connection:
        assert disagreements(records, connection) == []


class Refusing:
    """A sink that raises at every line."""

    def write(self, category: str, line: bytes) -> bool:
        raise OSError("no space left on device")

    def flush(self, timeout: float) -> bool:
        return True

    def close(self, timeout: float) -> None:
        """Has nothing to close."""

    def stats(self) -> SinkStats:
        return MemorySink().stats()


@pytest.fixture
def pair() -> Iterator[list[sa.Engine]]:
    """An engine that is captured and one that is not, each with a database of its own."""
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
    """Rows and errors are those of an engine that nobody captures.

    Without the collector: which objects a session has still is otherwise a matter of chance.
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
