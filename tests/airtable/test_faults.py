"""Faults of Airtable: nothing is duplicated, nothing is lost, and the rest continues."""

from __future__ import annotations

import pytest

from leadlog.core.errors import AirtableError, QuotaError, SyncError
from leadlog.testing.airtable import LEAD_FIELDS

LOST = [
    ("close", {"applied": True}),
    ("close", {}),
    ("cut", {}),
    ("error", {"applied": True}),
    ("error", {"status": 500}),
    ("throttle", {}),
    ("throttle", {"retry_after": 45}),
]


@pytest.fixture
def ids(sync, db) -> list[str]:
    """The ids of twelve leads with rows."""
    found = db.add_leads({"name": f"Lead {n}", "title": "Old"} for n in range(12)).ids
    sync.bidirectional_sync()
    return found


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        *((route, fault) for route in ("upsert", "update") for fault in LOST),
        *((route, fault) for route in ("delete", "list", "tables") for fault in LOST[::2]),
    ],
    ids=str,
)
def test_an_answer_that_does_not_come_is_asked_for_again(ids, sync, airtable, fault, route):
    """A lost response, applied or not, causes one retry, and each row exists once."""
    db = sync.database
    name, options = fault
    db.update_lead(ids[0], {"title": "New"})
    db.delete_lead(ids[1])
    db.add_lead({"name": "Another"})
    airtable.fail(name, route=route, **options)
    result = sync.bidirectional_sync()
    assert result.success
    assert result.failed == 0
    assert result.wire.retries == 1
    assert len(airtable) == 12
    assert not sync.bidirectional_sync().outcomes


def test_a_penalty_is_waited_out(ids, sync, airtable, clock):
    """After a 429 nothing is sent for 30 seconds, or for as long as Retry-After says."""
    airtable.fail("throttle", route="list")
    before = clock.slept
    assert sync.bidirectional_sync().wire.throttled == 1
    assert clock.slept - before >= 30
    airtable.fail("throttle", route="list", retry_after=45, penalty=False)
    before = clock.slept
    sync.bidirectional_sync()
    assert clock.slept - before >= 45


def test_a_spent_quota_stops_the_sync_at_once(ids, sync, airtable, db):
    """An exhausted quota ends the sync without a retry; the next sync continues from there."""
    db.add_leads({"name": f"More {n}"} for n in range(20))
    airtable.fail("quota", route="upsert", nth=2)
    with pytest.raises(QuotaError, match="monthly API calls"):
        sync.sync_to_airtable()
    assert len(airtable) == 22
    airtable.clear_faults()
    assert sync.sync_to_airtable().counts()["rows_created"] == 10


def test_a_server_that_stays_down_ends_the_sync(ids, sync, airtable):
    """After six attempts with doubling waits the sync ends with an error and a remedy."""
    airtable.fail("error", route="list", times=None)
    with pytest.raises(AirtableError, match=r"answered 503 SERVICE_UNAVAILABLE.*; try again later"):
        sync.bidirectional_sync()
    assert sync.wire.backoff_wait_seconds == 1 + 2 + 4 + 8 + 16
    airtable.clear_faults()
    assert not sync.bidirectional_sync().outcomes


def test_a_list_that_is_forgotten_begins_anew(connect, db, airtable):
    """After the iterator expires, rows of earlier pages are not duplicated."""
    for n in range(150):
        airtable.create({"Full Name": f"Person {n}"})
    airtable.fail("iterator", route="list", nth=2)
    sync = connect()
    result = sync.sync_from_airtable()
    assert db.stats()["total_leads"] == 150
    assert result.pages == 2
    airtable.fail("iterator", route="list", times=None)
    with pytest.raises(AirtableError, match="forgot the list 5 times"):
        sync.sync_from_airtable()


