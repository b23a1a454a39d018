"""The log records of the store's calls."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import leadlog
from leadlog.core.errors import ValidationError
from leadlog.leads.store import LeadDatabase

ADA = {"name": "Ada Lovelace", "company": "Acme", "email": "ada@acme.example"}


@pytest.fixture
def recorded(url: str) -> Iterator[LeadDatabase]:
    """An empty store on each database, with capture."""
    with LeadDatabase(url) as store:
        yield store


@pytest.fixture
def operations(logged):
    """A function that returns the records of all calls so far."""

    def read():
        leadlog.flush()
        return logged("database_operations")

    return read


def test_every_call_is_one_record_that_says_what_it_did(recorded, operations):
    """Each method writes one record with its outcome and the number of leads."""
    ada = recorded.add_lead(ADA)
    recorded.add_lead(ADA)
    recorded.add_lead({**ADA, "title": "Countess"})
    recorded.add_leads([ADA, {"name": "Bob"}, {"company": "nobody's"}])
    recorded.get_lead(ada)
    recorded.get_lead("nobody")
    recorded.update_lead(ada, {"title": "Analyst"})
    recorded.update_lead("nobody", {"title": "Analyst"})
    recorded.search_leads({"company": "Acme"})
    list(recorded.get_all_leads(page_size=1))
    recorded.find_duplicates({"email": ADA["email"]})
    recorded.mark_for_sync()
    recorded.get_sync_pending_leads()
    recorded.stats()
    recorded.delete_lead(ada)
    recorded.delete_lead(ada)
    assert [
        (
            record["operation_details"]["operation_type"],
            record["operation_details"]["outcome"],
            record["operation_details"]["records_affected"],
        )
        for record in operations()
    ] == [
        ("add_lead", "committed", 1),
        ("add_lead", "completed", 0),
        ("add_lead", "committed", 1),
        ("add_leads", "committed", 1),
        ("get_lead", "completed", 1),
        ("get_lead", "completed", 0),
        ("update_lead", "committed", 1),
        ("update_lead", "completed", 0),
        ("search_leads", "completed", 1),
        ("get_all_leads", "completed", 2),
        ("find_duplicates", "completed", 1),
        ("mark_for_sync", "committed", 2),
        ("get_sync_pending_leads", "completed", 2),
        ("stats", "completed", None),
        ("delete_lead", "committed", 1),
        ("delete_lead", "completed", 0),
    ]


def test_a_duplicate_says_what_it_matched_on_and_what_was_done(recorded, operations):
    """New leads, updates and leads created next to a possible duplicate are distinguished."""
    recorded.add_lead(ADA)
    recorded.add_lead({"name": "ADA LOVELACE", "company": "Acme Inc", "phone": "555"})
    recorded.add_lead({"name": "Bob", "email": ADA["email"]})
    found = [
        (
            record["operation_details"]["duplicate_detected"],
            record["data_details"]["duplicate_action"],
            record["data_details"]["duplicate_matched_on"],
        )
        for record in operations()
    ]
    assert found == [
        (False, "none", None),
        (True, "updated", "name_company"),
        (False, "created", "email"),
    ]


def test_each_batch_is_one_record_that_counts_its_leads(recorded, operations):
    """Created, updated and rejected leads add up to the batch; one call has one call_id."""
    recorded.add_lead(ADA)
    leads = [ADA, {"name": "Bob"}, {}, {"name": "Carl"}, {"name": "Dora"}]
    recorded.add_leads(iter(leads), batch_size=2)
    recorded.add_leads([])
    _, *batches, nothing = operations()
    counts = [
        [
            record["data_details"][key]
            for key in ("batch_number", "leads_created", "leads_updated", "leads_rejected")
        ]
        for record in batches
    ]
    assert counts == [[1, 1, 1, 0], [2, 1, 0, 1], [3, 1, 0, 0]]
    assert len({record["data_details"]["call_id"] for record in batches}) == 1
    assert len({record["operation_details"]["operation_id"] for record in batches}) == 3
    assert len({record["operation_details"]["transaction_id"] for record in batches}) == 3
    first = batches[0]["data_details"]
    assert (first["duplicate_action"], first["duplicate_matched_on"]) == ("updated", "email")
    assert nothing["data_details"]["leads_created"] == 0
    assert nothing["operation_details"]["success"] is True


def test_an_iterable_that_fails_is_recorded_beside_its_batches(recorded, operations, logged):
    """Earlier batches have their records, and the error of the iterable has its own."""

    def leads():
        yield from ({"name": f"Lead {number}"} for number in range(3))
        raise RuntimeError("source is gone")

    for given in (leads(), "Ada"):
        with pytest.raises((RuntimeError, ValidationError)):
            recorded.add_leads(given, batch_size=2)
    found = [
        (record["operation_details"]["success"], record["data_details"]["batch_number"])
        for record in operations()
    ]
    assert found == [(True, 1), (False, 2), (False, 1)]
    assert "source is gone" in logged("error_logs")[0]["error_details"]["error_message"]


def test_changes_are_recorded_with_old_and_new_values(recorded, operations):
    """An update's record has old and new values; a get's record has the lead's id."""
    lead_id = recorded.add_lead({**ADA, "Index": 1})
    recorded.update_lead(lead_id, {"title": "Countess", "Segment": "A"})
    recorded.get_lead(lead_id)
    _, updated, read = operations()
    changes = updated["data_details"]["fields_changed"]
    assert changes.pop("updated_at")
    assert changes.pop("row_version") == {"old": 1, "new": 2}
    assert changes == {
        "title": {"old": None, "new": "Countess"},
        "raw_data": {"old": {"Index": 1}, "new": {"Index": 1, "Segment": "A"}},
    }
    for record in (updated, read):
        assert record["lead_identifier"]["lead_id"] == lead_id
        assert record["lead_identifier"]["email"] == ADA["email"]
        assert record["training_labels"]["data_quality"] == "high"


