"""Writes rows in batches of ten: updates by row id, creations by upsert on the Lead ID.

A batch that Airtable refuses is halved until the refused lead is alone; that lead is set aside, and
the others are written. Afterwards both sides agree on the sent values, for the sent fields only:
the response also contains values that people changed in between.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection

from leadlog.core.errors import AirtableError, SyncError, ValidationError
from leadlog.leads.airtable.context import SyncContext
from leadlog.leads.airtable.mapping import LEAD_ID, local_values
from leadlog.leads.airtable.reconcile import blank
from leadlog.leads.airtable.remote import BATCH, MISSING_ROW, RemoteRow, cells_of
from leadlog.leads.airtable.report import LeadOutcome, WriteBatch
from leadlog.leads.store import links
from leadlog.leads.store.links import Link
from leadlog.leads.store.sync_links import Agreed

__all__ = ["Pusher", "halved"]

T = TypeVar("T")

_DIVISIBLE = frozenset({403, 404, 413, 422})
_NO_FIELD = "UNKNOWN_FIELD_NAME"


@dataclass(frozen=True, slots=True)
class _Write:
    """A pending write of one row: `sent` by field of the lead, `cells` by field id.

    `whole` means that no value of the lead was set aside.
    """

    outcome: LeadOutcome
    lead_id: str
    record_id: str
    sent: Mapping[str, Any]
    cells: Mapping[str, Any]
    stamp: bool = False
    again: bool = False
    whole: bool = True


@dataclass(slots=True)
class Pusher:
    """Collects writes until a batch is full.

    Attributes:
        context: The current run.
    """

    context: SyncContext
    _updates: list[_Write] = field(default_factory=list)
    _creates: list[_Write] = field(default_factory=list)
    _agreed: dict[str, Agreed] = field(default_factory=dict)

    def update(
        self,
        outcome: LeadOutcome,
        lead_id: str,
        record_id: str,
        sent: Mapping[str, Any],
        *,
        stamp: bool,
    ) -> None:
        """Change fields of a row.

        Args:
            outcome: The outcome of the lead.
            lead_id: Id of the lead.
            record_id: Id of its row.
            sent: New values by field of the lead.
            stamp: Whether to write the id of the lead into the row as well.
        """
        wanted = sent
        sent, cells = self._cells(outcome, lead_id, wanted)
        if not cells and not stamp:
            return
        if stamp:
            cells[self.context.binding.key.id] = lead_id
            outcome.actions.append("stamp")
        if sent:
            outcome.actions.append("update_row")
            outcome.push = dict(sent)
        if self.context.dry:
            return
        whole = len(sent) == len(wanted)
        self._updates.append(_Write(outcome, lead_id, record_id, sent, cells, stamp, whole=whole))
        if len(self._updates) == BATCH:
            self._flush_updates()

    def create(self, outcome: LeadOutcome, lead: Mapping[str, Any], *, again: bool = False) -> None:
        """Create the row of a lead.

        Args:
            outcome: The outcome of the lead.
            lead: The lead.
            again: Whether the lead had a row before, which was deleted.
        """
        values = local_values(self.context.binding.fields, lead)
        wanted = {name: value for name, value in values.items() if not blank(value)}
        sendable, cells = self._cells(outcome, lead["id"], wanted)
        if not cells:
            return
        cells[self.context.binding.key.id] = lead["id"]
        outcome.actions.append("create_row")
        outcome.push = dict(sendable)
        if self.context.dry:
            return
        whole = len(sendable) == len(wanted)
        self._creates.append(
            _Write(outcome, lead["id"], "", sendable, cells, again=again, whole=whole)
        )
        if len(self._creates) == BATCH:
            self._flush_creates()

    def agree(self, lead_id: str, values: Mapping[str, Any]) -> None:
        """Record values that both sides already have as agreed."""
        if values and not self.context.dry:
            self._agreed[lead_id] = (values, values)
            if len(self._agreed) == BATCH * BATCH:
                self._flush_agreed()

    def flush(self) -> None:
        """Write all pending batches."""
        self._flush_creates()
        self._flush_updates()
        self._flush_agreed()

    def _cells(
        self, outcome: LeadOutcome, lead_id: str, sent: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], dict[str, Any]]:
        """Return the sendable values by lead field and by field id; set the others aside."""
        subject = f"push:{lead_id}"
        why = self.context.is_parked(subject, sent) if sent else None
        if why is not None:
            outcome.worsen("skipped", why)
            return {}, {}
        cells, refused = cells_of(self.context.binding.fields, sent)
        if refused:
            reason = ValidationError("; ".join(map(str, refused.values())))
            self.context.fail(outcome, subject, {name: sent[name] for name in refused}, reason)
            sent = {name: value for name, value in sent.items() if name not in refused}
        return sent, cells

    def _flush_agreed(self) -> None:
        agreed, self._agreed = self._agreed, {}
        if agreed:
            self.context.store.write(lambda connection, now: links.agree(connection, agreed, now))

    def _flush_updates(self) -> None:
        batch, self._updates = self._updates, []
        self.send("update", batch, self._send_updates, self._alone)

    def _flush_creates(self) -> None:
        batch, self._creates = self._creates, []
        self.send("create", batch, self._send_creates, self._alone)

    def send(
        self,
        kind: str,
        batch: Sequence[T],
        call: Callable[[Sequence[T]], None],
        alone: Callable[[T, AirtableError], bool],
    ) -> None:
        """Send a batch, and record its size, failures, calls and duration.

        Args:
            kind: create, update or delete.
            batch: The items to send.
            call: Sends some of the items.
            alone: Called with a single refused item and the error; returns whether it failed.
        """
        if not batch:
            return
        result = self.context.result
        started, before = time.perf_counter(), result.wire.attempts
        failed = halved(batch, call, alone)
        took = (time.perf_counter() - started) * 1e3
        attempts = result.wire.attempts - before
        number = len(result.batches) + 1
        result.batches.append(WriteBatch(number, kind, len(batch), failed, attempts, took))

    def _send_updates(self, batch: Sequence[_Write]) -> None:
        rows = self.context.table.update({one.record_id: one.cells for one in batch})
        agreed = {
            one.lead_id: (one.sent, _received(one, rows.get(one.record_id)))
            for one in batch
            if one.sent or one.stamp
        }
        if agreed:
            self.context.store.write(lambda connection, now: links.agree(connection, agreed, now))
        self._done(batch)

    def _send_creates(self, batch: Sequence[_Write]) -> None:
        rows = self.context.table.upsert([one.cells for one in batch])
        missing = [one.lead_id for one in batch if one.lead_id not in rows]
        if missing:
            raise AirtableError(
                f"creating rows: the answer lacks the row of lead {missing[0]}; check that "
                f"{self.context.binding.key.title!r} takes text as it is"
            )

        def commit(connection: Connection, now: datetime) -> None:
            new = []
            for one in batch:
                row = rows[one.lead_id]
                if one.again:
                    links.relink(connection, one.lead_id, row.record_id, afresh=True)
                    agreed = {one.lead_id: (one.sent, _received(one, row))}
                    links.agree(connection, agreed, now)
                else:
                    new.append(Link(one.lead_id, row.record_id, one.sent, _received(one, row)))
            links.link(connection, new, now)

        self.context.store.write(commit)
        for one in batch:
            one.outcome.record_id = rows[one.lead_id].record_id
            one.outcome.push = {}  # else a first push would keep every lead in memory
        self._done(batch)

    def _done(self, batch: Sequence[_Write]) -> None:
        self.context.release(*(f"push:{one.lead_id}" for one in batch if one.sent and one.whole))

    def _alone(self, one: _Write, error: AirtableError) -> bool:
        if error.code == _NO_FIELD:
            raise SyncError(
                f"a field was removed from the Airtable table during the sync ({error}); run "
                "leadlog sync schema, then sync again"
            ) from error
        for action in ("update_row", "create_row", "stamp"):
            if action in one.outcome.actions:
                one.outcome.actions.remove(action)
        if error.code == MISSING_ROW or error.status in {403, 404}:
            if not one.record_id or self.context.table.get(one.record_id) is not None:
                raise error  # the row exists: the token lacks the permission to change it
            one.outcome.worsen(
                "skipped", "its row was deleted during the sync; the next one decides", error.code
            )
            return False
        self.context.fail(one.outcome, f"push:{one.lead_id}", one.sent, error)
        return True


def _received(one: _Write, row: RemoteRow | None) -> dict[str, Any]:
    """Return the row's values of the sent fields; the sent value if the response lacks one.

    A written Lead ID is included, so that a later change of it is detected.
    """
    received = {
        name: value if row is None or name in row.wrong else row.values[name]
        for name, value in one.sent.items()
    }
    return {**received, LEAD_ID: one.lead_id} if one.stamp or not one.record_id else received


def halved(
    batch: Sequence[T],
    call: Callable[[Sequence[T]], None],
    alone: Callable[[T, AirtableError], bool],
) -> int:
    """Send a batch; if it is refused, send its halves recursively.

    Returns:
        The number of items that failed individually.

    Raises:
        AirtableError: The error is not caused by the sent values.
    """
    try:
        call(batch)
    except AirtableError as error:
        if error.status not in _DIVISIBLE:
            raise
        if len(batch) == 1:
            return int(alone(batch[0], error))
        middle = len(batch) // 2
        return halved(batch[:middle], call, alone) + halved(batch[middle:], call, alone)
    return 0
