"""Push, pull and bidirectional sync: what changes, what is reported, and idempotence."""

from __future__ import annotations

import pytest
from sqlalchemy import delete

from leadlog.core.errors import ValidationError
from leadlog.leads.store.models import Lead

ADA = {
    "name": "Ada Lovelace",
    "email": "ada@x.example",
    "company": "Analytical",
    "linkedin_url": "https://linkedin.com/in/ada",
    "verified": True,
}


def writes(airtable) -> int:
    return airtable.counters.by_method["PATCH"] + airtable.counters.by_method["DELETE"]


def test_a_push_creates_rows_ten_at_a_time(sync, db, airtable):
    """23 leads need one listing and three upserts; each row has its lead's id and values."""
    ids = db.add_leads({"name": f"Lead {n}", "title": "CTO"} for n in range(23)).ids
    result = sync.sync_to_airtable()
    assert result.success
    assert result.counts()["rows_created"] == 23
    assert airtable.counters.by_route == {"tables": 1, "list": 1, "upsert": 3}
    assert result.wire.attempts == result.api_calls_minimum == 5
    rows = {record["fields"]["Lead ID"]: record["fields"] for record in airtable.records()}
    assert set(rows) == set(ids)
    assert all(row["Job Title"] == "CTO" for row in rows.values())


def test_a_second_run_writes_nothing(sync, db, airtable, row_of):
    """A second run writes nothing, in any direction."""
    db.add_lead(ADA)
    airtable.create({"Full Name": "Grace Hopper"})
    sync.bidirectional_sync()
    before, leads = writes(airtable), list(db.get_all_leads())
    for again in (sync.bidirectional_sync, sync.sync_to_airtable, sync.sync_from_airtable):
        result = again()
        assert result.unchanged == result.total == 2
        assert not result.outcomes
    assert writes(airtable) == before
    assert list(db.get_all_leads()) == leads


def test_only_changed_fields_are_sent(sync, db, airtable):
    """A PATCH contains only the changed field of the changed lead."""
    lead_id = db.add_lead(ADA)
    db.add_lead({"name": "Bob"})
    sync.sync_to_airtable()
    db.update_lead(lead_id, {"title": "Countess"})
    sync.sync_to_airtable()
    (record,) = airtable.requests[-1].body["records"]
    assert record["fields"] == {airtable.field("Job Title").id: "Countess"}


def test_edits_of_both_sides_meet(sync, db, airtable, row_of):
    """Edits of different fields on both sides are both kept, without a conflict."""
    lead_id = db.add_lead(ADA)
    sync.bidirectional_sync()
    db.update_lead(lead_id, {"title": "Countess"})
    airtable.edit(row_of(lead_id)["record_id"], {"Location": "London", "Verified": None})
    result = sync.bidirectional_sync()
    assert not result.conflicts
    lead = db.get_lead(lead_id)
    assert (lead["title"], lead["location"], lead["verified"]) == ("Countess", "London", False)
    assert row_of(lead_id)["Job Title"] == "Countess"


@pytest.mark.parametrize("conflict", ["local", "remote"])
def test_without_a_time_a_policy_decides(connect, db, airtable, row_of, conflict):
    """Without a time the configured side wins, and the result has both values."""
    lead_id = db.add_lead({**ADA, "title": "Old"})
    sync = connect(conflict=conflict)
    sync.bidirectional_sync()
    db.update_lead(lead_id, {"title": "Ours"})
    airtable.edit(row_of(lead_id)["record_id"], {"Job Title": "Theirs"})
    (found,) = sync.bidirectional_sync().conflicts
    (title,) = found.fields
    assert (title.local, title.remote, title.base_local) == ("Ours", "Theirs", "Old")
    assert title.winner == conflict
    stays = {"local": "Ours", "remote": "Theirs"}[conflict]
    assert db.get_lead(lead_id)["title"] == row_of(lead_id)["Job Title"] == stays


