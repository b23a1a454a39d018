"""Adding many leads gives the same result as adding them one by one, but faster."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadlog.core.errors import ValidationError
from leadlog.leads.store import LeadDatabase

SMALL = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_every_lead_has_its_outcome(db):
    """Created, updated and rejected leads each have their outcome, in the order given."""
    db.add_lead({"id": "ada", "name": "Ada King", "company": "Acme", "email": "a@acme.example"})
    result = db.add_leads(
        [
            {"name": "Bob", "email": "b@acme.example"},
            {"name": "ADA KING", "company": "ACME", "title": "CTO"},
            {"company": "nobody's"},
            "Ada",
            {"name": "Bob", "email": "B@acme.example"},
            {"name": "Carl", "email": "a@acme.example"},
        ]
    )
    assert (result.created, result.updated, result.rejected, len(result)) == (2, 2, 2, 6)
    bob, ada, nameless, text, again, carl = result.outcomes
    assert [bob.action, bob.matched_on, bob.changed] == ["created", None, True]
    assert [ada.action, ada.lead_id, ada.matched_on] == ["updated", "ada", "name_company"]
    assert [nameless.action, nameless.lead_id] == ["rejected", None]
    assert "a lead needs a name" in str(nameless.reason)
    assert "a lead is a mapping" in str(text.reason)
    assert [again.lead_id, again.matched_on, again.changed] == [bob.lead_id, "email", False]
    assert [carl.action, carl.matched_on] == ["created", "email"]
    assert carl.possible_duplicates == ("ada",)
    assert result.ids == [bob.lead_id, "ada", carl.lead_id]
    assert db.get_lead("ada")["title"] == "CTO"
    assert db.stats()["total_leads"] == 3


def test_any_iterable_is_read_batch_by_batch(db):
    """A generator is read on demand, and each batch is committed before the next is read."""
    seen = []

    def leads():
        for number in range(7):
            seen.append(db.stats()["total_leads"])
            yield {"name": f"Lead {number}"}

    assert db.add_leads(leads(), batch_size=3).created == 7
    assert seen == [0, 0, 0, 3, 3, 3, 6]


def test_an_iterable_that_fails_keeps_the_batches_before(db):
    """An error of the iterable is raised, and only complete batches are stored."""

    def leads():
        yield from ({"name": f"Lead {number}"} for number in range(5))
        raise RuntimeError("source is gone")

    with pytest.raises(RuntimeError, match="source is gone"):
        db.add_leads(leads(), batch_size=2)
    assert db.stats()["total_leads"] == 4


@pytest.mark.parametrize("leads", [{"name": "Ada"}, "Ada", b"Ada", None, 5])
def test_what_is_no_collection_of_leads_is_refused(db, leads):
    """A single lead given by mistake raises an error that names the right method."""
    with pytest.raises(ValidationError, match="give an iterable of leads"):
        db.add_leads(leads)


@pytest.mark.parametrize("size", [0, -1, 2.5, None, True])
def test_a_bad_batch_size_is_refused(db, size):
    """A batch size below 1 or of another type is refused."""
    with pytest.raises(ValidationError, match="batch_size is"):
        db.add_leads([], batch_size=size)


def test_no_leads_are_no_error(db):
    """Adding no leads is allowed and adds none."""
    assert len(db.add_leads([])) == 0


def test_a_batch_larger_than_a_statement_can_have_parameters(db):
    """Any batch size works, whatever the database's limit of parameters per statement."""
    leads = [
        {"id": f"given-{n}", "name": f"Lead {n}", "email": f"l{n}@acme.example", "company": "Acme"}
        for n in range(3000)
    ]
    assert db.add_leads(leads, batch_size=100_000).created == 3000
    again = db.add_leads(leads, batch_size=100_000)
    assert (again.updated, sum(outcome.changed for outcome in again.outcomes)) == (3000, 0)


def test_outcomes_that_are_reported_are_not_kept(db):
    """Each outcome is reported with its position after the commit, and is not kept in memory."""
    seen = []

    def report(place, outcome):
        seen.append((place, outcome.action, db.stats()["total_leads"]))

    leads = [{"name": "Ada", "email": "a@acme.example"}] * 2 + [{}, {"name": "Bob"}]
    result = db.add_leads(iter(leads), batch_size=3, report=report)
    assert (result.created, result.updated, result.rejected, len(result)) == (2, 1, 1, 4)
    assert (result.outcomes, result.ids) == ([], [])
    assert seen == [(0, "created", 1), (1, "updated", 1), (2, "rejected", 1), (3, "created", 2)]


