"""What a sync did: per lead, per batch, and in numbers."""

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
    """The result for one lead, or for a row that is not a lead yet.

    Attributes:
        lead_id: The lead; None for a row that is none.
        record_id: Its row; None for a lead without one.
        name: The person's name.
        company: The company's name.
        status: `synced` (both sides are equal now), `skipped` (left alone, see `reason`) or
            `failed`.
        actions: What was done, or would be done by a dry run.
        push: Values that the row got, by field; of a new row in a dry run only.
        pull: Values that the lead got, by field.
        reason: Why it was skipped, or failed.
        error_code: Airtable's name of the error, where it refused the lead.
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
        """Note that not all went well; the worst that happened stays."""
        if _RANK[status] > _RANK[self.status]:
            self.status, self.reason, self.error_code = status, reason, code

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Conflict:
    """The fields of a lead that both sides had changed, and who won.

    Attributes:
        lead_id: The lead.
        record_id: Its row.
        fields: One for each field, with the values of both sides.
    """

    lead_id: str
    record_id: str
    fields: tuple[FieldConflict, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data: both values and the winner by field."""
        found = {one.field: asdict(one) for one in self.fields}
        for values in found.values():
            del values["field"]
        return {"lead_id": self.lead_id, "record_id": self.record_id, "fields": found}


@dataclass(frozen=True, slots=True)
class WriteBatch:
    """One batch of writes.

    Attributes:
        number: From 1 on, in the order of the run.
        kind: create, update or delete.
        size: Leads in it.
        failed: Those that Airtable refused.
        api_calls: Attempts that it took.
        duration_ms: Wall time with its commit, milliseconds.
    """

    number: int
    kind: str
    size: int
    failed: int
    api_calls: int
    duration_ms: float


@dataclass(slots=True)
class SyncResult:
    """What one run did.

    Attributes:
        sync_id: Its id, in the log and in the store.
        sync_type: `to_airtable`, `from_airtable` or `bidirectional`.
        dry_run: Whether nothing was changed, and `outcomes` are what would be done.
        success: Whether the run came to its end and did what it should; leads that failed are
            listed one by one.
        error: Why not; else None.
        unchanged: Leads that were equal on both sides and had nothing to do.
        outcomes: One for each other lead.
        conflicts: Fields that both sides had changed.
        duplicates: Rows that are a second one of a lead, by their id: the lead's id.
        wire: Attempts, waits and bytes.
        batches: The batches of writes.
        pages: Pages of rows that a complete list takes.
        confirmed: Rows that were asked for one by one, because the list did not have them.
        duration_ms: Wall time, milliseconds.
        memory_peak_mb: Peak resident set, 10^6 bytes, where the run raised it; else None.
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
        """Leads that are equal on both sides now, the unchanged ones among them."""
        return self.unchanged + len(self._with("synced"))

    @property
    def skipped(self) -> int:
        """Leads and rows that were left alone, each with its reason."""
        return len(self._with("skipped"))

    @property
    def failed(self) -> int:
        """Leads and rows that could not be synchronised."""
        return len(self._with("failed"))

    @property
    def total(self) -> int:
        """Leads and rows that the run was about: synced, skipped and failed ones."""
        return self.unchanged + len(self.outcomes)

    @property
    def actions(self) -> Counter[str]:
        """How often each action was done."""
        return Counter(action for one in self.outcomes for action in one.actions)

    @property
    def api_calls_minimum(self) -> int:
        """Fewest calls that could have done it: the schema, the pages, and full batches."""
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
        """Return the numbers of the run."""
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
    """Failed ones first, then skipped ones."""
    return sorted(outcomes, key=lambda one: -_RANK[one.status])
