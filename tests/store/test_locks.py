"""Lock timeouts are retried, logged as recovered, and finally raised."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from leadlog.leads.store import LeadDatabase

ADA = {"id": "ada", "name": "Ada", "company": "Acme"}


@pytest.fixture
def failures() -> Iterator[list[Callable[[], None]]]:
    """Yield a list of functions; each database error calls and removes the first."""
    planned: list[Callable[[], None]] = []

    def failed(context):
        if planned:
            planned.pop(0)()

    event.listen(Engine, "handle_error", failed)
    yield planned
    event.remove(Engine, "handle_error", failed)


def nothing():
    pass


def test_a_locked_sqlite_file_is_tried_again(tmp_path, failures, logged):
    """After two failed attempts the third succeeds, and the log has the call and its recovery."""
    path = tmp_path / "leads.db"
    with LeadDatabase(f"sqlite:///{path}?timeout=0.05") as db:
        rival = sqlite3.connect(path, isolation_level=None)
        rival.execute("BEGIN IMMEDIATE")
        failures += [nothing, lambda: rival.execute("ROLLBACK")]
        assert db.add_lead(ADA) == "ada"
        rival.close()
    assert failures == []
    (record,) = logged("database_operations")
    assert record["operation_details"]["outcome"] == "committed"
    (error,) = logged("error_logs")
    assert error["context"]["operation_id"] == record["operation_details"]["operation_id"]
    assert error["error_details"]["error_message"].startswith("(sqlite3.OperationalError)")
    assert error["level"] == "warning"
    assert error["recovery_info"] == {
        "recovery_attempted": True,
        "recovery_successful": True,
        "recovery_method": "transaction rolled back and done again, 2 times, with backoff",
        "data_loss_occurred": False,
    }
    assert error["training_labels"]["recoverable"] is True


def test_a_file_that_stays_locked_is_an_error_after_five_attempts(tmp_path, failures, logged):
    """After five attempts the database's error is raised and logged, and nothing is written."""
    path = tmp_path / "leads.db"
    with LeadDatabase(f"sqlite:///{path}?timeout=0.01") as db:
        rival = sqlite3.connect(path, isolation_level=None)
        rival.execute("BEGIN IMMEDIATE")
        failures += [nothing] * 9
        with pytest.raises(DBAPIError, match="database is locked"):
            db.add_lead(ADA)
        rival.close()
        assert len(failures) == 4
        assert db.get_lead("ada") is None
    record, _ = logged("database_operations")
    assert record["operation_details"]["success"] is False
    (error,) = logged("error_logs")
    assert error["recovery_info"]["recovery_successful"] is not True


def test_a_lock_timeout_of_postgresql_is_tried_again(postgres_database, failures, logged):
    """An update that hits a lock timeout is retried and succeeds."""
    url = f"{postgres_database}?options=-c%20lock_timeout%3D50ms"
    rival = create_engine(postgres_database)
    with LeadDatabase(url) as db, rival.connect() as holder:
        db.add_lead(ADA)
        holder.execute(text("SELECT * FROM leads WHERE id = 'ada' FOR UPDATE"))
        failures.append(holder.rollback)
        assert db.update_lead("ada", {"title": "Countess"})
        assert db.get_lead("ada")["title"] == "Countess"
    rival.dispose()
    updated = logged("database_operations")[1]
    assert updated["data_details"]["fields_changed"]["title"] == {"old": None, "new": "Countess"}
    (error,) = logged("error_logs")
    assert error["error_details"]["error_code"] == "55P03"
    assert error["recovery_info"]["recovery_successful"] is True
    assert error["context"]["operation_in_progress"] == "update_lead"


def test_other_errors_are_not_tried_again(db, failures):
    """A permanent error is raised at once."""
    failures += [nothing] * 3
    with db.session() as session:
        for table in ("lead_key", "lead_merge", "leads"):
            session.execute(text(f"DROP TABLE {table}"))
    with pytest.raises(DBAPIError):
        db.add_lead(ADA)
    assert len(failures) == 2


def test_opening_a_new_file_that_is_locked_is_tried_again(tmp_path, failures):
    """Opening a store retries while another process holds the lock."""
    path = tmp_path / "leads.db"
    rival = sqlite3.connect(path, isolation_level=None)
    rival.execute("PRAGMA journal_mode=WAL")
    rival.execute("BEGIN IMMEDIATE")
    # The first error is that there is no table with the revision yet.
    failures += [nothing, nothing, lambda: rival.execute("ROLLBACK")]
    with LeadDatabase(f"sqlite:///{path}?timeout=0.05", capture=False) as db:
        assert db.add_lead(ADA) == "ada"
    rival.close()
