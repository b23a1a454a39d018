"""The result of a migration."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from leadlog.leads.migration.decoding import RowDecoding

__all__ = ["MigrationResult", "Progress", "Reject", "SourceResult"]


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that was not migrated.

    Attributes:
        source: The file that contains it.
        ordinal: Its number in the source, from 0.
        line: Number of its first line, from 1; None if lines were not counted.
        reason: The reason for the rejection.
        raw: Its text, if it could not be read; else None.
        record: The record, if it could be read; else None.
        cut: Whether the text was truncated.
        table: The table that contains the row; None for JSON.
    """

    source: str
    ordinal: int
    line: int | None
    reason: str
    raw: str | None = None
    record: Any = None
    cut: bool = False
    table: RowDecoding | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a migration.

    Attributes:
        source: The current file.
        step: `copying`, `reading` or `verifying`.
        bytes_done: Number of bytes of all files read so far, in compressed form.
        bytes_total: Total number of bytes of all files.
        records: Number of records read.
    """

    source: str
    step: str
    bytes_done: int
    bytes_total: int
    records: int


@dataclass(slots=True)
class SourceResult:
    """The result for one file.

    Attributes:
        path: The file; `-` for standard input.
        sha256: SHA-256 of its content.
        size_bytes: Its size.
        encoding: Its encoding; None if it was not read.
        copy: Path of its copy; None without a backup.
        records: Number of records read, including those of earlier runs.
        migrated: Number of records that became new leads in this run.
        duplicates: Number of records of leads that were already stored.
        rejected: Number of records that could not be stored.
        skipped: Number of records whose outcome an earlier run had stored.
        suggested: Number of new leads that may be duplicates, because they share a key with
            another lead but a value contradicts it.
        notes: Counts of harmless irregularities, by description.
        columns: Field by column, for a table.
        not_mapped: Columns with values but without a field; kept in `raw_data`.
    """

    path: str
    sha256: str
    size_bytes: int
    encoding: str | None = None
    copy: str | None = None
    records: int = 0
    migrated: int = 0
    duplicates: int = 0
    rejected: int = 0
    skipped: int = 0
    suggested: int = 0
    notes: dict[str, int] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    not_mapped: list[str] = field(default_factory=list)


@dataclass(slots=True)
class MigrationResult:
    """The result of a migration.

    Attributes:
        migration_id: Id of the migration, for `rollback`; that of the resumed run, if any.
        dry_run: Whether nothing was written.
        resumed: Whether it continued an interrupted run.
        sources: The result for each file.
        records: Number of records read.
        migrated: Number of records that became new leads in this run.
        duplicates: Number of records of leads that were already stored; None in a dry run.
        rejected: Number of records that could not be stored.
        skipped: Number of records whose outcome an earlier run had stored.
        preview: The first leads in the form to be stored, in a dry run.
        rejects: The first rejected records.
        rejects_file: The file with all rejected records, if requested.
        backup: The directory of the backup; None if there is none.
        notes: Notes for the user, such as a source that changed.
        quality: Number of records read in this run by quality tier.
        completeness: Share of this run's valid records that have a value, by field.
        seconds: Duration of reading and writing.
        verify_seconds: Duration of the verification; None if it was not done.
        data_integrity_maintained: Whether the store contains all that was read, by counting and
            comparing; None if it was not verified.
    """

    migration_id: str
    dry_run: bool = False
    resumed: bool = False
    sources: list[SourceResult] = field(default_factory=list)
    records: int = 0
    migrated: int = 0
    duplicates: int | None = 0
    rejected: int = 0
    skipped: int = 0
    preview: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    rejects_file: Path | None = None
    backup: Path | None = None
    notes: list[str] = field(default_factory=list)
    quality: dict[str, int] = field(default_factory=dict)
    completeness: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    verify_seconds: float | None = None
    data_integrity_maintained: bool | None = None

    @property
    def per_second(self) -> float | None:
        """Records of this run per second of reading and writing; None if there are none."""
        done = self.records - self.skipped
        return done / self.seconds if self.seconds and done else None

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain JSON data."""
        found = asdict(self)
        for name in ("backup", "rejects_file"):
            found[name] = None if found[name] is None else str(found[name])
        return found | {"per_second": self.per_second}
