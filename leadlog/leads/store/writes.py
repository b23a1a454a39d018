"""The changes to the leads of a store: the writing part of `LeadDatabase`."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from sqlalchemy import update
from sqlalchemy.orm import Session

from leadlog.core.clock import new_id
from leadlog.core.errors import ValidationError
from leadlog.leads.store import values
from leadlog.leads.store.changing import change, load, note
from leadlog.leads.store.engine import OpenStore
from leadlog.leads.store.intake import (
    AddOutcome,
    AddResult,
    Candidate,
    Intake,
    Report,
    Within,
    add_batch,
    checked,
    each_batch,
    note_batch,
    sorted_out,
)
from leadlog.leads.store.keys import chunks
from leadlog.leads.store.links import add_tombstone
from leadlog.leads.store.merges import Undone, undo
from leadlog.leads.store.models import FIELDS, Lead, from_lead
from leadlog.leads.store.normalise import NormalisedLead, field_of
from leadlog.leads.store.queries import checked_id
from leadlog.recording.capture.operation import IDS_LISTED, current_operation, operation

__all__ = ["LeadWrites"]

_MANY = 1000
# Keeps the version: the log records a bulk mark only as a mark, not as a change of each lead.
_MARK = update(Lead).where(~Lead.sync_pending).values(sync_pending=True)
_NEAR = 0.75  # least similarity of a misspelt name to a field's


def _warn_of_misspelt(changes: Mapping[Any, Any]) -> None:
    """Warn about names that are not a field's but nearly match one."""
    found = []
    for name in changes:
        if isinstance(name, str) and name not in FIELDS and field_of(name) is None:
            near = get_close_matches(name.casefold(), FIELDS, 1, _NEAR)
            found += [f"{values.shown(name)} (did you mean {one!r}?)" for one in near]
    if found:
        warnings.warn(
            f"update_lead: no field is called {', '.join(found)}; kept in raw_data", stacklevel=5
        )


