"""Deletes the rows of deleted leads and the leads of deleted rows; an edit wins over a delete.

A row counts as deleted if it is missing in a complete, unfiltered listing and cannot be fetched by
its id either. Deletes of more than a share of the leads at once are probably a mistake, and are
withheld.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from leadlog.core.errors import AirtableError
from leadlog.leads.airtable.comparing import Comparer
from leadlog.leads.airtable.context import SyncContext
from leadlog.leads.airtable.listing import Listing, differs
from leadlog.leads.airtable.mapping import local_values
from leadlog.leads.airtable.pushing import Pusher
from leadlog.leads.airtable.remote import BATCH
from leadlog.leads.airtable.report import LeadOutcome
from leadlog.leads.store import links
from leadlog.leads.store.keys import chunks
from leadlog.leads.store.links import DeletedLead, Link
from leadlog.leads.store.models import Lead

__all__ = ["Remover"]

_Doomed = tuple[DeletedLead, LeadOutcome]


@dataclass(slots=True)
class Remover:
    """Deletes on both sides.

    Attributes:
        context: The current run.
        comparer: Compares leads whose row turns out to exist.
        pusher: Sends deletes, and recreates rows.
        listing: The rows of the table.
        linked: Number of linked leads, including deleted ones.
        tombstones: Ids of the rows of deleted leads, by id of the lead.
    """

    context: SyncContext
    comparer: Comparer
    pusher: Pusher
    listing: Listing
    linked: int
    tombstones: dict[str, str] = field(default_factory=dict)
    _absent: list[tuple[dict[str, Any], Link]] = field(default_factory=list)

    # ------------------------------------------------------------------ leads that are deleted

    def delete_rows(self) -> None:
        """Delete the rows of deleted leads; restore leads whose row was edited since."""
        store = self.context.store
        if not self.context.dry:
            store.write(links.add_orphan_tombstones)
        tombstones = store.read(links.tombstones_of)
        self.linked += len(tombstones)
        there = self._alive(tombstones)
        doomed: list[_Doomed] = []
        for tombstone in tombstones:
            if not self.context.about(tombstone.lead_id):
                self.tombstones[tombstone.lead_id] = tombstone.record_id
            elif tombstone.lead_id in there:
                self._revive(tombstone)
            else:
                self._one(tombstone, doomed)
        if not self.context.options.may_delete(len(doomed), self.linked):
            for _, outcome in doomed:
                outcome.actions.remove("delete_row")
            self._refuse([outcome for _, outcome in doomed], "rows")
        elif not self.context.dry:
            for some in chunks(doomed, BATCH):
                self.pusher.send("delete", some, self._delete, self._missing)

    def _alive(self, tombstones: Sequence[DeletedLead]) -> set[str]:
        found = set[str]()

        def ask(connection: Connection, ids: list[str]) -> list[str]:
            return list(connection.scalars(select(Lead.id).where(Lead.id.in_(ids))))

        for some in chunks([tombstone.lead_id for tombstone in tombstones]):
            found.update(self.context.store.read(lambda connection, ids=some: ask(connection, ids)))  # type: ignore[misc]  # mypy cannot infer defaults
        return found

    def _revive(self, tombstone: DeletedLead) -> None:
        """Link the row of a deleted lead to a new lead with the same id."""
        row = self.listing.unlinked.pop(tombstone.record_id, None)
        if self.context.dry:
            self.tombstones[tombstone.lead_id] = tombstone.record_id
            return
        self.context.store.write(lambda connection, now: links.revive(connection, tombstone, now))
        if row is not None:
            self.listing.changed[tombstone.record_id] = row

    def _one(self, tombstone: DeletedLead, doomed: list[_Doomed]) -> None:
        self.tombstones[tombstone.lead_id] = tombstone.record_id
        row = self.listing.unlinked.get(tombstone.record_id)
        if row is None:
            row = self.context.confirm(tombstone.record_id)
        if row is None:
            if not self.context.dry:
                self._forget([tombstone])
            return
        undone = self.context.options.deletes == "undo"
        edited = undone or differs(row.values, tombstone.base_remote)
        if edited and self.context.pull:
            # The row becomes a lead again, like any unlinked row.
            del self.tombstones[tombstone.lead_id]
            self.listing.unlinked[row.record_id] = row
            if not self.context.dry:
                self._forget([tombstone])
            return
        outcome = self.context.outcome(row.values, tombstone.lead_id, tombstone.record_id)
        if edited:
            outcome.worsen("skipped", "its row was edited since it was deleted; a pull decides")
        elif not self.context.push:
            outcome.worsen("skipped", "the lead is deleted; a push deletes its row")
        else:
            outcome.actions.append("delete_row")
            doomed.append((tombstone, outcome))

    def _delete(self, some: Sequence[_Doomed]) -> None:
        self.context.table.delete([tombstone.record_id for tombstone, _ in some])
        self._forget([tombstone for tombstone, _ in some])

    def _missing(self, one: _Doomed, error: AirtableError) -> bool:
        tombstone, outcome = one
        if (
            self.context.confirm(tombstone.record_id) is None
        ):  # deleted by another client or an earlier attempt
            self._forget([tombstone])
            return False
        if error.status in {403, 404}:
            raise error
        outcome.actions.remove("delete_row")
        outcome.worsen("failed", str(error), error.code)
        self.context.events.failed(self.context.result, outcome, error)
        return True

    def _forget(self, tombstones: Sequence[DeletedLead]) -> None:
        ids = [tombstone.lead_id for tombstone in tombstones]
        self.context.store.write(lambda connection, _: links.remove_tombstones(connection, ids))

    # ------------------------------------------------------------------- rows that are deleted

    def absent(self, lead: dict[str, Any], link: Link) -> None:
        """Remember a lead whose row is missing in the listing, for `settle`."""
        self._absent.append((lead, link))

    def settle(self) -> None:
        """Delete the leads whose row was deleted; recreate the row of leads changed since."""
        lost: list[tuple[dict[str, Any], Link]] = []
        kept: list[tuple[dict[str, Any], Link]] = []
        for lead, link in self._absent:
            edited = differs(local_values(self.context.binding.fields, lead), link.base_local)
            edited = edited or self.context.options.deletes == "undo"
            (kept if edited else lost).append((lead, link))
        if not self.context.options.may_delete(len(lost), self.linked):
            outcomes = [
                self.context.outcome(lead, lead["id"], link.record_id) for lead, link in lost
            ]
            self._refuse(outcomes, "leads")
            lost = []
        for lead, link in kept:
            self._settle(lead, link, edited=True)
        for lead, link in lost:
            self._settle(lead, link, edited=False)

    def _settle(self, lead: Mapping[str, Any], link: Link, *, edited: bool) -> None:
        context = self.context
        if not context.pull and not edited:
            outcome = context.outcome(lead, lead["id"], link.record_id)
            outcome.worsen("skipped", "its row was deleted; a pull decides")
            return
        row = context.confirm(link.record_id)
        if row is not None:
            self.comparer.compare(lead, link, row)
            return
        outcome = context.outcome(lead, lead["id"], link.record_id)
        if edited:
            if context.push:
                self.pusher.create(outcome, lead, again=True)
            else:
                outcome.worsen(
                    "skipped", "its row was deleted, but the lead was changed; a push decides"
                )
            return
        if not context.room():
            outcome.worsen("skipped", "left for the next run by the limit")
            return
        if context.dry or context.store.remove(lead["id"], lead["row_version"]):
            outcome.actions.append("delete_lead")
        else:
            outcome.worsen("skipped", "the lead was changed during the sync; the next one decides")

    def _refuse(self, outcomes: Sequence[LeadOutcome], what: str) -> None:
        """Skip all of these deletes, because they exceed the share."""
        share = self.context.options.max_delete_share
        reason = (
            f"{len(outcomes)} {what} of {self.linked} would be deleted, more than the share of "
            f"{share:g} that one sync may (airtable_max_delete_share); to delete them run: leadlog "
            "sync both --deletes apply; to bring them back: leadlog sync both --deletes undo"
        )
        for outcome in outcomes:
            outcome.worsen("skipped", reason)
        before = self.context.result.error
        self.context.result.error = reason if before is None else f"{before}; {reason}"
