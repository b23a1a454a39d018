"""The state that the parts of one sync run share."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from leadlog.core.errors import AirtableError
from leadlog.leads.airtable.events import Events
from leadlog.leads.airtable.options import Options
from leadlog.leads.airtable.reconcile import FieldConflict
from leadlog.leads.airtable.remote import RemoteRow, RemoteTable
from leadlog.leads.airtable.report import Conflict, LeadOutcome, SyncResult
from leadlog.leads.airtable.schema import Binding
from leadlog.leads.store import syncs
from leadlog.leads.store.sync_links import SyncLinks
from leadlog.leads.store.syncs import Parked

__all__ = ["Progress", "SyncContext"]

Progress = Callable[[str, int, int | None], None]
"""Called with the current step, the number done, and the total (None if unknown)."""


@dataclass(slots=True)
class SyncContext:
    """One sync run.

    Attributes:
        store: The leads.
        table: The rows.
        binding: The mapping of fields.
        options: The options of the sync.
        result: The result so far.
        events: Writes the log.
        push: Whether changes of leads are written to rows.
        pull: Whether changes of rows are written to leads.
        lead_ids: The leads to synchronise; None for all.
        record_ids: The unlinked rows to synchronise; used only if `lead_ids` is not None.
        limit: Maximum number of leads to change; None for no limit.
        again: Whether items that were set aside are retried.
        progress: Called with the progress of the run.
        parked: The items that are set aside, by subject.
        marked: The versions of leads that are marked for sync, by id.
    """

    store: SyncLinks
    table: RemoteTable
    binding: Binding
    options: Options
    result: SyncResult
    events: Events
    push: bool
    pull: bool
    lead_ids: set[str] | None
    record_ids: frozenset[str]
    limit: int | None
    again: bool
    progress: Progress
    parked: dict[str, Parked] = field(default_factory=dict)
    marked: dict[str, int] = field(default_factory=dict)
    _outcomes: dict[str, LeadOutcome] = field(default_factory=dict)
    _met: set[str] = field(default_factory=set)
    _taken: int = 0

    @property
    def dry(self) -> bool:
        """Whether the run is a dry run, which changes nothing."""
        return self.result.dry_run

    def about(self, lead_id: str) -> bool:
        """Return whether the run includes a lead."""
        return self.lead_ids is None or lead_id in self.lead_ids

    def about_row(self, record_id: str) -> bool:
        """Return whether the run includes an unlinked row."""
        return self.lead_ids is None or record_id in self.record_ids

    def room(self) -> bool:
        """Count one more changed lead; return False once the limit is reached."""
        if self.limit is not None and self._taken >= self.limit:
            return False
        self._taken += 1
        return True

    def outcome(
        self, lead: Mapping[str, Any], lead_id: str | None, record_id: str | None
    ) -> LeadOutcome:
        """Return the outcome of a lead or a row; create it on the first call.

        Args:
            lead: Values with its name and company.
            lead_id: Id of the lead; None for an unlinked row.
            record_id: Id of its row; None if it has none.
        """
        key = lead_id or str(record_id)
        found = self._outcomes.get(key)
        if found is None:
            found = LeadOutcome(lead_id, record_id, lead.get("full_name"), lead.get("company"))
            self._outcomes[key] = found
            self.result.outcomes.append(found)
        return found

    def unchanged(self, lead_id: str) -> None:
        """Count a lead without differences, unless it has an outcome already."""
        if lead_id not in self._outcomes:
            self.result.unchanged += 1

    def became(self, outcome: LeadOutcome, lead_id: str) -> None:
        """Assign the id of the new lead to the outcome of its row."""
        outcome.lead_id = lead_id
        self._outcomes[lead_id] = outcome

    def is_parked(self, subject: str, new: Mapping[str, Any]) -> str | None:
        """Return the reason why these values are set aside; None if they must be tried."""
        there = self.parked.get(subject)
        if there is None or self.again or there.fingerprint != fingerprint(new):
            return None
        self._met.add(subject)
        return f"set aside: {there.reason} (leadlog sync retry tries again)"

    def fail(
        self, outcome: LeadOutcome, subject: str, new: Mapping[str, Any], error: Exception
    ) -> None:
        """Report refused values, and set them aside.

        Args:
            outcome: The outcome of the lead or row.
            subject: The subject under which they are set aside.
            new: The refused values.
            error: The error.
        """
        code = error.code if isinstance(error, AirtableError) else None
        outcome.worsen("failed", str(error), code)
        if self.dry:
            return
        before = self.parked.get(subject)
        item = Parked(
            subject,
            outcome.lead_id,
            outcome.record_id,
            str(error),
            code,
            fingerprint(new),
            1 + (0 if before is None else before.failures),
            self.store.now(),
        )
        self.store.write(lambda connection, _: syncs.park(connection, item))
        self.parked[subject] = item
        self._met.add(subject)
        self.events.failed(self.result, outcome, error)

    def release(self, *subjects: str) -> None:
        """Remove subjects that are done from the items set aside."""
        there = [subject for subject in subjects if self.parked.pop(subject, None) is not None]
        if there and not self.dry:
            self.store.write(lambda connection, _: syncs.release(connection, there))

    def tidy(self) -> None:
        """After a complete run, release items whose lead and row no longer differ."""
        if self.lead_ids is not None or self.limit is not None:
            return
        ways = [way for way, gone in (("push:", self.push), ("pull:", self.pull)) if gone]
        over = [one for one in self.parked if one.startswith(tuple(ways)) and one not in self._met]
        self.release(*over)

    def conflict(self, lead_id: str, record_id: str, fields: list[FieldConflict]) -> None:
        """Log the values that are about to be overwritten."""
        if not fields:
            return
        found = Conflict(lead_id, record_id, tuple(fields))
        self.result.conflicts.append(found)
        if not self.dry:
            self.events.conflict(self.result, found)

    def confirm(self, record_id: str) -> RemoteRow | None:
        """Fetch a row that is missing in the listing; return None if it no longer exists."""
        self.result.confirmed += 1
        return self.table.get(record_id)


def fingerprint(new: Mapping[str, Any]) -> str:
    """Return a digest of some values."""
    text = json.dumps(new, sort_keys=True, default=str)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
