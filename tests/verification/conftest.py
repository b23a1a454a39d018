"""Stores to verify the log against: SQLite in a file, and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import leadlog
from leadlog.verification import VerificationReport, verify


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, for each supported database."""
    if request.param == "file":
        return f"sqlite:///{tmp_path / 'leads.db'}"
    found: str = request.getfixturevalue("postgres_database")
    return found


@pytest.fixture
def verified(url: str, tmp_path: Path) -> Callable[..., VerificationReport]:
    """Flush the log to its files and compare it with the database."""

    def compare(**options: Any) -> VerificationReport:
        assert leadlog.flush()
        return verify(tmp_path / "database_logs", url, **options)

    return compare


@pytest.fixture
def behind_the_back(url: str) -> Callable[..., None]:
    """Execute a statement in the database that the log does not record."""

    def execute(statement: str, **parameters: Any) -> None:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text(statement), parameters)
        engine.dispose()

    return execute