@pytest.mark.parametrize("bad", [1, 10])
def test_a_refused_lead_is_set_aside_and_the_rest_goes_on(connect, db, airtable, bad):
    """Each refused lead of a batch is set aside with its reason and not sent again."""
    airtable.add_field("Stage", "singleSelect", choices=["open"])
    sync = connect(fields={"status": "Stage"})
    ids = db.add_leads(
        {"name": f"Lead {n}", "status": "unheard of" if n < bad else "open"} for n in range(10)
    ).ids
    result = sync.sync_to_airtable()
    assert (result.failed, result.synced) == (bad, 10 - bad)
    assert len(airtable) == 10 - bad
    failed = [one for one in result.outcomes if one.status == "failed"]
    assert {one.error_code for one in failed} == {"INVALID_MULTIPLE_CHOICE_OPTIONS"}
    assert sync.get_sync_statistics()["failed_leads"] == bad
    before = airtable.counters.by_method["PATCH"]
    again = sync.bidirectional_sync()
    assert (again.failed, again.skipped) == (0, bad)
    assert airtable.counters.by_method["PATCH"] == before
    db.update_lead(ids[0], {"status": "open"})
    assert sync.sync_to_airtable().counts()["rows_created"] == 1
    assert sync.get_sync_statistics()["failed_leads"] == bad - 1


def test_what_was_set_aside_can_be_tried_again(connect, db, airtable):
    """After the table is fixed, a retry sends only the lead that was set aside."""
    airtable.add_field("Stage", "singleSelect", choices=["open"])
    sync = connect(fields={"status": "Stage"})
    db.add_lead({"name": "Ada", "status": "closed"})
    assert sync.sync_to_airtable().failed == 1
    airtable.change_type("Stage", "singleLineText")
    db.add_lead({"name": "Bob"})
    result = sync.retry_failed_syncs()
    assert (result.total, result.synced) == (1, 1)
    assert sync.get_sync_statistics()["failed_leads"] == 0
    assert [record["fields"]["Full Name"] for record in airtable.records()] == ["Ada"]
    assert sync.retry_failed_syncs().total == 0


def test_what_is_mended_otherwise_is_no_failure_any_more(connect, db, airtable):
    """A lead that was reverted or deleted is no longer set aside."""
    airtable.add_field("Stage", "singleSelect", choices=["open"])
    sync = connect(fields={"status": "Stage"})
    back, gone = db.add_leads({"name": name, "status": "open"} for name in ("Ada", "Bob")).ids
    sync.sync_to_airtable()
    for lead_id in (back, gone):
        db.update_lead(lead_id, {"status": "odd"})
    assert sync.bidirectional_sync().failed == 2
    db.update_lead(back, {"status": "open"})
    db.delete_lead(gone)
    sync.sync_from_airtable()
    assert sync.get_sync_statistics()["failed_leads"] == 2
    sync.sync_to_airtable()
    assert sync.get_sync_statistics()["failed_leads"] == 0


def test_a_conflict_that_cannot_be_sent_is_told_once(connect, db, airtable, row_of):
    """A refused value overwrites nothing, so later runs report no conflict."""
    airtable.add_field("Stage", "singleSelect", choices=["open", "shut"])
    sync = connect(fields={"status": "Stage"}, conflict="local")
    lead_id = db.add_lead({"name": "Ada", "status": "open"})
    sync.sync_to_airtable()
    db.update_lead(lead_id, {"status": "odd"})
    airtable.edit(row_of(lead_id)["record_id"], {"Stage": "shut"})
    assert len(sync.bidirectional_sync().conflicts) == 1
    assert not sync.bidirectional_sync().conflicts
    assert db.get_lead(lead_id)["status"] == "odd"


def test_a_body_that_is_too_large_is_halved(serve, connect, db):
    """A batch refused with 413 is sent in halves."""
    small = serve(largest_body=4_000)
    db.add_leads({"name": f"Lead {n}", "notes": "x" * 1000} for n in range(10))
    db.add_lead({"name": "Too much", "notes": "x" * 5000})
    result = connect(small).sync_to_airtable()
    assert (len(small), result.failed) == (10, 1)


def test_a_row_deleted_between_list_and_patch_is_left_for_the_next_run(
    ids, sync, db, airtable, row_of
):
    """The other nine rows are updated; the next sync recreates the deleted row."""
    victim = row_of(ids[3])["record_id"]
    for lead_id in ids[:10]:
        db.update_lead(lead_id, {"title": "New"})
    airtable.fail("hook", route="update", call=lambda _: airtable.delete(victim))
    result = sync.bidirectional_sync()
    assert (result.failed, result.skipped, result.counts()["rows_updated"]) == (0, 1, 9)
    sync.bidirectional_sync()
    assert row_of(ids[3])["Job Title"] == "New"


