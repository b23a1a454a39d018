"""Adding one lead: creation, update of duplicates, and rejection."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from leadlog.core.errors import StoreError, ValidationError

ADA = {
    "name": "Ada Lovelace",
    "company": "Analytical Ltd",
    "email": "ada@analytical.example",
    "linkedin_url": "https://www.linkedin.com/in/ada-lovelace",
}


def test_a_lead_is_stored_with_all_fields(db, clock):
    """A stored lead is returned with typed values, both names and the clock's time."""
    lead_id = db.add_lead(
        {
            **ADA,
            "job_title": "Analyst",
            "phone": 5551234,
            "Verified": "yes",
            "Deal Stage": "New",
            "Score": {"points": [1, 2.5, None]},
        }
    )
    assert str(UUID(lead_id)) == lead_id
    now = datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert db.get_lead(lead_id) == {
        "id": lead_id,
        "name": "Ada Lovelace",
        "full_name": "Ada Lovelace",
        "company": "Analytical Ltd",
        "email": "ada@analytical.example",
        "title": "Analyst",
        "linkedin_url": "https://www.linkedin.com/in/ada-lovelace",
        "phone": "5551234",
        "website": None,
        "location": None,
        "industry": None,
        "company_size": None,
        "verified": True,
        "enriched": False,
        "status": "New",
        "source": None,
        "notes": None,
        "raw_data": {"Score": {"points": [1, 2.5, None]}},
        "sync_pending": False,
        "created_at": now,
        "updated_at": now,
        "row_version": 1,
    }


def test_times_keep_their_microseconds_and_are_utc(db, clock):
    """A time is returned in UTC with its microseconds unchanged."""
    clock.now += 123_456
    lead_id = db.add_lead({"name": "Ada", "created_at": "2020-02-29T23:59:59.999999-01:00"})
    lead = db.get_lead(lead_id)
    assert lead["created_at"] == datetime(2020, 3, 1, 0, 59, 59, 999_999, tzinfo=UTC)
    assert lead["updated_at"] == datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=UTC)
    assert lead["created_at"].tzinfo is UTC


@pytest.mark.parametrize(
    "again",
    [
        {"name": "A. L.", "linkedin_url": "https://uk.linkedin.com/in/Ada-Lovelace/en?x=1"},
        {"name": "LOVELACE, Ada", "email": "ADA@Analytical.example"},
        {"First Name": "Ada", "Last Name": "Lovelace", "Company": "ANALYTICAL, Inc."},
    ],
    ids=["linkedin", "email", "name and company"],
)
def test_a_duplicate_is_not_created(db, again):
    """One shared key is enough to identify the same person."""
    lead_id = db.add_lead(ADA)
    assert db.add_lead(again) == lead_id
    assert db.stats()["total_leads"] == 1


def test_a_duplicate_updates_and_blanks_erase_nothing(db, clock):
    """New values are taken over, blank ones are ignored, and id and created_at never change."""
    lead_id = db.add_lead({**ADA, "title": "Analyst", "Index": "1", "Segment": "A"})
    before = db.get_lead(lead_id)
    clock.forward(60)
    db.add_lead(
        {
            **ADA,
            "company": "",
            "title": "Countess",
            "phone": "555",
            "created_at": "2001-01-01",
            "Index": "2",
            "Segment": " ",
            "id": "another",
        }
    )
    after = db.get_lead(lead_id)
    assert after == {
        **before,
        "title": "Countess",
        "phone": "555",
        "raw_data": {"Index": "2", "Segment": "A"},
        "updated_at": datetime(2026, 11, 23, 10, 1, tzinfo=UTC),
        "row_version": 2,
    }


def test_a_duplicate_that_brings_nothing_new_changes_nothing(db, clock):
    """Another spelling of the same values changes nothing, not even updated_at."""
    lead_id = db.add_lead(ADA)
    before = db.get_lead(lead_id)
    clock.forward(60)
    again = {"name": "ADA LOVELACE", "company": "analytical", "email": "ADA@ANALYTICAL.EXAMPLE"}
    assert db.add_lead(again) == lead_id
    assert db.get_lead(lead_id) == before


