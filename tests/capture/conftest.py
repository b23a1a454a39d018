"""Captured databases for the tests of capture."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

import leadlog
from tests.capture.people import Base, Late, Log, Note, Person, begin_recipe, logging_to_memory


@pytest.fixture
def log() -> Iterator[Log]:
    """What is logged, kept in memory."""
    with logging_to_memory() as log:
        yield log


@pytest.fixture(params=["sqlite", "sqlite_begin", "postgresql"])
def people(request: pytest.FixtureRequest, tmp_path: Path, log: Log) -> Iterator[sa.Engine]:
    """An engine with empty, captured tables: SQLite both ways, and PostgreSQL."""
    if request.param == "postgresql":
        engine = sa.create_engine(request.getfixturevalue("postgres_database"))
    else:
        engine = sa.create_engine(f"sqlite:///{tmp_path}/people.db")
    if request.param == "sqlite_begin":
        begin_recipe(engine)
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Person, Note, Late)
    yield engine
    handle.release()
    engine.dispose()
    assert not {"do_commit", "do_execute", "execution_ctx_cls"} & vars(engine.dialect).keys()
