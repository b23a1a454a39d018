"""The main job of the demo: every operation of the store at least once, checked in the log.

The reported counts are read from the log files, filtered by the session of this run; only the
number of calls made is counted here, so that the two can be compared.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

import leadlog
from leadlog.core.layout import CATEGORIES, log_files
from leadlog.reading.events import Skipped, read_events

__all__ = ["Job", "read_back"]

_REJECTS_KEPT = 20
_SOMEONE = {
    "name": "Dana Demo",
    "company": "Leadlog Demo Works",
    "email": "dana@demo.example",
    "title": "Head of Trying Things Out",
    "notes": "added and deleted again by `leadlog demo`",
}


class Job:
    """Runs the main job on a store, inside one session.

    Args:
        database: the lead store.
        clock: returns seconds; times the adding of the leads.
        check: called before each call of the store; may raise to stop the job.

    Attributes:
        calls: number of calls made, by operation.
        rejected: (row number from 1, reason) of the first rows that were rejected.
        rejected_count: number of rejected rows.
        seconds: time that adding the leads took.
        summary: the daily summary that was written.
    """

    def __init__(
        self,
        database: leadlog.LeadDatabase,
        clock: Callable[[], float] = time.perf_counter,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._check = check
        self.calls: Counter[str] = Counter()
        self.rejected: list[tuple[int, str]] = []
        self.rejected_count = 0
        self.seconds = 0.0
        self.summary = Path()

    def run(self, leads: Iterable[Any], *, ours: bool) -> None:
        """Add the leads, then exercise every other operation.

        Args:
            leads: rows; a row that is not a lead is rejected and reported.
            ours: whether they are made up, so that the job may change and delete some.
        """
        with leadlog.monitor_performance("demo.add_leads"):
            ids = self._add(leads)
        self._use(ids, ours=ours)
        self._someone()
        self._fail()
        self._by_hand()

    def _call(self, operation: str, *arguments: Any, **keywords: Any) -> Any:
        self._check()
        self.calls[operation] += 1
        return getattr(self._database, operation)(*arguments, **keywords)

    def _add(self, leads: Iterable[Any]) -> list[str]:
        ids: list[str] = []
        started = self._clock()
        for number, lead in enumerate(leads, 1):
            try:
                ids.append(self._call("add_lead", lead))
            except leadlog.ValidationError as error:
                self.rejected_count += 1
                if len(self.rejected) < _REJECTS_KEPT:
                    self.rejected.append((number, str(error)))
        self.seconds = self._clock() - started
        return list(dict.fromkeys(ids))

    def _use(self, ids: list[str], *, ours: bool) -> None:
        """Read some of the leads, and change some if they are made up."""
        for lead_id in ids[::5][:100]:
            self._call("get_lead", lead_id)
        if ours:
            for number, lead_id in enumerate(ids[::10][:50]):
                self._call("update_lead", lead_id, {"status": "contacted", "phone": f"+1 {number}"})
            for lead_id in ids[::25][:20]:
                self._call("delete_lead", lead_id)
        self._call("search_leads", limit=10)

    def _someone(self) -> None:
        """Add, change and delete one lead, leaving the store as it was."""
        lead_id = self._call("add_lead", _SOMEONE)
        self._call("add_lead", {**_SOMEONE, "email": "DANA@demo.example", "phone": "+1 555 0100"})
        self._call("update_lead", lead_id, {"title": "Chief Trying Officer"})
        self._call("search_leads", {"company": _SOMEONE["company"]})
        self._call("find_duplicates", _SOMEONE)
        self._call("delete_lead", lead_id)
        self._call("get_lead", lead_id)

    def _fail(self) -> None:
        """Cause a validation error, and a database error in a separate store."""
        try:
            self._call("add_lead", {"company": "Nobody & Sons", "email": "nobody@demo.example"})
        except leadlog.ValidationError:
            pass
        with leadlog.LeadDatabase(":memory:") as broken:
            with broken.session() as session:
                session.execute(text("DROP TABLE leads"))
            self.calls["get_lead"] += 1
            try:
                broken.get_lead("any")
            except SQLAlchemyError:
                pass

    def _by_hand(self) -> None:
        """Log by hand, as an application would: an event, a health check and the daily summary."""
        self.calls["enrich_lead"] += 1
        leadlog.log_database_event(
            "database_operation",
            {"id": "crm-7", "name": "Jane Example", "company": "Example Ltd"},
            {"success": True, "records_affected": 1, "duplicate_detected": False},
            {
                "operation_type": "enrich_lead",
                "performance_metrics": {"execution_time_ms": 640.0, "database_queries": 1},
            },
        )
        started = self._clock()
        found = self._call("stats")
        logger = leadlog.DatabaseLogger()
        logger.log_monitoring_data(
            "health_check",
            {
                "database_responsive": True,
                "sync_queue_size": found["pending_syncs"],
                "avg_response_time": (self._clock() - started) * 1000,
                "total_leads": found["total_leads"],
                "leads_added_today": found["leads_added_today"],
                "database_size_mb": found["database_size_mb"],
            },
        )
        self.summary = logger.create_daily_summary()


def read_back(directory: Path, session_id: str, since: str) -> dict[str, Any]:
    """Return counts of one session's records in the log files.

    Args:
        directory: the log directory.
        session_id: id of the session.
        since: UTC day on which the session began.

    Returns:
        `events` by category; `operations`: operation type to records, failed and counts by tier;
        `created`, `updated`, `deleted`: leads whose change was committed; `lines_skipped`.
    """
    events: Counter[str] = Counter()
    operations: defaultdict[str, Counter[str]] = defaultdict(Counter)
    leads: Counter[str] = Counter()
    skipped = Skipped()
    for category, data in _events(directory, since, skipped):
        if data.get("session_id") != session_id:
            continue
        events[category] += 1
        if category != "database_operations":
            continue
        # A record whose values could not be serialised has only its envelope.
        details = data.get("operation_details", {})
        kind = details.get("operation_type", "(not serialisable)")
        counts = operations[kind]
        counts["records"] += 1
        counts["failed"] += details.get("success") is False
        counts[data.get("training_labels", {}).get("performance_tier") or "unknown"] += 1
        leads[_what_became(details)] += 1
    return {
        "events": {category: events[category] for category in CATEGORIES},
        "operations": {kind: dict(operations[kind]) for kind in sorted(operations)},
        "created": leads["created"],
        "updated": leads["updated"],
        "deleted": leads["deleted"],
        "lines_skipped": skipped.lines,
    }


def _events(directory: Path, since: str, skipped: Skipped) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in log_files(directory, since=since):
        for event in read_events(file.path, skipped=skipped):
            yield file.category, event.data


def _what_became(details: dict[str, Any]) -> str:
    """Return `created`, `updated` or `deleted` for a record that did so to its lead, else ""."""
    kind = details.get("operation_type")
    if details.get("success") is not True or kind not in {"add_lead", "delete_lead"}:
        return ""
    if kind == "delete_lead":
        return "deleted" if details["records_affected"] else ""
    if details["duplicate_detected"]:
        return "updated"
    return "created" if details["outcome"] == "committed" else ""
