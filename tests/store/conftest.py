"""Stores to test on: SQLite in a file, SQLite in memory, and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from leadlog.leads.store import LeadDatabase


class Clock:
    """A manually advanced clock; returns microseconds since 1970."""

    def __init__(self) -> None:
        self.now = 1_795_428_000_000_000  # 2026-11-23T10:00:00Z

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * 1_000_000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["file", "memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, for each supported database."""
    if request.param == "file":
        return f"sqlite:///{tmp_path / 'leads.db'}"
    if request.param == "memory":
        return "sqlite://"
    found: str = request.getfixturevalue("postgres_database")
    return found


@pytest.fixture
def db(url: str, clock: Clock) -> Iterator[LeadDatabase]:
    """An empty store on each database, without capture."""
    with LeadDatabase(url, capture=False, clock=clock) as store:
        yield store


@pytest.fixture
def memory() -> Iterator[LeadDatabase]:
    """An empty in-memory store, without capture."""
    with LeadDatabase(":memory:", capture=False) as store:
        yield store
