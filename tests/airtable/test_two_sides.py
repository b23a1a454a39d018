"""Undo, several stores, times of fields, and values that the other side cannot hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from leadlog.core.errors import SyncError, ValidationError
from leadlog.leads.airtable import AirtableSyncManager
from leadlog.leads.airtable.pace import Paces
from leadlog.leads.migration import MigrationManager
from leadlog.leads.store import LeadDatabase
from leadlog.leads.store.backups import restore
from leadlog.testing import FakeAirtable
from leadlog.testing.airtable import LEAD_FIELDS
from tests.airtable.conftest import EPOCH

WRITES = ("create", "update", "upsert", "delete")


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def db(request, tmp_path, clock):
    url = tmp_path / "leads.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_database")
    with LeadDatabase(url, capture=False, clock=clock.microseconds) as store:
        yield store


@pytest.fixture
def manage(clock):
    """Connect a store with a table."""

    def connect(db, airtable, **options):
        return AirtableSyncManager(
            db,
            api_key=airtable.api_key,
            base_id=airtable.base_id,
            table=airtable.table_name,
            endpoint_url=airtable.endpoint_url,
            paces=Paces(clock.for_transport, clock.sleep),
            **options,
        )

    return connect


@pytest.fixture
def airtable(clock):
    with FakeAirtable(clock=clock, epoch=EPOCH) as server:
        yield server


def writes(airtable):
    return sum(airtable.counters.by_route[route] for route in WRITES)


def people(prefix, count):
    return [{"name": f"{prefix} {n} Berg", "email": f"{prefix}{n}@x.example"} for n in range(count)]


def names(db):
    return sorted(lead["full_name"] for lead in db.get_all_leads())


def cells(airtable):
    return {row["fields"]["Full Name"]: row["fields"] for row in airtable.records()}


# ------------------------------------------------------------------------------------- undo


@pytest.fixture
def wrong(db, airtable, manage, tmp_path, clock):
    """A store and a table after the migration of a wrong file was synced and rolled back."""
    sync = manage(db, airtable, modified_field="Last Modified")
    db.add_leads(people("Good", 5))
    sync.bidirectional_sync()
    lead_id = next(lead["id"] for lead in db.get_all_leads() if lead["full_name"] == "Good 0 Berg")
    path = tmp_path / "wrong.json"
    changed = {"name": "Good 0 Berg", "email": "Good0@x.example", "title": "Wrong"}
    path.write_text(json.dumps([*people("Wrong", 8), changed]))
    clock.forward(10)
    migration = MigrationManager(db, backups=tmp_path / "backups")
    done = migration.migrate_json_files([path])
    assert (done.migrated, done.duplicates) == (8, 1)
    sync.bidirectional_sync()
    assert (len(airtable), cells(airtable)["Good 0 Berg"]["Job Title"]) == (13, "Wrong")
    clock.forward(10)
    migration.rollback(done.migration_id)
    assert db.get_lead(lead_id)["title"] is None
    return sync


def test_what_was_rolled_back_does_not_come_back(db, airtable, wrong):
    """Rows of rolled-back leads are withheld with instructions; values revert on both sides."""
    for _ in range(2):
        result = wrong.bidirectional_sync()
        assert names(db) == [f"Good {n} Berg" for n in range(5)]
        assert "--deletes apply" in result.error
        assert "--deletes undo" in result.error
        assert len(airtable) == 13
    assert "Job Title" not in cells(airtable)["Good 0 Berg"]


def test_the_rows_of_what_was_rolled_back_can_be_deleted(db, airtable, wrong, manage):
    """`deletes="apply"` deletes all rows of the rolled-back leads."""
    assert manage(db, airtable, deletes="apply").bidirectional_sync().success
    assert sorted(cells(airtable)) == names(db) == [f"Good {n} Berg" for n in range(5)]


def test_what_was_rolled_back_can_be_brought_back(db, airtable, wrong, manage):
    """`deletes="undo"` turns the rows into leads again."""
    assert manage(db, airtable, deletes="undo").bidirectional_sync().success
    assert sorted(cells(airtable)) == names(db)
    assert len(names(db)) == 13


def test_an_unknown_decision_is_refused(db, airtable, manage):
    """An unknown value of `deletes` is refused with the valid ones."""
    with pytest.raises(ValidationError, match="deletes is 'some'; give guarded, apply, undo"):
        manage(db, airtable, deletes="some")


def test_leads_that_are_restored_get_their_rows_again(db, airtable, manage, tmp_path, clock):
    """Leads deleted on both sides and then restored are not deleted again."""
    sync = manage(db, airtable, max_delete_share=1.0)
    db.add_leads(people("Good", 3))
    sync.bidirectional_sync()
    backup = db.backup(tmp_path).path
    for lead in list(db.get_all_leads()):
        if lead["full_name"] != "Good 0 Berg":
            db.delete_lead(lead["id"])
    sync.bidirectional_sync()
    assert len(airtable) == 1
    restore(db.connections, backup, replace=True)
    for _ in range(2):
        assert sync.bidirectional_sync().success
        assert sorted(cells(airtable)) == names(db) == [f"Good {n} Berg" for n in range(3)]


def test_a_backup_in_a_new_store_keeps_what_it_knows(airtable, manage, tmp_path, clock):
    """After the database is lost and restored, later rows become leads again."""
    with LeadDatabase(tmp_path / "old.db", capture=False, clock=clock.microseconds) as old:
        sync = manage(old, airtable)
        old.add_leads(people("Good", 2))
        sync.bidirectional_sync()
        backup = old.backup(tmp_path).path
        old.add_leads(people("Later", 1))
        sync.bidirectional_sync()
    with LeadDatabase(tmp_path / "new.db", capture=False, clock=clock.microseconds) as new:
        restore(new.connections, backup, replace=True)
        assert manage(new, airtable).bidirectional_sync().success
        assert names(new) == ["Good 0 Berg", "Good 1 Berg", "Later 0 Berg"]
        assert len(airtable) == 3


# ------------------------------------------------------------------------------- two stores


def test_two_stores_on_one_table_settle_and_are_told_once(airtable, manage, tmp_path, clock):
    """Two stores on one table do not overwrite each other's Lead ID, and edits reach both."""
    stores = [
        LeadDatabase(tmp_path / f"{name}.db", capture=False, clock=clock.microseconds)
        for name in "ab"
    ]
    syncs = [manage(store, airtable, modified_field="Last Modified") for store in stores]
    for store, title in zip(stores, ("Buyer", None), strict=True):
        store.add_lead({"name": "Ida Strand", "email": "ida@strandverk.example", "title": title})
    reasons, made = [], []
    for _ in range(4):
        before = writes(airtable)
        for sync in syncs:
            reasons += [one.reason for one in sync.bidirectional_sync().outcomes if one.reason]
        made.append(writes(airtable) - before)
    assert made[2:] == [0, 0]
    (reason,) = reasons
    assert "two stores" in reason
    assert "airtable_lead_id_field" in reason
    clock.forward(60)
    lead = next(stores[1].get_all_leads())
    stores[1].update_lead(lead["id"], {"title": "Head of Purchasing"})
    for sync in (*reversed(syncs), *syncs):
        sync.bidirectional_sync()
    assert [next(store.get_all_leads())["title"] for store in stores] == ["Head of Purchasing"] * 2
    for store in stores:
        store.close()