def test_an_edit_between_list_and_patch_survives(ids, sync, db, airtable, row_of):
    """An edit of an unsent field, returned with the write's response, is not taken as agreed."""
    db.update_lead(ids[0], {"title": "New"})
    record_id = row_of(ids[0])["record_id"]
    airtable.fail(
        "hook", route="update", call=lambda _: airtable.edit(record_id, {"Location": "Rome"})
    )
    sync.bidirectional_sync()
    assert not db.get_lead(ids[0])["location"]
    sync.bidirectional_sync()
    assert db.get_lead(ids[0])["location"] == "Rome"
    assert row_of(ids[0])["Location"] == "Rome"


def test_an_edit_of_the_lead_during_the_sync_survives(ids, sync, db, airtable, row_of):
    """A change to a lead after its comparison is sent by the next run."""
    db.update_lead(ids[0], {"title": "New"})
    airtable.fail(
        "hook", route="update", call=lambda _: db.update_lead(ids[0], {"title": "Newest"})
    )
    sync.bidirectional_sync()
    assert row_of(ids[0])["Job Title"] == "New"
    sync.bidirectional_sync()
    assert row_of(ids[0])["Job Title"] == "Newest"


def test_a_renamed_field_is_known_by_its_id(ids, sync, db, airtable):
    """A field renamed between syncs is recognised, even if its old name is reused."""
    airtable.rename_field("Job Title", "Position")
    airtable.add_field("Job Title")
    db.update_lead(ids[0], {"title": "New"})
    assert sync.bidirectional_sync().counts()["rows_updated"] == 1
    assert [r["fields"]["Position"] for r in airtable.records()].count("New") == 1


def test_a_field_that_is_gone_stops_the_sync(ids, sync, db, airtable):
    """A removed field stops the sync, before it begins and while it runs."""
    db.update_lead(ids[0], {"title": "New"})
    airtable.fail("hook", route="update", call=lambda _: airtable.remove_field("Job Title"))
    with pytest.raises(SyncError, match="a field was removed"):
        sync.bidirectional_sync()
    with pytest.raises(SyncError, match="there is no field 'Job Title'"):
        sync.bidirectional_sync()


def test_values_that_the_server_changes_are_left_in_peace(serve, connect, db):
    """Values that the server lowers are not written again by every sync."""
    server = serve(
        fields=[
            {**one, "normalise": str.lower if one["name"] == "Email" else None}
            for one in LEAD_FIELDS
        ]
    )
    sync = connect(server)
    lead_id = db.add_lead({"name": "Ada", "email": "Ada@X.example"})
    sync.bidirectional_sync()
    assert server.records()[0]["fields"]["Email"] == "ada@x.example"
    assert not sync.bidirectional_sync().outcomes
    assert db.get_lead(lead_id)["email"] == "Ada@X.example"


def test_a_row_that_cannot_be_a_lead_is_set_aside(sync, db, airtable):
    """A row with a value too long for the store is reported once, and retried when corrected."""
    record_id = airtable.create({"Full Name": "Ada", "Company": "x" * 600})
    result = sync.bidirectional_sync()
    assert (result.failed, db.stats()["total_leads"]) == (1, 0)
    assert "600 characters" in result.outcomes[0].reason
    assert sync.bidirectional_sync().skipped == 1
    airtable.edit(record_id, {"Company": "Acme"})
    assert sync.bidirectional_sync().counts()["leads_added"] == 1


def test_a_token_that_may_not_write_is_told(ids, sync, db, airtable):
    """A token without write permission is an error of the run, not of single leads."""
    db.update_lead(ids[0], {"title": "New"})
    airtable.fail(
        "error",
        route="update",
        status=403,
        error="INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
        times=None,
    )
    with pytest.raises(AirtableError, match="check the token's scopes"):
        sync.bidirectional_sync()
    assert sync.get_sync_statistics()["failed_leads"] == 0


def test_another_table_is_refused(ids, serve, connect, db):
    """A sync with another table is refused, because all rows would appear deleted."""
    with pytest.raises(SyncError, match="use another store for another table"):
        connect(serve(seed=7)).bidirectional_sync()
    assert db.stats()["total_leads"] == 12