@pytest.mark.parametrize(("first", "stays"), [("local", "Theirs"), ("remote", "Ours")])
def test_with_a_time_the_later_edit_wins(  # noqa: PLR0917 - pytest fills them in by name
    connect, db, airtable, row_of, clock, first, stays
):
    """With a time the later edit wins, whatever the policy."""
    lead_id = db.add_lead(ADA)
    sync = connect(modified_field="Last Modified", conflict="local")
    sync.bidirectional_sync()
    record_id = row_of(lead_id)["record_id"]
    edits = [
        lambda: db.update_lead(lead_id, {"title": "Ours"}),
        lambda: airtable.edit(record_id, {"Job Title": "Theirs"}),
    ]
    for edit in edits if first == "local" else edits[::-1]:
        clock.forward(10)
        edit()
    sync.bidirectional_sync()
    assert db.get_lead(lead_id)["title"] == row_of(lead_id)["Job Title"] == stays


def test_at_the_same_time_the_row_wins(connect, db, airtable, row_of):
    """The row wins a tie, on every machine."""
    lead_id = db.add_lead(ADA)
    sync = connect(modified_field="Last Modified", conflict="local")
    sync.bidirectional_sync()
    db.update_lead(lead_id, {"title": "Ours"})
    airtable.edit(row_of(lead_id)["record_id"], {"Job Title": "Theirs"})
    result = sync.bidirectional_sync()
    assert result.conflicts[0].fields[0].reason == "both were changed at the same time"
    assert db.get_lead(lead_id)["title"] == "Theirs"


def test_a_clock_that_is_wrong_loses_nothing(connect, db, airtable, row_of, clock):
    """A store an hour ahead wins every conflict, and the result has each losing value."""
    lead_id = db.add_lead(ADA)
    sync = connect(modified_field="Last Modified")
    sync.bidirectional_sync()
    clock.forward(3600)
    db.update_lead(lead_id, {"title": "Ours"})
    clock.forward(-3600)
    airtable.edit(row_of(lead_id)["record_id"], {"Job Title": "Theirs"})
    (found,) = sync.bidirectional_sync().conflicts
    assert found.fields[0].remote == "Theirs"
    assert row_of(lead_id)["Job Title"] == "Ours"
    assert not sync.bidirectional_sync().outcomes


def test_a_new_row_becomes_a_lead_and_gets_its_id(sync, db, airtable, row_of):
    """A pull writes only the id into the table."""
    record_id = airtable.create({"Full Name": "Grace Hopper", "Email": "grace@x.example"})
    result = sync.sync_from_airtable()
    assert result.actions == {"add_lead": 1, "stamp": 1}
    (lead,) = db.get_all_leads()
    assert (lead["name"], lead["email"]) == ("Grace Hopper", "grace@x.example")
    assert row_of(lead["id"])["record_id"] == record_id


def test_a_row_of_somebody_known_is_linked(sync, db, airtable, row_of):
    """A person entered on both sides becomes one lead and one row, with merged values."""
    lead_id = db.add_lead({**ADA, "title": "Countess"})
    record_id = airtable.create({"Full Name": "ADA LOVELACE", "Email": "Ada@x.example"})
    result = sync.bidirectional_sync()
    assert result.actions["link"] == 1
    assert len(airtable) == 1
    assert row_of(lead_id)["record_id"] == record_id
    assert row_of(lead_id)["Job Title"] == "Countess"
    assert not sync.bidirectional_sync().outcomes


def test_a_row_that_was_duplicated_is_reported(sync, db, airtable, row_of):
    """Of two rows with one Lead ID the linked one stays, and the copy is only reported."""
    lead_id = db.add_lead(ADA)
    sync.bidirectional_sync()
    first = row_of(lead_id)["record_id"]
    copy = airtable.duplicate(first)
    airtable.edit(copy, {"Job Title": "Copy"})
    result = sync.bidirectional_sync()
    assert result.duplicates == {copy: lead_id}
    assert result.skipped == 1
    assert "title" not in (db.get_lead(lead_id)["title"] or "")
    airtable.delete(first)
    result = sync.bidirectional_sync()
    assert not result.duplicates
    assert db.get_lead(lead_id)["title"] == "Copy"


def test_a_limit_leaves_the_rest_for_later(sync, db, airtable):
    """With a limit of two, two of five new rows become leads and three are reported."""
    for n in range(5):
        airtable.create({"Full Name": f"Person {n}"})
    result = sync.sync_from_airtable(limit=2)
    assert db.stats()["total_leads"] == 2
    assert result.skipped == 3
    sync.sync_from_airtable()
    assert db.stats()["total_leads"] == 5


