"""Operations on past migrations: validation against the store, listing, and rollback."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from leadlog.core.clock import now_us
from leadlog.core.doors import parameter
from leadlog.core.errors import MigrationError
from leadlog.leads.migration.copies import (
    BackupManifest,
    default_root,
    digest,
    manifests,
    read_manifest,
)
from leadlog.leads.migration.records import Reading, batches, candidate_of, records_of
from leadlog.leads.migration.result import Progress
from leadlog.leads.migration.runs import COMPLETED, MigrationTables, account_of
from leadlog.leads.migration.verify import Verification, verify_source
from leadlog.leads.store import LeadDatabase
from leadlog.leads.store.backups import restore
from leadlog.leads.store.engine import Connections
from leadlog.leads.store.intake import Candidate
from leadlog.leads.store.location import in_memory
from leadlog.leads.store.models import MigrationRun
from leadlog.logger import DatabaseLogger

__all__ = ["BATCH", "MigrationHistory", "Told"]

BATCH = 1000
"""Default number of records per transaction."""

_COMPARED = 500
Told = Callable[[Progress], object]
"""Called with the progress of a migration; may raise to abort it."""


class MigrationHistory:
    """The past migrations of a store; see `MigrationManager`."""

    def __init__(
        self,
        db: LeadDatabase,
        *,
        backups: str | os.PathLike[str] | None = None,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._db = db
        self._root = default_root(db.url) if backups is None else Path(backups).absolute()
        self._clock = clock

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock() / 1e6, UTC)

    def _ended_at(self, account: str) -> datetime | None:
        """Return the time at which the last migration of a source ended; None if there is none."""
        ends = [
            run.ended_at
            for run in MigrationTables(self._db).all()
            if account in map(account_of, run.details["sources"])
        ]
        return ends[-1] if ends else None

    def _compare(
        self,
        name: str,
        path: Path,
        reading: Reading,
        *,
        report: Verification,
        told: Told,
        ended_at: datetime | None,
    ) -> None:
        size = path.stat().st_size
        with path.open("rb") as stream:
            sha256, _ = digest(stream, lambda _: None)

        def candidates() -> Iterator[list[Candidate]]:
            number = 0
            columns = reading.known_columns()
            with records_of(path, reading, name) as records:
                for batch in batches(records, _COMPARED):
                    told(Progress(name, "verifying", records.position, size, number))
                    number += len(batch)
                    yield [candidate_of(record, columns) for record in batch]

        source_id = MigrationTables(self._db).source(reading.account(sha256))
        verify_source(self._db, source_id, name, candidates(), report=report, ended_at=ended_at)

    def _run(self, migration_id: str | None) -> MigrationRun:
        runs = MigrationTables(self._db).all()
        for run in reversed(runs):
            if migration_id in {None, run.id}:
                return run
        known = ", ".join(run.id for run in runs[-5:]) or "there is none"
        wanted = "no migration" if migration_id is None else f"no migration {migration_id!r}"
        raise MigrationError(f"the store has {wanted}; migrations of it: {known}")

    def validate_migration(self, migration_id: str | None = None) -> Verification:
        """Validate a migration: compare the records of its sources with the store.

        Sources are read from their copies, or from their original path if the content is still the
        same. Leads changed since the migration are counted separately.

        Args:
            migration_id: Id of the migration; None for the last one.

        Raises:
            MigrationError: There is no such migration.
        """
        run = self._run(migration_id)
        report = Verification(run.id)
        copies: dict[str, Path] = {}
        if run.backup is not None and (Path(run.backup) / "manifest.json").is_file():
            manifest = read_manifest(Path(run.backup))
            copies = {one["sha256"]: manifest.directory / one["copy"] for one in manifest.sources}
        runs = MigrationTables(self._db)
        for source in run.details["sources"]:
            path = next(
                (
                    path
                    for path in (copies.get(source["sha256"]), Path(source["path"]))
                    if path is not None and path.is_file() and _has(path, source["sha256"])
                ),
                None,
            )
            if path is None:
                accounted = runs.accounted(runs.source(account_of(source)))
                report.records += accounted
                report.accounted += accounted
                report.unread.append(source["path"])
                continue
            self._compare(
                source["path"],
                path,
                Reading.of(source),
                report=report,
                told=lambda _: None,
                ended_at=run.ended_at,
            )
        return report

    def get_migration_status(self) -> dict[str, Any]:
        """Return the store's migrations as plain JSON data.

        Returns:
            `migrations`, oldest first: `migration_id`, `status` (`completed`, or `running` for a
            migration that is running or was interrupted), `started_at`, `ended_at`, `backup`,
            `data_integrity_maintained`, and for each of `sources` its `path`, `sha256`,
            `size_bytes`, `read_as` (the options with which it was read), `complete`, and the number
            of records `migrated`, `duplicate` and `rejected`.
        """
        runs = MigrationTables(self._db)
        return {
            "migrations": [
                {
                    "migration_id": run.id,
                    "status": run.status,
                    "started_at": run.started_at.isoformat(),
                    "ended_at": None if run.ended_at is None else run.ended_at.isoformat(),
                    "backup": run.backup,
                    "data_integrity_maintained": run.details.get("integrity"),
                    "sources": [
                        {
                            "path": source["path"],
                            "sha256": source["sha256"],
                            "size_bytes": source["size_bytes"],
                            "read_as": Reading.of(source).as_dict(),
                            "complete": bool(runs.complete({account_of(source)})),
                            **runs.outcomes(runs.source(account_of(source))),
                        }
                        for source in run.details["sources"]
                    ],
                }
                for run in runs.all()
            ]
        }

    def backups(self) -> list[BackupManifest]:
        """Return the backups of migrations, oldest first."""
        return list(manifests(self._root))

    def rollback(self, migration_id: str, *, force: bool = False) -> int:
        """Restore the store to its state before a migration, from the migration's backup.

        Args:
            migration_id: Id of the migration.
            force: Whether to roll back even if leads were changed since; those changes are lost.

        Returns:
            The number of leads in the store afterwards.

        Raises:
            MigrationError: There is no backup, or leads were changed since.
        """
        started = time.perf_counter()
        directory = next(
            (
                Path(run.backup)
                for run in MigrationTables(self._db).all()
                if run.id == migration_id and run.backup
            ),
            self._root / migration_id,
        )
        manifest = read_manifest(directory)
        self._check_rollback(manifest, force=force)
        details: dict[str, Any] = {
            "migration_id": migration_id,
            "source_files": [source["path"] for source in manifest.sources],
            "backup_created": False,
            "backup_location": str(directory),
            "validation_enabled": True,
        }
        found: dict[str, Any] = {"success": False}
        try:
            with closing(Connections(self._db.url)) as connections:
                leads = restore(
                    connections, directory / str(manifest.database_backup), replace=True
                )
            found = {
                "success": leads == manifest.leads,
                "total_records": leads,
                "records_migrated": leads,
                "validation_passed": leads == manifest.leads,
            }
        except BaseException as error:
            found["error"] = str(error) or type(error).__name__
            raise
        finally:
            found["execution_time_ms"] = (time.perf_counter() - started) * 1000
            DatabaseLogger().log_migration_operation("rollback", details, found)
        manifest.rolled_back_at = self._now().isoformat()
        manifest.write()
        return leads

    def _check_rollback(self, manifest: BackupManifest, *, force: bool) -> None:
        migration_id, url = manifest.migration_id, self._db.url
        if in_memory(url):
            raise MigrationError(f"{url} is in memory and cannot be rolled back; use a file")
        if manifest.database_backup is None:
            raise MigrationError(f"the database was not backed up before {migration_id}")
        if manifest.database != str(url):
            raise MigrationError(
                f"{manifest.directory} is a backup of {manifest.database}, not of {url}"
            )
        if force:
            return
        if manifest.rolled_back_at is not None:
            raise MigrationError(
                f"{migration_id} was rolled back at {manifest.rolled_back_at}; force it to do so "
                "again"
            )
        runs = MigrationTables(self._db)
        run = self._run(migration_id)
        state = runs.state()
        if run.status == COMPLETED:
            same = [state.count, state.versions] == run.details["after"]
        else:
            created = sum(
                runs.outcomes(runs.source(account_of(source)))["migrated"]
                for source in run.details["sources"]
            )
            same = state.count == run.details["before"][0] + created
        if not same:
            raise MigrationError(
                f"leads were added, changed or deleted since {migration_id}, and a rollback would "
                "lose that; back the store up (`leadlog db backup`), then give "
                f"{parameter('force=True', '--force')}"
            )


def _has(path: Path, sha256: str) -> bool:
    with path.open("rb") as stream:
        return digest(stream, lambda _: None)[0] == sha256
