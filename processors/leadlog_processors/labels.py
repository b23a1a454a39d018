"""Labels: the training labels of the six log types, each a documented rule on measured facts.

If an input is null, the label is null, or "unknown" if the rule has that value: never a guess.
The rules themselves are functions, see `leadlog_processors.rules`.

database_operation
- operation_successful: `success`.
- complexity_level: low for reading and deleting, medium for adding, updating, searching and
  unknown operations, high for find_duplicates, bulk, sync and migration; one step higher if the
  data are larger than 10,000 bytes or took more than 10 queries.

sync_operation
- sync_successful: `success`.
- sync_efficiency: excellent from 95 % synchronised and below 500 ms per lead, good from 85 % and
  below 1000, acceptable from 70 % and below 2000, otherwise poor; unknown with nothing to
  synchronise.
- error_recovery: the run needed retries and succeeded.
- batch_optimization: API calls made compared with the minimum: optimal at the minimum, good up to
  1.5 times, acceptable up to 3 times, otherwise inefficient; no_batching with a batch size of 1.
  Calls that were not counted are estimated as `ceil(total_leads / batch_size)` plus the retries, a
  minimum that was not given as `ceil(total_leads / 10)`.

migration_operation
- migration_successful: `success`.
- data_integrity_maintained: set by the caller that verified it; set to false here only if
  records are unaccounted for (neither migrated, skipped, rejected nor duplicates).
- performance_acceptable: below 60 s per 10,000 records; below 5 s is always acceptable, since the
  start and the backup take time regardless of the number of records.
- error_handling_effective: every record is accounted for.

error_log
- error_severity: `severity`. recoverable: the recovery succeeded; false if none was attempted.
- user_error: validation_error, input_error; a row refused as a duplicate; a 4xx response, except
  to a sync or a migration. system_error: other errors of the types database_error and sync_error.

performance_metrics
- resource_efficiency: the worst band of duration, CPU time and memory (peak, or else usage):
  high up to 500 ms, 200 ms and 256 MB, medium up to 5000 ms, 1000 ms and 1024 MB, otherwise low;
  unknown if one is null.
- scalability_indicator: duration per 1000 leads in the store, which counts as at least 1000: good
  up to 100 ms, acceptable up to 500 ms, otherwise poor; unknown if one is null.
- optimization_needed: longer than 5000 ms.

monitoring_data
- system_healthy: no critical alert is firing; an alert without a state counts as firing. Null if
  nothing was measured.
- performance_acceptable: mean response below 1000 ms. sync_efficiency: error rate below 5 %.
  capacity_adequate: fewer than 100 leads waiting.

>>> TrainingLabels()(None, "info", {"operation_type": "get_lead", "success": True})
... # doctest: +NORMALIZE_WHITESPACE
{'operation_type': 'get_lead', 'success': True,
 'training_labels': {'operation_successful': True, 'complexity_level': 'low'}}
"""

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Final, TypeGuard

from structlog.typing import EventDict, WrappedLogger

from leadlog_processors import rules
from leadlog_processors.fields import (
    DATABASE_OPERATION,
    ERROR_LOG,
    MIGRATION_OPERATION,
    MONITORING_DATA,
    PERFORMANCE_METRICS,
    SYNC_OPERATION,
)
from leadlog_processors.rules import BASE_COMPLEXITY

_NUMBER: Final = (int, float)
_MONITORING_LABELS: Final = (
    "system_healthy",
    "performance_acceptable",
    "sync_efficiency",
    "capacity_adequate",
)
_NOTHING: Final[Mapping[str, Any]] = {}


def _number(section: Mapping[str, Any], key: str) -> float | None:
    """Return a number that is a plausible measurement, or else None."""
    value = section.get(key)
    if isinstance(value, _NUMBER) and not isinstance(value, bool) and 0 <= value < inf:
        return value
    return None


def _boolean(section: Mapping[str, Any], key: str) -> bool | None:
    value = section.get(key)
    return value if isinstance(value, bool) else None


def _word(section: Mapping[str, Any], key: str) -> str | None:
    value = section.get(key)
    return value if isinstance(value, str) else None


def _section(event: EventDict, key: str) -> Mapping[str, Any]:
    value = event.get(key)
    return value if isinstance(value, dict) else _NOTHING