# ----------------------------------------------------------------------- the time of a field


@pytest.mark.parametrize("field", ["email", "notes", "company"])
def test_the_later_edit_of_a_field_wins_by_its_own_time(db, airtable, manage, clock, field):
    """A field's own time decides; a later edit of another field, by any program, does not count."""
    title = {"email": "Email", "notes": "Notes", "company": "Company"}[field]
    sync = manage(db, airtable, modified_field="Last Modified")
    lead_id = db.add_lead({"name": "Ida Strand", field: "ida@old.example"})
    sync.bidirectional_sync()
    row_id = airtable.records()[0]["id"]
    clock.forward(10)
    db.update_lead(lead_id, {field: "ida@first.example"})
    clock.forward(10)
    airtable.edit(row_id, {title: "ida@second.example", "Location": "Oslo"})
    clock.forward(10)
    with db.session() as session:  # another program, without the store
        session.connection().exec_driver_sql("UPDATE leads SET title = 'Head of Purchasing'")
    db.update_lead(lead_id, {"industry": "Steel"})
    sync.bidirectional_sync()
    lead, row = db.get_lead(lead_id), airtable.record(row_id)["fields"]
    assert lead[field] == row[title] == "ida@second.example"
    assert (lead["location"], row["Job Title"]) == ("Oslo", "Head of Purchasing")


