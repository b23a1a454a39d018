"""Stores, files and processes for the tests of migrations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from leadlog.leads.migration import MigrationManager
from leadlog.leads.store import LeadDatabase


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, for each that supports migration and rollback."""
    if request.param == "file":
        return f"sqlite:///{tmp_path / 'leads.db'}"
    found: str = request.getfixturevalue("postgres_database")
    return found


@pytest.fixture
def db(url: str) -> Iterator[LeadDatabase]:
    """An empty store, with capture."""
    with LeadDatabase(url) as store:
        yield store


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[LeadDatabase]:
    """An empty store in a SQLite file, without capture."""
    with LeadDatabase(tmp_path / "leads.db", capture=False) as store:
        yield store


@pytest.fixture
def manager(db: LeadDatabase, tmp_path: Path) -> MigrationManager:
    """A manager whose backups are in the test's directory."""
    return MigrationManager(db, backups=tmp_path / "backups")


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Write a file: values as a JSON array, text and bytes unchanged."""

    def write(content: Any, name: str = "leads.json") -> Path:
        path = tmp_path / name
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


def stored(db: LeadDatabase) -> list[tuple[Any, ...]]:
    """Return all leads without values that differ between runs: ids and times of writing."""
    leads = list(db.get_all_leads())
    for lead in leads:
        for field in ("id", "created_at", "updated_at", "row_version"):
            del lead[field]
    return sorted(tuple(sorted((k, repr(v)) for k, v in lead.items())) for lead in leads)


def items(db: LeadDatabase) -> list[tuple[Any, ...]]:
    """Return the stored outcome of every record: source, ordinal, outcome."""
    wanted = (
        "SELECT sha256, ordinal, outcome FROM migration_item "
        "JOIN migration_source s ON s.id = source_id ORDER BY sha256, ordinal"
    )
    with db.session(read_only=True) as session:
        return [tuple(row) for row in session.execute(text(wanted))]
