"""Backups, checks, vacuum and the quality report."""

from __future__ import annotations

import os
import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, text

from leadlog.core.errors import StoreError, ValidationError
from leadlog.leads.store import AsyncLeadDatabase, Lead, LeadDatabase, LeadKey
from leadlog.leads.store.backups import restore
from leadlog.leads.store.engine import Connections
from leadlog.leads.store.location import location
from leadlog.leads.store.quality import validators
from leadlog_processors.quality import score

LEADS = [
    {"id": f"{n}", "name": f"Ada{n} King", "company": "Acme", "email": f"ada{n}@acme.example"}
    for n in range(5)
]
TIMES = dict.fromkeys(("created_at", "updated_at"), datetime(2026, 11, 23, tzinfo=UTC))


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def where(request, tmp_path) -> str:
    """The URL of an empty database that can be backed up."""
    if request.param == "file":
        return f"sqlite:///{tmp_path / 'leads.db'}"
    found: str = request.getfixturevalue("postgres_database")
    return found


def content(db: LeadDatabase) -> list[dict]:
    return list(db.get_all_leads())


def bring_back(url: str, source: Path, *, replace: bool = False) -> int:
    connections = Connections(location(url))
    try:
        return restore(connections, source, replace=replace)
    finally:
        connections.close()


def test_a_backup_brings_back_every_lead_and_key(where, tmp_path):
    """A restore over other leads brings back leads, keys, merges and the revision."""
    with LeadDatabase(where, capture=False) as db:
        db.add_leads(LEADS)
        db.add_lead({**LEADS[0], "title": "Countess"})
        before, merges = content(db), db.get_merges()
        made = db.backup(tmp_path / "copies")
        assert (made.leads, made.path.parent) == (5, tmp_path / "copies")
        assert made.size_bytes == made.path.stat().st_size > 0
        assert [path.name for path in made.path.parent.iterdir()] == [made.path.name]
        db.delete_lead("0")
        db.update_lead("1", {"name": "Somebody Else"})
        db.add_lead({"name": "Bob"})
    with pytest.raises(StoreError, match=r"has 5 leads, which the backup would replace"):
        bring_back(where, made.path)
    assert bring_back(where, made.path, replace=True) == 5
    with LeadDatabase(where, capture=False) as db:
        assert content(db) == before
        assert db.get_merges() == merges
        assert db.check() == []
        assert db.add_lead({"name": "Ada0 King", "email": "ADA0@acme.example"}) == "0"


def test_a_backup_made_while_others_write_is_one_moment(where, tmp_path):
    """A backup made during writes contains each batch completely or not at all."""
    with LeadDatabase(where, capture=False) as db, LeadDatabase(where, capture=False) as other:
        db.add_leads(LEADS)
        with other.session() as session:
            session.execute(insert(Lead), [{"id": "x", "full_name": "X", "raw_data": {}, **TIMES}])
            made = db.backup(tmp_path / "copy.db")
        assert made.leads == 5


def test_old_backups_are_removed_after_the_new_one(tmp_path, clock):
    """Rotation removes only backups named after their time, oldest first."""
    folder = tmp_path / "copies"
    folder.mkdir()
    (folder / "leads-mine.db").write_text("not ours")
    with LeadDatabase(tmp_path / "leads.db", capture=False, clock=clock) as db:
        names = []
        for _ in range(4):
            clock.forward(1)
            made = db.backup(folder, keep=2)
            names.append(made.path.name)
        assert [path.name for path in made.removed] == [names[1]]
        assert sorted(path.name for path in folder.iterdir()) == [*names[2:], "leads-mine.db"]
        with pytest.raises(StoreError, match="exists; give another name"):
            db.backup(made.path)
        with pytest.raises(ValidationError, match="keep is"):
            db.backup(folder, keep=0)
        with pytest.raises(ValidationError, match="give a path"):
            db.backup(5)