def test_the_later_edit_of_a_field_in_the_store_wins_too(db, airtable, manage, clock):
    """The store's later edit wins even if another field was changed before the row was."""
    sync = manage(db, airtable, modified_field="Last Modified")
    lead_id = db.add_lead({"name": "Ida Strand", "email": "ida@x.example"})
    sync.bidirectional_sync()
    row_id = airtable.records()[0]["id"]
    for edit in (
        lambda: db.update_lead(lead_id, {"title": "Buyer"}),
        lambda: airtable.edit(row_id, {"Email": "row@x.example", "Job Title": "CTO"}),
        lambda: db.update_lead(lead_id, {"email": "lead@x.example"}),
    ):
        clock.forward(10)
        edit()
    result = sync.bidirectional_sync()
    lead, row = db.get_lead(lead_id), airtable.record(row_id)["fields"]
    assert lead["email"] == row["Email"] == "lead@x.example"
    assert lead["title"] == row["Job Title"] == "CTO"
    winners = {one.field: one.winner for found in result.conflicts for one in found.fields}
    assert winners == {"email": "local", "title": "remote"}


def test_a_field_that_was_made_anew_erases_nothing(db, airtable, manage):
    """A removed field stops the sync; a recreated one is filled from the leads."""
    sync = manage(db, airtable)
    db.add_leads({**lead, "notes": "important"} for lead in people("Good", 3))
    sync.bidirectional_sync()
    airtable.remove_field("Notes")
    with pytest.raises(SyncError, match="no field 'Notes'"):
        sync.bidirectional_sync()
    assert sync.create_missing_fields() == ["Notes"]
    assert sync.bidirectional_sync().success
    assert {lead["notes"] for lead in db.get_all_leads()} == {"important"}
    assert {row["Notes"] for row in cells(airtable).values()} == {"important"}


# -------------------------------------------------------------------------- values on the way

KEPT = {"47555010": 47555010, "0": 0, "12.5": 12.5, "-3": -3, "999999999999999": 999999999999999}
CHANGED = [
    "4755501001234567899",
    "0047555010",
    "1_000",
    "1e3",
    "+4755501",
    "50%",
    "50 %",
    "1 000",
    "1,5",
    "\u0661\u0662",
    "NaN",
    "Infinity",
    "0x1F",
    "12.",
    "1234567.890123456",
]


