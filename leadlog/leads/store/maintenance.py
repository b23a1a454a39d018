"""What keeps a lead store sound: the part of `LeadDatabase` for backups, checks and quality."""

import os
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from leadlog.core.errors import ValidationError
from leadlog.leads.store import backups, checks, values
from leadlog.leads.store.open_store import OpenStore
from leadlog.leads.store.quality import QualityReport, judge
from leadlog.leads.store.queries import LeadQueries
from leadlog.leads.store.reports import size_bytes
from leadlog.recording.capture.operation import current_operation
from leadlog.recording.capture.scope import operation

__all__ = ["LeadMaintenance"]


class LeadMaintenance:
    """The part of a store that keeps it sound.

    Args:
        store: What the parts of the store share.
        queries: The part that reads.
    """

    def __init__(self, store: OpenStore, queries: LeadQueries) -> None:
        self._connections = store.connections
        self._capture = store.capture
        self._now = store.now
        self._queries = queries

    @operation("backup", event_name="lead.backup")
    def backup(self, target: str | os.PathLike[str], *, keep: int | None = None) -> backups.Backup:
        """As `LeadDatabase.backup`."""
        if keep is not None:
            keep = values.count(keep, "keep", least=1)
        try:
            path = Path(target)
        except TypeError:
            raise ValidationError(f"target is {values.shown(target)}; give a path") from None
        made = backups.create(self._connections, path, keep, self._now())
        call = current_operation()
        if call is not None:
            call.records_affected = made.leads
        return made

    @operation("check", event_name="lead.check")
    def check(self, *, repair: bool = False) -> list[checks.Finding]:
        """As `LeadDatabase.check`."""
        repaired = 0
        if repair:

            def work(session: Session) -> int:
                return checks.repair(session.connection())

            repaired = self._connections.in_transaction(work)
        found = self._connections.reading(lambda connection: list(checks.findings(connection)))
        call = current_operation()
        if call is not None:
            call.records_affected = repaired
        return found

    @operation("vacuum", event_name="lead.vacuum")
    def vacuum(self) -> dict[str, Any]:
        """As `LeadDatabase.vacuum`."""
        before = self._connections.reading(size_bytes)
        self._connections.vacuum()
        after = self._connections.reading(size_bytes)
        return {"bytes_before": before, "bytes_after": after}

    @operation("explain_quality", event_name="lead.explain_quality", bulk=True)
    def explain_quality(self, *, worst: int = 10, page_size: int = 500) -> QualityReport:
        """As `LeadDatabase.explain_quality`."""
        worst = values.count(worst, "worst")
        found = judge(self._queries.get_all_leads(page_size), worst)
        call = current_operation()
        if call is not None:
            call.records_affected = call.lead_count = found.leads
        return found
