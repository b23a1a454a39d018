"""The result of a sync: per lead, per batch, and in counts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from typing import Any, Literal

from leadlog.leads.airtable.reconcile import FieldConflict
from leadlog.leads.airtable.wire import Wire

__all__ = [
    "Action",
    "Conflict",
    "LeadOutcome",
    "Status",
    "SyncResult",
    "SyncType",
    "WriteBatch",
    "worst_first",
]

SyncType = Literal["to_airtable", "from_airtable", "bidirectional"]
Status = Literal["synced", "skipped", "failed"]
Action = Literal[
    "create_row",
    "update_row",
    "delete_row",
    "add_lead",
    "update_lead",
    "delete_lead",
    "link",
    "stamp",
]

_RANK: dict[Status, int] = {"synced": 0, "skipped": 1, "failed": 2}


@dataclass(slots=True)
class LeadOutcome:
    """The result for one lead, or for an unlinked row.

    Attributes:
        lead_id: Id of the lead; None for an unlinked row.
        record_id: Id of its row; None for a lead without one.
        name: The person's name.
        company: The company's name.
        status: `synced` (both sides are equal now), `skipped` (left unchanged, see `reason`) or
            `failed`.
        actions: The actions taken, or planned by a dry run.
        push: Values written to the row, by field; for a new row only in a dry run.
        pull: Values written to the lead, by field.
        reason: The reason why it was skipped or failed.
        error_code: Airtable's error code, if Airtable refused the lead.
    """

    lead_id: str | None
    record_id: str | None
    name: str | None = None
    company: str | None = None
    status: Status = "synced"
    actions: list[Action] = field(default_factory=list)
    push: dict[str, Any] = field(default_factory=dict)
    pull: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None
    error_code: str | None = None

    def worsen(self, status: Status, reason: str, code: str | None = None) -> None:
        """Set the status and its reason, unless the current status is as bad or worse."""
        if _RANK[status] > _RANK[self.status]:
            self.status, self.reason, self.error_code = status, reason, code

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Conflict:
    """The fields of a lead that both sides changed, and the winners.

    Attributes:
        lead_id: Id of the lead.
        record_id: Id of its row.
        fields: One entry per field, with the values of both sides.
    """

    lead_id: str
    record_id: str
    fields: tuple[FieldConflict, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the conflict as plain data: both values and the winner by field."""
        found = {one.field: asdict(one) for one in self.fields}
        for values in found.values():
            del values["field"]
        return {"lead_id": self.lead_id, "record_id": self.record_id, "fields": found}


@dataclass(frozen=True, slots=True)
class WriteBatch:
    """One batch of writes.

    Attributes:
        number: Number of the batch in the run, from 1.
        kind: create, update or delete.
        size: Number of leads.
        failed: Number of leads that Airtable refused.
        api_calls: Number of attempts.
        duration_ms: Wall time including the commit, in milliseconds.
    """

    number: int
    kind: str
    size: int
    failed: int
    api_calls: int
    duration_ms: float


@dataclass(slots=True)
class SyncResult:
    """The result of one run.

    Attributes:
        sync_id: Its id, in the log and in the store.
        sync_type: `to_airtable`, `from_airtable` or `bidirectional`.
        dry_run: Whether nothing was changed and `outcomes` are only planned.
        success: Whether the run completed; the failures of single leads do not count.
        error: The error if it did not; else None.
        unchanged: Number of leads that were equal on both sides.
        outcomes: One for each other lead or row.
        conflicts: Leads with fields that both sides changed.
        duplicates: Id of the lead by id of a duplicate row of it.
        wire: Attempts, waits and bytes.
        batches: The batches of writes.
        pages: Number of pages of the complete listing.
        confirmed: Number of rows fetched one by one, because the listing did not contain them.
        duration_ms: Wall time in milliseconds.
        memory_peak_mb: Peak resident set in 10^6 bytes, if the run raised it; else None.
    """

    sync_id: str
    sync_type: SyncType
    dry_run: bool = False
    success: bool = False
    error: str | None = None
    unchanged: int = 0
    outcomes: list[LeadOutcome] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    duplicates: dict[str, str] = field(default_factory=dict)
    wire: Wire = field(default_factory=Wire)
    batches: list[WriteBatch] = field(default_factory=list)
    pages: int = 0
    confirmed: int = 0
    duration_ms: float = 0.0
    memory_peak_mb: float | None = None

    def _with(self, status: Status) -> list[LeadOutcome]:
        return [one for one in self.outcomes if one.status == status]

    @property
    def synced(self) -> int:
        """Number of leads that are now equal on both sides, including unchanged ones."""
        return self.unchanged + len(self._with("synced"))

    @property
    def skipped(self) -> int:
        """Number of leads and rows that were skipped, each with a reason."""
        return len(self._with("skipped"))

    @property
    def failed(self) -> int:
        """Number of leads and rows that could not be synchronised."""
        return len(self._with("failed"))

    @property
    def total(self) -> int:
        """Number of all leads and rows of the run: synced, skipped and failed."""
        return self.unchanged + len(self.outcomes)

    @property
    def actions(self) -> Counter[str]:
        """Number of times each action was taken."""
        return Counter(action for one in self.outcomes for action in one.actions)

    @property
    def api_calls_minimum(self) -> int:
        """Minimum number of calls for this work: the schema, the pages, and full batches."""
        did = self.actions
        writes = sum(
            ceil(number / 10)
            for number in (
                did["create_row"],
                sum(1 for one in self.outcomes if {"update_row", "stamp"} & {*one.actions}),
                did["delete_row"],
            )
        )
        return 1 + self.pages + self.confirmed + (0 if self.dry_run else writes)

    def counts(self) -> dict[str, Any]:
        """Return the counts of the run by name."""
        did = self.actions
        return {
            "total": self.total,
            "synced": self.synced,
            "unchanged": self.unchanged,
            "skipped": self.skipped,
            "failed": self.failed,
            "rows_created": did["create_row"],
            "rows_updated": did["update_row"],
            "rows_deleted": did["delete_row"],
            "leads_added": did["add_lead"],
            "leads_updated": did["update_lead"],
            "leads_deleted": did["delete_lead"],
            "conflicts": sum(len(one.fields) for one in self.conflicts),
            "duplicate_rows": len(self.duplicates),
            "api_calls": self.wire.attempts,
            "api_calls_minimum": self.api_calls_minimum,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "sync_id": self.sync_id,
            "sync_type": self.sync_type,
            "dry_run": self.dry_run,
            "success": self.success,
            "error": self.error,
            "counts": self.counts(),
            "wire": self.wire.as_dict(),
            "duration_ms": self.duration_ms,
            "memory_peak_mb": self.memory_peak_mb,
            "outcomes": [one.as_dict() for one in self.outcomes],
            "conflicts": [one.as_dict() for one in self.conflicts],
            "duplicates": dict(self.duplicates),
            "batches": [asdict(one) for one in self.batches],
        }


def worst_first(outcomes: Sequence[LeadOutcome]) -> list[LeadOutcome]:
    """Return outcomes sorted by severity: failed, then skipped, then synced ones."""
    return sorted(outcomes, key=lambda one: -_RANK[one.status])
