"""The merge log keeps what a duplicate overwrote, and merges can be undone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import leadlog
from leadlog.core.errors import ValidationError
from leadlog.leads.store import LeadDatabase

ADA = {
    "id": "ada",
    "name": "Ada Lovelace",
    "company": "Acme",
    "email": "ada@acme.example",
    "Index": 1,
}
AGAIN = {
    "name": "LOVELACE, Ada",
    "email": "ADA@acme.example",
    "company": "Babbage Engines",
    "title": "Countess",
    "verified": "yes",
    "Index": 2,
    "Segment": "A",
}


def test_what_a_duplicate_overwrites_is_kept(db, clock):
    """The merge log has old and new values, the key, the time and the logging session."""
    db.add_lead(ADA)
    db.add_lead(ADA)  # nothing new, nothing to undo
    with leadlog.session() as session_id:
        db.add_lead(AGAIN)
    (merge,) = db.get_merges("ada")
    assert merge.pop("merge_id") == 1
    assert merge == {
        "lead_id": "ada",
        "merged_at": datetime(2026, 11, 23, 10, tzinfo=UTC),
        "matched_on": "email",
        "old_values": {
            "full_name": "Ada Lovelace",
            "company": "Acme",
            "title": None,
            "verified": False,
            "raw_data": {"Index": 1},
        },
        "new_values": {
            "full_name": "LOVELACE, Ada",
            "company": "Babbage Engines",
            "title": "Countess",
            "verified": True,
            "raw_data": {"Index": 2, "Segment": "A"},
        },
        "session_id": session_id,
        "undone_at": None,
    }


def test_a_merge_can_be_undone_with_its_keys(db, clock):
    """Undoing restores the lead and releases the keys it gained; it works only once."""
    db.add_lead(ADA)
    before = db.get_lead("ada")
    db.add_lead(AGAIN)
    clock.forward(5)
    undone = db.undo_merge("ada")
    assert undone is not None
    assert set(undone.restored) == {
        *("full_name", "company", "title", "verified"),
        *("raw_data.Index", "raw_data.Segment"),
    }
    assert (undone.kept, undone.changed, undone.lead) == ((), True, db.get_lead("ada"))
    assert db.get_lead("ada") == {
        **before,
        "updated_at": datetime(2026, 11, 23, 10, 0, 5, tzinfo=UTC),
        "row_version": 3,
    }
    assert db.get_merges("ada")[0]["undone_at"] == datetime(2026, 11, 23, 10, 0, 5, tzinfo=UTC)
    assert db.undo_merge("ada") is None
    assert db.undo_merge(undone.merge_id) is None
    # It is found by its own company, but not by the one that was undone.
    assert db.add_lead({"name": "Ada Lovelace", "company": "Babbage Engines"}) != "ada"
    assert db.add_lead({"name": "Ada Lovelace", "company": "Acme"}) == "ada"


def test_what_was_changed_after_a_merge_stays(db):
    """Undoing restores only values that are still as the duplicate left them."""
    db.add_lead(ADA)
    db.add_lead(AGAIN)
    db.update_lead("ada", {"title": "Analyst", "Index": 3})
    undone = db.undo_merge("ada")
    assert set(undone.kept) == {"title", "raw_data.Index"}
    lead = db.get_lead("ada")
    assert (lead["title"], lead["company"]) == ("Analyst", "Acme")
    assert lead["raw_data"] == {"Index": 3}


def test_merges_are_undone_one_by_one_newest_first(db):
    """A lead's id undoes its last merge; a merge id undoes that merge."""
    db.add_lead(ADA)
    for title in ("one", "two", "three"):
        db.add_lead({**ADA, "title": title})
    three, two, one = (merge["merge_id"] for merge in db.get_merges("ada"))
    assert one < two < three
    assert db.undo_merge("ada").merge_id == three
    assert db.get_lead("ada")["title"] == "two"
    assert db.undo_merge(two).restored == ("title",)
    assert db.undo_merge("ada").merge_id == one
    assert db.get_lead("ada")["title"] is None
    assert [merge["merge_id"] for merge in db.get_merges(limit=2)] == [three, two]


def test_there_may_be_nothing_to_undo(db):
    """Unknown merges or leads, and leads without merges, return None."""
    db.add_lead(ADA)
    assert [db.undo_merge(which) for which in ("ada", "nobody", 7)] == [None, None, None]
    with pytest.raises(ValidationError):
        db.undo_merge(None)


def test_a_deleted_lead_takes_its_merges_with_it(db):
    """Deleting a lead deletes its merges."""
    db.add_lead(ADA)
    db.add_lead(AGAIN)
    db.delete_lead("ada")
    assert db.get_merges() == []


def test_duplicates_in_one_batch_are_all_in_the_log(db):
    """Merges into a lead created by the same transaction can be undone to its start."""
    db.add_leads([ADA, AGAIN, {**AGAIN, "title": "Analyst"}])
    merges = db.get_merges()
    assert [merge["old_values"].get("title") for merge in merges] == ["Countess", None]
    while db.undo_merge("ada"):
        pass
    lead = db.get_lead("ada")
    assert (lead["title"], lead["company"], lead["raw_data"]) == (None, "Acme", {"Index": 1})


COLUMNS = st.dictionaries(
    st.sampled_from(["company", "title", "phone", "verified", "Index", "Segment"]),
    st.sampled_from(["yes", "no", "", "1"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=COLUMNS, more=st.lists(COLUMNS, min_size=1, max_size=4))
def test_undoing_every_merge_restores_the_first_lead(first, more):
    """Undoing all merges, newest first, restores the original values."""
    with LeadDatabase(":memory:", capture=False, clock=lambda: 0) as db:
        who = {"id": "ada", "name": "Ada King", "email": "ada@acme.example"}
        db.add_lead({**who, **first})
        before = db.get_lead("ada")
        for columns in more:
            db.add_lead({**who, **columns})
        while db.undo_merge("ada"):
            pass
        after = db.get_lead("ada")
        assert {**after, "row_version": 1} == before


def test_undoing_is_one_record_with_what_changed(tmp_path, logged):
    """The log has the restored values, so that it replays to the table."""
    with LeadDatabase(":memory:") as db:
        db.add_lead(ADA)
        db.add_lead({**ADA, "title": "Countess"})
        db.undo_merge("ada")
    record = logged("database_operations")[-1]
    assert record["operation_details"]["operation_type"] == "undo_merge"
    assert record["operation_details"]["outcome"] == "committed"
    assert record["data_details"]["fields_changed"]["title"] == {"old": "Countess", "new": None}
    assert record["lead_identifier"]["lead_id"] == "ada"