def test_what_is_no_backup_changes_nothing(where, tmp_path):
    """A damaged, foreign or missing backup raises an error, and the leads stay."""
    with LeadDatabase(where, capture=False) as db:
        db.add_leads(LEADS)
        made = db.backup(tmp_path / "copy.db")
        damaged = tmp_path / "damaged.db"
        raw = bytearray(made.path.read_bytes())
        raw[len(raw) // 3 : len(raw) * 2 // 3] = b"\xff" * (len(raw) * 2 // 3 - len(raw) // 3)
        damaged.write_bytes(raw)
        (tmp_path / "letter.db").write_text("Dear Ada, " * 1000)
    for name in ("damaged.db", "letter.db", "nothing.db"):
        with pytest.raises(StoreError):
            bring_back(where, tmp_path / name, replace=True)
    with LeadDatabase(where, capture=False) as db:
        assert len(content(db)) == 5
        assert db.check() == []


def test_a_backup_of_an_earlier_version_is_upgraded(tmp_path):
    """A backup made by the first version can be restored."""
    from tests.store.test_migrations import first_version

    old = Connections(location(tmp_path / "old.db"))
    first_version(old, leads=3)
    old.close()
    assert bring_back(f"sqlite:///{tmp_path / 'new.db'}", tmp_path / "old.db") == 3
    with LeadDatabase(tmp_path / "new.db", capture=False) as db:
        assert [lead["row_version"] for lead in content(db)] == [1, 1, 1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    """The error names the file and suggests another directory."""
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with LeadDatabase(":memory:", capture=False) as db, pytest.raises(StoreError, match="room"):
        db.backup(tmp_path / "copies")


def test_without_pg_dump_the_error_says_what_to_install(postgres_database, tmp_path, monkeypatch):
    """Without pg_dump on PATH or in Debian's directory, the error names the package."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("leadlog.leads.store.backups.DEBIAN", tmp_path)
    with (
        LeadDatabase(postgres_database, capture=False) as db,
        pytest.raises(StoreError, match=r"pg_dump is not installed.*postgresql-client"),
    ):
        db.backup(tmp_path / "copies")
    assert list((tmp_path / "copies").iterdir()) == []


@pytest.mark.asyncio
async def test_an_asynchronous_store_is_backed_up_in_a_thread(where, tmp_path, logged):
    """The event loop stays free during a backup, and the backup is one record."""
    async with AsyncLeadDatabase(where) as db:
        await db.add_leads(LEADS)
        made = await db.backup(tmp_path / "copies")
        assert made.leads == 5
        assert await db.check() == []
        assert (await db.vacuum())["bytes_after"] > 0
        assert (await db.explain_quality()).leads == 5
    types = [r["operation_details"]["operation_type"] for r in logged("database_operations")]
    assert types == ["add_leads", "backup", "check", "vacuum", "explain_quality"]


def test_what_is_wrong_is_found_and_mended(where):
    """Orphaned keys and merges and missing keys are found, each with its remedy, and repaired."""
    with LeadDatabase(where, capture=False) as db:
        db.add_leads(LEADS)
        db.add_lead({**LEADS[1], "title": "Countess"})
        assert db.check() == []
        with db.session() as session:
            session.execute(delete(LeadKey).where(LeadKey.lead_id == "0"))
            if db.url.get_backend_name() == "sqlite":
                # Only SQLite lets a program turn its foreign keys off.
                session.execute(text("PRAGMA defer_foreign_keys=ON"))
    found_codes = {"missing_keys"}
    if where.startswith("sqlite"):
        other = sqlite3.connect(where.removeprefix("sqlite:///"))
        other.execute("PRAGMA foreign_keys=OFF")
        other.execute("DELETE FROM leads WHERE id = '1'")
        other.commit()
        other.close()
        found_codes |= {"orphan_keys", "orphan_merges"}
    with LeadDatabase(where, capture=False) as db:
        found = db.check()
        assert {finding.code for finding in found} == found_codes
        assert {finding.remedy for finding in found} == {"run: leadlog db check --repair"}
        assert all(finding.count >= 1 and finding.message for finding in found)
        assert db.check(repair=True) == []
        assert db.check() == []
        assert db.add_lead({"name": "ADA0 KING", "email": "ada0@acme.example"}) == "0"


def test_a_damaged_file_is_found(tmp_path):
    """Overwritten pages are an integrity finding with the advice to restore a backup."""
    path = tmp_path / "leads.db"
    with LeadDatabase(path, capture=False) as db:
        db.add_leads({"name": f"Lead {n}", "notes": "x" * 3000} for n in range(50))
        db.vacuum()
    raw = bytearray(path.read_bytes())
    raw[-4096 * 3 : -4096 * 2] = b"\x00" * 4096
    path.write_bytes(raw)
    with LeadDatabase(path, capture=False) as db:
        codes = {finding.code: finding.remedy for finding in db.check()}
    assert "leadlog db restore" in codes["integrity"]


def test_vacuum_gives_space_back(where):
    """After many leads are deleted, vacuum makes the database no larger than before."""
    with LeadDatabase(where, capture=False) as db:
        ids = db.add_leads({"name": f"L {n}", "notes": "x" * 2000} for n in range(500)).ids
        with db.session() as session:
            session.execute(delete(Lead).where(Lead.id.in_(ids)))
        found = db.vacuum()
        assert found["bytes_after"] <= found["bytes_before"]
        if db.url.get_backend_name() == "sqlite":
            assert found["bytes_after"] < found["bytes_before"] / 4
        assert db.add_lead({"name": "Ada"})


def test_quality_is_explained_field_by_field(db):
    """Sums, tiers and codes equal those of the log's scores for the same leads."""
    leads = [
        {"id": "good", "name": "Ada King", "company": "Acme", "email": "ada@acme.com"},
        {"id": "bad", "name": "test", "email": "n/a"},
        {"id": "half", "name": "Bob Ray", "company": "Acme"},
    ]
    db.add_leads(leads)
    report = db.explain_quality(worst=2)
    scores = {lead["id"]: score(lead) for lead in leads}
    assert report.leads == 3
    assert report.mean_score == pytest.approx(sum(s.score for s in scores.values()) / 3, abs=1e-4)
    assert report.tiers == {"high": 1, "medium": 1, "low": 1, "invalid": 0}
    assert sum(report.distribution.values()) == 3
    assert [lead["id"] for lead in report.worst] == ["bad", "half"]
    assert report.worst[0]["issues"][:2] == scores["bad"].issues[:2]
    email = report.fields["email"]
    assert (email.weight, email.faultless) == (25, 1)
    assert email.issues == {"email_placeholder": 1, "email_missing": 1}
    assert email.earned == pytest.approx(25 / 3, abs=0.01)


def test_an_empty_store_has_no_quality(db):
    """Without leads the scores are None, not 0."""
    report = db.explain_quality()
    assert (report.leads, report.mean_score, report.worst) == (0, None, [])
    assert report.fields["name"].earned is None


def test_validator_libraries_look_too_but_change_no_score(memory):
    """Findings of email-validator or phonenumbers have separate codes and change no score."""
    assert [name for name, _, _ in validators()] == ["email-validator", "phonenumbers"]
    lead = {
        "name": "Ada King",
        "company": "Acme",
        "email": "ada@acme.invalid",
        "phone": "+1 555 0100",
    }
    memory.add_lead(lead)
    report = memory.explain_quality()
    assert report.validators == ("email-validator", "phonenumbers")
    assert report.fields["email"].issues == {"email_refused_by_email_validator": 1}
    assert report.fields["phone"].issues == {"phone_refused_by_phonenumbers": 1}
    assert report.mean_score == score(lead).score