@pytest.mark.parametrize("kind", ["number", "percent", "currency"])
def test_a_value_that_would_change_on_the_way_is_set_aside(db, manage, clock, kind):
    """An inexact value is not sent, the reason is reported once, and other fields are sent."""
    fields = [{**one, "type": kind} if one["name"] == "Phone" else dict(one) for one in LEAD_FIELDS]
    with FakeAirtable(fields=fields, clock=clock) as airtable:
        sync = manage(db, airtable)
        for number, phone in enumerate([*KEPT, *CHANGED]):
            db.add_lead({"name": f"Person {number}", "phone": phone, "title": "Buyer"})
        result = sync.bidirectional_sync()
        rows = cells(airtable)
        phones = [row.get("Phone") for row in rows.values()]
        assert sorted(phone for phone in phones if phone is not None) == sorted(KEPT.values())
        assert len(rows) == len(KEPT) + len(CHANGED)
        assert {row["Job Title"] for row in rows.values()} == {"Buyer"}
        told = [one for one in result.outcomes if one.status == "failed"]
        assert len(told) == len(CHANGED)
        assert all("phone" in one.reason and "airtable_fields" in one.reason for one in told)
        before = writes(airtable)
        again = sync.bidirectional_sync()
        assert writes(airtable) == before
        assert again.skipped == len(CHANGED)
        assert {lead["phone"] for lead in db.get_all_leads()} == {*KEPT, *CHANGED}


def test_a_value_that_was_set_aside_goes_when_it_is_mended(db, manage, clock):
    """A corrected value is sent; other fields of the lead are sent in the meantime."""
    fields = [
        {**one, "type": "number"} if one["name"] == "Phone" else dict(one) for one in LEAD_FIELDS
    ]
    with FakeAirtable(fields=fields, clock=clock) as airtable:
        sync = manage(db, airtable)
        lead_id = db.add_lead({"name": "Ida Strand", "phone": "0047"})
        sync.bidirectional_sync()
        db.update_lead(lead_id, {"title": "Buyer"})
        sync.bidirectional_sync()
        assert cells(airtable)["Ida Strand"].get("Phone") is None
        assert cells(airtable)["Ida Strand"]["Job Title"] == "Buyer"
        db.update_lead(lead_id, {"phone": "47"})
        result = sync.bidirectional_sync()
        assert (cells(airtable)["Ida Strand"]["Phone"], result.failed, result.skipped) == (47, 0, 0)
        assert sync.get_sync_statistics()["failed_leads"] == 0


# -------------------------------------------------------------------------------------- watch


@pytest.mark.slow
def test_a_watch_outlives_what_waiting_mends(tmp_path):
    """A watch survives a busy lock, 5xx, network loss and a removed field, each reported once."""
    with FakeAirtable() as airtable, LeadDatabase(tmp_path / "leads.db", capture=False) as db:
        db.add_lead({"name": "Ida Strand", "email": "ida@strandverk.example"})
        here = {"base_id": airtable.base_id, "endpoint_url": airtable.endpoint_url}
        env = os.environ | {f"LEADLOG_AIRTABLE_{key.upper()}": value for key, value in here.items()}
        env["AIRTABLE_API_KEY"] = airtable.api_key
        watch = [sys.executable, "-m", "leadlog", "sync", "both", "--watch", "0.2"]
        with subprocess.Popen(
            watch,
            env=env,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            try:
                _wait(lambda: len(airtable) == 1)
                sync = AirtableSyncManager(
                    db, api_key=airtable.api_key, table=airtable.table_name, **here
                )
                airtable.fail("delay", route="list", seconds=1.0, times=None)
                done = 0
                while done < 2:  # takes the lock as soon as the watch sleeps
                    try:
                        done += sync.bidirectional_sync().success
                    except SyncError:
                        time.sleep(0.02)
                airtable.clear_faults()
                row_id = airtable.records()[0]["id"]
                airtable.remove_field("Industry")
                time.sleep(2)
                airtable.add_field("Industry")
                airtable.edit(row_id, {"Job Title": "Head of Purchasing"})
                _wait(lambda: next(db.get_all_leads())["title"] == "Head of Purchasing")
                time.sleep(1)
                assert running.poll() is None
            finally:
                running.terminate()
                said = running.communicate(timeout=20)[1]
    assert said.count("Industry") == 1
    assert said.count("works again") >= 1


def _wait(until):
    for _ in range(600):
        if until():
            return
        time.sleep(0.1)
    raise AssertionError("it does not happen")