class LeadWrites:
    """The writing part of a store.

    Args:
        store: The open database that the parts of the store share.
    """

    def __init__(self, store: OpenStore) -> None:
        self._connections = store.connections
        self._capture = store.capture
        self._now = store.now

    def _take_in(self, leads: Sequence[NormalisedLead]) -> tuple[list[AddOutcome], Intake]:
        def work(session: Session) -> tuple[list[AddOutcome], Intake]:
            intake = Intake(session, self._now())
            return intake.add(leads), intake

        return self._connections.in_transaction(work)

    @operation("add_lead", event_name="lead.add")
    def add_lead(self, lead: Mapping[Any, Any]) -> str:
        """See `LeadDatabase.add_lead`."""
        call = current_operation()
        if call is not None and isinstance(lead, Mapping):
            call.identify(lead)
            call.fields_processed = [str(column) for column in lead]
        (outcome,), intake = self._take_in([checked(lead)])
        lead_id = str(outcome.lead_id)
        if call is not None:
            call.identify(intake.rows[lead_id])
            call.records_affected = int(outcome.changed)
            call.duplicate_detected = outcome.action == "updated"
            call.duplicate_matched_on = outcome.matched_on
            call.duplicate_action = "none" if outcome.matched_on is None else outcome.action
        return lead_id

    def add_leads(
        self,
        leads: Iterable[Mapping[Any, Any]],
        batch_size: int = 500,
        *,
        report: Report | None = None,
    ) -> AddResult:
        """See `LeadDatabase.add_leads`."""
        result = AddResult()
        call_id = new_id()
        number, reading = 0, True
        try:
            for number, batch in enumerate(each_batch(leads, batch_size), 1):
                reading = False
                result.take(self._add_batch(call_id, number, sorted_out(batch)), report)
                reading = True
        except BaseException as error:
            if reading:
                self._end_add(call_id, number + 1, error)
            raise
        if result.created >= _MANY:
            self._connections.refresh_statistics()
        return result

    def add_batch(
        self,
        candidates: Sequence[Candidate],
        *,
        call_id: str,
        number: int,
        within: Within | None = None,
    ) -> list[AddOutcome]:
        """See `LeadDatabase.add_batch`."""
        return self._add_batch(call_id, number, candidates, within)

    @operation("add_leads", event_name="lead.add_many", bulk=True)
    def _add_batch(
        self,
        call_id: str,
        number: int,
        candidates: Sequence[Candidate],
        within: Within | None = None,
    ) -> list[AddOutcome]:
        def work(session: Session) -> list[AddOutcome]:
            outcomes = add_batch(Intake(session, self._now()), candidates)
            if within is not None:
                within(session, outcomes)
            return outcomes

        outcomes = self._connections.in_transaction(work)
        call = current_operation()
        if call is not None:
            note_batch(call, call_id, number, outcomes)
        return outcomes

    @operation("add_leads", event_name="lead.add_many", bulk=True)
    def _end_add(self, call_id: str, number: int, error: BaseException) -> NoReturn:
        """Record and raise an error of the caller's iterable, or of its validation."""
        call = current_operation()
        if call is not None:
            note_batch(call, call_id, number, ())
        raise error

    @operation("update_lead", event_name="lead.update")
    def update_lead(self, lead_id: str, changes: Mapping[Any, Any]) -> bool:
        """See `LeadDatabase.update_lead`."""
        lead_id = checked_id(lead_id)
        if not isinstance(changes, Mapping):
            raise ValidationError(
                f"changes are {values.shown(changes)}; give a mapping of columns to new values"
            )
        _warn_of_misspelt(changes)
        call = current_operation()
        if call is not None:
            call.identify({"id": lead_id}, whole=False)
            call.fields_processed = [str(column) for column in changes]
        changed = self._connections.in_transaction(
            lambda session: change(session, lead_id, changes, self._now())
        )
        if call is not None:
            note(call, changed)
        return changed is not None

    @operation("delete_lead", event_name="lead.delete")
    def delete_lead(self, lead_id: str) -> bool:
        """See `LeadDatabase.delete_lead`."""
        lead_id = checked_id(lead_id)

        def work(session: Session) -> dict[str, Any] | None:
            lead = load(session, lead_id)
            if lead is None:
                return None
            session.delete(lead)
            session.flush()
            add_tombstone(session.connection(), lead_id, self._now())
            return from_lead(lead)

        lead = self._connections.in_transaction(work)
        call = current_operation()
        if call is not None:
            call.identify(lead or {"id": lead_id}, whole=lead is not None)
            call.records_affected = int(lead is not None)
        return lead is not None

    @operation("undo_merge", event_name="lead.undo_merge")
    def undo_merge(self, which: int | str) -> Undone | None:
        """See `LeadDatabase.undo_merge`."""
        if type(which) is not int:
            which = checked_id(which)
        undone = self._connections.in_transaction(lambda session: undo(session, which, self._now()))
        call = current_operation()
        if call is not None:
            call.records_affected = int(undone is not None and undone.changed)
            if undone is not None:
                call.identify(undone.lead)
        return undone

    @operation("mark_for_sync", event_name="lead.mark_for_sync", bulk=True)
    def mark_for_sync(self, ids: Iterable[str] | None = None) -> int:
        """See `LeadDatabase.mark_for_sync`."""
        if isinstance(ids, str | bytes) or not isinstance(ids, Iterable | None):
            raise ValidationError(f"ids are {values.shown(ids)}; give a list of lead ids, or None")
        wanted = None if ids is None else sorted({checked_id(lead_id) for lead_id in ids})

        def work(session: Session) -> tuple[list[str], int]:
            first: list[str] = []
            count = 0
            some = [None] if wanted is None else chunks(wanted)
            for keys in some:
                mark = _MARK if keys is None else _MARK.where(Lead.id.in_(keys))
                for marked_id in session.connection().scalars(mark.returning(Lead.id)):
                    count += 1
                    if count <= IDS_LISTED:
                        first.append(marked_id)
            return first, count

        named, marked = self._connections.in_transaction(work)
        call = current_operation()
        if call is not None:
            call.identify_many(named, marked)
            call.records_affected = marked
            call.fields_changed = {"sync_pending": {"new": True}}
        return marked
