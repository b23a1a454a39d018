"""Verifies a migration against the store, record by record.

The source is read again, and each record is compared with its lead. Values that a later duplicate
overwrote are looked up in the merge log.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from leadlog.core.errors import ValidationError
from leadlog.leads.store import LeadDatabase
from leadlog.leads.store.changing import merged
from leadlog.leads.store.intake import Candidate
from leadlog.leads.store.models import COLUMNS, LeadMerge, MigrationItem, from_row
from leadlog.leads.store.normalise import NormalisedLead

__all__ = ["Verification", "verify_source"]

_SHOWN = 20
_RAW = "raw_data"
_LEADS = select(*COLUMNS)
_ID = COLUMNS[0]


@dataclass(slots=True)
class Verification:
    """The result of comparing a migration with its sources.

    Attributes:
        migration_id: Id of the migration.
        records: Number of records read again.
        accounted: Number of records with a stored outcome.
        missing: Number of records whose lead does not exist.
        different: Number of records with values that are neither in their lead nor in its merge
            log.
        changed_since: Number of records whose lead was changed after the migration; not an error.
        unread: Sources that could not be read again, for which only counts were compared.
        problems: Descriptions of the first problems, for people.
        content_compared: Whether every source could be read again.
    """

    migration_id: str
    records: int = 0
    accounted: int = 0
    missing: int = 0
    different: int = 0
    changed_since: int = 0
    unread: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def content_compared(self) -> bool:
        """Whether every source could be read again."""
        return not self.unread

    @property
    def ok(self) -> bool | None:
        """Whether the store contains all that was read; None if that is unknown."""
        if self.missing or self.different or self.accounted != self.records or self.problems:
            return False
        return None if self.unread else True

    def found(self, problem: str) -> None:
        """Add a problem, up to a limit."""
        if len(self.problems) < _SHOWN:
            self.problems.append(problem)


def verify_source(
    db: LeadDatabase,
    source_id: int,
    name: str,
    batches: Iterable[Sequence[Candidate]],
    *,
    report: Verification,
    ended_at: datetime | None,
) -> None:
    """Compare a source with the store.

    Args:
        db: The store.
        source_id: Id of the source.
        name: Its name in messages.
        batches: Its records, read again.
        report: Receives the results.
        ended_at: Time at which the migration ended; None while it is running.
    """
    first = 0
    for batch in batches:
        with db.session(read_only=True) as session:
            _Batch(session, source_id, name, report, ended_at).compare(first, batch)
        first += len(batch)
    beyond = select(MigrationItem.ordinal).where(
        MigrationItem.source_id == source_id, MigrationItem.ordinal >= first
    )
    with db.session(read_only=True) as session:
        if (ordinal := session.scalar(beyond.limit(1))) is not None:
            report.found(f"{name}: the store has a record {ordinal}, which the source has not")


class _Batch:
    """Compares one batch of a source's records with the store."""

    def __init__(
        self,
        session: Session,
        source_id: int,
        name: str,
        report: Verification,
        ended_at: datetime | None,
    ) -> None:
        self._session = session
        self._source_id = source_id
        self._name = name
        self._report = report
        self._ended_at = ended_at

    def compare(self, first: int, candidates: Sequence[Candidate]) -> None:
        """Compare the records from number `first` on with their leads."""
        last = first + len(candidates)
        items = {
            ordinal: (outcome, lead_id)
            for ordinal, outcome, lead_id in self._session.execute(
                select(MigrationItem.ordinal, MigrationItem.outcome, MigrationItem.lead_id).where(
                    MigrationItem.source_id == self._source_id,
                    MigrationItem.ordinal >= first,
                    MigrationItem.ordinal < last,
                )
            )
        }
        ids = {lead_id for _, lead_id in items.values() if lead_id is not None}
        leads = {
            lead["id"]: lead
            for lead in map(from_row, self._session.execute(_LEADS.where(_ID.in_(ids))))
        }
        lacking: list[tuple[int, NormalisedLead, dict[str, Any]]] = []
        report = self._report
        report.records += len(candidates)
        report.accounted += len(items)
        for ordinal, candidate in enumerate(candidates, first):
            outcome, lead_id = items.get(ordinal, (None, None))
            if outcome is None:
                report.found(f"{self._name}: nothing is known of record {ordinal}")
            elif (outcome == "rejected") is not isinstance(candidate, ValidationError):
                report.found(f"{self._name}: record {ordinal} is no longer read as before")
            elif isinstance(candidate, NormalisedLead):
                lead = leads.get(lead_id or "")
                if lead is None:
                    report.missing += 1
                    report.found(f"{self._name}: the lead of record {ordinal} is not there")
                elif outcome == "migrated" and _has_other_date(lead, candidate):
                    self._differs(ordinal, lead, ["created_at"])
                elif merged(lead, candidate):
                    lacking.append((ordinal, candidate, lead))
        if lacking:
            self._look_in_merges(lacking)

    def _look_in_merges(self, lacking: list[tuple[int, NormalisedLead, dict[str, Any]]]) -> None:
        """Look up values that a lead no longer has in the merge log; report those not found."""
        ids = {lead["id"] for _, _, lead in lacking}
        history: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        merges = select(LeadMerge.lead_id, LeadMerge.old_values, LeadMerge.new_values).where(
            LeadMerge.lead_id.in_(ids)
        )
        for lead_id, old, new in self._session.execute(merges):
            history[lead_id] += [old, new]
        for ordinal, candidate, lead in lacking:
            lost = [
                field
                for field, value in merged(lead, candidate).items()
                if not _was_there(field, value, candidate, lead, history[lead["id"]])
            ]
            if lost:
                self._differs(ordinal, lead, lost)

    def _differs(self, ordinal: int, lead: Mapping[str, Any], fields: list[str]) -> None:
        if self._ended_at is not None and lead["updated_at"] > self._ended_at:
            self._report.changed_since += 1
            return
        self._report.different += 1
        self._report.found(
            f"{self._name}: record {ordinal} differs from its lead in {', '.join(fields)}"
        )


def _has_other_date(lead: Mapping[str, Any], candidate: NormalisedLead) -> bool:
    given = candidate.fields.get("created_at")
    return given is not None and lead["created_at"] != given


def _was_there(
    field: str,
    value: Any,
    candidate: NormalisedLead,
    lead: Mapping[str, Any],
    history: Iterable[Mapping[str, Any]],
) -> bool:
    if field != _RAW:
        return any(values.get(field, _RAW) == value for values in history)
    return all(
        lead[_RAW].get(column, _RAW) == found
        or _is_blank(found)
        or any(values.get(_RAW, {}).get(column, _RAW) == found for values in history)
        for column, found in candidate.raw_data.items()
    )


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
