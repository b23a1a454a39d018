"""Concurrent syncs of one store are refused, and a crash releases the lock."""

from __future__ import annotations

import subprocess
import sys

import pytest

from leadlog.core.errors import SyncBusyError
from leadlog.leads.store import LeadDatabase
from leadlog.leads.store.sync_lock import sync_lock

HOLD = """
import sys
from leadlog.leads.store import LeadDatabase
from leadlog.leads.store.sync_lock import sync_lock
with LeadDatabase(sys.argv[1], capture=False) as db, sync_lock(db.connections):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["file", "memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request, tmp_path):
    """A store on each database."""
    url = {"file": str(tmp_path / "leads.db"), "memory": ":memory:"}.get(request.param)
    with LeadDatabase(url or request.getfixturevalue("postgres_database"), capture=False) as db:
        yield db


def test_one_at_a_time(store):
    """A second sync is refused until the first has ended, for whatever reason."""
    second = sync_lock(store.connections)
    with sync_lock(store.connections), pytest.raises(SyncBusyError, match="another sync of"):
        second.__enter__()
    with pytest.raises(ZeroDivisionError), sync_lock(store.connections):
        raise ZeroDivisionError
    with sync_lock(store.connections):
        pass


@pytest.mark.parametrize("kind", ["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_killed_process_lets_go(kind, tmp_path, request):
    """A killed process leaves no stale lock."""
    url = (
        f"sqlite:///{tmp_path / 'leads.db'}"
        if kind == "file"
        else request.getfixturevalue("postgres_database")
    )
    with LeadDatabase(url, capture=False) as db:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(SyncBusyError), sync_lock(db.connections):
                raise AssertionError
        finally:
            holder.kill()
            holder.communicate(timeout=30)
        _until_free(db)


def _until_free(db: LeadDatabase) -> None:
    """Wait until the server has noticed the death of the client."""
    for _ in range(2000):
        try:
            with sync_lock(db.connections):
                return
        except SyncBusyError:
            continue
    raise AssertionError("the turn is still taken")


def test_a_second_sync_calls_nobody(connect, db, airtable):
    """A second sync is refused before its first call; a dry run is allowed."""
    sync = connect()
    with sync_lock(db.connections):
        with pytest.raises(SyncBusyError):
            sync.bidirectional_sync()
        assert airtable.counters.calls == 0
        assert sync.bidirectional_sync(dry_run=True).success


@pytest.mark.postgres
def test_a_round_trip_on_postgresql(connect, airtable, postgres_database):
    """Push, edits and deletes on both sides converge on PostgreSQL."""
    with LeadDatabase(postgres_database) as store:
        sync = connect(database=store, max_delete_share=1.0)
        ids = store.add_leads({"name": f"Lead {n}", "title": "Old"} for n in range(25)).ids
        store.mark_for_sync(ids[:3])
        assert sync.bidirectional_sync().counts()["rows_created"] == 25
        assert store.stats()["pending_syncs"] == 0
        rows = {row["fields"]["Lead ID"]: row["id"] for row in airtable.records()}
        airtable.edit(rows[ids[0]], {"Job Title": "New"})
        store.update_lead(ids[0], {"location": "Rome"})
        airtable.delete(rows[ids[1]])
        store.delete_lead(ids[2])
        airtable.create({"Full Name": "Of the table"})
        result = sync.bidirectional_sync()
        assert result.actions == {
            "delete_row": 1,
            "add_lead": 1,
            "stamp": 1,
            "update_lead": 1,
            "update_row": 1,
            "delete_lead": 1,
        }
        assert (store.stats()["total_leads"], len(airtable)) == (24, 24)
        assert not sync.bidirectional_sync().outcomes
        assert sync.get_sync_statistics()["succeeded"] == 3
