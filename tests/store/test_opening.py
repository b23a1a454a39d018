"""Opening a store by path or URL, and the errors of those that cannot be opened."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from leadlog.core.errors import StoreError
from leadlog.leads.store import LeadDatabase


def test_a_path_opens_a_file_and_makes_its_directories(tmp_path):
    """A path opens a file, creates missing directories, and finds its data again."""
    path = tmp_path / "some" / "where" / "leads.db"
    with LeadDatabase(path, capture=False) as db:
        lead_id = db.add_lead({"name": "Ada"})
    with LeadDatabase(str(path), capture=False) as db:
        assert db.get_lead(lead_id)["name"] == "Ada"
    with LeadDatabase(f"sqlite:///{path}", capture=False) as db:
        assert db.stats()["total_leads"] == 1
    assert list(path.parent.iterdir()) == [path]


def test_without_a_database_the_setting_decides(tmp_path, monkeypatch):
    """Without an argument, LEADLOG_DATABASE decides; the default is leads.db here."""
    with LeadDatabase(capture=False) as db:
        assert db.url.database == str(Path.cwd() / "leads.db")
    monkeypatch.setenv("LEADLOG_DATABASE", f"sqlite:///{tmp_path}/other.db")
    with LeadDatabase(capture=False) as db:
        assert db.url.database == f"{tmp_path}/other.db"


def test_a_relative_path_stays_where_it_was(tmp_path, monkeypatch):
    """Changing the working directory after opening does not open a second file."""
    (tmp_path / "elsewhere").mkdir()
    with LeadDatabase("leads.db", capture=False) as db:
        monkeypatch.chdir("elsewhere")
        with db.session(read_only=True) as session:
            session.connection()
            assert db.add_lead({"name": "Ada"})  # on a second connection
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    "url", [":memory:", "sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"]
)
def test_a_store_in_memory_is_empty_each_time(url):
    """A new in-memory store is empty."""
    for _ in range(2):
        with LeadDatabase(url, capture=False) as db:
            assert db.stats()["total_leads"] == 0
            db.add_lead({"name": "Ada"})
            assert db.stats()["total_leads"] == 1


@pytest.mark.parametrize(
    ("database", "message"),
    [
        ("mysql://u:secret@host/x", "does not run on 'mysql'"),
        ("sqlite+aiosqlite:///x.db", "does not run on 'sqlite"),
        ("postgresql+asyncpg://u:secret@host/x", "does not run on 'postgresql"),
        ("nonsense://u:secret@host/x", "does not run on 'nonsense'"),
        ("postgresql+psycopg://u:secret@host:port/x", "cannot be read; write it like"),
        ("", "is not a database"),
        (b"leads.db", "is not a database"),
        (5, "is not a database"),
    ],
)
def test_what_the_store_does_not_run_on_is_refused(database, message):
    """The error lists the supported databases and never shows a password."""
    with pytest.raises(StoreError, match=message) as caught:
        LeadDatabase(database, capture=False)
    assert "secret" not in str(caught.value)


def test_an_unreachable_server_is_one_clear_error():
    """The error says what to check, hides the password and keeps the cause."""
    url = "postgresql://ada:secret@127.0.0.1:1/leads?connect_timeout=2"
    with pytest.raises(StoreError, match="check that the server runs") as caught:
        LeadDatabase(url, capture=False)
    assert "ada:***@127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_missing_driver_is_told_with_the_remedy(tmp_path):
    """Without psycopg the error names the extra to install."""
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from leadlog.leads.store import LeadDatabase\n"
        "LeadDatabase('postgresql://ada@127.0.0.1/leads', capture=False)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert "StoreError: the driver for postgresql+psycopg is not installed" in done.stderr
    assert 'pip install "leadlog[postgres]"' in done.stderr


def test_a_directory_or_another_file_is_refused(tmp_path):
    """A file that is not SQLite and a path that cannot be opened have different errors."""
    with pytest.raises(StoreError, match=r"cannot be opened.*check that the path is a file"):
        LeadDatabase(tmp_path, capture=False)
    (tmp_path / "letter.txt").write_text("Dear Ada, " * 1000)
    with pytest.raises(StoreError, match=r"cannot be opened.*not a SQLite database"):
        LeadDatabase(tmp_path / "letter.txt", capture=False)
    with pytest.raises(StoreError, match=r"letter.txt for the lead store cannot be created"):
        LeadDatabase(tmp_path / "letter.txt" / "leads.db", capture=False)


def test_another_program_s_table_is_left_alone(tmp_path):
    """A database with a foreign table `leads` is refused and left unchanged."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE leads (id INTEGER, metal TEXT)")
    other.close()
    with pytest.raises(StoreError, match="has no column 'full_name', so another program"):
        LeadDatabase(path, capture=False)
    with sqlite3.connect(path) as other:
        tables = other.execute("SELECT name FROM sqlite_master").fetchall()
    other.close()
    assert tables == [("leads",)]


