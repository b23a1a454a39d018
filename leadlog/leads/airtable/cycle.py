"""The steps of one sync run."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from leadlog.core.errors import ValidationError
from leadlog.leads.airtable.comparing import Comparer
from leadlog.leads.airtable.context import SyncContext
from leadlog.leads.airtable.inbound import Importer
from leadlog.leads.airtable.listing import Listing, list_rows
from leadlog.leads.airtable.pushing import Pusher
from leadlog.leads.airtable.removing import Remover
from leadlog.leads.store import links, syncs
from leadlog.leads.store.models import Lead

__all__ = ["run_cycle"]

_TOLD = 100


def run_cycle(context: SyncContext) -> None:
    """Synchronise the store and the table, within the scope of the context.

    Deletions come first, so that nothing deleted is imported again. Rows are imported before rows
    are created, so that a person entered on both sides becomes one lead.

    Raises:
        AirtableError: Airtable refused to continue; completed changes stay.
    """
    store = context.store
    context.parked = store.read(syncs.parked)
    listing = list_rows(context)
    linked = store.read(links.linked_count)
    pusher = Pusher(context)
    comparer = Comparer(context, pusher)
    remover = Remover(context, comparer, pusher, listing, linked)
    remover.delete_rows()
    inbound = Importer(context, comparer, listing, remover.tombstones)
    inbound.take()
    _Walk(context, comparer, pusher, remover, listing, inbound.pretended, store.read(_count)).walk()
    remover.settle()
    pusher.flush()
    _check_ids(context)
    context.tidy()
    if not context.dry:
        _unmark(context)


@dataclass(slots=True)
class _Walk:
    """Processes the leads: those without a row first, then the linked ones."""

    context: SyncContext
    comparer: Comparer
    pusher: Pusher
    remover: Remover
    listing: Listing
    pretended: set[str]
    total: int
    done: int = 0

    def walk(self) -> None:
        """Process all leads."""
        context, listing = self.context, self.listing
        wanted = None if context.lead_ids is None else sorted(context.lead_ids)
        if context.push:
            for lead in context.store.unlinked(wanted):
                self._tell()
                if lead["id"] in self.pretended:
                    continue
                outcome = context.outcome(lead, lead["id"], None)
                self.pusher.create(outcome, lead)
                if lead["sync_pending"]:
                    context.marked[lead["id"]] = lead["row_version"]
            # Rows just created are equal to their leads and need no comparison.
            self.pusher.flush()
        created = {one.record_id for one in context.result.outcomes if "create_row" in one.actions}
        for lead, link in context.store.linked(wanted):
            if link.record_id in created:
                continue
            self._tell()
            if link.record_id in listing.seen:
                self.comparer.compare(lead, link, listing.changed.get(link.record_id))
            else:
                self.remover.absent(lead, link)

    def _tell(self) -> None:
        self.done += 1
        if self.done % _TOLD == 0 or self.done == self.total:
            self.context.progress("comparing leads", self.done, self.total)


def _count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(Lead)).scalar_one()


def _check_ids(context: SyncContext) -> None:
    """Report requested leads that do not exist."""
    if context.lead_ids is None:
        return
    told = {one.lead_id for one in context.result.outcomes}
    asked = sorted(context.lead_ids - told)
    there = set[str]()
    if asked:
        there = set(
            context.store.read(
                lambda connection: connection.scalars(
                    select(Lead.id).where(Lead.id.in_(asked))
                ).all()
            )
        )
    for lead_id in asked:
        if lead_id not in there:
            error = ValidationError(f"there is no lead {lead_id!r}")
            context.outcome({}, lead_id, None).worsen("failed", str(error))


def _unmark(context: SyncContext) -> None:
    synced = {one.lead_id: one.status == "synced" for one in context.result.outcomes}
    done = {
        lead_id: version for lead_id, version in context.marked.items() if synced.get(lead_id, True)
    }
    context.store.unmark(done)
