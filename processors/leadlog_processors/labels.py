"""Labels: what follows from a record, for people who train models on it.

Every label is a pure function of measured values. An input that is null gives a null label, or
`unknown` where the table says so. A label that is set already stays.

| log type | label | rule |
|---|---|---|
| database_operation | operation_successful | `success` |
|  | complexity_level | see `complexity_level` |
| sync_operation | sync_successful | `success` |
|  | sync_efficiency | see `sync_efficiency` |
|  | error_recovery | whether a call was repeated |
|  | batch_optimization | see `batch_optimization` |
| migration_operation | migration_successful | `success` |
|  | performance_acceptable | below 60 s per 10,000 records |
|  | error_handling_effective | every record is migrated, skipped, a duplicate or rejected |
| error_log | error_severity | `severity` |
|  | recoverable | the recovery was successful |
|  | user_error | validation_error, input_error |
|  | system_error | database_error, sync_error |
| performance_metrics | resource_efficiency | see `resource_efficiency` |
|  | scalability_indicator | see `scalability_indicator` |
|  | optimization_needed | longer than 5000 ms |
| monitoring_data | system_healthy | no critical alert is firing |
|  | performance_acceptable | average response below 1000 ms |
|  | sync_efficiency | error rate below 5 percent |
|  | capacity_adequate | sync queue below 100 |

>>> sync_efficiency(synced=7, total=8, execution_time_ms=2500.0)
'good'
>>> batch_optimization(batch_size=10, total=8, retries=0)
'optimal'
>>> complexity_level("get_lead"), complexity_level("sync_leads"), complexity_level(None)
('low', 'high', None)
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from structlog.typing import EventDict, WrappedLogger

from leadlog_processors.fields import (
    DATABASE_OPERATION,
    ERROR_LOG,
    MIGRATION_OPERATION,
    MONITORING_DATA,
    PERFORMANCE_METRICS,
    SYNC_OPERATION,
)

_LEVELS: Final = ("low", "medium", "high")
_LEVEL_OF: Final = {
    "get": 0,
    "read": 0,
    "delete": 0,
    "add": 1,
    "create": 1,
    "update": 1,
    "search": 1,
    "find": 2,
    "bulk": 2,
    "sync": 2,
    "migration": 2,
    "migrate": 2,
}
"""First word of an operation_type to its level; any other is medium."""
_USER_ERRORS: Final = frozenset(("validation_error", "input_error"))
_SYSTEM_ERRORS: Final = frozenset(("database_error", "sync_error"))

COMPLEXITY_SIZE_BYTES: Final = 10_000
COMPLEXITY_QUERIES: Final = 10
OPTIMIZATION_NEEDED_MS: Final = 5000.0


def _first_words(operation_type: str) -> int:
    return _LEVEL_OF.get(operation_type.partition("_")[0], 1)


def complexity_level(
    operation_type: str | None,
    *,
    size_bytes: float | None = None,
    queries: int | None = None,
    bulk: bool | None = False,
    most_bytes: float = COMPLEXITY_SIZE_BYTES,
    most_queries: int = COMPLEXITY_QUERIES,
) -> str | None:
    """low, medium or high; None where the operation is not known.

    get, read and delete are low; add, create, update, search and any other medium;
    find_duplicates, sync, migration and whatever is bulk high. A payload or query count beyond
    its limit raises it one step; one that was not measured does not.

    Args:
        operation_type: add_lead, get_lead, …
        size_bytes: size of the payload, bytes.
        queries: statements sent.
        bulk: whether one call touches many leads.
        most_bytes: largest payload that does not raise the level, bytes.
        most_queries: most statements that do not raise it.
    """
    if not operation_type:
        return None
    level = 2 if bulk else _first_words(operation_type)
    if (size_bytes is not None and size_bytes > most_bytes) or (
        queries is not None and queries > most_queries
    ):
        level = min(level + 1, 2)
    return _LEVELS[level]


def sync_efficiency(
    *, synced: int | None, total: int | None, execution_time_ms: float | None
) -> str | None:
    """excellent, good, acceptable, poor; unknown where there was nothing to synchronise.

    | | share synchronised | mean ms per lead |
    |---|---|---|
    | excellent | ≥ 95 % | < 500 |
    | good | ≥ 85 % | < 1000 |
    | acceptable | ≥ 70 % | < 2000 |

    Both bounds count; None where an input is null.

    Args:
        synced: leads synchronised.
        total: leads that the run was about.
        execution_time_ms: wall time of the run, milliseconds.
    """
    if total == 0:
        return "unknown"
    if synced is None or total is None or execution_time_ms is None:
        return None
    share, mean_ms = synced / total, execution_time_ms / total
    for label, least, below in (
        ("excellent", 0.95, 500),
        ("good", 0.85, 1000),
        ("acceptable", 0.70, 2000),
    ):
        if share >= least and mean_ms < below:
            return label
    return "poor"


def batch_optimization(
    *,
    batch_size: int | None,
    total: int | None,
    retries: int | None = None,
    calls_made: int | None = None,
    calls_minimum: int | None = None,
) -> str | None:
    """API calls made against the fewest possible.

    optimal is the minimum, good up to 1.5 times, acceptable up to 3 times, beyond that
    inefficient; a batch size of 1 is no_batching. Where the caller did not count its calls they
    are `ceil(total / batch_size)` and the retries. None where that cannot be told.

    Args:
        batch_size: most leads per call.
        total: leads that the run was about.
        retries: calls repeated.
        calls_made: calls counted.
        calls_minimum: fewest calls that could have done it.
    """
    if batch_size == 1:
        return "no_batching"
    if total is not None and batch_size is not None and batch_size > 1:
        fewest = math.ceil(total / batch_size)
        if calls_minimum is None:
            calls_minimum = fewest
        if calls_made is None and retries is not None:
            calls_made = fewest + retries
    if calls_made is None or calls_minimum is None:
        return None
    if calls_made <= calls_minimum:
        return "optimal"
    if calls_made <= 1.5 * calls_minimum:
        return "good"
    return "acceptable" if calls_made <= 3 * calls_minimum else "inefficient"


def resource_efficiency(*, cpu_usage_percent: float | None, memory_mb: float | None) -> str:
    """excellent, good, acceptable or poor, by the worse of CPU and memory; else unknown.

    | | CPU, percent of one core | resident set, 10^6 bytes |
    |---|---|---|
    | excellent | < 50 | < 200 |
    | good | < 80 | < 500 |
    | acceptable | < 95 | < 1000 |

    Args:
        cpu_usage_percent: CPU time as a share of the wall time.
        memory_mb: resident set of the process, 10^6 bytes.
    """
    if cpu_usage_percent is None or memory_mb is None:
        return "unknown"
    for label, cpu, memory in (
        ("excellent", 50, 200),
        ("good", 80, 500),
        ("acceptable", 95, 1000),
    ):
        if cpu_usage_percent < cpu and memory_mb < memory:
            return label
    return "poor"


def scalability_indicator(*, duration_ms: float | None, total_leads: int | None) -> str:
    """excellent, good, acceptable or poor, by the time per 1,000 leads in the store; else unknown.

    excellent below 10 ms per 1,000 leads, good below 100, acceptable below 1000. A store of
    fewer than 1,000 leads says nothing about how the operation grows: unknown.

    Args:
        duration_ms: wall time, milliseconds.
        total_leads: leads in the store.
    """
    if duration_ms is None or total_leads is None or total_leads < 1000:
        return "unknown"
    per_thousand = duration_ms / (total_leads / 1000)
    for label, below in (("excellent", 10), ("good", 100), ("acceptable", 1000)):
        if per_thousand < below:
            return label
    return "poor"


def migration_acceptable(*, records: int | None, execution_time_ms: float | None) -> bool | None:
    """Whether a migration took less than 60 s per 10,000 records; None where not known.

    Args:
        records: records read.
        execution_time_ms: wall time, milliseconds.
    """
    if not records or execution_time_ms is None:
        return None
    return execution_time_ms / records < 6.0


def errors_accounted_for(results: Mapping[str, Any]) -> bool | None:
    """Whether every record read was migrated, skipped, a duplicate or rejected.

    Args:
        results: total_records_processed, records_migrated, records_skipped, records_failed,
            duplicates_found; a missing total, or no count at all, gives None.
    """
    total = results.get("total_records_processed")
    counts = [
        results.get(key)
        for key in ("records_migrated", "records_skipped", "records_failed", "duplicates_found")
    ]
    if total is None or counts[0] is None:
        return None
    return bool(total == sum(count or 0 for count in counts))


def _below(value: float | None, limit: float) -> bool | None:
    return None if value is None else value < limit


def is_healthy(alerts: Any) -> bool:
    """Whether no critical alert is firing.

    Args:
        alerts: mappings of severity and state; an alert without a state counts as firing.
    """
    return not any(
        alert.get("severity") == "critical" and alert.get("state") in (None, "firing")
        for alert in alerts
    )


class TrainingLabels:
    """Fills in the labels that follow from the record, by its log type.

    In: the sections of the log type. Out: `training_labels`, but for those of PerformanceTier
    and DataQuality. An event without a log type of ours passes untouched; never raises.
    Cost: about 0.4 µs for a database_operation, up to 2 µs for the others.

    Args:
        complexity_size_bytes: payload beyond which complexity_level rises, bytes.
        complexity_queries: query count beyond which it rises.
        optimization_needed_ms: duration beyond which optimization_needed is true.
    """

    def __init__(
        self,
        *,
        complexity_size_bytes: float = COMPLEXITY_SIZE_BYTES,
        complexity_queries: int = COMPLEXITY_QUERIES,
        optimization_needed_ms: float = OPTIMIZATION_NEEDED_MS,
    ) -> None:
        self._size_bytes = complexity_size_bytes
        self._queries = complexity_queries
        self._slow_ms = optimization_needed_ms
        self._rules: dict[str, Callable[[EventDict], Mapping[str, Any]]] = {
            SYNC_OPERATION: self._sync,
            MIGRATION_OPERATION: self._migration,
            ERROR_LOG: self._error,
            PERFORMANCE_METRICS: self._performance,
            MONITORING_DATA: self._monitoring,
        }

    def __call__(self, logger: WrappedLogger, method_name: str, event_dict: EventDict) -> EventDict:
        """Set the labels that are not set yet."""
        log_type = event_dict.get("log_type")
        try:
            if log_type == DATABASE_OPERATION:
                self._database(event_dict)
            elif (rule := self._rules.get(log_type or "")) is not None:
                labels = event_dict["training_labels"]
                for name, value in rule(event_dict).items():
                    if labels.get(name) is None:
                        labels[name] = value
        except (AttributeError, KeyError, TypeError):
            pass  # somebody else's event under our log type: nothing to read, nothing to label
        return event_dict

    def _database(self, event: EventDict) -> None:
        details, labels = event["operation_details"], event["training_labels"]
        if labels["operation_successful"] is None:
            labels["operation_successful"] = details["success"]
        if labels["complexity_level"] is None:
            labels["complexity_level"] = complexity_level(
                details["operation_type"],
                size_bytes=event["data_details"]["data_size_bytes"],
                queries=event["performance_metrics"]["database_queries"],
                bulk=details["bulk"],
                most_bytes=self._size_bytes,
                most_queries=self._queries,
            )

    @staticmethod
    def _sync(event: EventDict) -> Mapping[str, Any]:
        details, results = event["sync_details"], event["sync_results"]
        metrics = event["performance_metrics"]
        retries = details["retry_attempts"]
        return {
            "sync_successful": results["success"],
            "sync_efficiency": sync_efficiency(
                synced=results["leads_synced"],
                total=details["total_leads"],
                execution_time_ms=results["execution_time_ms"],
            ),
            "error_recovery": None if retries is None else retries > 0,
            "batch_optimization": batch_optimization(
                batch_size=details["batch_size"],
                total=details["total_leads"],
                retries=retries,
                calls_made=metrics["api_calls_made"],
                calls_minimum=metrics["api_calls_minimum"],
            ),
        }

    @staticmethod
    def _migration(event: EventDict) -> Mapping[str, Any]:
        results = event["migration_results"]
        return {
            "migration_successful": results["success"],
            "performance_acceptable": migration_acceptable(
                records=results["total_records_processed"],
                execution_time_ms=results["execution_time_ms"],
            ),
            "error_handling_effective": errors_accounted_for(results),
        }

    @staticmethod
    def _error(event: EventDict) -> Mapping[str, Any]:
        details = event["error_details"]
        return {
            "error_severity": details["severity"],
            "recoverable": event["recovery_info"]["recovery_successful"],
            "user_error": details["error_type"] in _USER_ERRORS,
            "system_error": details["error_type"] in _SYSTEM_ERRORS,
        }

    def _performance(self, event: EventDict) -> Mapping[str, Any]:
        info, data = event["operation_info"], event["performance_data"]
        duration = info["total_duration_ms"]
        return {
            "resource_efficiency": resource_efficiency(
                cpu_usage_percent=data["cpu_usage_percent"], memory_mb=data["memory_usage_mb"]
            ),
            "scalability_indicator": scalability_indicator(
                duration_ms=duration, total_leads=event["system_info"]["total_leads"]
            ),
            "optimization_needed": None if duration is None else duration > self._slow_ms,
        }

    @staticmethod
    def _monitoring(event: EventDict) -> Mapping[str, Any]:
        health = event["system_health"]
        return {
            "system_healthy": is_healthy(event["alerts"]),
            "performance_acceptable": _below(health["average_response_time_ms"], 1000),
            "sync_efficiency": _below(health["error_rate_percent"], 5),
            "capacity_adequate": _below(health["sync_queue_size"], 100),
        }
