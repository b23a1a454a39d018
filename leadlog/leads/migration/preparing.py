"""The preparation of a migration: its input files, resumption, and backup."""

import secrets
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from os import PathLike
from pathlib import Path

from leadlog.core.errors import MigrationError, ReadError, StoreError
from leadlog.leads.migration.copies import BackupManifest, copy_of, digest, read_manifest
from leadlog.leads.migration.records import Reading
from leadlog.leads.migration.result import MigrationResult, SourceResult
from leadlog.leads.migration.runs import RUNNING, MigrationTables
from leadlog.leads.migration.sources import STDIN, found
from leadlog.leads.store import LeadDatabase
from leadlog.leads.store.models import MigrationRun

__all__ = ["Input", "inputs", "new_migration_id", "prepare"]


@dataclass(slots=True)
class Input:
    """A file to migrate.

    Attributes:
        source: The result for the file.
        path: The path to read from: the file, its copy, or a copy of standard input.
    """

    source: SourceResult
    path: Path


def new_migration_id(now: datetime) -> str:
    """Return a unique id for a migration: its time to the second, and random digits."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def inputs(
    files: Iterable[str | PathLike[str]],
    stack: ExitStack,
    told: Callable[[str, int], object],
) -> list[Input]:
    """Return the files to migrate, with their digests.

    Args:
        files: Files and patterns, as for `leadlog.leads.migration.sources.found`.
        stack: Removes the temporary copy of standard input on exit.
        told: Called with the name of the file and the number of further bytes read.

    Raises:
        ReadError: A file cannot be read.
    """
    made = []
    for path in found(files):
        name = STDIN if path is None else str(path)
        try:
            if path is None:
                path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "stdin"  # noqa: PLW2901 - replaced by the copy from here on
                with path.open("wb") as copy:
                    sha256, size = digest(sys.stdin.buffer, partial(told, name), into=copy)
            else:
                with path.open("rb") as stream:
                    sha256, size = digest(stream, partial(told, name))
        except OSError as error:
            raise ReadError(
                f"cannot read {name}: {error.strerror or error}; give a file of leads"
            ) from error
        made.append(Input(SourceResult(name, sha256, size), path))
    return made


def prepare(
    db: LeadDatabase,
    given: Sequence[Input],
    result: MigrationResult,
    reading: Reading,
    *,
    root: Path | None,
    now: datetime,
) -> bool:
    """Resume an earlier run, begin a new one with a backup, or detect that nothing is left to do.

    Args:
        db: The store.
        given: The files to migrate; their paths are replaced by those of the copies, if any.
        result: Receives the migration's id, its backup, and notes.
        reading: The options for reading the sources; stored with the run.
        root: Directory of the backups; None for no backup.
        now: The current time.

    Returns:
        Whether there are records to write.

    Raises:
        MigrationError: The backup cannot be made.
    """
    runs = MigrationTables(db)
    accounts = {reading.account(one.source.sha256) for one in given}
    earlier = runs.to_resume(accounts)
    if earlier is not None:
        result.migration_id, result.resumed = earlier.id, True
        result.notes.append(f"resumes the migration of {earlier.started_at:%Y-%m-%d %H:%M:%S} UTC")
        if earlier.backup is not None:
            result.backup = Path(earlier.backup)
            _use_copies(given, result.backup)
        return True
    _note_changes(runs, given, result)
    if runs.complete(accounts) == accounts:
        result.notes.append("everything was migrated before; nothing is written")
        return False
    before = runs.state()
    if root is not None:
        result.backup = _put_aside(
            db, given, result, directory=root / result.migration_id, now=now, leads=before.count
        )
    runs.begin(
        MigrationRun(
            id=result.migration_id,
            status=RUNNING,
            started_at=now,
            backup=None if result.backup is None else str(result.backup),
            details={
                "sources": [
                    {
                        "path": one.source.path,
                        "sha256": one.source.sha256,
                        "size_bytes": one.source.size_bytes,
                        "account": reading.account(one.source.sha256),
                        **reading.as_dict(),
                    }
                    for one in given
                ],
                "before": [before.count, before.versions],
            },
        )
    )
    return True


def _use_copies(given: Sequence[Input], backup: Path) -> None:
    try:
        manifest = read_manifest(backup)
    except MigrationError:
        return  # the backup was moved; the original files have the same content
    copies = {source["sha256"]: source["copy"] for source in manifest.sources}
    for one in given:
        name = copies.get(one.source.sha256)
        if name is not None and (backup / name).is_file():
            one.path = backup / name
            one.source.copy = str(one.path)


def _note_changes(runs: MigrationTables, given: Sequence[Input], result: MigrationResult) -> None:
    """Add a note for each file whose content changed since it was last migrated."""
    for one in given:
        if one.source.path == STDIN:
            continue
        for run in reversed(runs.all()):
            then = [s["sha256"] for s in run.details["sources"] if s["path"] == one.source.path]
            if not then:
                continue
            if one.source.sha256 not in then:
                unfinished = ", which was interrupted" if run.status == RUNNING else ""
                result.notes.append(
                    f"{one.source.path} has changed since migration {run.id}{unfinished}; it is "
                    "read again, and leads that are already stored are recognised"
                )
            break


def _put_aside(
    db: LeadDatabase,
    given: Sequence[Input],
    result: MigrationResult,
    *,
    directory: Path,
    now: datetime,
    leads: int,
) -> Path:
    try:
        (directory / "sources").mkdir(parents=True)
        sources = []
        for number, one in enumerate(given, 1):
            name = f"sources/{number:03}-{one.path.name}"
            copy_of(one.path, directory / name, one.source.sha256)
            one.path = directory / name
            one.source.copy = str(one.path)
            sources.append(
                {
                    "path": one.source.path,
                    "sha256": one.source.sha256,
                    "size_bytes": one.source.size_bytes,
                    "copy": name,
                }
            )
        backup: str | None = None
        try:
            backup = db.backup(directory).path.name
        except StoreError as error:
            if db.url.get_backend_name() == "sqlite":
                raise
            result.notes.append(f"the database is not backed up, so no rollback: {error}")
        BackupManifest(
            migration_id=result.migration_id,
            created_at=now.isoformat(),
            database=str(db.url),
            database_backup=backup,
            leads=leads,
            sources=sources,
            directory=directory,
        ).write()
    except OSError as error:
        raise MigrationError(
            f"the backup {directory} cannot be written ({error.strerror}); make room, give "
            "another directory, or do without a backup"
        ) from error
    return directory
