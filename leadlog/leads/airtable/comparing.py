"""Compares each linked lead with its row, and carries out the decision of `reconcile`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leadlog.core.errors import StaleLeadError, ValidationError
from leadlog.leads.airtable.context import SyncContext
from leadlog.leads.airtable.mapping import LEAD_ID, local_values
from leadlog.leads.airtable.options import later
from leadlog.leads.airtable.pushing import Pusher
from leadlog.leads.airtable.reconcile import Merge, reconcile
from leadlog.leads.airtable.remote import RemoteRow
from leadlog.leads.airtable.report import LeadOutcome
from leadlog.leads.store import links
from leadlog.leads.store.links import Link
from leadlog.leads.store.sync_links import Agreed

__all__ = ["Comparer"]

_NEEDED = frozenset({"full_name"})
_TRIES = 5

Lead = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Comparer:
    """Synchronises linked leads with their rows.

    Attributes:
        context: The current run.
        pusher: Collects the writes to rows.
    """

    context: SyncContext
    pusher: Pusher

    def merge(self, lead: Lead, link: Link, row: RemoteRow | None) -> Merge:
        """Return the changes that make a lead and its row equal.

        Args:
            lead: The lead.
            link: Its link, with the values that both sides last agreed on.
            row: The row; None if it has not changed since.
        """
        context = self.context
        fields = context.binding.fields
        modified = None if row is None else row.modified
        policy = context.options.conflict
        wins, why = later(lead["updated_at"], modified, policy)
        return reconcile(
            local_values(fields, lead),
            link.base_remote if row is None else row.values,
            link.base_local,
            link.base_remote,
            remote_wins=wins,
            reason=why,
            by_field={
                name: later(changed, modified, policy) for name, changed in link.changed.items()
            },
            ours={one.name for one in fields if one.ours},
            needed=_NEEDED,
        )

    def compare(self, lead: Lead, link: Link, row: RemoteRow | None) -> None:
        """Synchronise one lead with its row; see `merge`."""
        if row is not None and row.wrong:
            self._refuse(lead, row)
            return
        merge = self.merge(lead, link, row)
        stamp = row is not None and self._stamps(lead, link, row)
        self._agree(lead["id"], merge)
        if not merge.push and not merge.pull and not stamp:
            self.context.unchanged(lead["id"])
            self._unmark(lead, None)
            return
        outcome = self.context.outcome(lead, lead["id"], link.record_id)
        now: Lead = lead
        if merge.pull:
            now, link, merge = self._pull(outcome, lead, link, row, merge)
        push = merge.push if self.context.push else {}
        if merge.push and not push:
            outcome.worsen("skipped", "the lead was changed; a push sends it")
        if push and self.context.is_parked(f"push:{lead['id']}", push) is None:
            self._log(now, link, merge, "local")
        if push or stamp:
            self.pusher.update(outcome, lead["id"], link.record_id, push, stamp=stamp)
        self._unmark(now, outcome)

    def _stamps(self, lead: Lead, link: Link, row: RemoteRow) -> bool:
        """Return whether the lead's id must be written into its row.

        An id that replaced ours is not overwritten: two stores that sync with one table would
        overwrite each other forever. It is reported once.
        """
        written = link.base_remote.get(LEAD_ID)
        if row.lead_id == lead["id"]:
            return False
        if row.lead_id is None or written is None:
            return True
        if row.lead_id != written:
            outcome = self.context.outcome(lead, lead["id"], row.record_id)
            outcome.worsen(
                "skipped",
                f"its row has the Lead ID {row.lead_id} of another store now, so two stores "
                "synchronise with this table; use one store for a table, or give each a Lead ID "
                "field of its own (airtable_lead_id_field)",
            )
            if not self.context.dry:
                agreed: Agreed = ({}, {LEAD_ID: row.lead_id})
                self.context.store.write(
                    lambda connection, now: links.agree(connection, {lead["id"]: agreed}, now)
                )
        return False

    def _unmark(self, lead: Lead, outcome: LeadOutcome | None) -> None:
        if lead["sync_pending"] and (outcome is None or outcome.status == "synced"):
            self.context.marked[lead["id"]] = lead["row_version"]

    def _agree(self, lead_id: str, merge: Merge) -> None:
        self.pusher.agree(lead_id, merge.agreed)

    def _log(self, lead: Lead, link: Link, merge: Merge, winner: str) -> None:
        conflicts = [one for one in merge.conflicts if one.winner == winner]
        self.context.conflict(lead["id"], link.record_id, conflicts)

    def _refuse(self, lead: Lead, row: RemoteRow) -> None:
        """Report a row with a value that a lead cannot store, and set the row aside."""
        outcome = self.context.outcome(lead, lead["id"], row.record_id)
        subject = f"pull:{row.record_id}"
        wrong: dict[str, Any] = dict(row.wrong)
        why = self.context.is_parked(subject, wrong)
        if why is not None:
            outcome.worsen("skipped", why)
            return
        error = ValidationError("; ".join(row.wrong.values()))
        self.context.fail(outcome, subject, wrong, error)

    def _pull(
        self, outcome: LeadOutcome, lead: Lead, link: Link, row: RemoteRow | None, merge: Merge
    ) -> tuple[Lead, Link, Merge]:
        """Change the lead; compare and retry if another writer changed it in between.

        Returns:
            The current lead, link and merge.
        """
        subject = f"pull:{link.record_id}"
        if not self.context.pull:
            outcome.worsen("skipped", "the row was changed; a pull takes it")
            return lead, link, merge
        why = self.context.is_parked(subject, merge.pull)
        if why is None and not self.context.room():
            why = "left for the next run by the limit"
        if why is not None:
            outcome.worsen("skipped", why)
            return lead, link, merge
        for _ in range(_TRIES):
            self._log(lead, link, merge, "remote")
            outcome.pull = merge.pull
            if self.context.dry:
                outcome.actions.append("update_lead")
                return lead, link, merge
            try:
                changed = self._change(lead, merge.pull)
            except StaleLeadError:
                found = self.context.store.get(lead["id"])
                if found is None:
                    break
                lead, link = found
                merge = self.merge(lead, link, row)
                if merge.pull:
                    continue
                outcome.pull = {}
                return lead, link, merge
            except ValidationError as error:
                outcome.pull = {}
                self.context.fail(outcome, subject, merge.pull, error)
                return lead, link, merge
            if changed is None:
                break
            outcome.actions.append("update_lead")
            self.context.release(subject)
            return changed, link, merge
        outcome.pull = {}
        outcome.worsen(
            "skipped", "another writer changed or deleted the lead; the next sync decides"
        )
        return lead, link, Merge()

    def _change(self, lead: Lead, pull: Mapping[str, Any]) -> Lead | None:
        fields = [one for one in self.context.binding.fields if one.name in pull]

        def agreed(stored: dict[str, Any]) -> Agreed:
            return local_values(fields, stored), pull

        new = {**pull, "row_version": lead["row_version"]}
        return self.context.store.change(lead["id"], new, agreed)
