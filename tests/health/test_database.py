"""Checks of the lead store and of the sync's backlog, on real databases."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from leadlog.core.clock import now_us
from leadlog.leads.store import LeadDatabase
from leadlog.monitor.health import check
from tests.health.conftest import DAY, NOW

PROBES = ["database", "sync", "migrations"]


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request, tmp_path):
    """The URL of an empty database."""
    if request.param == "file":
        return f"sqlite:///{tmp_path / 'leads.db'}"
    return request.getfixturevalue("postgres_database")


@pytest.fixture
def store(url):
    """A store with two leads whose last change was two days ago."""
    with LeadDatabase(url, capture=False, clock=lambda: NOW - 2 * DAY) as opened:
        opened.add_leads([{"name": "Ada", "company": "Acme"}, {"name": "Bob", "company": "Acme"}])
        yield opened


def states(health):
    return {one.name: one.state for one in health.checks}


def test_a_sound_store_is_well(store, context):
    """The store answers, accepts writes, and measurements have a value and a unit."""
    url = str(store.url.render_as_string(hide_password=False))
    health = check(PROBES, context=context(database=url, clock=lambda: now_us() - DAY))
    if store.url.get_backend_name() == "postgresql":
        assert health["database_clock"].state == "warning"  # this machine's clock is a day behind
    health = check(["database", "migrations"], context=context(database=url, clock=now_us))
    assert health.ok, health
    assert health["database"].latency_ms > 0
    assert health["database_writable"].state == "ok"
    assert health["database_size"].value > 0
    assert health["database_size"].unit == "MB"


def test_an_open_store_can_be_given(store, context):
    """The pool of an open store is used, so an in-memory database can be checked, too."""
    health = check(["database"], context=context(database=store, deep=True))
    assert health["database"].state == "ok"
    assert health["database_integrity"].state == "ok"
    assert store.add_lead({"name": "Cy", "company": "Acme"})  # it still accepts writes


def test_a_database_in_memory_is_checked_through_its_store(context):
    """An in-memory database has no file whose disk could be full."""
    with LeadDatabase(":memory:", capture=False) as store:
        found = states(check(["database"], context=context(database=store)))
        assert store.add_lead({"name": "Cy", "company": "Acme"})
    assert found == {"database": "ok", "database_writable": "ok", "database_size": "ok"}


def test_leads_that_wait_too_long_are_found(store, context):
    """The age of the oldest unsynced lead is compared with its limit, as is their number."""
    with store.session() as session:
        session.connection().exec_driver_sql("UPDATE leads SET sync_pending = true")
    health = check(["sync"], context=context(database=store))
    assert health["sync_backlog"].value == 2
    assert health["sync_backlog"].state == "ok"
    assert health["sync_age"].value == 48
    assert (health["sync_age"].state, health["sync_age"].threshold) == ("warning", 24)
    assert "leadlog sync" in health["sync_age"].remedy


def test_a_store_that_was_named_and_is_not_there_is_critical(tmp_path, context):
    """The check does not create it; only the default store may be missing."""
    path = tmp_path / "elsewhere.db"
    found = check(["database"], context=context(database=path))["database"]
    assert found.state == "critical"
    assert "leadlog db init" in found.remedy
    assert not path.exists()
    assert check(["database"], context=context())["database"].state == "unknown"


def test_a_file_that_is_no_database_is_critical(tmp_path, context):
    """The message contains the database's error."""
    path = tmp_path / "leads.db"
    path.write_bytes(b"no database, but long enough to look like one" * 100)
    found = check(["database"], context=context(database=path))["database"]
    assert found.state == "critical"
    assert "not a database" in found.message


def test_a_server_that_is_down_is_critical_and_its_password_not_told(context):
    """Nothing listens on the port, and the URL's password appears nowhere."""
    url = "postgresql+psycopg://ana:sesame@127.0.0.1:9/leads"
    health = check(PROBES, context=context(database=url))
    assert health["database"].state == "critical"
    assert states(health)["sync_backlog"] == "unknown"
    assert "sesame" not in str(health.as_dict())


def test_a_writer_who_does_not_end_is_told(tmp_path, context):
    """Another process's long write transaction blocks all writers and is a warning."""
    path = tmp_path / "leads.db"
    with LeadDatabase(path, capture=False), closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = check(["database"], context=context(database=path))
        other.rollback()
    assert found["database"].state == "ok"
    assert found["database_writable"].state == "warning"
    assert "locked" in found["database_writable"].message


def test_damage_is_found_when_asked_for(tmp_path, context):
    """An orphaned key is found only by reading the whole store."""
    path = tmp_path / "leads.db"
    with LeadDatabase(path, capture=False) as store:
        store.add_lead({"name": "Ada King", "company": "Acme"})
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE lead_key SET lead_id = 'nobody'")
        raw.commit()
    assert check(["database"], context=context(database=path)).ok
    found = check(["database"], context=context(database=path, deep=True))["database_integrity"]
    assert found.state == "warning"
    assert found.remedy == "run: leadlog db check --repair"


def test_limits_are_settings(store, context, monkeypatch):
    """A larger store, or a fuller disk, than the settings allow is reported."""
    monkeypatch.setenv("LEADLOG_HEALTH_DATABASE_SIZE_MB", "0.001")
    monkeypatch.setenv("LEADLOG_HEALTH_DATABASE_MS", "0.001")
    health = check(["database"], context=context(database=store))
    assert health["database_size"].state == "warning"
    assert health["database"].state == "critical"


def test_migrations_that_were_not_finished_are_counted(tmp_path, context):
    """A store without the table reports that it has no migrations."""
    path = tmp_path / "leads.db"
    with LeadDatabase(path, capture=False):
        assert check(["migrations"], context=context(database=path)).state in {"unknown", "ok"}
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP TABLE IF EXISTS migration_run")
        raw.execute("CREATE TABLE migration_run (id TEXT, ended_at TEXT)")
        raw.execute("INSERT INTO migration_run VALUES ('1', '2026-11-23'), ('2', NULL)")
        raw.commit()
    found = check(["migrations"], context=context(database=path))["migrations"]
    assert (found.state, found.value) == ("warning", 1)
