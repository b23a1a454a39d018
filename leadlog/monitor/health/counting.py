"""Counters of events for Prometheus, taken from the log files rather than from the caller.

The follower of a log passes each event once. Counters begin at 0 with the process, which Prometheus
recognizes as a restart.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from leadlog.monitor.figures.rolling import weight_of
from leadlog.reading.analytics.durations import is_duration

__all__ = ["LIMITS_SECONDS", "Durations", "EventCounts"]

LIMITS_SECONDS: tuple[float, ...] = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
)
"""Upper limits of the duration buckets, including those of the tiers (0.2, 0.5, 2, 5 s)."""

_MOST_NAMES = 200
_OTHERS = "(others)"
_LEADS = ("leads_synced", "leads_skipped", "leads_failed")


class Durations:
    """The durations of one operation, in buckets.

    Attributes:
        buckets: count of each bucket of `LIMITS_SECONDS`, and above the last.
        seconds: sum of all durations.
    """

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0.0] * (len(LIMITS_SECONDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float, weight: float) -> None:
        """Add a duration that represents `weight` durations."""
        self.buckets[bisect_left(LIMITS_SECONDS, seconds)] += weight
        self.seconds += seconds * weight


class EventCounts:
    """Totals of the events so far; a sampled event counts for all that it represents.

    Attributes:
        operations: count by entity, operation and success (`true`, `false`, `unknown`).
        durations: durations by entity and operation.
        qualities: new leads by data quality.
        errors: count by error type and severity.
        user_errors: failed operations whose errors were caused by the user.
        syncs: count by sync type and success.
        sync_leads: leads in syncs, by result.
        api_calls: Airtable requests made by syncs.
        migrations: count by migration type and success.
        events: all events by log type.
    """

    def __init__(self) -> None:
        self.operations: defaultdict[tuple[str, str, str], float] = defaultdict(float)
        self.durations: defaultdict[tuple[str, str], Durations] = defaultdict(Durations)
        self.qualities: defaultdict[str, float] = defaultdict(float)
        self.errors: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.user_errors = 0.0
        self.syncs: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.sync_leads: defaultdict[str, float] = defaultdict(float)
        self.api_calls = 0.0
        self.migrations: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.events: defaultdict[str, float] = defaultdict(float)
        self._names: dict[object, str] = {}
        self._pairs: set[tuple[str, str]] = set()

    def add(self, data: Mapping[str, Any]) -> None:
        """Count one event as it is in its file."""
        weight = weight_of(data)
        log_type = data.get("log_type")
        if log_type == "database_operation":
            self._operation(data, weight)
        elif log_type == "error_log":
            details = _section(data, "error_details")
            key = self._name(details.get("error_type")), str(details.get("severity"))
            self.errors[key] += weight
            is_users = _section(data, "training_labels").get("user_error") is True
            if is_users and _section(data, "context").get("operation_id") is not None:
                self.user_errors += weight
        elif log_type == "sync_operation":
            self._sync(data, weight)
        elif log_type == "migration_operation":
            kind = self._name(_section(data, "migration_details").get("migration_type"))
            success = _section(data, "migration_results").get("success")
            self.migrations[kind, _word(success)] += weight
        self.events[self._name(log_type)] += weight

    def _operation(self, data: Mapping[str, Any], weight: float) -> None:
        details = _section(data, "operation_details")
        operation = details.get("operation_type")
        key = self._pair(details.get("entity"), operation)
        self.operations[*key, _word(details.get("success"))] += weight
        took = details.get("execution_time_ms")
        if is_duration(took):
            self.durations[key].add(took / 1000, weight)
        name = str(operation)
        if name.startswith("add"):
            quality = _section(data, "training_labels").get("data_quality")
            if isinstance(quality, str):
                self.qualities[self._name(quality)] += weight

    def _sync(self, data: Mapping[str, Any], weight: float) -> None:
        results = _section(data, "sync_results")
        kind = self._name(_section(data, "sync_details").get("sync_type"))
        self.syncs[kind, _word(results.get("success"))] += weight
        for key in _LEADS:
            number = results.get(key)
            if isinstance(number, int):
                self.sync_leads[key.removeprefix("leads_")] += number * weight
        calls = _section(data, "performance_metrics").get("api_calls_made")
        if isinstance(calls, int):
            self.api_calls += calls * weight

    def _pair(self, entity: object, operation: object) -> tuple[str, str]:
        """Return the labels entity and operation; beyond 200 pairs the rest share one."""
        known = entity if isinstance(entity, str) else "", str(operation)
        if known not in self._pairs:
            if len(self._pairs) >= _MOST_NAMES:
                return _OTHERS, _OTHERS
            self._pairs.add(known)
        return known

    def _name(self, value: object) -> str:
        """Return a label's value, limited in number.

        A log with thousands of names must not create thousands of series.
        """
        known = self._names.get(value) if isinstance(value, str) else None
        if known is None:
            known = str(value) if len(self._names) < _MOST_NAMES else _OTHERS
            if isinstance(value, str) and known is not _OTHERS:
                self._names[value] = known
        return known


def _word(success: object) -> str:
    return str(success).lower() if type(success) is bool else "unknown"


def _section(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = data.get(name)
    return section if type(section) is dict else {}
