"""Changing, deleting and marking leads."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from leadlog.core.errors import StaleLeadError, ValidationError
from leadlog.leads.store import Lead

ADA = {
    "name": "Ada Lovelace",
    "company": "Analytical Ltd",
    "email": "ada@analytical.example",
    "title": "Analyst",
    "Index": "1",
}


def test_some_fields_are_changed_and_the_others_stay(db, clock):
    """An update changes the given fields, keeps the others, and sets updated_at."""
    lead_id = db.add_lead(ADA)
    before = db.get_lead(lead_id)
    clock.forward(1)
    assert db.update_lead(lead_id, {"Job Title": "Countess", "verified": "yes", "Segment": "A"})
    assert db.get_lead(lead_id) == {
        **before,
        "title": "Countess",
        "verified": True,
        "raw_data": {"Index": "1", "Segment": "A"},
        "updated_at": datetime(2026, 11, 23, 10, 0, 1, tzinfo=UTC),
        "row_version": 2,
    }


def test_a_blank_value_erases(db):
    """In an update, unlike in a duplicate, None or blank text erases the value."""
    lead_id = db.add_lead(ADA)
    db.update_lead(lead_id, {"title": None, "company": " ", "Index": None})
    lead = db.get_lead(lead_id)
    assert (lead["title"], lead["company"], lead["raw_data"]) == (None, None, {"Index": None})


def test_a_lead_can_be_given_back_whole(db, clock):
    """A whole lead with one changed field is accepted; unchanged id and times do not matter."""
    lead_id = db.add_lead(ADA)
    clock.forward(1)
    lead = db.get_lead(lead_id)
    lead["full_name"] = "Ada King"
    assert db.update_lead(lead_id, lead)
    assert db.get_lead(lead_id)["name"] == "Ada King"
    lead = db.get_lead(lead_id)
    lead["name"] = "Ada Byron"
    lead["raw_data"] = {}
    assert db.update_lead(lead_id, lead)
    assert db.get_lead(lead_id)["full_name"] == "Ada Byron"
    assert db.get_lead(lead_id)["raw_data"] == {}


def test_a_stale_lead_given_back_is_refused(db):
    """Changes based on an outdated version raise StaleLeadError and change nothing."""
    lead_id = db.add_lead(ADA)
    mine, yours = db.get_lead(lead_id), db.get_lead(lead_id)
    assert db.update_lead(lead_id, {**yours, "title": "Countess"})
    with pytest.raises(StaleLeadError, match=r"is of version 2 and the changes are to version 1"):
        db.update_lead(lead_id, {**mine, "company": "Babbage"})
    lead = db.get_lead(lead_id)
    assert (lead["title"], lead["company"]) == ("Countess", "Analytical Ltd")
    assert db.update_lead(lead_id, {"row_version": 2, "company": "Babbage"})
    assert db.get_lead(lead_id)["row_version"] == 3
    with pytest.raises(ValidationError, match="row_version is"):
        db.update_lead(lead_id, {"row_version": "two", "company": "Acme"})


def test_whatever_changes_a_lead_counts_its_versions(db):
    """Duplicates, updates and sessions increment the version; marking for sync does not."""
    lead_id = db.add_lead(ADA)
    db.add_lead({**ADA, "phone": "555"})
    db.add_lead(ADA)  # nothing new
    db.update_lead(lead_id, {"title": "Countess"})
    db.mark_for_sync()
    with db.session() as session:
        session.get(Lead, lead_id).title = "Analyst"
    assert db.get_lead(lead_id)["row_version"] == 4


def test_an_update_without_a_change_changes_nothing(db, clock):
    """Values equal to the stored ones change nothing, not even updated_at."""
    lead_id = db.add_lead(ADA)
    before = db.get_lead(lead_id)
    clock.forward(1)
    assert db.update_lead(lead_id, ADA)
    assert db.update_lead(lead_id, {})
    assert db.get_lead(lead_id) == before


def test_spelling_can_be_corrected(db):
    """An update changes the spelling of a value, unlike a duplicate."""
    lead_id = db.add_lead({"name": "ADA LOVELACE"})
    db.update_lead(lead_id, {"name": "Ada Lovelace"})
    assert db.get_lead(lead_id)["name"] == "Ada Lovelace"


@pytest.mark.parametrize("column", ["id", "ID", "created_at", "Created At", "updated_at"])
def test_what_never_changes_is_refused(db, column):
    """The id and the times of a lead cannot be changed by the caller."""
    lead_id = db.add_lead(ADA)
    with pytest.raises(ValidationError, match=f"{column} cannot be changed; leave it out"):
        db.update_lead(lead_id, {column: "2020-01-01", "title": "CTO"})
    assert db.get_lead(lead_id)["title"] == "Analyst"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "full_name cannot be blank"),
        ({"First Name": "", "Last Name": None}, "full_name cannot be blank"),
        ({"Last Name": "King"}, "alone would replace the whole name"),
        ({"verified": None}, "verified cannot be blank"),
        ({"company": {}}, "company is {}, a dict"),
        ({"raw_data": "x"}, "raw_data is 'x'; give a dict"),
        (None, "changes are None"),
        (["title"], "changes are"),
    ],
)
def test_a_change_that_makes_no_lead_is_refused(db, changes, message):
    """A change that would invalidate the lead is refused by field, and changes nothing."""
    lead_id = db.add_lead(ADA)
    before = db.get_lead(lead_id)
    with pytest.raises(ValidationError, match=message):
        db.update_lead(lead_id, changes)
    assert db.get_lead(lead_id) == before


def test_both_parts_of_a_name_make_a_name(db):
    """First and last name together replace the full name."""
    lead_id = db.add_lead(ADA)
    db.update_lead(lead_id, {"First Name": "Augusta", "Last Name": "King"})
    assert db.get_lead(lead_id)["name"] == "Augusta King"


def test_keys_follow_an_update(db):
    """The new address finds the lead, and the old one becomes free for other leads."""
    ada = db.add_lead(ADA)
    db.update_lead(ada, {"email": "countess@example.com", "company": None})
    assert db.add_lead({"name": "Ada Lovelace", "email": "countess@example.com"}) == ada
    bob = db.add_lead({"name": "Bob", "email": ADA["email"]})
    assert bob != ada
    assert db.add_lead({"name": "BOB", "email": ADA["email"]}) == bob
    assert db.add_lead({"name": "Ada Lovelace", "company": ADA["company"]}) != ada


def test_an_address_that_another_lead_has_can_still_be_written(db):
    """An update to another lead's address is stored, and find_duplicates returns both leads."""
    ada = db.add_lead(ADA)
    bob = db.add_lead({"name": "Bob"})
    assert db.update_lead(bob, {"email": ADA["email"]})
    assert db.add_lead({"name": "Bob", "email": ADA["email"]}) == bob
    assert db.add_lead(ADA) == ada
    assert [lead["id"] for lead in db.find_duplicates(db.get_lead(ada))] == [bob]
    assert [lead["id"] for lead in db.find_duplicates(db.get_lead(bob))] == [ada]


