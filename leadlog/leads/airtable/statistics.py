"""The backlog and the history of syncs."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from leadlog.leads.airtable.listing import differs
from leadlog.leads.airtable.mapping import FieldMapping, kinds_for, local_values
from leadlog.leads.store import links, syncs
from leadlog.leads.store.models import Lead
from leadlog.leads.store.sync_links import SyncLinks

__all__ = ["statistics"]

_RUNS_LISTED = 10


def statistics(store: SyncLinks, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the statistics of `AirtableSyncManager.get_sync_statistics`.

    Args:
        store: The leads.
        names: Airtable field by field of a lead.
    """
    fields = [FieldMapping(name, "", title, kinds_for(name)[0]) for name, title in names.items()]
    changed = sum(
        1 for lead, link in store.linked() if differs(local_values(fields, lead), link.base_local)
    )

    def ask(connection: Connection) -> dict[str, Any]:
        total = connection.execute(select(func.count()).select_from(Lead)).scalar_one()
        marked = connection.execute(
            select(func.count()).select_from(Lead).where(Lead.sync_pending)
        ).scalar_one()
        linked = links.linked_count(connection)
        parked = syncs.parked(connection)
        runs = [_run(run) for run in syncs.last_runs(connection, _RUNS_LISTED)]
        return {
            "total_leads": total,
            "linked_leads": linked,
            "unlinked_leads": total - linked,
            "changed_leads": changed,
            "pending_leads": total - linked + changed,
            "marked_leads": marked,
            "pending_deletes": len(links.tombstones_of(connection)),
            "last_synced_at": links.last_synced(connection),
            "failed_leads": len(parked),
            "failures": [
                {
                    "lead_id": one.lead_id,
                    "record_id": one.record_id,
                    "reason": one.reason,
                    "error_code": one.error_code,
                    "failures": one.failures,
                    "failed_at": one.failed_at,
                }
                for one in parked.values()
            ],
            **syncs.run_numbers(connection),
            "last_runs": runs,
        }

    return store.read(ask)


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in run.items() if key != "fields"}
