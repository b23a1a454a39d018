"""What a migration says of itself."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from leadlog.leads.migration.decoding import RowDecoding

__all__ = ["MigrationResult", "Progress", "Reject", "SourceResult"]


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that was not migrated.

    Attributes:
        source: The file that it is in.
        ordinal: Its number in the source, from 0.
        line: The line that it begins in, from 1; None where it was not counted.
        reason: Why.
        raw: Its text, where it could not be read; None otherwise.
        record: The record, where it could be read; None otherwise.
        cut: Whether the text is longer than what is kept of it.
        table: The table that the text is a row of; None for JSON.
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
    """How far a migration has come.

    Attributes:
        source: The file that is being read.
        step: `copying`, `reading` or `verifying`.
        bytes_done: Bytes of all files that were read, as they are packed.
        bytes_total: Bytes of all files.
        records: Records that were read.
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
        sha256: Of its content.
        size_bytes: Its size.
        encoding: What it was decoded from; None where it was not read.
        copy: Where its copy is; None without backup.
        records: Records read, those of earlier runs included.
        migrated: Records that became leads in this run.
        duplicates: Records of leads that were there already.
        rejected: Records that could not be stored.
        skipped: Records that an earlier run had accounted for.
        suggested: New leads that may be duplicates of others, because a key is the same and
            something contradicts it.
        notes: What was odd about it though nothing was lost, and how often.
        columns: Column to the field that it became, of a table.
        not_mapped: Columns with values that became no field; they are in `raw_data`.
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
        migration_id: Its name, for `rollback`; that of the run that was resumed.
        dry_run: Whether nothing was written.
        resumed: Whether it went on where an earlier run had ended.
        sources: The result for each file.
        records: Records read.
        migrated: Records that became leads in this run.
        duplicates: Records of leads that were there already; None in a dry run.
        rejected: Records that could not be stored.
        skipped: Records that an earlier run had accounted for.
        preview: The first leads as the store would have them, of a dry run.
        rejects: The first of those rejected.
        rejects_file: Where all of them are, if that was wanted.
        backup: The directory of the backup; None if there is none.
        notes: What a reader should know, such as a source that changed.
        quality: Quality tier to number of records read in this run.
        completeness: Field to share of the valid records of this run that have it.
        seconds: How long reading and writing took.
        verify_seconds: How long verifying took; None where it was not done.
        data_integrity_maintained: Whether the database has what was read, by counting and
            comparing; None where it was not verified.
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
        """Records of this run for each second of reading and writing; None where there are none."""
        done = self.records - self.skipped
        return done / self.seconds if self.seconds and done else None

    def as_dict(self) -> dict[str, Any]:
        """Return the same as JSON has it."""
        found = asdict(self)
        for name in ("backup", "rejects_file"):
            found[name] = None if found[name] is None else str(found[name])
        return found | {"per_second": self.per_second}