def test_half_a_name_does_not_replace_a_whole_one(db):
    """A duplicate with only a first name or initials does not change the stored name."""
    lead_id = db.add_lead(ADA)
    for half in ({"First Name": "Ada"}, {"name": "A. Lovelace"}, {"name": "Ada L"}):
        assert db.add_lead({**half, "linkedin_url": ADA["linkedin_url"]}) == lead_id
    assert db.get_lead(lead_id)["name"] == "Ada Lovelace"


@pytest.mark.parametrize(
    "other",
    [
        {"name": "Bob Lovelace", "email": ADA["email"]},
        {"name": "Ada Lovelace Jr", "company": ADA["company"]},
        {"name": "Ada Lovelace", "company": "Analytical Labs"},
        {"name": "Ada Lovelace", "email": "ada@analytical.co.example"},
        {"name": "Ada Lovelace", "linkedin_url": "https://linkedin.com.evil.com/in/ada-lovelace"},
        {
            "name": "Ada Lovelace",
            "company": ADA["company"],
            "linkedin_url": "https://www.linkedin.com/in/ada-lovelace-2",
        },
    ],
    ids=["address", "junior", "other company", "look-alike", "evil host", "other profile"],
)
def test_somebody_else_is_created(db, other):
    """A lead that is merely similar is created, and the first lead stays unchanged."""
    first = db.add_lead(ADA)
    before = db.get_lead(first)
    second = db.add_lead(other)
    assert second != first
    assert db.get_lead(first) == before
    if "company" in other or other.get("email") == ADA["email"]:
        assert db.add_lead(other) == second
    assert db.add_lead(ADA) == first


def test_people_of_a_shared_mailbox_are_told_apart_by_name(db):
    """A shared mailbox such as info@ is a key only together with the name."""
    ada = db.add_lead({"name": "Ada", "email": "info@acme.example"})
    bob = db.add_lead({"name": "Bob", "email": "info@acme.example"})
    assert ada != bob
    assert db.add_lead({"name": "ADA", "email": "INFO@acme.example"}) == ada
    assert db.add_lead({"name": "BOB", "email": "Info@acme.example"}) == bob


def test_a_lead_without_keys_is_always_new(db):
    """A lead with only a name is always created."""
    assert db.add_lead({"name": "Ada"}) != db.add_lead({"name": "Ada"})


def test_a_name_vetoes_the_stronger_key_and_the_weaker_one_decides(db):
    """A lead with one person's profile and another's name and address updates the latter."""
    ada = db.add_lead({"name": "Ada", "linkedin_url": ADA["linkedin_url"]})
    bob = db.add_lead({"name": "Bob", "email": "bob@acme.example", "title": "CTO"})
    before = db.get_lead(ada)
    both = {**ADA, "name": "Bob", "email": "bob@acme.example"}
    assert db.add_lead(both) == bob
    assert db.get_lead(ada) == before
    assert [lead["id"] for lead in db.find_duplicates(db.get_lead(bob))] == [ada]


def test_a_company_that_was_left_is_no_key_any_more(db):
    """A lead that changed company is found only by the new one; a namesake at the old is new."""
    ada = db.add_lead(ADA)
    assert db.add_lead({**ADA, "company": "Babbage & Co"}) == ada
    assert db.add_lead({"name": "Ada Lovelace", "company": "Babbage &"}) == ada
    assert db.add_lead({"name": "Ada Lovelace", "company": ADA["company"]}) != ada


def test_another_address_makes_a_suggestion_and_not_a_merge(db):
    """A different address with the same profile, name or company is suggested, not merged."""
    ada = db.add_lead(ADA)
    (outcome,) = db.add_leads([{**ADA, "email": "countess@example.com"}]).outcomes
    assert (outcome.action, outcome.possible_duplicates) == ("created", (ada,))
    assert db.add_lead({"name": "Ada Lovelace", "email": ADA["email"]}) == ada
    assert db.add_lead({**ADA, "email": "countess@example.com"}) == outcome.lead_id


def test_a_given_id_is_taken(db):
    """An id given with a lead becomes its id; a whole number is converted to text."""
    assert db.add_lead({"id": "uuid-123", "name": "Ada"}) == "uuid-123"
    assert db.add_lead({"id": 7, "name": "Bob"}) == "7"
    assert db.get_lead("7")["name"] == "Bob"