def _is_list(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    return isinstance(value, (list, tuple))


def _was_measured(event: EventDict) -> bool:
    """Return whether anything was measured; alerts without the sections were passed alone."""
    if "system_health" not in event:
        return True
    info = _section(event, "monitoring_info")
    # An application's own event has its own values there, and measured nothing.
    points = info.get("monitoring_type") != "application_event" and info.get("data_points")
    values = (*_section(event, "system_health").values(), *_section(event, "statistics").values())
    return bool(points) or any(value is not None for value in values)


def _is_quiet(event: EventDict) -> bool:
    """Return whether this is an application's own event, which measured nothing."""
    try:
        health, statistics = event["system_health"], event["statistics"]
        return bool(
            event["monitoring_info"]["monitoring_type"] == "application_event"
            and event["alerts"] == []
            # One count: a test of each value in Python takes four times as long.
            and [*health.values(), *statistics.values()].count(None)
            == len(health) + len(statistics)
        )
    except (AttributeError, KeyError, TypeError):
        return False  # a foreign event with one of our log types


def _fill(labels: dict[str, Any], **found: object) -> None:
    for key, value in found.items():
        if labels.get(key) is None:
            labels[key] = value


class TrainingLabels:
    """Adds the training labels of the event's log type, except tier and data quality.

    In: `log_type` and the sections of the record contract; for an event without a log type the
    top-level `operation_type`, `success` and `bulk`. Out: `training_labels`, created if missing,
    with the labels listed in the module. A label that is already set is kept. Never raises.
    Cost: 0.30 µs for a database_operation.

    Args:
        complexity_size_bytes: data size above which an operation is one step more complex.
        complexity_queries: number of queries above which it is one step more complex.
        sync_bands: minimum share synchronised and upper bound of the time per lead in ms, for
            excellent, good and acceptable.
        batch_limit: maximum number of leads in one API call.
        batch_bands: maximum API calls per call needed, for good and acceptable.
        migration_ms_per_10k: upper bound of the time for 10,000 records, ms.
        migration_floor_ms: duration below which any migration is acceptable, ms.
        resource_bands: maximum duration (ms), CPU time (ms) and memory (10^6 bytes), for high and
            medium.
        scalability_bands: maximum duration (ms) per 1000 leads, for good and acceptable.
        optimization_needed_ms: duration above which an operation needs optimisation, ms.
        response_ms: upper bound of the mean response time, ms.
        error_rate_percent: upper bound of the error rate, percent.
        queue_size: upper bound of the leads waiting for a sync.
    """

    def __init__(
        self,
        *,
        complexity_size_bytes: float = rules.COMPLEXITY_SIZE_BYTES,
        complexity_queries: float = rules.COMPLEXITY_QUERIES,
        sync_bands: tuple[tuple[float, float], ...] = rules.SYNC_BANDS,
        batch_limit: float = rules.BATCH_LIMIT,
        batch_bands: tuple[float, float] = rules.BATCH_BANDS,
        migration_ms_per_10k: float = rules.MIGRATION_MS_PER_10K,
        migration_floor_ms: float = rules.MIGRATION_FLOOR_MS,
        resource_bands: tuple[tuple[float, float, float], ...] = rules.RESOURCE_BANDS,
        scalability_bands: tuple[float, float] = rules.SCALABILITY_BANDS,
        optimization_needed_ms: float = 5000.0,
        response_ms: float = 1000.0,
        error_rate_percent: float = 5.0,
        queue_size: float = 100,
    ) -> None:
        self._size_bytes = complexity_size_bytes
        self._queries = complexity_queries
        self._sync_bands = sync_bands
        self._batch_limit = batch_limit
        self._batch_bands = batch_bands
        self._migration_ms_per_10k = migration_ms_per_10k
        self._migration_floor_ms = migration_floor_ms
        self._resource_bands = resource_bands
        self._scalability_bands = scalability_bands
        self._optimization_needed_ms = optimization_needed_ms
        self._response_ms = response_ms
        self._error_rate_percent = error_rate_percent
        self._queue_size = queue_size
        self._by_log_type: dict[str, Callable[[EventDict, dict[str, Any]], None]] = {
            SYNC_OPERATION: self._sync_operation,
            MIGRATION_OPERATION: self._migration_operation,
            ERROR_LOG: self._error_log,
            PERFORMANCE_METRICS: self._performance_metrics,
            MONITORING_DATA: self._monitoring_data,
        }

    def __call__(
        self, _logger: WrappedLogger, _method_name: str, event_dict: EventDict
    ) -> EventDict:
        """Fill `training_labels`."""
        log_type = event_dict.get("log_type")
        if log_type == DATABASE_OPERATION:
            try:
                # By index, without a call: nearly every event takes this path.
                details = event_dict["operation_details"]
                level = BASE_COMPLEXITY[details["operation_type"]]
                if (
                    (event_dict["performance_metrics"]["database_queries"] or 0) > self._queries
                    or (event_dict["data_details"]["data_size_bytes"] or 0) > self._size_bytes
                    or details["bulk"]
                ):
                    self._database_operation(event_dict)
                    return event_dict
                labels = event_dict["training_labels"]
                if labels["complexity_level"] is None:
                    labels["complexity_level"] = level
                if labels["operation_successful"] is None:
                    labels["operation_successful"] = details["success"]
            except (KeyError, TypeError):
                self._database_operation(event_dict)
        elif log_type is None:
            self._flat(event_dict)
        elif isinstance(log_type, str) and (label := self._by_log_type.get(log_type)) is not None:
            labels = event_dict.setdefault("training_labels", {})
            if isinstance(labels, dict):
                label(event_dict, labels)
        return event_dict

    def _database_operation(self, event: EventDict) -> None:
        details = _section(event, "operation_details")
        labels = event.setdefault("training_labels", {})
        if isinstance(labels, dict):
            _fill(
                labels,
                operation_successful=_boolean(details, "success"),
                complexity_level=rules.complexity_level(
                    _word(details, "operation_type"),
                    _number(_section(event, "data_details"), "data_size_bytes"),
                    _number(_section(event, "performance_metrics"), "database_queries"),
                    _boolean(details, "bulk"),
                    complexity_size_bytes=self._size_bytes,
                    complexity_queries=self._queries,
                ),
            )

    def _flat(self, event: EventDict) -> None:
        success, operation_type = _boolean(event, "success"), _word(event, "operation_type")
        if success is None and operation_type is None:
            return
        labels = event.setdefault("training_labels", {})
        if not isinstance(labels, dict):
            return
        if success is not None:
            _fill(labels, operation_successful=success)
        if operation_type is not None:
            level = rules.complexity_level(operation_type, bulk=_boolean(event, "bulk"))
            _fill(labels, complexity_level=level)

    def _sync_operation(self, event: EventDict, labels: dict[str, Any]) -> None:
        details, results = _section(event, "sync_details"), _section(event, "sync_results")
        metrics = _section(event, "performance_metrics")
        success = _boolean(results, "success")
        total = _number(details, "total_leads")
        retries = _number(details, "retry_attempts")
        _fill(
            labels,
            sync_successful=success,
            sync_efficiency=rules.sync_efficiency(
                total,
                _number(results, "leads_synced"),
                _number(results, "leads_failed"),
                _number(results, "leads_skipped"),
                _number(results, "execution_time_ms"),
                ms_per_lead=_number(metrics, "avg_sync_time_per_lead_ms"),
                bands=self._sync_bands,
            ),
            error_recovery=rules.error_recovery(retries, success),
            batch_optimization=rules.batch_optimization(
                _number(details, "batch_size"),
                total,
                retries,
                _number(metrics, "api_calls_made"),
                _number(metrics, "api_calls_minimum"),
                batch_limit=self._batch_limit,
                bands=self._batch_bands,
            ),
        )

    def _migration_operation(self, event: EventDict, labels: dict[str, Any]) -> None:
        results = _section(event, "migration_results")
        total = _number(results, "total_records_processed")
        accounted = rules.records_accounted_for(
            total,
            _number(results, "records_migrated"),
            _number(results, "records_skipped"),
            _number(results, "records_failed"),
            _number(results, "duplicates_found"),
        )
        _fill(
            labels,
            migration_successful=_boolean(results, "success"),
            data_integrity_maintained=False if accounted is False else None,
            performance_acceptable=rules.migration_performance(
                total,
                _number(results, "execution_time_ms"),
                ms_per_10k=self._migration_ms_per_10k,
                floor_ms=self._migration_floor_ms,
            ),
            error_handling_effective=accounted,
        )

    def _error_log(self, event: EventDict, labels: dict[str, Any]) -> None:
        details, recovery = _section(event, "error_details"), _section(event, "recovery_info")
        error_type = _word(details, "error_type")
        is_users = error_type is not None and rules.is_user_error(
            error_type, _word(details, "error_code")
        )
        _fill(
            labels,
            error_severity=_word(details, "severity"),
            recoverable=rules.recoverable(
                _boolean(recovery, "recovery_attempted"),
                _boolean(recovery, "recovery_successful"),
            ),
            user_error=None if error_type is None else is_users,
            system_error=None
            if error_type is None
            else error_type in rules.SYSTEM_ERRORS and not is_users,
        )

    def _performance_metrics(self, event: EventDict, labels: dict[str, Any]) -> None:
        data = _section(event, "performance_data")
        duration = _number(_section(event, "operation_info"), "total_duration_ms")
        peak = _number(data, "memory_peak_mb")
        _fill(
            labels,
            resource_efficiency=rules.resource_efficiency(
                duration,
                _number(data, "cpu_time_ms"),
                _number(data, "memory_usage_mb") if peak is None else peak,
                bands=self._resource_bands,
            ),
            scalability_indicator=rules.scalability_indicator(
                duration,
                _number(_section(event, "system_info"), "total_leads"),
                bands=self._scalability_bands,
            ),
            optimization_needed=rules.above(duration, self._optimization_needed_ms),
        )

    def _monitoring_data(self, event: EventDict, labels: dict[str, Any]) -> None:
        if _is_quiet(event):
            for key in _MONITORING_LABELS:
                labels.setdefault(key, None)
            return
        health = _section(event, "system_health")
        given = event.get("alerts")
        alerts = (
            [alert for alert in given if isinstance(alert, Mapping)] if _is_list(given) else None
        )
        _fill(
            labels,
            system_healthy=rules.system_healthy(
                alerts, measured=bool(alerts) or _was_measured(event)
            ),
            performance_acceptable=rules.below(
                _number(health, "average_response_time_ms"), self._response_ms
            ),
            sync_efficiency=rules.below(
                _number(health, "error_rate_percent"), self._error_rate_percent
            ),
            capacity_adequate=rules.below(_number(health, "sync_queue_size"), self._queue_size),
        )
