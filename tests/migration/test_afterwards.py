"""After a migration: validation, backups and rollback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from leadlog.core.errors import MigrationError
from leadlog.leads.migration import MigrationManager
from leadlog.leads.store import LeadDatabase
from leadlog.testing import generate_leads
from tests.migration.conftest import items, stored

ADA = {"name": "Ada King", "company": "Acme", "email": "ada@acme.example", "Pet": "Rex"}
BOB = {"name": "Bob Ray", "company": "Beta"}


def execute(db: LeadDatabase, statement: str) -> None:
    """Change the database without going through the store."""
    with db.session() as session:
        session.execute(text(statement))


def test_messy_leads_are_found_in_the_store(manager, db, file):
    """Duplicates within the file and the values they overwrote are not differences."""
    result = manager.migrate_json_files([file(list(generate_leads(400)))], batch_size=50)
    assert result.duplicates > 0
    report = manager.validate_migration()
    assert (report.records, report.accounted, report.problems) == (400, 400, [])
    assert (report.ok, report.content_compared) == (True, True)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE leads SET email = NULL WHERE full_name = 'Ada King'", "differs from its lead"),
        ("UPDATE leads SET raw_data = '{}' WHERE full_name = 'Ada King'", "raw_data"),
        ("UPDATE leads SET created_at = '1999-01-01 00:00:00'", "created_at"),
        ("DELETE FROM lead_key", None),
        ("DELETE FROM leads WHERE full_name = 'Bob Ray'", "is not there"),
        ("DELETE FROM migration_item WHERE ordinal = 1", "nothing is known of record 1"),
        ("UPDATE migration_item SET outcome = 'rejected' WHERE ordinal = 0", "as before"),
        ("UPDATE migration_item SET ordinal = 9 WHERE ordinal = 1", "record 9"),
    ],
)
def test_what_is_not_as_it_was_read_is_found(sqlite, file, statement, problem):
    """A lost value, lead or outcome is reported by name."""
    db, manager = sqlite, MigrationManager(sqlite)
    leads = [{**ADA, "created_at": "2020-01-01T00:00:00Z"}, BOB]
    manager.migrate_json_files([file(leads)])
    execute(db, statement)
    report = manager.validate_migration()
    assert report.ok is (problem is None)
    if problem is not None:
        assert any(problem in found for found in report.problems)


def test_a_loss_during_the_run_is_told_by_its_result(sqlite, file, logged):
    """data_integrity_maintained is False if a lead was lost during the run."""

    def lose(progress):
        if progress.step == "verifying" and progress.records == 0:
            execute(sqlite, "DELETE FROM leads WHERE full_name = 'Bob Ray'")

    result = MigrationManager(sqlite).migrate_json_files([file([ADA, BOB])], progress=lose)
    assert result.data_integrity_maintained is False
    assert any("record 1 is not there" in note for note in result.notes)
    (run,) = logged("migration_operations")
    assert run["migration_results"]["success"] is False
    assert run["training_labels"]["data_integrity_maintained"] is False


def test_later_changes_are_no_loss(manager, db, file):
    """Leads changed after the migration are counted separately."""
    manager.migrate_json_files([file([ADA, BOB])])
    (ada,) = db.search_leads({"name": "Ada King"})
    db.update_lead(ada["id"], {"company": "Gamma"})
    report = manager.validate_migration()
    assert (report.changed_since, report.different, report.ok) == (1, 0, True)


def test_without_verification_nothing_is_claimed(manager, file, logged):
    """With verify=False the integrity is null in the result and in the log."""
    result = manager.migrate_json_files([file([ADA])], verify=False)
    assert (result.data_integrity_maintained, result.verify_seconds) == (None, None)
    (run,) = logged("migration_operations")
    assert run["training_labels"]["data_integrity_maintained"] is None
    assert run["migration_details"]["validation_enabled"] is False


def test_without_a_source_it_is_counted_only(sqlite, file):
    """Without the file and its copy, content_compared is False."""
    manager = MigrationManager(sqlite)
    path = file([ADA, BOB])
    manager.migrate_json_files([path], backup=False)
    assert manager.validate_migration().ok is True
    path.write_text("[]")
    report = manager.validate_migration()
    assert (report.ok, report.content_compared, report.records) == (None, False, 2)


def test_going_back(manager, db, file, logged):
    """A rollback restores the store, and the file can be migrated again."""
    db.add_lead(ADA)
    before = stored(db)
    path = file([{**ADA, "company": "Changed"}, BOB])
    result = manager.migrate_json_files([path])
    assert stored(db) != before
    assert manager.rollback(result.migration_id) == 1
    assert stored(db) == before
    assert items(db) == []
    assert logged("migration_operations")[-1]["event_name"] == "migration.rollback"
    assert logged("migration_operations")[-1]["migration_results"]["success"] is True
    with pytest.raises(MigrationError, match="was rolled back at"):
        manager.rollback(result.migration_id)
    assert manager.migrate_json_files([path]).migrated == 1


def test_going_back_from_an_interrupted_run(manager, db, file):
    """An interrupted run can be rolled back as well."""

    def stop(progress):
        if progress.records >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.migrate_json_files([file(list(generate_leads(50)))], batch_size=10, progress=stop)
    (run,) = manager.get_migration_status()["migrations"]
    assert manager.rollback(run["migration_id"]) == 0


def test_going_back_over_others_work_needs_force(manager, db, file):
    """A rollback that would lose later leads or changes needs force."""
    result = manager.migrate_json_files([file([ADA])])
    db.add_lead(BOB)
    with pytest.raises(MigrationError, match="changed or deleted since"):
        manager.rollback(result.migration_id)
    assert db.stats()["total_leads"] == 2
    assert manager.rollback(result.migration_id, force=True) == 0


def test_copies_and_backups_are_listed(manager, db, file, tmp_path):
    """Each migration has a directory with exact copies of its sources and the store's backup."""
    db.add_lead(BOB)
    path = file([ADA])
    result = manager.migrate_json_files([path])
    (backup,) = manager.backups()
    assert (backup.migration_id, backup.leads) == (result.migration_id, 1)
    assert (backup.directory / backup.sources[0]["copy"]).read_bytes() == path.read_bytes()
    assert (backup.directory / str(backup.database_backup)).stat().st_size > 0


