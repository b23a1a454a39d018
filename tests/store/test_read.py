"""Reading: iteration, duplicates and statistics."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from leadlog.core.errors import ValidationError


@pytest.mark.parametrize("page_size", [1, 2, 3, 5, 500])
def test_all_leads_come_once_in_order_of_id(db, page_size):
    """Iteration yields each lead once, for any page size."""
    result = db.add_leads({"name": f"Lead {n}"} for n in range(5))
    found = [lead["id"] for lead in db.get_all_leads(page_size=page_size)]
    assert found == sorted(result.ids)


def test_an_empty_store_has_no_leads(db):
    """Iterating over an empty store yields nothing."""
    assert list(db.get_all_leads()) == []
    assert db.search_leads() == []


def test_leads_may_change_while_they_are_iterated(db):
    """The same thread may write during an iteration; unaffected leads are yielded once."""
    ids = sorted(db.add_leads({"name": f"Lead {n}"} for n in range(10)).ids)
    seen = []
    for lead in db.get_all_leads(page_size=2):
        seen.append(lead["id"])
        db.update_lead(lead["id"], {"title": "seen"})
        if len(seen) == 3:
            db.delete_lead(ids[7])
            db.delete_lead(ids[0])
    assert seen == ids[:7] + ids[8:]
    assert all(lead["title"] == "seen" for lead in db.get_all_leads())


def test_an_abandoned_iteration_holds_nothing(db):
    """An abandoned iteration leaves no lock."""
    db.add_leads({"name": f"Lead {n}"} for n in range(10))
    leads = db.get_all_leads(page_size=2)
    next(leads)
    assert db.add_lead({"name": "Ada"})
    leads.close()
    assert db.stats()["total_leads"] == 11


@pytest.mark.parametrize("size", [0, -5, "5", None])
def test_a_bad_page_size_is_refused(db, size):
    """A page size below 1 or of another type is refused."""
    with pytest.raises(ValidationError, match="page_size is"):
        list(db.get_all_leads(page_size=size))


def test_duplicates_are_found_closest_first(db):
    """Each lead that shares a key is returned once, with its strongest key."""
    by_company = db.add_lead({"name": "Ada King", "company": "Acme"})
    by_address = db.add_lead({"name": "Ada King", "email": "ada@acme.example"})
    by_name = db.add_lead({"name": "Augusta", "email": "ada@acme.example"})
    by_profile = db.add_lead({"name": "A. K.", "linkedin": "linkedin.com/in/ada"})
    db.add_lead({"name": "Somebody Else", "company": "Acme"})
    found = db.find_duplicates(
        {
            "First Name": "Ada",
            "Last Name": "King",
            "Company": "ACME Inc",
            "Email 1": "ADA@acme.example",
            "LinkedIn": "https://uk.linkedin.com/in/ada",
        }
    )
    assert [(lead["id"], lead["matched_on"], lead["would_merge"]) for lead in found] == [
        (by_profile, "linkedin_url", True),
        (by_address, "email", False),
        (by_name, "email", False),
        (by_company, "name_company", False),
    ]


def test_find_duplicates_tells_what_add_lead_would_do(db):
    """At most one lead has would_merge, and it is the one that add_lead returns."""
    ada = db.add_lead({"name": "Ada", "email": "ada@acme.example"})
    bob = {"name": "Bob", "email": "ada@acme.example"}
    assert [lead["would_merge"] for lead in db.find_duplicates(bob)] == [False]
    again = {"name": "ADA", "email": "Ada@acme.example"}
    assert [lead["would_merge"] for lead in db.find_duplicates(again)] == [True]
    assert db.add_lead(again) == ada


def test_a_lead_is_no_duplicate_of_itself(db):
    """A lead of the store is not returned as its own duplicate."""
    lead_id = db.add_lead({"name": "Ada", "email": "ada@acme.example"})
    assert db.find_duplicates(db.get_lead(lead_id)) == []


def test_duplicates_can_be_asked_for_without_a_name(db):
    """An address or a profile alone is enough for find_duplicates."""
    lead_id = db.add_lead({"name": "Ada", "email": "ada@acme.example"})
    assert [lead["id"] for lead in db.find_duplicates({"email": "ada@acme.example"})] == [lead_id]
    assert db.find_duplicates({"title": "CTO"}) == []
    with pytest.raises(ValidationError, match="a lead is a mapping"):
        db.find_duplicates("ada@acme.example")


def test_the_numbers_of_a_store(db, clock):
    """stats counts the leads, those of today by UTC, and the size."""
    empty = db.stats()
    assert empty.pop("database_size_mb") > 0
    assert empty == {
        "total_leads": 0,
        "pending_syncs": 0,
        "enriched_leads": 0,
        "verified_leads": 0,
        "leads_added_today": 0,
        "last_updated_at": None,
    }
    db.add_lead({"name": "Ada", "verified": True})
    clock.forward(14 * 3600 - 0.000001)
    db.add_lead({"name": "Bob", "enriched": True})
    assert db.stats()["leads_added_today"] == 2
    clock.forward(0.000001)
    assert db.stats()["leads_added_today"] == 0
    db.add_lead({"name": "Carl", "enriched": True, "sync_pending": True})
    full = db.stats()
    assert full.pop("database_size_mb") < 100
    assert full == {
        "total_leads": 3,
        "pending_syncs": 1,
        "enriched_leads": 2,
        "verified_leads": 1,
        "leads_added_today": 1,
        "last_updated_at": datetime(2026, 11, 24, tzinfo=UTC),
    }
