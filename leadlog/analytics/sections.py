"""The sections of a daily summary; each takes events one by one and gives its section."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping
from heapq import heappush, heappushpop
from typing import Any

from typing_extensions import override

from leadlog.analytics.measures import Runs, Sum, highest, measured

__all__ = ["Errors", "Migrations", "Operations", "Performance", "Section", "Syncs"]

Data = Mapping[str, Any]

TIERS: tuple[str, ...] = ("excellent", "good", "acceptable", "slow", "very_slow")
QUALITIES: tuple[str, ...] = ("high", "medium", "low", "invalid")

_MOST = 10  # slowest operations and most common errors that are listed
_FINGERPRINTS_KEPT = 10_000


class Section(ABC):
    """One section of the summary: takes events, gives the section."""

    @abstractmethod
    def add(self, event: Data, weight: float) -> None:
        """Takes one event that stands for `weight` events."""

    @abstractmethod
    def result(self) -> dict[str, Any]:
        """What all events said."""


class Operations(Section):
    """`operation_summary`: counts, durations by operation type, tiers and data quality."""

    def __init__(self) -> None:
        self._all = Runs()
        self._types: defaultdict[str, Runs] = defaultdict(Runs)
        self._tiers = dict.fromkeys(TIERS, 0.0)
        self._qualities = dict.fromkeys(QUALITIES, 0.0)

    @override
    def add(self, event: Data, weight: float) -> None:
        details = _section(event, "operation_details")
        labels = _section(event, "training_labels")
        ended = details.get("success"), details.get("execution_time_ms")
        self._all.add(*ended, weight)
        self._types[str(details.get("operation_type"))].add(*ended, weight)
        for counts, label in ((self._tiers, "performance_tier"), (self._qualities, "data_quality")):
            value = labels.get(label)
            if isinstance(value, str) and value in counts:
                counts[value] += weight

    @override
    def result(self) -> dict[str, Any]:
        return {
            "total_database_operations": round(self._all.total),
            "successful_operations": round(self._all.succeeded),
            "failed_operations": round(self._all.failed),
            "success_rate_percent": self._all.success_percent(),
            "average_operation_time_ms": self._all.durations.mean(),
            "operations": {
                name: {
                    "total": round(runs.total),
                    "failed": round(runs.failed),
                    **runs.durations.percentiles(),
                }
                for name, runs in sorted(self._types.items())
            },
            "performance_tiers": _rounded(self._tiers),
            "data_quality": _rounded(self._qualities),
        }


class Syncs(Section):
    """`sync_summary`: runs, leads, conflicts and API calls."""

    def __init__(self) -> None:
        self._runs = Runs()
        self._sums = {
            name: Sum()
            for name in ("leads_synced", "leads_failed", "conflicts_resolved", "api_calls_made")
        }

    @override
    def add(self, event: Data, weight: float) -> None:
        results = _section(event, "sync_results")
        found = {**results, **_section(event, "performance_metrics")}
        self._runs.add(results.get("success"), results.get("execution_time_ms"), weight)
        for name, total in self._sums.items():
            total.add(found.get(name), weight)

    @override
    def result(self) -> dict[str, Any]:
        return {
            "total_sync_operations": round(self._runs.total),
            "sync_success_rate": self._runs.success_percent(),
            "average_sync_time_ms": self._runs.durations.mean(),
            **{name: total.result() for name, total in self._sums.items()},
        }


class Migrations(Section):
    """`migration_summary`: runs and records."""

    def __init__(self) -> None:
        self._runs = Runs()
        self._sums = {
            name: Sum()
            for name in (
                "records_migrated",
                "records_skipped",
                "records_failed",
                "duplicates_found",
            )
        }

    @override
    def add(self, event: Data, weight: float) -> None:
        results = _section(event, "migration_results")
        self._runs.add(results.get("success"), results.get("execution_time_ms"), weight)
        for name, total in self._sums.items():
            total.add(results.get(name), weight)

    @override
    def result(self) -> dict[str, Any]:
        return {
            "total_migration_operations": round(self._runs.total),
            "migration_success_rate": self._runs.success_percent(),
            "average_migration_time_ms": self._runs.durations.mean(),
            **{name: total.result() for name, total in self._sums.items()},
        }


class Errors(Section):
    """`error_summary`: counts, and the most common errors by fingerprint."""

    def __init__(self) -> None:
        self._total = self._critical = self._recoverable = 0.0
        self._common: dict[str, dict[str, Any]] = {}

    @override
    def add(self, event: Data, weight: float) -> None:
        details = _section(event, "error_details")
        self._total += weight
        if details.get("severity") == "critical":
            self._critical += weight
        if _section(event, "training_labels").get("recoverable") is True:
            self._recoverable += weight
        fingerprint = details.get("fingerprint")
        if not isinstance(fingerprint, str):
            return
        known = self._common.get(fingerprint)
        if known is None:
            if len(self._common) == _FINGERPRINTS_KEPT:
                return
            known = self._common[fingerprint] = {
                "fingerprint": fingerprint,
                "count": 0.0,
                "error_type": details.get("error_type"),
                "error_message": details.get("error_message"),
                "last_seen": event["timestamp"],
            }
        known["count"] += weight
        known["last_seen"] = max(known["last_seen"], event["timestamp"])

    @override
    def result(self) -> dict[str, Any]:
        common = sorted(self._common.values(), key=lambda one: (-one["count"], one["fingerprint"]))
        return {
            "total_errors": round(self._total),
            "critical_errors": round(self._critical),
            "recoverable_errors": round(self._recoverable),
            "most_common_errors": [{**one, "count": round(one["count"])} for one in common[:_MOST]],
        }


class Performance(Section):
    """`performance_summary`: peaks, slowest operations, API calls.

    The calls are those of the syncs; on a day without syncs, those of the outermost monitored
    operations. They are not added: a monitored operation counts the calls of a sync inside it.
    """

    def __init__(self) -> None:
        self._memory_mb: float | None = None
        self._cpu_percent: float | None = None
        self._slowest: list[tuple[float, int, dict[str, Any]]] = []
        self._seen = 0
        self._sync_calls = Sum()
        self._monitored_calls = Sum()

    @override
    def add(self, event: Data, weight: float) -> None:
        metrics = _section(event, "performance_metrics")
        data = _section(event, "performance_data")
        info = _section(event, "operation_info")
        details = _section(event, "operation_details")
        for value in (
            metrics.get("memory_usage_mb"),
            metrics.get("memory_peak_mb"),
            data.get("memory_usage_mb"),
            data.get("memory_peak_mb"),
        ):
            self._memory_mb = highest(self._memory_mb, value)
        self._cpu_percent = highest(self._cpu_percent, data.get("cpu_usage_percent"))
        self._sync_calls.add(metrics.get("api_calls_made"), weight)
        if info.get("parent_operation_id") is None:
            self._monitored_calls.add(data.get("api_calls"), weight)
        self._rank(
            event,
            details.get("operation_type") or info.get("operation_name"),
            details.get("execution_time_ms", info.get("total_duration_ms")),
            details.get("operation_id") or info.get("operation_id"),
        )

    def _rank(self, event: Data, operation: Any, duration_ms: Any, operation_id: Any) -> None:
        if not measured(duration_ms):
            return
        if len(self._slowest) == _MOST and duration_ms <= self._slowest[0][0]:
            return
        self._seen += 1
        one = (
            float(duration_ms),
            -self._seen,  # of two equal ones the first stays
            {
                "operation": operation,
                "duration_ms": duration_ms,
                "timestamp": event["timestamp"],
                "event_id": event.get("event_id"),
                "operation_id": operation_id,
            },
        )
        push = heappush if len(self._slowest) < _MOST else heappushpop
        push(self._slowest, one)

    @override
    def result(self) -> dict[str, Any]:
        slowest = [one for _, _, one in sorted(self._slowest, reverse=True)]
        calls = self._sync_calls.result()
        return {
            "peak_memory_usage_mb": self._memory_mb,
            "peak_cpu_usage_percent": self._cpu_percent,
            "slowest_operation_ms": slowest[0]["duration_ms"] if slowest else None,
            "slowest_operations": slowest,
            "total_api_calls": self._monitored_calls.result() if calls is None else calls,
        }


def _section(event: Data, name: str) -> Data:
    section = event.get(name)
    return section if isinstance(section, dict) else {}


def _rounded(counts: Mapping[str, float]) -> dict[str, int]:
    return {name: round(count) for name, count in counts.items()}