def test_a_given_id_finds_its_own_lead(db):
    """An equal id and name identify the same lead, whatever its keys."""
    db.add_lead({"id": "1", "name": "Ada", "email": "ada@example.com"})
    assert db.add_lead({"id": "1", "name": "ADA", "email": "countess@example.com"}) == "1"
    assert db.get_lead("1")["email"] == "countess@example.com"


def test_an_id_that_somebody_else_has_is_kept_as_raw_data(db):
    """A second person with a used id gets a new id, and the given one is kept in raw_data."""
    db.add_lead({"id": "1", "name": "Ada"})
    other = db.add_lead({"id": "1", "name": "Bob"})
    assert other != "1"
    assert db.get_lead(other)["raw_data"] == {"id": "1"}
    assert db.get_lead("1")["name"] == "Ada"


def test_ids_sort_by_time(db):
    """A later lead has a greater id, so that indexes grow at their end."""
    first = db.add_lead({"name": "Ada"})
    db.add_leads({"name": f"Lead {n}"} for n in range(20))
    assert first == min(lead["id"] for lead in db.get_all_leads())


@pytest.mark.parametrize("lead", [{}, {"company": "Acme"}, {"name": "  "}, {"First Name": ""}])
def test_a_lead_without_a_name_is_refused(db, lead):
    """A lead without a name is refused, and the error says how to give one."""
    with pytest.raises(ValidationError, match="a lead needs a name: give name or full_name"):
        db.add_lead(lead)
    with pytest.raises(ValueError, match="a lead needs a name"):
        db.add_lead(lead)
    assert db.stats()["total_leads"] == 0


@pytest.mark.parametrize("lead", [None, "Ada", 5, ["name", "Ada"]])
def test_a_lead_that_is_no_mapping_is_refused(db, lead):
    """A lead that is not a mapping is refused with an error that names what is expected."""
    with pytest.raises(ValidationError, match="a lead is a mapping"):
        db.add_lead(lead)


@pytest.mark.parametrize(
    ("lead", "message"),
    [
        ({"name": "A\0da"}, "full_name .*NUL"),
        ({"name": "Ada", "company": "\udcff"}, "company .*surrogate"),
        ({"name": "Ada", "company": ["Acme"]}, "company is .*give text"),
        ({"name": "Ada", "verified": "perhaps"}, "verified is 'perhaps'; give True or False"),
        ({"name": "Ada", "x": object()}, "raw_data.x is <object"),
        ({"name": "A" * 501}, "at most 500"),
    ],
)
def test_a_value_that_cannot_be_stored_is_refused_by_name(db, lead, message):
    """The error names the field, the value and the remedy, before the database sees it."""
    with pytest.raises(ValidationError, match=message):
        db.add_lead(lead)


def test_any_text_survives(db):
    """Quotes, control characters, other scripts and emoji are returned unchanged."""
    notes = "Robert'); DROP TABLE leads;--\r\n\x01 \u202e 李娜 👩‍🚀 %_\\"
    lead_id = db.add_lead({"name": "Ada", "notes": notes, "raw_data": {"\0": "\ud800"}})
    lead = db.get_lead(lead_id)
    assert lead["notes"] == notes
    assert lead["raw_data"] == {"\0": "\ud800"}


def test_the_longest_text_of_every_field_can_be_stored(db):
    """Every index accepts the longest permitted values of four-byte characters."""
    longest = "👩" * 500
    lead = {
        "name": longest,
        "company": longest,
        "email": f"{'👩' * 488}@example.com",
        "status": longest,
        "linkedin_url": f"https://www.linkedin.com/in/{'é' * 10_000}",
        "notes": "x" * 1_000_000,
    }
    lead_id = db.add_lead(lead)
    assert db.add_lead(lead) == lead_id
    assert db.get_lead(lead_id)["notes"] == lead["notes"]


def test_what_was_added_does_not_follow_the_caller_s_object(db):
    """Changing the dict after the call does not change the stored lead."""
    tags = ["a"]
    lead_id = db.add_lead({"name": "Ada", "tags": tags})
    tags.append("b")
    assert db.get_lead(lead_id)["raw_data"] == {"tags": ["a"]}


def test_a_closed_store_says_so(db):
    """Every call after close raises a clear error; closing twice is allowed."""
    db.close()
    db.close()
    with pytest.raises(StoreError, match="is closed"):
        db.add_lead({"name": "Ada"})
    with pytest.raises(StoreError, match="is closed"):
        db.get_lead("1")
