"""What the parts of one run share."""

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
"""Told what is being done, how many of it are done, and of how many (None where unknown)."""


@dataclass(slots=True)
class SyncContext:
    """One run.

    Attributes:
        store: The leads.
        table: The rows.
        binding: Which fields are meant.
        options: The choices.
        result: What the run did so far.
        events: Writes the log.
        push: Whether rows are changed to what the leads have.
        pull: Whether leads are changed to what the rows have.
        lead_ids: The only leads that the run is about; None for all.
        record_ids: Rows that are not leads yet and that the run is about, where `lead_ids` is
            not None.
        limit: Most leads to change; None for all.
        again: Whether what was set aside is tried again.
        progress: Told how far the run is.
        parked: What is set aside, by subject.
        marked: Leads that wait to be synchronised, and their versions.
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
        """Whether nothing is changed."""
        return self.result.dry_run

    def about(self, lead_id: str) -> bool:
        """Return whether the run is about a lead."""
        return self.lead_ids is None or lead_id in self.lead_ids

    def about_row(self, record_id: str) -> bool:
        """Return whether the run is about a row that is not a lead yet."""
        return self.lead_ids is None or record_id in self.record_ids

    def room(self) -> bool:
        """Take one of the leads that may be changed; False when there were enough."""
        if self.limit is not None and self._taken >= self.limit:
            return False
        self._taken += 1
        return True

    def outcome(
        self, lead: Mapping[str, Any], lead_id: str | None, record_id: str | None
    ) -> LeadOutcome:
        """Return the outcome of a lead or a row, a new one at first.

        Args:
            lead: Values that name it.
            lead_id: Its id; None for a row that is not a lead yet.
            record_id: Its row; None without one.
        """
        key = lead_id or str(record_id)
        found = self._outcomes.get(key)
        if found is None:
            found = LeadOutcome(lead_id, record_id, lead.get("full_name"), lead.get("company"))
            self._outcomes[key] = found
            self.result.outcomes.append(found)
        return found

    def unchanged(self, lead_id: str) -> None:
        """Count a lead that has nothing to do, unless it was reported already."""
        if lead_id not in self._outcomes:
            self.result.unchanged += 1

    def became(self, outcome: LeadOutcome, lead_id: str) -> None:
        """Note that a row became a lead."""
        outcome.lead_id = lead_id
        self._outcomes[lead_id] = outcome

    def is_parked(self, subject: str, new: Mapping[str, Any]) -> str | None:
        """Return why values are set aside; None if they are to be tried."""
        there = self.parked.get(subject)
        if there is None or self.again or there.fingerprint != fingerprint(new):
            return None
        self._met.add(subject)
        return f"set aside: {there.reason} (leadlog sync retry tries again)"

    def fail(
        self, outcome: LeadOutcome, subject: str, new: Mapping[str, Any], error: Exception
    ) -> None:
        """Note that values were refused, and set them aside.

        Args:
            outcome: Of the lead or row.
            subject: What is set aside.
            new: The values.
            error: Why.
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
        """Note that what was set aside is done."""
        there = [subject for subject in subjects if self.parked.pop(subject, None) is not None]
        if there and not self.dry:
            self.store.write(lambda connection, _: syncs.release(connection, there))

    def tidy(self) -> None:
        """After a whole run: forget what was set aside of leads and rows that no longer differ."""
        if self.lead_ids is not None or self.limit is not None:
            return
        ways = [way for way, gone in (("push:", self.push), ("pull:", self.pull)) if gone]
        over = [one for one in self.parked if one.startswith(tuple(ways)) and one not in self._met]
        self.release(*over)

    def conflict(self, lead_id: str, record_id: str, fields: list[FieldConflict]) -> None:
        """Log what is about to be overwritten, before it is."""
        if not fields:
            return
        found = Conflict(lead_id, record_id, tuple(fields))
        self.result.conflicts.append(found)
        if not self.dry:
            self.events.conflict(self.result, found)

    def confirm(self, record_id: str) -> RemoteRow | None:
        """Ask for a row that the list did not have; None if it is really gone."""
        self.result.confirmed += 1
        return self.table.get(record_id)


def fingerprint(new: Mapping[str, Any]) -> str:
    """Return a digest of values."""
    text = json.dumps(new, sort_keys=True, default=str)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
