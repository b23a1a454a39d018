"""The listing of the table, which keeps only changed and unlinked rows in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from leadlog.leads.airtable.context import SyncContext
from leadlog.leads.airtable.reconcile import blank
from leadlog.leads.airtable.remote import RemoteRow
from leadlog.leads.store import links

__all__ = ["Listing", "differs", "list_rows"]


@dataclass(slots=True)
class Listing:
    """The result of a complete, unfiltered listing.

    Attributes:
        seen: The ids of all rows.
        changed: Rows of linked leads that differ from the last agreed values, by id.
        unlinked: Rows without a lead, by id.
    """

    seen: set[str] = field(default_factory=set)
    changed: dict[str, RemoteRow] = field(default_factory=dict)
    unlinked: dict[str, RemoteRow] = field(default_factory=dict)

    def clear(self) -> None:
        """Discard all rows."""
        for part in (self.seen, self.changed, self.unlinked):
            part.clear()


def list_rows(context: SyncContext) -> Listing:
    """Read the whole table.

    Raises:
        AirtableError: It cannot be listed.
    """
    found = Listing()
    pages = 0

    def restarted() -> None:
        nonlocal pages
        found.clear()
        pages = 0

    for page in context.table.pages(restarted):
        pages += 1
        # A row that moves during the paging may appear twice.
        new = [row for row in page if row.record_id not in found.seen]
        ids = [row.record_id for row in new]
        known = context.store.read(lambda connection, ids=ids: links.links_of(connection, ids))  # type: ignore[misc]  # mypy cannot infer defaults
        for row in new:
            found.seen.add(row.record_id)
            link = known.get(row.record_id)
            if link is None:
                found.unlinked[row.record_id] = row
            elif row.wrong or row.lead_id != link.lead_id or differs(row.values, link.base_remote):
                found.changed[row.record_id] = row
        context.progress("listing rows", len(found.seen), None)
    context.result.pages = pages
    return found


def differs(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Return whether values differ from another mapping's, where missing ones are blank."""
    return any(
        value != other.get(name) and not (blank(value) and blank(other.get(name)))
        for name, value in one.items()
    )