def test_some_leads_can_be_pushed_alone(sync, db, airtable):
    """Only the given leads are pushed; an unknown id is reported."""
    ids = db.add_leads({"name": f"Lead {n}"} for n in range(3)).ids
    result = sync.sync_to_airtable([ids[1], "nobody"])
    assert [record["fields"]["Lead ID"] for record in airtable.records()] == [ids[1]]
    assert {one.lead_id: one.status for one in result.outcomes} == {
        ids[1]: "synced",
        "nobody": "failed",
    }
    with pytest.raises(ValidationError, match="give a list of lead ids"):
        sync.sync_to_airtable("abc")


def test_a_dry_run_changes_nothing(sync, db, airtable, row_of):
    """A dry run returns exactly the actions that the following run takes."""
    kept = db.add_lead(ADA)
    gone = db.add_lead({"name": "Gone"})
    sync.bidirectional_sync()
    db.update_lead(kept, {"title": "Countess"})
    airtable.edit(row_of(kept)["record_id"], {"Location": "London"})
    airtable.create({"Full Name": "Grace Hopper"})
    db.add_lead({"name": "Bob"})
    db.delete_lead(gone)
    before, leads, rows = writes(airtable), list(db.get_all_leads()), airtable.records()
    planned = sync.bidirectional_sync(dry_run=True)
    assert (list(db.get_all_leads()), airtable.records()) == (leads, rows)
    assert writes(airtable) == before
    done = sync.bidirectional_sync()
    told = {key: number for key, number in planned.actions.items() if key != "stamp"}
    assert told == {key: number for key, number in done.actions.items() if key != "stamp"}
    assert told == {
        "update_row": 1,
        "update_lead": 1,
        "add_lead": 1,
        "create_row": 1,
        "delete_row": 1,
    }


def test_a_marked_lead_waits_until_it_is_synchronised(sync, db, airtable):
    """A lead marked for sync counts as pending until it is synchronised."""
    lead_id = db.add_lead(ADA)
    db.mark_for_sync()
    assert db.stats()["pending_syncs"] == 1
    sync.sync_to_airtable()
    assert db.stats()["pending_syncs"] == 0
    db.mark_for_sync([lead_id])
    assert not sync.sync_to_airtable().outcomes
    assert db.stats()["pending_syncs"] == 0


def test_the_outbox_is_what_differs_from_the_base(sync, db):
    """The only sign that a lead must be sent is its difference from the agreed values."""
    ids = db.add_leads([ADA, {"name": "Bob"}]).ids
    assert sync.get_sync_statistics()["pending_leads"] == 2
    sync.sync_to_airtable()
    assert sync.get_sync_statistics()["pending_leads"] == 0
    db.update_lead(ids[0], {"title": "Countess"})
    found = sync.get_sync_statistics()
    assert (found["changed_leads"], found["unlinked_leads"], found["pending_leads"]) == (1, 0, 1)
    db.update_lead(ids[0], {"title": None})
    assert sync.get_sync_statistics()["pending_leads"] == 0


def test_a_column_of_the_store_alone_is_only_sent(connect, db, airtable, row_of):
    """A change of `created_at` in the table is reverted and reported as a conflict."""
    airtable.add_field("Added", "dateTime")
    sync = connect(fields={"created_at": "Added"})
    lead_id = db.add_lead(ADA)
    sync.bidirectional_sync()
    written = row_of(lead_id)["Added"]
    assert written == "2026-11-23T10:00:00.000Z"
    airtable.edit(row_of(lead_id)["record_id"], {"Added": "1999-01-01T00:00:00.000Z"})
    assert len(sync.bidirectional_sync().conflicts) == 1
    assert row_of(lead_id)["Added"] == written


def test_rows_without_a_name_are_told_and_left(sync, airtable, db):
    """A row without a name is skipped each time, without a failure."""
    airtable.create({})
    result = sync.bidirectional_sync()
    assert (result.skipped, result.failed, db.stats()["total_leads"]) == (1, 0, 0)


def test_a_lead_deleted_in_a_session_takes_its_row_with_it(sync, db, airtable):
    """The row of a lead that was deleted through a session is deleted."""
    db.add_leads([ADA, {"name": "Bob"}])
    sync.sync_to_airtable()
    with db.session() as session:
        session.execute(delete(Lead).where(Lead.full_name == "Bob"))
    sync.sync_to_airtable()
    assert [record["fields"]["Full Name"] for record in airtable.records()] == ["Ada Lovelace"]
