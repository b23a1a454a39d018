"""The SQLAlchemy session that the store lends."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from leadlog.core.errors import StoreError
from leadlog.leads.store import Lead, LeadDatabase


def test_a_session_commits_at_its_end(db):
    """Changes made in the block are committed at its end."""
    lead_id = db.add_lead({"name": "Ada"})
    with db.session() as session:
        session.get_one(Lead, lead_id).title = "CTO"
    assert db.get_lead(lead_id)["title"] == "CTO"


def test_a_session_rolls_back_on_error(db):
    """An exception in the block rolls everything back and is raised."""
    lead_id = db.add_lead({"name": "Ada"})

    def fail():
        with db.session() as session:
            session.get_one(Lead, lead_id).title = "CTO"
            session.flush()
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail()
    assert db.get_lead(lead_id)["title"] is None


def test_a_database_error_is_raised_as_it_is(db):
    """A database error is raised as SQLAlchemy's exception, and the store remains usable."""
    with pytest.raises(IntegrityError), db.session() as session:
        session.add(Lead(id="1"))
    assert db.add_lead({"name": "Ada"})


def test_a_key_of_nobody_is_refused(db):
    """Foreign keys are enforced, at the latest at COMMIT."""
    with pytest.raises(IntegrityError), db.session() as session:
        session.execute(text("INSERT INTO lead_key VALUES ('email', 'a@b.example', 'nobody')"))


def test_a_read_only_session_cannot_write(db):
    """The database refuses every write in a read-only session, and allows writes afterwards."""
    lead_id = db.add_lead({"name": "Ada"})

    def write():
        with db.session(read_only=True) as session:
            session.get_one(Lead, lead_id).title = "CTO"
            session.flush()

    with pytest.raises(DBAPIError):
        write()
    with pytest.raises(DBAPIError), db.session(read_only=True) as session:
        session.execute(text("DELETE FROM leads"))
    with db.session(read_only=True) as session:
        assert session.scalars(select(Lead.full_name)).all() == ["Ada"]
    assert db.update_lead(lead_id, {"title": "CEO"})


def test_a_read_only_session_sees_one_state(tmp_path):
    """A read-only session does not see other commits, and blocks no writer."""
    with LeadDatabase(tmp_path / "leads.db", capture=False) as db:
        with db.session(read_only=True) as session:
            count = select(Lead.id)
            assert len(session.scalars(count).all()) == 0
            db.add_lead({"name": "Ada"})
            assert len(session.scalars(count).all()) == 0
        assert db.stats()["total_leads"] == 1


def test_a_thread_that_would_wait_for_itself_is_told(tmp_path):
    """A write during the same thread's open session raises at once instead of hanging."""
    for database in (tmp_path / "leads.db", ":memory:"):
        with LeadDatabase(database, capture=False) as db:
            with db.session(), pytest.raises(StoreError, match="use the open session for it"):
                db.add_lead({"name": "Ada"})
            assert db.add_lead({"name": "Ada"})
    with (
        LeadDatabase(":memory:", capture=False) as db,
        db.session(read_only=True),
        pytest.raises(StoreError, match="one connection of an in-memory database"),
    ):
        db.stats()


def test_other_threads_wait_for_a_session(url):
    """A write of another thread waits for the session to end, and loses nothing."""
    with LeadDatabase(url, capture=False) as db:
        lead_id = db.add_lead({"name": "Ada", "n": 0})
        inside = threading.Event()

        def other() -> None:
            inside.wait()
            db.update_lead(lead_id, {"other": True})

        thread = threading.Thread(target=other)
        thread.start()
        with db.session() as session:
            lead = session.get_one(Lead, lead_id, with_for_update=True)
            inside.set()
            lead.raw_data = {**lead.raw_data, "n": 1}
        thread.join()
        assert db.get_lead(lead_id)["raw_data"] == {"n": 1, "other": True}
