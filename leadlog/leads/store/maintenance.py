"""The third part of `LeadDatabase`: backups, checks, tidying up, and the quality of its leads."""

import os
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from leadlog.core.errors import ValidationError
from leadlog.leads.store import backups, checks, values
from leadlog.leads.store.quality import QualityReport, judge
from leadlog.leads.store.queries import LeadQueries
from leadlog.leads.store.reports import size_bytes
from leadlog.recording.capture.operation import current_operation
from leadlog.recording.capture.scope import operation

__all__ = ["LeadMaintenance"]


class LeadMaintenance(LeadQueries):
    """What keeps a lead store sound."""

    @operation("backup", event_name="lead.backup")
    def backup(self, target: str | os.PathLike[str], *, keep: int | None = None) -> backups.Backup:
        """Back the store up while it is in use, and read the backup back.

        SQLite is copied in one snapshot and checked; PostgreSQL is dumped by `pg_dump`.

        Args:
            target: A file to create (with a suffix such as `.db`), or a directory for a file that
                is named by the time.
            keep: How many backups named by the time stay in the directory; older ones are
                removed after this one is verified. None for all.

        Raises:
            StoreError: The backup could not be made or read back, or `pg_dump` is not installed.
        """
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
        """Look the store through, and return what is wrong with it.

        Args:
            repair: Whether to remove keys without a lead and to add missing ones first; what is
                returned is what is wrong afterwards.
        """
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
        """Give unused space back and tell the planner what there is; others may go on meanwhile.

        Returns:
            `bytes_before` and `bytes_after`, of the database.
        """
        before = self._connections.reading(size_bytes)
        self._connections.vacuum()
        after = self._connections.reading(size_bytes)
        return {"bytes_before": before, "bytes_after": after}

    @operation("explain_quality", event_name="lead.explain_quality", bulk=True)
    def explain_quality(self, *, worst: int = 10, page_size: int = 500) -> QualityReport:
        """Judge every lead's data, field by field.

        Args:
            worst: How many of the worst leads to name.
            page_size: How many leads are read, and held, at a time.

        Returns:
            Tiers, the distribution of scores, per field how often it has points and why not, and
            the worst leads. Scores are those of the log's training labels; what email-validator
            and phonenumbers find beside, where they are installed, is told apart.
        """
        worst = values.count(worst, "worst")
        found = judge(self.get_all_leads(page_size), worst)
        call = current_operation()
        if call is not None:
            call.records_affected = call.lead_count = found.leads
        return found
