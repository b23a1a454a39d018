"""The writing part of `LeadDatabase`."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from sqlalchemy import update
from sqlalchemy.orm import Session

from leadlog.core.clock import new_id
from leadlog.core.errors import ValidationError
from leadlog.leads.store import values
from leadlog.leads.store.adding import (
    AddResult,
    Candidate,
    Report,
    Within,
    add_batch,
    checked,
    each_batch,
    note_batch,
    sorted_out,
)
from leadlog.leads.store.changing import change, load, note
from leadlog.leads.store.intake import AddOutcome, Intake
from leadlog.leads.store.keys import chunks
from leadlog.leads.store.links import add_tombstone
from leadlog.leads.store.maintenance import LeadMaintenance
from leadlog.leads.store.merges import Undone, undo
from leadlog.leads.store.models import Lead
from leadlog.leads.store.normalise import NormalisedLead, field_of
from leadlog.leads.store.queries import checked_id
from leadlog.leads.store.serialise import COLUMNS, from_lead
from leadlog.recording.capture.operation import IDS_LISTED, current_operation
from leadlog.recording.capture.scope import operation

__all__ = ["LeadWrites"]

_MANY = 1000
# No new version: the log says of many leads at once only that they were marked.
_MARK = update(Lead).where(~Lead.sync_pending).values(sync_pending=True)


_FIELDS = [column.key for column in COLUMNS]
_NEAR = 0.75


def _warn_of_misspelt(changes: Mapping[Any, Any]) -> None:
    """Warn of names that no field has and that are nearly the name of one."""
    found = []
    for name in changes:
        if isinstance(name, str) and name not in _FIELDS and field_of(name) is None:
            near = get_close_matches(name.casefold(), _FIELDS, 1, _NEAR)
            found += [f"{values.shown(name)} (did you mean {one!r}?)" for one in near]
    if found:
        warnings.warn(
            f"update_lead: no field is called {', '.join(found)}; kept in raw_data", stacklevel=4
        )


class LeadWrites(LeadMaintenance):
    """What changes the leads of a store."""

    def _take_in(self, leads: Sequence[NormalisedLead]) -> tuple[list[AddOutcome], Intake]:
        def work(session: Session) -> tuple[list[AddOutcome], Intake]:
            intake = Intake(session, self._now())
            return intake.add(leads), intake

        return self._connections.in_transaction(work)

    @operation("add_lead", event_name="lead.add")
    def add_lead(self, lead: Mapping[Any, Any]) -> str:
        """Add a lead, or update the one that is there already.

        `leadlog.leads.store.duplicates` tells who is the same person. A duplicate changes what it
        has anew: its blank values erase nothing, `id` and `created_at` stay, and so do values that
        it only spells differently. Where an e-mail address or a company is the same but the name
        or the LinkedIn profile says that it is somebody else, a second lead is created;
        `find_duplicates` finds both.

        Args:
            lead: Values by column name; a name is needed. An `id` becomes the lead's id, unless
                another person has it: then it is kept in `raw_data`.

        Returns:
            The id of the new or the updated lead.

        Raises:
            ValidationError: The lead has no name, or a value that cannot be stored.
        """
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
        """Add any number of leads as `add_lead` does, many in one transaction.

        A lead that cannot be stored is rejected with the reason, and the others go on. A database
        error ends the call; the batches before stay, and adding the same leads again only
        completes them. Each batch is one record in the log, which counts its created, updated and
        rejected leads; the records of one call share a `call_id`.

        Args:
            leads: The leads, from any iterable; at most one batch of them is held.
            batch_size: Most leads of one transaction.
            report: Called with the place of each lead, from 0, and its `AddOutcome`, once its
                batch is committed. The result then only counts, so that memory stays the same
                however many leads there are.

        Raises:
            ValidationError: `leads` is no iterable of leads, or `batch_size` no number.
        """
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
        """Add one batch of leads in one transaction; for those that read and check them themselves.

        Args:
            candidates: The leads, as `leadlog.leads.store.adding.sorted_out` gives them.
            call_id: The same for all batches of one call, in the log.
            number: Which batch of the call, from 1.
            within: Called with the session and the outcomes before they are committed, so that
                what it writes is committed with the leads, or not at all; again where the
                transaction is done again.

        Returns:
            One outcome for each.
        """
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
        """Record and raise what the caller's iterable raised, or what is wrong with it."""
        call = current_operation()
        if call is not None:
            note_batch(call, call_id, number, ())
        raise error

    @operation("update_lead", event_name="lead.update")
    def update_lead(self, lead_id: str, changes: Mapping[Any, Any]) -> bool:
        """Change some fields of a lead.

        Args:
            lead_id: Which lead.
            changes: New values by column name. A blank value erases the old one. Unknown columns
                are added to `raw_data`, with a warning where the name is nearly that of a field;
                `raw_data` itself is replaced. Values that the lead has
                already may be among them, so a whole lead can be given back. With a
                `row_version` among them, they are changes to that version only: nobody else's
                change is overwritten unseen.

        Returns:
            Whether there is such a lead.

        Raises:
            StaleLeadError: The lead has another `row_version` by now; nothing was changed.
            ValidationError: `id`, `created_at` or `updated_at` would change, the name would be
                erased, or a value cannot be stored.
        """
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
        """Delete a lead; return whether there was one with this id.

        Where it is linked with a row in Airtable, a tombstone stays until that row is deleted.
        """
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
        """Restore what a duplicate overwrote; see `get_merges`.

        Args:
            which: The `merge_id` of a merge, or the id of a lead for its last merge that is not
                undone.

        Returns:
            What was done; None if there is no such merge or lead, or nothing left to undo.
        """
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
        """Mark leads as waiting to be synchronised; it changes neither their time nor version.

        Args:
            ids: Which leads; None for all. Ids that are no lead's are passed over.

        Returns:
            How many leads were marked; those that waited already are not counted.
        """
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