def test_a_call_costs_few_statements(recorded, operations):
    """Adding looks up keys, claims them and inserts; getting selects; changing reads first.

    Deleting also takes away the link with Airtable.
    """
    lead_id = recorded.add_lead(ADA)
    recorded.get_lead(lead_id)
    recorded.update_lead(lead_id, {"title": "Countess"})
    recorded.search_leads({"company": "Acme"})
    recorded.delete_lead(lead_id)
    queries = [record["performance_metrics"]["database_queries"] for record in operations()]
    assert queries == [3, 1, 2, 1, 3]


def test_a_refused_lead_is_recorded_with_its_error(recorded, operations, logged):
    """A failed call has a record, and an error with the same operation_id."""
    with pytest.raises(ValidationError):
        recorded.add_lead({"company": "Acme"})
    (record,) = operations()
    (error,) = logged("error_logs")
    assert record["operation_details"]["success"] is False
    assert "a lead needs a name" in record["operation_details"]["error_message"]
    assert error["context"]["operation_id"] == record["operation_details"]["operation_id"]
    assert error["error_details"]["error_type"] == "validation_error"


def test_a_database_error_is_raised_and_recorded(recorded, operations, logged):
    """A database error is raised and logged, in every method."""
    with recorded.session() as session:
        for table in ("lead_key", "lead_merge"):
            session.execute(text(f"DROP TABLE {table}"))
        session.execute(text("DROP TABLE leads"))
    for call in (
        lambda: recorded.add_lead(ADA),
        lambda: recorded.add_leads([ADA]),
        lambda: recorded.get_lead("1"),
        lambda: recorded.update_lead("1", {"title": "x"}),
        lambda: recorded.delete_lead("1"),
        recorded.search_leads,
        lambda: list(recorded.get_all_leads()),
        lambda: recorded.find_duplicates(ADA),
        recorded.mark_for_sync,
        recorded.get_sync_pending_leads,
        recorded.stats,
    ):
        with pytest.raises(DBAPIError):
            call()
    records = operations()
    assert [record["operation_details"]["success"] for record in records] == [False] * 11
    errors = logged("error_logs")
    assert {error["error_details"]["error_type"] for error in errors} == {"database_error"}
    assert [error["context"]["operation_id"] for error in errors] == [
        record["operation_details"]["operation_id"] for record in records
    ]


def test_the_records_of_racing_threads_add_up_to_the_table(recorded, operations):
    """With racing threads, the log records the creation of each lead exactly once."""
    people = [{"name": f"Ada{n}", "email": f"ada{n}@acme.example"} for n in range(20)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: [recorded.add_lead(lead) for lead in people], range(6)))
    created = [
        record["lead_identifier"]["lead_id"]
        for record in operations()
        if record["operation_details"]["duplicate_detected"] is False
    ]
    assert {record["operation_details"]["success"] for record in operations()} == {True}
    assert sorted(created) == sorted(found[0])
    assert sorted(created) == [lead["id"] for lead in recorded.get_all_leads()]
