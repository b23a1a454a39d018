"""Lost races on PostgreSQL, reproduced by holding the decisive moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, insert, text

import leadlog
from leadlog.leads.store import Lead, LeadDatabase, LeadKey

pytestmark = pytest.mark.postgres
EMAIL = "ada@acme.example"


@pytest.fixture
def store(postgres_database: str) -> Iterator[LeadDatabase]:
    """An empty store with capture."""
    with LeadDatabase(postgres_database) as found:
        yield found


@pytest.fixture
def rival(postgres_database: str, store: LeadDatabase) -> Iterator[Engine]:
    """A second engine on the same database."""
    engine = create_engine(postgres_database)
    yield engine
    engine.dispose()


def while_it_waits(rival: Engine, first: list[Any], call: Any) -> Any:
    """Do `first` in a rival transaction, start `call`, commit when it waits; return its result."""
    started = threading.Event()

    def run():
        started.set()
        return call()

    with ThreadPoolExecutor(1) as pool, rival.connect() as watcher:
        with rival.begin() as connection:
            for statement, row in first:
                connection.execute(statement, row)
            future = pool.submit(run)
            started.wait()
            waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            while not watcher.execute(waiting).scalar_one():
                assert not future.done(), future.result()
                watcher.rollback()
        return future.result(timeout=30)


def a_lead(lead_id: str, name: str) -> tuple[Any, dict[str, Any]]:
    row = {"id": lead_id, "full_name": name, "email": EMAIL, "raw_data": {}}
    now = text("now()")
    return insert(Lead).values(created_at=now, updated_at=now), row


def a_key(lead_id: str) -> tuple[Any, dict[str, Any]]:
    return insert(LeadKey), {"kind": "email", "value": EMAIL, "lead_id": lead_id}


def logged_add(logged: Any) -> dict[str, Any]:
    leadlog.flush()
    (found,) = (
        record
        for record in logged("database_operations")
        if record["operation_details"]["operation_type"] in {"add_lead", "update_lead"}
    )
    return found


def test_a_key_that_is_taken_while_adding_makes_a_duplicate(store, rival, logged):
    """The loser of a race for a key updates the winner's lead, and the log records it."""
    lead_id = while_it_waits(
        rival,
        [a_lead("first", "Ada"), a_key("first")],
        lambda: store.add_lead({"name": "ADA", "email": EMAIL, "title": "CTO"}),
    )
    assert lead_id == "first"
    assert store.get_lead("first")["title"] == "CTO"
    assert store.stats()["total_leads"] == 1
    record = logged_add(logged)
    assert record["operation_details"]["outcome"] == "committed"
    assert record["operation_details"]["duplicate_detected"] is True
    assert record["data_details"]["fields_changed"]["title"] == {"old": None, "new": "CTO"}


def test_an_address_that_is_taken_while_updating_stays_the_other_s(store, rival):
    """An update that loses an address to another lead is stored without the key."""
    with store.session() as session:
        session.execute(*a_lead("mine", "Bob"))
        session.execute(text("UPDATE leads SET email = NULL"))
    assert while_it_waits(
        rival,
        [a_lead("first", "Ada"), a_key("first")],
        lambda: store.update_lead("mine", {"email": EMAIL}),
    )
    assert store.get_lead("mine")["email"] == EMAIL
    assert store.add_lead({"name": "Ada", "email": EMAIL}) == "first"
    assert store.add_lead({"name": "Bob", "email": EMAIL}) == "mine"


def test_an_id_that_is_taken_while_adding_is_kept_as_raw_data(store, rival, logged):
    """The transaction is retried, and the lead gets a new id."""
    lead_id = while_it_waits(
        rival,
        [a_lead("1", "Ada")],
        lambda: store.add_lead({"id": "1", "name": "Bob"}),
    )
    assert lead_id != "1"
    assert store.get_lead(lead_id)["raw_data"] == {"id": "1"}
    assert logged_add(logged)["operation_details"]["outcome"] == "committed"


def test_a_lead_that_is_deleted_while_adding_is_created(store, rival):
    """If the duplicate is deleted during the call, the lead is created."""
    store.add_lead({"id": "first", "name": "Ada", "email": EMAIL})
    delete = (text("DELETE FROM leads WHERE id = :id"), {"id": "first"})
    lead_id = while_it_waits(
        rival, [delete], lambda: store.add_lead({"name": "Ada", "email": EMAIL})
    )
    assert lead_id != "first"
    assert [lead["id"] for lead in store.get_all_leads()] == [lead_id]


def test_two_transactions_that_wait_for_each_other_both_get_through(store, rival, logged):
    """A transaction that the database aborts in a deadlock is retried."""
    store.add_lead({"id": "a", "name": "Ada"})
    store.add_lead({"id": "b", "name": "Bob"})
    lock = text("SELECT * FROM leads WHERE id = :id FOR UPDATE")
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    with ThreadPoolExecutor(1) as pool, rival.connect() as watcher:
        with rival.begin() as connection:
            connection.execute(text("SET deadlock_timeout = '60s'"))  # it is the other who gives up
            connection.execute(lock, {"id": "b"})
            future = pool.submit(
                store.add_leads, [{"id": "a", "name": "ADA", "n": 1}, {"id": "b", "name": "BOB"}]
            )
            while not watcher.execute(waiting).scalar_one():
                watcher.rollback()
            connection.execute(lock, {"id": "a"})
        assert future.result(timeout=30).updated == 2
    assert store.get_lead("a")["raw_data"] == {"n": 1}
    leadlog.flush()
    assert {record["operation_details"]["outcome"] for record in logged("database_operations")} <= {
        "committed",
        "completed",
    }