def test_the_password_is_hidden_wherever_the_store_shows_itself():
    """repr and str never show the password; the URL object has it."""
    url = make_url("postgresql+psycopg://ada:secret@127.0.0.1/leads")
    from leadlog.leads.store.engine import Connections
    from leadlog.leads.store.location import location

    connections = Connections(location(url))
    assert "secret" not in f"{connections.url} {connections.url!r}"
    assert connections.url.password == "secret"
    with LeadDatabase(":memory:", capture=False) as db:
        assert repr(db) == "<LeadDatabase sqlite://>"


def test_sqlite_is_set_up_for_many_writers(tmp_path):
    """WAL, foreign keys and a busy timeout are set on every connection."""
    with (
        LeadDatabase(tmp_path / "leads.db", capture=False) as db,
        db.session(read_only=True) as one,
        db.session() as other,
    ):
        for session in (one, other):
            found = [
                session.connection().exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
            ]
            assert found == ["wal", 1, 10_000, 1]


def test_a_store_that_is_forgotten_is_closed(tmp_path):
    """A store that is garbage-collected without close removes SQLite's side files."""
    db = LeadDatabase(tmp_path / "leads.db", capture=False)
    db.add_lead({"name": "Ada"})
    del db
    gc.collect()
    assert list(tmp_path.iterdir()) == [tmp_path / "leads.db"]


def test_the_indexes_serve_the_searches(tmp_path):
    """Searches by the usual fields, paging and the sync queue use an index."""
    with LeadDatabase(tmp_path / "leads.db", capture=False) as db, db.session() as session:
        plans = {
            "email = 'x'": "USING INDEX ix_leads_email",
            "company = 'x'": "USING INDEX ix_leads_company",
            "full_name = 'x'": "USING INDEX ix_leads_full_name",
            "status = 'x'": "USING INDEX ix_leads_status",
            "created_at >= 'x' ORDER BY created_at, id": "USING INDEX ix_leads_created_at",
            "sync_pending ORDER BY updated_at, id": "USING INDEX ix_leads_sync_pending",
            "id > 'x' ORDER BY id LIMIT 5": "USING INDEX sqlite_autoindex_leads_1",
        }
        for condition, index in plans.items():
            statement = f"EXPLAIN QUERY PLAN SELECT * FROM leads WHERE {condition}"
            rows = session.connection().exec_driver_sql(statement).all()
            assert [row for row in rows if index in row[3]], (condition, rows)
            assert not [row for row in rows if "B-TREE" in row[3]], (condition, rows)


def test_a_writer_that_bulk_loads_leaves_the_log_to_grow_and_brings_it_home(tmp_path):
    """During a bulk load the WAL grows; afterwards all its pages are in the database."""
    settings = ("PRAGMA cache_size", "PRAGMA wal_autocheckpoint")

    def told(db: LeadDatabase) -> list[int]:
        with db.session() as session:
            connection = session.connection()
            return [connection.exec_driver_sql(name).scalar_one() for name in settings]

    def in_the_file() -> int:
        copy = tmp_path / "copy.db"
        copy.write_bytes((tmp_path / "leads.db").read_bytes())
        with sqlite3.connect(copy) as connection:
            (count,) = connection.execute("SELECT count(*) FROM leads").fetchone()
        connection.close()
        return count

    many = [{"name": f"Ada {number}", "notes": "x" * 4_000} for number in range(1_500)]
    LeadDatabase(tmp_path / "leads.db", capture=False).close()  # its tables are in the file now
    with LeadDatabase(tmp_path / "leads.db", capture=False) as db:
        usual = told(db)
        with db.connections.bulk_loading():
            db.add_leads(many[:750], batch_size=250)
            db.add_leads(many[750:], batch_size=250)
            assert in_the_file() == 0
            assert db.stats()["total_leads"] == len(many)
        assert in_the_file() == len(many)
        assert told(db) == usual
    with LeadDatabase(":memory:", capture=False) as db, db.connections.bulk_loading():
        lead_id = db.add_lead({"name": "Ada"})
        assert db.get_lead(lead_id)["name"] == "Ada"
