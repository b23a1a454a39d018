"""`SyncLinks`: the lead store's interface for the Airtable sync.

A change to a lead and the update of its link are one transaction, and each changed lead is one
record in the log, as for any other call on the store.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, bindparam, exists, select, update
from sqlalchemy.orm import Session

from leadlog.core.errors import StoreError
from leadlog.leads.store import links, reports
from leadlog.leads.store.changing import LeadChange, change, load, note
from leadlog.leads.store.database import LeadDatabase
from leadlog.leads.store.intake import Intake, checked
from leadlog.leads.store.keys import chunks
from leadlog.leads.store.links import Link
from leadlog.leads.store.models import COLUMNS, Lead, SyncLink, from_lead, from_row
from leadlog.recording.capture.operation import current_operation, operation

__all__ = ["Agreed", "SyncLinks"]

T = TypeVar("T")

Agreed = tuple[Mapping[str, Any], Mapping[str, Any]]
"""The current values of a lead and of its row, each by field."""

_PAGE = 500
_MARKS = 100  # a record lists this many ids at most
_WIDTH = len(COLUMNS)
_LINK = (
    SyncLink.lead_id,
    SyncLink.record_id,
    SyncLink.base_local,
    SyncLink.base_remote,
    SyncLink.local_times,
)
_LINKED = (
    select(*COLUMNS, *_LINK)
    .join(SyncLink, SyncLink.lead_id == Lead.id)
    .where(Lead.id > bindparam("last"))
    .order_by(Lead.id)
    .limit(_PAGE)
)
_UNLINKED = (
    select(*COLUMNS)
    .where(~exists().where(SyncLink.lead_id == Lead.id), Lead.id > bindparam("last"))
    .order_by(Lead.id)
    .limit(_PAGE)
)


class SyncLinks:
    """The leads of a store together with their rows in Airtable.

    Args:
        database: The store.
    """

    def __init__(self, database: LeadDatabase) -> None:
        store = database.opened
        self._connections = store.connections
        self._capture = store.capture
        self._now = store.now

    def now(self) -> datetime:
        """Return the current time by the clock of the store."""
        return self._now()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run a function on a connection for reading; retry it after transient errors."""
        return self._connections.reading(work)

    def write(self, work: Callable[[Connection, datetime], T]) -> T:
        """Run a function in a write transaction; retry it after transient errors.

        Args:
            work: Called with the connection and the current time, once per attempt.
        """
        return self._connections.in_transaction(
            lambda session: work(session.connection(), self._now())
        )

    @operation("get_linked_leads", event_name="lead.get_linked", bulk=True)
    def linked(
        self, lead_ids: Sequence[str] | None = None
    ) -> Iterator[tuple[dict[str, Any], Link]]:
        """Iterate over the linked leads and their links, in order of id.

        Args:
            lead_ids: Ids of the leads; None for all.
        """
        for row in self._pages(_LINKED, lead_ids):
            yield from_row(row[:_WIDTH]), Link(*row[_WIDTH:])

    @operation("get_unlinked_leads", event_name="lead.get_unlinked", bulk=True)
    def unlinked(self, lead_ids: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Iterate over the leads without a row, in order of id.

        Args:
            lead_ids: Ids of the leads; None for all.
        """
        for row in self._pages(_UNLINKED, lead_ids):
            yield from_row(row)

    def _pages(self, statement: Select[Any], lead_ids: Sequence[str] | None) -> Iterator[Any]:
        """Yield rows page by page, without a transaction between pages, so others can write."""
        call = current_operation()
        found = 0
        some: Iterable[list[str] | None] = [None] if lead_ids is None else chunks(sorted(lead_ids))
        try:
            for ids in some:
                wanted = statement if ids is None else statement.where(Lead.id.in_(ids))
                last = ""
                while rows := self._connections.reading(
                    lambda connection, wanted=wanted, last=last: (  # type: ignore[misc]  # mypy cannot infer defaults
                        connection.execute(wanted, {"last": last}).all()
                    )
                ):
                    last = rows[-1].id
                    found += len(rows)
                    yield from rows
        finally:
            if call is not None:
                call.records_affected = found

    @operation("get_lead", event_name="lead.get")
    def get(self, lead_id: str) -> tuple[dict[str, Any], Link] | None:
        """Return a linked lead and its link; None if it is missing or not linked."""
        statement = _LINKED.where(Lead.id == lead_id)
        row = self._connections.reading(
            lambda connection: connection.execute(statement, {"last": ""}).one_or_none()
        )
        call = current_operation()
        if call is not None:
            call.identify({"id": lead_id}, whole=False)
            call.records_affected = int(row is not None)
        return None if row is None else (from_row(row[:_WIDTH]), Link(*row[_WIDTH:]))

    @operation("find_duplicates", event_name="lead.find_duplicates")
    def same_as(self, lead: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the lead that `add_lead` would update with this one; None if it is new."""
        found = self._connections.reading(
            lambda connection: reports.duplicates_of(connection, lead, None, 5)
        )
        same = next((one for one in found if one["would_merge"]), None)
        call = current_operation()
        if call is not None:
            call.records_affected = int(same is not None)
            call.identify_many([] if same is None else [same["id"]], int(same is not None))
        return same

    @operation("add_lead", event_name="lead.add")
    def add(
        self, lead: Mapping[str, Any], record_id: str, agreed: Callable[[dict[str, Any]], Agreed]
    ) -> dict[str, Any]:
        """Add a lead for an existing row, and link the two.

        Args:
            lead: Its values; an `id` among them becomes the lead's id.
            record_id: Id of the row.
            agreed: Returns the values that both sides have, given the stored lead.

        Returns:
            The stored lead.

        Raises:
            StoreError: Another writer added the same lead in between; nothing was written.
            ValidationError: It cannot be stored.
        """
        call = current_operation()
        if call is not None:
            call.identify(lead)
            call.fields_processed = list(lead)
        normalised = checked(lead)

        def work(session: Session) -> dict[str, Any]:
            intake = Intake(session, self._now())
            (outcome,) = intake.add([normalised])
            if outcome.action != "created":
                raise StoreError(
                    f"another writer added the lead {outcome.lead_id}, which is the same "
                    "person; sync again"
                )
            stored = intake.rows[str(outcome.lead_id)]
            local, remote = agreed(stored)
            one = Link(stored["id"], record_id, local, remote)
            links.link(session.connection(), [one], self._now())
            return stored

        stored = self._connections.in_transaction(work)
        if call is not None:
            call.identify(stored)
            call.records_affected = 1
            call.duplicate_detected = False
            call.duplicate_action = "none"
        return stored

    @operation("update_lead", event_name="lead.update")
    def change(
        self,
        lead_id: str,
        changes: Mapping[str, Any],
        agreed: Callable[[dict[str, Any]], Agreed],
    ) -> dict[str, Any] | None:
        """Change a linked lead, and store the values that both sides now have.

        Args:
            lead_id: Id of the lead.
            changes: New values by field; `row_version` among them is the expected version.
            agreed: Returns the values that both sides have, given the changed lead.

        Returns:
            The lead as it is now; None if there is no such lead.

        Raises:
            StaleLeadError: Another writer changed it in between; nothing was changed.
            ValidationError: A value cannot be stored.
        """
        call = current_operation()
        if call is not None:
            call.identify({"id": lead_id}, whole=False)
            call.fields_processed = list(changes)

        def work(session: Session) -> LeadChange | None:
            changed = change(session, lead_id, changes, self._now())
            if changed is not None:
                now = self._now()
                links.agree(session.connection(), {lead_id: agreed(changed.lead)}, now)
            return changed

        changed = self._connections.in_transaction(work)
        if call is not None:
            note(call, changed)
        return None if changed is None else changed.lead

    @operation("delete_lead", event_name="lead.delete")
    def remove(self, lead_id: str, row_version: int) -> bool:
        """Delete a lead whose row was deleted, and its link.

        Returns:
            Whether the lead existed in that version.
        """

        def work(session: Session) -> dict[str, Any] | None:
            lead = load(session, lead_id)
            if lead is None or lead.row_version != row_version:
                return None
            session.delete(lead)
            session.flush()
            links.forget(session.connection(), lead_id)
            return from_lead(lead)

        lead = self._connections.in_transaction(work)
        call = current_operation()
        if call is not None:
            call.identify(lead or {"id": lead_id}, whole=lead is not None)
            call.records_affected = int(lead is not None)
        return lead is not None

    def unmark(self, marked: Mapping[str, int]) -> None:
        """Clear the sync mark of leads that have not changed since.

        Args:
            marked: The expected version of each lead by its id.
        """
        for some in chunks(marked.items(), _MARKS):
            self._unmark(dict(some))

    @operation("update_leads", event_name="lead.unmark_for_sync", bulk=True)
    def _unmark(self, marked: Mapping[str, int]) -> None:
        def work(session: Session) -> list[str]:
            connection = session.connection()
            done: list[str] = []
            for lead_id, version in sorted(marked.items()):
                statement = update(Lead).where(
                    Lead.id == lead_id, Lead.row_version == version, Lead.sync_pending
                )
                unmarked = statement.values(sync_pending=False).returning(Lead.id)
                done += connection.scalars(unmarked)
            return done

        done = self._connections.in_transaction(work)
        call = current_operation()
        if call is not None:
            call.identify_many(done, len(done))
            call.records_affected = len(done)
            call.fields_changed = {"sync_pending": {"new": False}}