def test_a_backup_that_is_not_whole_is_none(sqlite, file):
    """A directory without a manifest is not a backup, and a rollback to it is refused."""
    manager = MigrationManager(sqlite)
    result = manager.migrate_json_files([file([ADA])])
    assert result.backup is not None
    (result.backup / "manifest.json").write_text(json.dumps({"migration_id": 1}))
    with pytest.raises(MigrationError, match="no complete backup"):
        manager.rollback(result.migration_id)


def test_going_back_without_a_backup_is_refused(sqlite, file):
    """A rollback without a backup, or of an unknown migration, is refused."""
    manager = MigrationManager(sqlite)
    result = manager.migrate_json_files([file([ADA])], backup=False)
    for migration_id in (result.migration_id, "20200101T000000-0000"):
        with pytest.raises(MigrationError, match="no complete backup"):
            manager.rollback(migration_id)


def test_another_stores_backup_is_not_taken(sqlite, file, tmp_path):
    """A backup of another store is refused."""
    backups = tmp_path / "shared"
    result = MigrationManager(sqlite, backups=backups).migrate_json_files([file([ADA])])
    with (
        LeadDatabase(tmp_path / "other.db", capture=False) as other,
        pytest.raises(MigrationError, match="not of"),
    ):
        MigrationManager(other, backups=backups).rollback(result.migration_id, force=True)


def test_a_store_in_memory_can_be_migrated_into(file):
    """An in-memory store can be migrated into, but its rollback is refused."""
    with LeadDatabase(":memory:", capture=False) as db:
        manager = MigrationManager(db)
        result = manager.migrate_json_files([file([ADA])])
        assert result.data_integrity_maintained is True
        with pytest.raises(MigrationError, match="in memory"):
            manager.rollback(result.migration_id)


def test_an_unknown_migration_is_named_with_those_there_are(sqlite, file):
    """The error for an unknown migration lists the known ones, or says that there are none."""
    manager = MigrationManager(sqlite)
    with pytest.raises(MigrationError, match="no migration; migrations of it: there is none"):
        manager.validate_migration()
    result = manager.migrate_json_files([file([ADA])])
    with pytest.raises(MigrationError, match=result.migration_id):
        manager.validate_migration("x")


def test_backups_beside_the_file(sqlite, file, tmp_path: Path):
    """By default backups are next to the SQLite file."""
    result = MigrationManager(sqlite).migrate_json_files([file([ADA])])
    assert result.backup == tmp_path / "migration_backups" / result.migration_id
