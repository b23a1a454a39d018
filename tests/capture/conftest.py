"""Fixtures: captured databases and a log kept in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

import leadlog
from leadlog.recording.capture.targets import Handle
from tests.capture.people import Base, Late, Log, Note, Person, begin_recipe, logging_to_memory


@pytest.fixture
def log() -> Iterator[Log]:
    """A log that is kept in memory."""
    with logging_to_memory() as log:
        yield log


@pytest.fixture(params=["sqlite", "sqlite_begin", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """An engine with empty tables: SQLite in both transaction modes, and PostgreSQL."""
    if request.param == "postgresql":
        engine = sa.create_engine(request.getfixturevalue("postgres_database"))
    else:
        engine = sa.create_engine(f"sqlite:///{tmp_path}/people.db")
    if request.param == "sqlite_begin":
        begin_recipe(engine)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def capture(database: sa.Engine, log: Log) -> Iterator[Handle]:
    """The capture of the database's classes."""
    handle = leadlog.capture(database, Person, Note, Late)
    yield handle
    handle.release()
    assert not {"do_commit", "do_execute", "execution_ctx_cls"} & vars(database.dialect).keys()


@pytest.fixture
def people(database: sa.Engine, capture: Handle) -> sa.Engine:
    """The captured engine."""
    return database