def test_memory_stays_the_same_however_many_leads_there_are(tmp_path):
    """Adding ten times as many leads takes no more memory."""
    peaks = []
    with LeadDatabase(tmp_path / "leads.db", capture=False) as db:
        for number, size in enumerate((500, 5000)):
            leads = (
                {"name": f"Ada {number} {n}", "email": f"a{number}.{n}@acme.example"}
                for n in range(size)
            )
            db.add_leads([{"name": "warm up"}])
            tracemalloc.start()
            db.add_leads(leads, batch_size=100, report=lambda *_: None)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5


NAMES = st.sampled_from(["Ada King", "ADA KING", "King, Ada", "Bob Ray", "Unknown"])
PEOPLE = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "id": st.sampled_from(["1", "2"]),
        "company": st.sampled_from(["Acme", "ACME Inc", "Beta", "freelance", ""]),
        "email": st.sampled_from(
            ["a@acme.example", "A@ACME.example", "b@acme.example", "info@acme.example", "n/a"]
        ),
        "linkedin_url": st.sampled_from(
            ["linkedin.com/in/ada", "https://uk.linkedin.com/in/Ada/en", "linkedin.com/in/bob"]
        ),
        "title": st.sampled_from(["CTO", "CEO", " "]),
        "Index": st.sampled_from(["1", "2", ""]),
    },
)


def test_duplicates_of_a_batch_are_one_version_further(db, clock):
    """A lead updated by a batch advances by one version; an unchanged lead keeps its version."""
    people = [{"name": f"Ada Lane {n}", "email": f"ada{n}@acme.example"} for n in range(5)]
    db.add_leads(people)
    before = {lead["full_name"]: lead for lead in db.get_all_leads()}
    clock.forward(1)
    news = [
        {"title": "CTO"},
        {"title": "CEO"},
        {"phone": "+14155550105", "Plan": {"a": [1]}},
        {},
        {},
    ]
    db.add_leads([one | new for one, new in zip(people, news, strict=True)])
    for n, lead in enumerate(sorted(db.get_all_leads(), key=lambda one: one["full_name"])):
        then = before[f"Ada Lane {n}"]
        assert lead["row_version"] == (2 if n < 3 else 1)
        assert (lead["updated_at"] > then["updated_at"]) == (n < 3)
        assert (lead["id"], lead["created_at"]) == (then["id"], then["created_at"])
        assert (lead["title"], lead["phone"]) == (news[n].get("title"), news[n].get("phone"))
        assert lead["raw_data"] == ({"Plan": {"a": [1]}} if n == 2 else {})


def table(store):
    """Return the leads of a store without generated ids and versions.

    Versions count transactions, so they depend on the batches.
    """
    leads = [{**lead} for lead in store.get_all_leads()]
    for lead in leads:
        del lead["row_version"]
        if len(lead["id"]) > 2:
            del lead["id"]
    return sorted(leads, key=repr)


def keys(store):
    """Return the keys of all leads, identifying each lead by its content."""
    with store.session(read_only=True) as session:
        rows = session.connection().exec_driver_sql(
            "SELECT kind, value, full_name, company, email, linkedin_url, title "
            "FROM lead_key JOIN leads ON id = lead_id ORDER BY kind, value"
        )
        return [tuple(row) for row in rows]


@SMALL
@given(leads=st.lists(PEOPLE, max_size=8), size=st.integers(1, 8))
def test_many_at_once_are_as_one_after_the_other(leads, size):
    """add_leads, in any batches, leaves the same leads, keys and outcomes as repeated add_lead."""
    with (
        LeadDatabase(":memory:", capture=False, clock=lambda: 0) as one,
        LeadDatabase(":memory:", capture=False, clock=lambda: 0) as many,
    ):
        first = [one.add_lead(lead) for lead in leads]
        second = [outcome.lead_id for outcome in many.add_leads(leads, batch_size=size).outcomes]
        assert table(one) == table(many)
        assert keys(one) == keys(many)
        # The same leads were taken for the same person.
        assert [first.index(i) for i in first] == [second.index(i) for i in second]


@SMALL
@given(leads=st.lists(PEOPLE, max_size=8))
def test_no_key_has_two_leads_and_none_is_orphaned(leads):
    """Every key belongs to one existing lead, and adding a lead again finds it."""
    with LeadDatabase(":memory:", capture=False) as store:
        ids = [store.add_lead(lead) for lead in leads]
        everybody = {lead["id"]: lead for lead in store.get_all_leads()}
        assert set(ids) == set(everybody)
        with store.session(read_only=True) as session:
            owners = session.connection().exec_driver_sql("SELECT lead_id FROM lead_key")
            assert {owner for (owner,) in owners} <= set(everybody)
        for lead_id, lead in everybody.items():
            if lead["email"] and lead["name"] != "Unknown" and "@" in lead["email"]:
                assert store.add_lead(lead) == lead_id