def test_a_lead_that_is_not_there_is_false(db):
    """Updating or deleting a missing lead returns False."""
    assert db.update_lead("nobody", {"title": "CTO"}) is False
    assert db.delete_lead("nobody") is False
    assert db.get_lead("nobody") is None


def test_a_deleted_lead_is_gone_with_its_keys(db):
    """After a delete, adding the same person creates a new lead."""
    lead_id = db.add_lead(ADA)
    assert db.delete_lead(lead_id) is True
    assert db.get_lead(lead_id) is None
    assert db.delete_lead(lead_id) is False
    assert db.find_duplicates(ADA) == []
    assert db.add_lead(ADA) != lead_id


@pytest.mark.parametrize("lead_id", [None, 5, b"x", ["x"], "a\0b"])
def test_what_can_be_no_id_is_refused(db, lead_id):
    """An id that is not text raises an error instead of counting as a missing lead."""
    for call in (db.get_lead, db.delete_lead, lambda one: db.update_lead(one, {})):
        with pytest.raises(ValidationError, match="lead id"):
            call(lead_id)


def test_leads_are_marked_for_sync_and_wait_oldest_change_first(db, clock):
    """Marked leads are listed in order of their last change until they are unmarked."""
    first = db.add_lead({"name": "Ada"})
    clock.forward(1)
    second = db.add_lead({"name": "Bob"})
    clock.forward(1)
    third = db.add_lead({"name": "Carl"})
    assert db.get_sync_pending_leads() == []
    assert db.mark_for_sync([second, "nobody", second]) == 1
    assert db.mark_for_sync() == 2
    assert db.mark_for_sync() == 0
    clock.forward(1)
    db.update_lead(first, {"title": "CTO"})
    assert [lead["id"] for lead in db.get_sync_pending_leads()] == [second, third, first]
    assert [lead["id"] for lead in db.get_sync_pending_leads(limit=1)] == [second]
    db.update_lead(second, {"sync_pending": False})
    assert [lead["id"] for lead in db.get_sync_pending_leads()] == [third, first]
    assert db.stats()["pending_syncs"] == 2


def test_marking_is_no_change_of_the_lead(db, clock):
    """Marking a lead for sync does not change its updated_at."""
    lead_id = db.add_lead(ADA)
    before = db.get_lead(lead_id)
    clock.forward(1)
    db.mark_for_sync([lead_id])
    assert db.get_lead(lead_id) == {**before, "sync_pending": True}


@pytest.mark.parametrize("ids", ["abc", 5, [5], [None]])
def test_ids_to_mark_that_are_none_are_refused(db, ids):
    """A single id given as text is refused instead of being iterated by character."""
    with pytest.raises(ValidationError):
        db.mark_for_sync(ids)


def test_a_misspelt_field_is_named_with_the_nearest_one(db):
    """A misspelt field is kept in raw_data with a warning; other unknown names do not warn."""
    lead_id = db.add_lead({"name": "Ana"})
    with pytest.warns(UserWarning, match=r"'compnay' \(did you mean 'company'\?\)"):
        assert db.update_lead(lead_id, {"compnay": "Acme"})
    assert db.update_lead(lead_id, {"favourite_colour": "blue"})
    assert db.get_lead(lead_id)["raw_data"] == {
        "compnay": "Acme",
        "favourite_colour": "blue",
    }
