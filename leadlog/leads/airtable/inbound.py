"""Imports unlinked rows: adopts, links or adds them, or reports them as duplicate rows.

- A row with the id of a lead without a row was created by a run that crashed: it is adopted.
- A row with the id of a lead that has another row was duplicated by a user: it is reported. If
        the other row no longer exists, the lead is linked to the copy instead.
- A row that matches a lead of the store by LinkedIn profile, e-mail address or name and company is
        linked to it; if that lead has a row already, it is reported.
- Any other row becomes a lead. Its id is written into the row later, during the comparison.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from leadlog.core.errors import StoreError, ValidationError
from leadlog.leads.airtable.comparing import Comparer
from leadlog.leads.airtable.context import SyncContext
from leadlog.leads.airtable.listing import Listing
from leadlog.leads.airtable.mapping import local_values
from leadlog.leads.airtable.reconcile import blank
from leadlog.leads.airtable.remote import RemoteRow
from leadlog.leads.airtable.report import LeadOutcome
from leadlog.leads.store import links
from leadlog.leads.store.keys import chunks
from leadlog.leads.store.links import Link
from leadlog.leads.store.models import Lead, SyncLink
from leadlog.leads.store.sync_links import Agreed

__all__ = ["Importer"]


@dataclass(slots=True)
class Importer:
    """Imports unlinked rows.

    Attributes:
        context: The current run.
        comparer: Compares, in a dry run, leads with rows that would be linked.
        listing: The rows of the table.
        tombstones: The rows of deleted leads, by id of the lead.
        pretended: Ids of leads that a dry run would have linked.
    """

    context: SyncContext
    comparer: Comparer
    listing: Listing
    tombstones: dict[str, str]
    pretended: set[str] = field(default_factory=set)
    _linked: dict[str, str | None] = field(default_factory=dict)

    def take(self) -> None:
        """Import all unlinked rows, oldest first."""
        deleted = set(self.tombstones.values())
        rows = [row for row in self.listing.unlinked.values() if row.record_id not in deleted]
        rows.sort(key=lambda row: (row.created, row.record_id))
        for some in chunks(rows):
            self._look_up(some)
            for row in some:
                self._take(row)

    def _look_up(self, rows: Sequence[RemoteRow]) -> None:
        """Look up the leads whose ids the rows contain, and the rows linked to them."""
        ids = {row.lead_id for row in rows if row.lead_id is not None} - self._linked.keys()

        def ask(connection: Connection) -> Iterator[Any]:
            statement = (
                select(Lead.id, SyncLink.record_id)
                .outerjoin(SyncLink, SyncLink.lead_id == Lead.id)
                .where(Lead.id.in_(ids))
            )
            return iter(connection.execute(statement).all())

        if ids:
            self._linked.update((row[0], row[1]) for row in self.context.store.read(ask))

    def _take(self, row: RemoteRow) -> None:
        lead_id = row.lead_id
        if lead_id is not None and lead_id in self._linked:
            if self.context.about(lead_id):
                self._known(row, lead_id, self._linked[lead_id])
            return
        if lead_id is not None and lead_id in self.tombstones:
            self._second(row, lead_id, "a copy of a row whose lead is deleted")
            return
        self._unknown(row)

    def _known(self, row: RemoteRow, lead_id: str, record_id: str | None) -> None:
        if record_id is None:
            self._link(row, lead_id)
        elif record_id in self.listing.seen or self.context.confirm(record_id) is not None:
            self._second(row, lead_id, f"a copy of row {record_id}, which is this lead's")
        else:
            self._move(row, lead_id)

    def _second(self, row: RemoteRow, lead_id: str, reason: str) -> None:
        self.context.result.duplicates[row.record_id] = lead_id
        outcome = self.context.outcome(row.values, None, row.record_id)
        outcome.worsen("skipped", reason)

    def _link(self, row: RemoteRow, lead_id: str) -> None:
        self._linked[lead_id] = row.record_id
        outcome = self.context.outcome(row.values, lead_id, row.record_id)
        outcome.actions.append("link")
        one = Link(lead_id, row.record_id, {}, {})
        if self.context.dry:
            self.pretended.add(lead_id)
            for lead in self.context.store.unlinked([lead_id]):
                self.comparer.compare(lead, one, row)
            return
        self.context.store.write(lambda connection, now: links.link(connection, [one], now))
        self.listing.changed[row.record_id] = row

    def _move(self, row: RemoteRow, lead_id: str) -> None:
        """Link a lead whose row no longer exists to the copy."""
        self._linked[lead_id] = row.record_id
        outcome = self.context.outcome(row.values, lead_id, row.record_id)
        outcome.actions.append("link")
        if self.context.dry:
            self.pretended.add(lead_id)
            return
        self.context.store.write(
            lambda connection, _: links.relink(connection, lead_id, row.record_id, afresh=False)
        )
        self.listing.changed[row.record_id] = row
        self.listing.seen.add(row.record_id)

    def _unknown(self, row: RemoteRow) -> None:
        context = self.context
        subject = f"pull:{row.record_id}"
        if row.wrong:
            if context.pull and context.about_row(row.record_id):
                outcome = context.outcome(row.values, None, row.record_id)
                self._refuse(
                    outcome,
                    subject,
                    dict(row.wrong),
                    ValidationError("; ".join(row.wrong.values())),
                )
            return
        given = {name: value for name, value in row.values.items() if not blank(value)}
        if "full_name" not in given:
            if context.pull and context.about_row(row.record_id):
                outcome = context.outcome(row.values, None, row.record_id)
                outcome.worsen("skipped", "the row has no name, which a lead needs")
            return
        same = context.store.same_as(given)
        if same is not None:
            self._same(row, same)
        elif context.pull and context.about_row(row.record_id):
            self._add(row, given, subject)

    def _same(self, row: RemoteRow, same: dict[str, Any]) -> None:
        lead_id = same["id"]
        if not self.context.about(lead_id):
            return
        if lead_id not in self._linked:
            self._linked[lead_id] = self.context.store.read(
                lambda connection: connection.scalars(
                    select(SyncLink.record_id).where(SyncLink.lead_id == lead_id)
                ).one_or_none()
            )
        record_id = self._linked[lead_id]
        if record_id is None:
            self._link(row, lead_id)
        else:
            self._second(row, lead_id, f"the same person as row {record_id}")

    def _refuse(
        self, outcome: LeadOutcome, subject: str, new: dict[str, Any], error: Exception
    ) -> None:
        why = self.context.is_parked(subject, new)
        if why is not None:
            outcome.worsen("skipped", why)
        else:
            self.context.fail(outcome, subject, new, error)

    def _add(self, row: RemoteRow, given: dict[str, Any], subject: str) -> None:
        context = self.context
        outcome = context.outcome(given, None, row.record_id)
        why = context.is_parked(subject, given)
        if why is None and not context.room():
            why = "left for the next run by the limit"
        if why is not None:
            outcome.worsen("skipped", why)
            return
        outcome.pull = given
        if context.dry:
            outcome.actions.append("add_lead")
            return
        taken = [one for one in context.binding.fields if not one.ours]

        def agreed(stored: dict[str, Any]) -> Agreed:
            return local_values(taken, stored), {one.name: row.values[one.name] for one in taken}

        lead = {one.name: given[one.name] for one in taken if one.name in given}
        if row.lead_id is not None:
            lead["id"] = row.lead_id
        try:
            stored = context.store.add(lead, row.record_id, agreed)
        except StoreError as error:
            self._refuse(outcome, subject, given, error)
            return
        outcome.actions.append("add_lead")
        context.release(subject)
        context.became(outcome, stored["id"])
        self._linked[stored["id"]] = row.record_id
        self.listing.changed[row.record_id] = row
        if context.lead_ids is not None:
            context.lead_ids.add(stored["id"])
