"""Deletes on both sides are confirmed, limited to a share, and lose against an edit."""

from __future__ import annotations

import pytest

from leadlog.leads.store import links


@pytest.fixture
def ids(sync, db) -> list[str]:
    """The ids of six leads with rows."""
    found = db.add_leads({"name": f"Lead {n}", "title": "Old"} for n in range(6)).ids
    sync.bidirectional_sync()
    return found


def test_a_deleted_lead_leaves_a_tombstone_until_its_row_is_deleted(ids, sync, db, airtable):
    """A push deletes the row of a deleted lead, and then its tombstone."""
    db.delete_lead(ids[0])
    assert [tombstone.lead_id for tombstone in db.connections.reading(links.tombstones_of)] == [
        ids[0]
    ]
    assert sync.get_sync_statistics()["pending_deletes"] == 1
    assert sync.sync_from_airtable().skipped == 1
    result = sync.sync_to_airtable()
    assert result.actions == {"delete_row": 1}
    assert len(airtable) == 5
    assert not db.connections.reading(links.tombstones_of)


def test_a_lead_that_was_never_a_row_leaves_none(db):
    """A deleted lead without a row leaves no tombstone."""
    db.delete_lead(db.add_lead({"name": "Ada"}))
    assert not db.connections.reading(links.tombstones_of)


def test_the_lead_of_a_deleted_row_is_deleted(ids, sync, db, airtable, row_of):
    """The lead of a deleted row is deleted once a fetch by id confirms that the row is gone."""
    airtable.delete(row_of(ids[0])["record_id"])
    assert sync.sync_to_airtable().skipped == 1
    result = sync.sync_from_airtable()
    assert result.actions == {"delete_lead": 1}
    assert result.confirmed == 1
    assert db.get_lead(ids[0]) is None
    assert not sync.bidirectional_sync().outcomes


def test_an_edited_lead_outlives_its_row(ids, sync, db, airtable, row_of):
    """An edited lead whose row was deleted gets a new row with all its values."""
    airtable.delete(row_of(ids[0])["record_id"])
    db.update_lead(ids[0], {"title": "New"})
    result = sync.bidirectional_sync()
    assert result.actions == {"create_row": 1}
    assert row_of(ids[0])["Job Title"] == "New"
    assert not sync.bidirectional_sync().outcomes


def test_an_edited_row_brings_its_lead_back(ids, sync, db, airtable, row_of):
    """A row edited after its lead was deleted restores the lead under its id."""
    record_id = row_of(ids[0])["record_id"]
    db.delete_lead(ids[0])
    airtable.edit(record_id, {"Job Title": "New"})
    assert sync.sync_to_airtable().skipped == 1
    sync.bidirectional_sync()
    assert db.get_lead(ids[0])["title"] == "New"
    assert len(airtable) == 6
    assert not sync.bidirectional_sync().outcomes


def test_deleted_on_both_sides_is_forgotten(ids, sync, db, airtable, row_of):
    """A lead deleted on both sides leaves nothing to do."""
    airtable.delete(row_of(ids[0])["record_id"])
    db.delete_lead(ids[0])
    assert not sync.bidirectional_sync().actions
    assert not db.connections.reading(links.tombstones_of)


def test_an_empty_list_deletes_nobody(ids, sync, db, airtable):
    """Rows missing in the listing that still exist are compared as usual."""
    airtable.fail("partial", route="list", keep=0)
    result = sync.bidirectional_sync()
    assert result.confirmed == 6
    assert not result.actions
    assert db.stats()["total_leads"] == 6


def test_a_partial_list_hides_no_edit(ids, sync, db, airtable, row_of):
    """A row missing in the listing is fetched, and its edits are taken over."""
    airtable.edit(row_of(ids[5])["record_id"], {"Job Title": "New"})
    airtable.fail("partial", route="list", keep=2)
    sync.bidirectional_sync()
    assert db.get_lead(ids[5])["title"] == "New"


@pytest.mark.parametrize("side", ["rows", "leads"])
def test_more_deletes_than_a_share_are_refused(ids, connect, db, airtable, side):
    """Deleting three of six is refused: nothing is deleted, and the run says why."""
    careful = connect(max_delete_share=0.2)
    if side == "rows":
        for record in airtable.records()[:3]:
            airtable.delete(record["id"])
    else:
        for lead_id in ids[:3]:
            db.delete_lead(lead_id)
    left = (db.stats()["total_leads"], len(airtable))
    result = careful.bidirectional_sync()
    assert not result.success
    assert "3 " in result.error
    assert "airtable_max_delete_share" in result.error
    assert (db.stats()["total_leads"], len(airtable)) == left
    assert result.skipped == 3
    assert connect(max_delete_share=0.5).bidirectional_sync().success
    assert (db.stats()["total_leads"], len(airtable)) == (3, 3)


def test_a_lead_that_is_there_again_has_its_row_again(ids, sync, db, airtable, row_of):
    """A lead added again under its id before its row was deleted keeps the row."""
    record_id = row_of(ids[0])["record_id"]
    db.delete_lead(ids[0])
    db.add_lead({"id": ids[0], "name": "Lead 0", "title": "Back"})
    sync.bidirectional_sync()
    found = row_of(ids[0])
    assert (found["record_id"], found["Job Title"]) == (record_id, "Back")


def test_a_row_that_somebody_else_deleted_first_is_no_failure(ids, sync, db, airtable, row_of):
    """Two rows of a batch of three are deleted although the third no longer exists."""
    victim = row_of(ids[1])["record_id"]
    for lead_id in ids[:3]:
        db.delete_lead(lead_id)
    airtable.fail("hook", route="delete", call=lambda _: airtable.delete(victim))
    result = sync.sync_to_airtable()
    assert result.failed == 0
    assert len(airtable) == 3
    assert not db.connections.reading(links.tombstones_of)
