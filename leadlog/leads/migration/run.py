"""A migration run: reads its sources in batches, each committed together with its outcomes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from leadlog.core.clock import new_id
from leadlog.core.errors import MigrationError, ValidationError
from leadlog.leads.migration.decoding import Broken, Read
from leadlog.leads.migration.measures import Measures
from leadlog.leads.migration.records import Reading, batches, candidate_of, records_of, reject_of
from leadlog.leads.migration.result import MigrationResult, Reject, SourceResult
from leadlog.leads.migration.runs import MigrationTables
from leadlog.leads.store import LeadDatabase
from leadlog.leads.store.columns import KNOWN_COLUMNS
from leadlog.leads.store.intake import AddOutcome, Candidate
from leadlog.leads.store.normalise import NormalisedLead

__all__ = ["Migrator"]

_REJECTS_KEPT = 100
_PREVIEWED = 5
_COLUMNS_KEPT = 200
_BLANK: tuple[Any, ...] = (None, "", [], {})


class Migrator:
    """Reads sources and writes their records to the store.

    Args:
        db: The store; None to only read and check.
        result: Receives the outcomes of the records.
        batch_size: Number of records per transaction.
        rejected: Called with every rejected record, including those of earlier runs, and whether
            it was rejected in this run.
        progress: Called after each batch with the result of the file and the bytes read of it.
    """

    def __init__(
        self,
        db: LeadDatabase | None,
        result: MigrationResult,
        *,
        batch_size: int,
        rejected: Callable[[Reject, bool], object],
        progress: Callable[[SourceResult, int], object],
    ) -> None:
        self._db = db
        self._result = result
        self._batch_size = batch_size
        self._rejected = rejected
        self._progress = progress
        self._call_id = new_id()
        self._number = 0
        self._measures = Measures()
        self._columns = KNOWN_COLUMNS
        self._not_mapped: dict[str, None] = {}

    def source(self, source: SourceResult, path: Path, reading: Reading) -> None:
        """Migrate the records of one source, starting at the first without a stored outcome.

        Args:
            source: The result for the source, which is updated.
            path: The path to read from.
            reading: The options for reading it.
        """
        runs = None if self._db is None else MigrationTables(self._db)
        source_id = None if runs is None else runs.source(reading.account(source.sha256))
        done = 0 if runs is None or source_id is None else runs.accounted(source_id)
        self._columns = reading.known_columns()
        with records_of(path, reading, source.path) as records:
            self._not_mapped = dict.fromkeys(source.not_mapped)
            source.columns = {
                column: place.field
                for column in records.header
                if (place := self._columns.place(column)) is not None
            }
            try:
                for batch in batches(records, self._batch_size):
                    first = source.records
                    known = batch[: max(0, done - first)]
                    if known and runs is not None and source_id is not None:
                        self._skip(runs, source_id, source, first, known)
                    if fresh := batch[len(known) :]:
                        self._add(source_id, source, first + len(known), fresh)
                    self._progress(source, records.position)
            finally:
                source.encoding = records.encoding
                source.not_mapped = list(self._not_mapped)
                source.notes = dict(records.notes)
                self._result.quality = dict(self._measures.quality)
                self._result.completeness = self._measures.completeness
        if done > source.records:
            raise MigrationError(
                f"{source.path} has {source.records} records, but {done} are accounted for: it "
                "is no longer read as before; give the same options as then"
            )
        if runs is not None and source_id is not None:
            runs.set_complete(source_id)

    def _skip(
        self,
        runs: MigrationTables,
        source_id: int,
        source: SourceResult,
        first: int,
        known: Sequence[Read | Broken],
    ) -> None:
        """Skip records of an earlier run, and report those that it rejected again."""
        for ordinal in sorted(runs.rejected(source_id, first, len(known))):
            record = known[ordinal - first]
            reason = str(candidate_of(record, self._columns))
            self._rejected(reject_of(source.path, ordinal, record, reason), False)
        source.records += len(known)
        source.skipped += len(known)
        self._result.records += len(known)
        self._result.skipped += len(known)

    def _add(
        self,
        source_id: int | None,
        source: SourceResult,
        first: int,
        records: Sequence[Read | Broken],
    ) -> None:
        candidates = [candidate_of(record, self._columns) for record in records]
        outcomes = self._write(source_id, source, first, candidates)
        result = self._result
        for ordinal, (record, candidate, outcome) in enumerate(
            zip(records, candidates, outcomes, strict=True), first
        ):
            if isinstance(candidate, NormalisedLead):
                self._measures.take(candidate)
                self._note_columns(candidate)
                source.suggested += outcome.action == "created" and bool(
                    outcome.possible_duplicates
                )
                if len(result.preview) < _PREVIEWED and result.dry_run:
                    result.preview.append({**candidate.fields, "raw_data": candidate.raw_data})
                if outcome.action == "updated":
                    source.duplicates += 1
                else:
                    source.migrated += 1
                continue
            self._measures.reject()
            source.rejected += 1
            reject = reject_of(source.path, ordinal, record, str(candidate))
            if len(result.rejects) < _REJECTS_KEPT:
                result.rejects.append(reject)
            self._rejected(reject, True)
        source.records += len(records)
        result.records += len(records)
        result.migrated = sum(one.migrated for one in result.sources)
        result.rejected = sum(one.rejected for one in result.sources)
        if result.duplicates is not None:
            result.duplicates = sum(one.duplicates for one in result.sources)

    def _note_columns(self, lead: NormalisedLead) -> None:
        """Collect columns that have values but no field."""
        for column, value in lead.raw_data.items():
            if (
                column not in self._not_mapped
                and value not in _BLANK
                and len(self._not_mapped) < _COLUMNS_KEPT
                and self._columns.place(column) is None
            ):
                self._not_mapped[column] = None

    def _write(
        self,
        source_id: int | None,
        source: SourceResult,
        first: int,
        candidates: Sequence[Candidate],
    ) -> Sequence[AddOutcome]:
        db = self._db
        if db is None or source_id is None:
            return [
                AddOutcome("rejected" if isinstance(one, ValidationError) else "created")
                for one in candidates
            ]
        self._number += 1

        def account(session: Session, outcomes: Sequence[AddOutcome]) -> None:
            MigrationTables.note(session.connection(), source_id, first, outcomes)

        try:
            return db.add_batch(
                candidates, call_id=self._call_id, number=self._number, within=account
            )
        except IntegrityError as error:
            if MigrationTables(db).accounted(source_id) > first:
                raise MigrationError(
                    f"{source.path} is being migrated by another process, too; wait for its end, "
                    "and run this again"
                ) from error
            raise
