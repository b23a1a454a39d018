"""Conversion of the caller's values into the event of a log type, with every key present.

Callers of the facade may use the names of the earlier system as well as the record's own; values
for which the record has no key are kept under `extra`.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson

from leadlog.core.clock import new_id
from leadlog.core.records import RECORDS, coerce
from leadlog.core.records.coerce import Extra
from leadlog.core.records.error import ErrorContext, ErrorDetails, ErrorLog, RecoveryInfo
from leadlog.core.records.migration import (
    DataSummary,
    MigrationDetails,
    MigrationOperation,
    MigrationResults,
)
from leadlog.core.records.monitoring import (
    Alert,
    MonitoringData,
    MonitoringInfo,
    Statistics,
    SystemHealth,
)
from leadlog.core.records.operation import (
    DatabaseOperation,
    DataDetails,
    OperationDetails,
    OperationMetrics,
)
from leadlog.core.records.performance import (
    OperationInfo,
    PerformanceData,
    PerformanceMetrics,
    SystemInfo,
)
from leadlog.core.records.section import Blank, Event, SectionReader
from leadlog.core.records.sync import (
    SyncDetails,
    SyncedLead,
    SyncMetrics,
    SyncOperation,
    SyncResults,
)
from leadlog_processors.exceptions import error_code
from leadlog_processors.fields import LEAD, MONITORING_DATA, SCHEMA_VERSION
from leadlog_processors.rules import is_user_error

APPLICATION_EVENT = "application_event"
"""The `monitoring_type` of an event that the application logged itself."""

LEADS_LISTED = 10
"""Maximum number of leads in `leads_summary`."""

SEVERITY = {
    "validation_error": "low",
    "input_error": "low",
    "performance_error": "medium",
    "sync_error": "medium",
    "migration_error": "high",
    "database_error": "high",
}
"""Default severity by error_type; low for other user errors, medium for all others."""

_operation = Blank(DatabaseOperation)
_operation_result = SectionReader(
    "operation_result",
    {"operation_details": OperationDetails, "data_details": DataDetails},
    {"error": "error_message"},
)
_operation_metrics = SectionReader("performance_metrics", {"performance_metrics": OperationMetrics})

_sync = Blank(SyncOperation)
_sync_details = SectionReader("sync_details", {"sync_details": SyncDetails})
_sync_results = SectionReader(
    "sync_results",
    {"sync_results": SyncResults, "performance_metrics": SyncMetrics},
    {
        "error": "error_message",
        "rate_limited": "airtable_rate_limited",
        "api_calls": "api_calls_made",
        "avg_sync_time_ms": "avg_sync_time_per_lead_ms",
    },
)
_synced_lead = SectionReader("leads_processed", {"lead": SyncedLead}, {"id": "lead_id"})

_migration = Blank(MigrationOperation)
_migration_details = SectionReader("migration_details", {"migration_details": MigrationDetails})
_migration_results = SectionReader(
    "migration_results",
    {"migration_results": MigrationResults},
    {"total_records": "total_records_processed", "error": "error_message"},
    ignored=frozenset(("validation_passed",)),
)
_data_summary = SectionReader(
    "data_summary",
    {"data_summary": DataSummary},
    {
        "source_file_sizes": "source_file_sizes_mb",
        "quality_distribution": "data_quality_distribution",
    },
)

_error = Blank(ErrorLog)
_error_details = SectionReader(
    "error_details",
    {"error_details": ErrorDetails, "recovery_info": RecoveryInfo},
    {"message": "error_message", "code": "error_code", "data_loss": "data_loss_occurred"},
    ignored=frozenset(("exc_info",)),
)
_error_context = SectionReader(
    "context", {"context": ErrorContext}, {"operation": "operation_in_progress"}
)

_performance = Blank(PerformanceMetrics)
_performance_metrics = SectionReader(
    "performance_metrics",
    {"operation_info": OperationInfo, "performance_data": PerformanceData},
    {"cpu_usage": "cpu_usage_percent"},
)
_system_info = SectionReader("system_info", {"system_info": SystemInfo})

_monitoring = Blank(MonitoringData)
_monitoring_data = SectionReader(
    "monitoring_data",
    {
        "monitoring_info": MonitoringInfo,
        "system_health": SystemHealth,
        "statistics": Statistics,
    },
    {
        "collection_interval": "collection_interval_seconds",
        "metrics": "data_points",
        "error_rate": "error_rate_percent",
        "avg_response_time": "average_response_time_ms",
    },
)
_alert = SectionReader("alerts", {"alert": Alert})


def _close(event: Event, extra: Extra) -> Event:
    if extra:
        event["extra"] = extra
    return event


def size_bytes(data: Any) -> int | None:
    """Return the size of `data` as JSON in bytes; None if orjson cannot render it."""
    try:
        return len(orjson.dumps(data, str))
    except Exception:  # noqa: BLE001 - a value's own code may raise anything
        return None


def identify(lead: Mapping[str, Any], event: Event, extra: Extra) -> None:
    """Fill `lead_identifier` from a lead.

    Args:
        lead: `id` or `lead_id`; `name`, `full_name` or first and last name; `company` or
            `company_name`; `email`.
        event: the event of a database operation.
        extra: collects values that cannot become text.
    """
    get = lead.get
    name = get("name") or get("full_name")
    if not name and (get("first_name") or get("last_name")):
        name = " ".join(str(part) for part in (get("first_name"), get("last_name")) if part)
    key = get("id")
    key, company, email = (
        get("lead_id") if key is None or key == "" else key,
        get("company") or get("company_name"),
        get("email"),
    )
    who = event["lead_identifier"]
    text = coerce.text
    who["lead_id"] = key if type(key) is str else text(key, "lead_data.id", extra)
    who["name"] = name if type(name) is str else text(name, "lead_data.name", extra)
    who["company"] = company if type(company) is str else text(company, "lead_data.company", extra)
    who["email"] = email if type(email) is str else text(email, "lead_data.email", extra)


def _names_of(lead: Mapping[Any, Any]) -> list[str]:
    try:
        "".join(lead)  # raises if a key is not text, and costs less than checking each
    except TypeError:
        return [str(key) for key in lead]
    return [*lead]


def database_operation(
    operation_type: str,
    lead: Any,
    result: Any,
    metrics: Any = None,
    operation_id: str | None = None,
) -> Event:
    """Return the event of one call on the lead store.

    Args:
        operation_type: add_lead, get_lead, …
        lead: the lead that the call was about, a mapping; any other value except None is scored
            `invalid`.
        result: success, outcome, records_affected, duplicate_detected, duplicate_action,
            error, or any other key of operation_details and data_details.
        metrics: execution_time_ms, database_queries, database_time_ms, memory_usage_mb,
            cpu_time_ms.
        operation_id: the operation's id if the result has none; by default a new one.
    """
    extra: Extra = {}
    event = _operation()
    _operation_result(result, event, extra)
    _operation_metrics(metrics, event, extra)
    details = event["operation_details"]
    details["operation_type"] = operation_type
    details["execution_time_ms"] = event["performance_metrics"]["execution_time_ms"]
    if details["operation_id"] is None:
        details["operation_id"] = operation_id or new_id()
    if details["outcome"] is None:
        details["outcome"] = "unknown"
    if lead is not None:
        event[LEAD] = lead
        if type(lead) is dict or isinstance(lead, Mapping):
            identify(lead, event, extra)
            data = event["data_details"]
            if data["fields_processed"] is None:
                data["fields_processed"] = _names_of(lead)
            if data["data_size_bytes"] is None:
                data["data_size_bytes"] = size_bytes(lead)
    return _close(event, extra)


def _succeeded(lead: Mapping[str, Any]) -> bool:
    return not (lead.get("error") or "fail" in str(lead.get("sync_status", "")).lower())


def leads_summary(leads: Any, extra: Extra) -> list[dict[str, Any]]:
    """Return up to ten leads of a run, failed ones first; other items are put into `extra`."""
    if not isinstance(leads, list | tuple):
        if leads is not None:
            extra["leads_processed"] = leads
        return []
    found = [lead for lead in leads if isinstance(lead, Mapping)]
    if len(found) < len(leads):
        extra["leads_processed"] = [lead for lead in leads if not isinstance(lead, Mapping)]
    summary = []
    for lead in sorted(found, key=_succeeded)[:LEADS_LISTED]:
        event: Event = {"lead": dict.fromkeys(SyncedLead.__annotations__)}
        _synced_lead(lead, event, {})
        summary.append(event["lead"])
    return summary


def sync_operation(sync_type: str, details: Any, results: Any, leads: Any = None) -> Event:
    """Return the event of one sync run.

    Args:
        sync_type: to_airtable, from_airtable or bidirectional.
        details: batch_size, total_leads, retry_attempts, sync_strategy, sync_id.
        results: counts, times and metrics, in the names of the contract or the facade.
        leads: mappings of lead_id, name, company, sync_status, error; any length.
    """
    extra: Extra = {}
    event = _sync()
    _sync_details(details, event, extra)
    _sync_results(results, event, extra)
    event["leads_summary"] = leads_summary(leads, extra)
    section = event["sync_details"]
    section["sync_type"] = sync_type
    section["sync_id"] = section["sync_id"] or new_id()
    if section["total_leads"] is None and isinstance(leads, list | tuple):
        section["total_leads"] = len(leads)
    return _close(event, extra)


def migration_operation(
    migration_type: str, details: Any, results: Any, data_summary: Any = None
) -> Event:
    """Return the event of one migration run.

    Args:
        migration_type: json_to_db, backup_creation or rollback.
        details: source_files, backup_created, backup_location, validation_enabled.
        results: counts and times; `validation_passed` becomes the label
            data_integrity_maintained.
        data_summary: sizes (10^6 bytes), distribution, completeness, validation errors.
    """
    extra: Extra = {}
    event = _migration()
    _migration_details(details, event, extra)
    _migration_results(results, event, extra)
    _data_summary(data_summary, event, extra)
    section, data = event["migration_details"], event["data_summary"]
    section["migration_type"] = migration_type
    section["migration_id"] = section["migration_id"] or new_id()
    if data["validation_error_count"] is None and data["validation_errors"] is not None:
        data["validation_error_count"] = len(data["validation_errors"])
    if isinstance(results, Mapping):
        event["training_labels"]["data_integrity_maintained"] = coerce.boolean(
            results.get("validation_passed"), "migration_results.validation_passed", extra
        )
    return _close(event, extra)


def _severity(error_type: str, code: str | None, exc_info: Any) -> str:
    if code is None and isinstance(exc_info, BaseException):
        code = error_code(exc_info)
    return "low" if is_user_error(error_type, code) else SEVERITY.get(error_type, "medium")


def error_log(error_type: str, details: Any, context: Any = None) -> Event:
    """Return the event of one error.

    Args:
        error_type: database_error, sync_error, validation_error, …
        details: a mapping of message, code, stack_trace, severity, recovery_*, exc_info;
            or the exception itself; or its text.
        context: operation, operation_id, lead_data, system_state, user_action,
            environment; anything else stays in the context as it is.
    """
    extra: Extra = {}
    event = _error()
    exc_info = None
    if isinstance(details, BaseException):
        exc_info, details = details, None
    elif isinstance(details, str):
        details = {"message": details}
    elif isinstance(details, Mapping):
        exc_info = details.get("exc_info")
    _error_details(details, event, extra)
    unknown: Extra = {}
    _error_context(context, event, unknown)
    for path, value in unknown.items():
        key = path.removeprefix("context.")
        own = event["context"]
        (extra if key in own or key == "context" else own)[path if key in own else key] = value
    section = event["error_details"]
    section["error_type"] = error_type
    section["error_id"] = section["error_id"] or new_id()
    section["severity"] = section["severity"] or _severity(
        error_type, section["error_code"], exc_info
    )
    if exc_info:
        event["exc_info"] = exc_info
    return _close(event, extra)


def performance_metrics(operation_name: str, metrics: Any, system_info: Any = None) -> Event:
    """Return the event of one measurement.

    Args:
        operation_name: the name given to monitor_performance.
        metrics: start_time, end_time, total_duration_ms, success, cpu_usage, …; times as
            text, durations in milliseconds, memory in 10^6 bytes.
        system_info: database_size_mb, total_leads, pending_syncs, active_connections,
            system_load.
    """
    extra: Extra = {}
    event = _performance()
    _performance_metrics(metrics, event, extra)
    _system_info(system_info, event, extra)
    info = event["operation_info"]
    info["operation_name"] = operation_name
    info["operation_id"] = info["operation_id"] or new_id()
    return _close(event, extra)


def monitoring_data(monitoring_type: str, data: Any, alerts: Any = None) -> Event:
    """Return the event of one check of the system.

    Args:
        monitoring_type: health_check, sync_status, database_stats, log_health, alert, …
        data: collection_interval, metrics, database_responsive, sync_queue_size, …
        alerts: mappings of name, severity, state, message, value, threshold, since.
    """
    extra: Extra = {}
    event = _monitoring()
    _monitoring_data(data, event, extra)
    if alerts is not None and not isinstance(alerts, list | tuple):
        extra["alerts"], alerts = alerts, ()
    for given in alerts or ():
        alert: Event = {"alert": dict.fromkeys(Alert.__annotations__)}
        _alert(given, alert, extra)
        event["alerts"].append(alert["alert"])
    info = event["monitoring_info"]
    info["monitoring_type"] = monitoring_type
    info["monitoring_id"] = info["monitoring_id"] or new_id()
    return _close(event, extra)


def application_event(values: dict[str, Any], monitoring_id: str) -> Event:
    """Return the event of an application's own log call, which has no measurements.

    Every key is written out, because filling `blank` takes twice as long; a test compares the keys
    with `blank`.

    Args:
        values: the logged values; owned by the event from now on.
        monitoring_id: the id of the event.
    """
    return {
        "timestamp": None,
        "level": None,
        "log_type": MONITORING_DATA,
        "event_name": None,
        "session_id": None,
        "event_id": None,
        "schema_version": SCHEMA_VERSION,
        "process_id": None,
        "thread_name": None,
        "monitoring_info": {
            "monitoring_type": APPLICATION_EVENT,
            "monitoring_id": monitoring_id,
            "collection_interval_seconds": None,
            "data_points": values,
        },
        "system_health": {
            "database_responsive": None,
            "airtable_accessible": None,
            "sync_queue_size": None,
            "error_rate_percent": None,
            "average_response_time_ms": None,
        },
        "statistics": {
            "total_leads": None,
            "leads_added_today": None,
            "successful_syncs_today": None,
            "failed_syncs_today": None,
            "database_size_mb": None,
        },
        "alerts": [],
        "training_labels": {
            "system_healthy": None,
            "performance_acceptable": None,
            "sync_efficiency": None,
            "capacity_adequate": None,
        },
    }


@cache
def _blank_of(log_type: str) -> Blank:
    return Blank(RECORDS[log_type])


def blank(log_type: str) -> Event:
    """Return the empty event of a log type: every section, every key, all values unknown."""
    return _blank_of(log_type)()
