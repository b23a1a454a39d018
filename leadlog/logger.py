"""DatabaseLogger and log_database_event: logging by hand, with the names of the earlier system.

A value that is not passed is null; a value for which the record has no key is kept under
`extra`. The calls never raise for a bad value in their arguments, only for a wrong event type.
"""

import datetime as dt
import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leadlog.core import settings as _settings
from leadlog.core.clock import new_id, now_us, utc_date
from leadlog.core.records import shape
from leadlog.core.records.section import Event
from leadlog.reading.analytics.summary import write_daily_summary
from leadlog.recording.pipeline import Pipeline, configure, current, get_logger, is_configured
from leadlog.recording.pipeline.logger import BoundLogger
from leadlog_processors.session import current_session

_NAMES = {
    "add_lead": "lead.add",
    "get_lead": "lead.get",
    "update_lead": "lead.update",
    "delete_lead": "lead.delete",
    "search_leads": "lead.search",
    "find_duplicates": "lead.find_duplicates",
}

EVENT_TYPES = (
    "database_operation",
    "sync_operation",
    "migration_operation",
    "error",
    "performance",
    "monitoring",
)
"""Event types that `log_database_event` accepts."""


class DatabaseLogger:
    """Logger for records written by hand. Safe to share between threads and tasks.

    Args:
        directory: the log directory. None, or the directory of the current pipeline, writes to
            the current pipeline. If none was configured, one is configured with this directory.
            Any other directory gets a pipeline of its own, which `close` closes.

    Raises:
        SettingsError: a setting found is bad.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self._own: Pipeline | None = None
        self._log: BoundLogger = get_logger()
        if directory is None:
            return
        if not is_configured():
            configure(directory=str(directory))
        elif current().loaded.settings.directory != Path(directory).resolve():
            self._own = Pipeline(_settings.load(directory=str(directory)))
            self._log = self._own.get_logger()

    @property
    def directory(self) -> Path:
        """The log directory of this logger."""
        return (self._own or current()).loaded.settings.directory

    def close(self) -> None:
        """Close the pipeline that only this logger uses; the current pipeline stays open."""
        if self._own is not None:
            self._own.close()

    def _emit(self, name: str, event: Event, *, failed: bool = False) -> str:
        event_id = event["event_id"] = new_id()
        self._log.emit("error" if failed else "info", name, event)
        return event_id

    def log_database_operation(
        self,
        operation_type: str,
        lead_data: Any = None,
        operation_result: Any = None,
        performance_metrics: Any = None,
    ) -> str:
        """Log one call on a lead store.

        Args:
            operation_type: add_lead, get_lead, update_lead, …
            lead_data: the lead as a mapping, or None.
            operation_result: success, records_affected, duplicate_detected,
                duplicate_action, error, …
            performance_metrics: execution_time_ms, database_queries, memory_usage_mb
                (10^6 bytes), cpu_time_ms, …

        Returns:
            The event_id of the record.
        """
        failed = isinstance(operation_result, Mapping) and operation_result.get("success") is False
        event_id = new_id()
        self._log.call(
            "error" if failed else "info",
            _NAMES.get(operation_type) or f"database.{operation_type}",
            event_id,
            [
                "database_operation",
                operation_type,
                lead_data,
                operation_result,
                performance_metrics,
                event_id,
            ],
        )
        return event_id

    def log_sync_operation(
        self, sync_type: str, sync_details: Any, sync_results: Any, leads_processed: Any = None
    ) -> str:
        """Log one run of a sync.

        Args:
            sync_type: to_airtable, from_airtable or bidirectional.
            sync_details: batch_size, total_leads, retry_attempts, sync_strategy.
            sync_results: success, leads_synced, leads_failed, execution_time_ms,
                api_calls, …
            leads_processed: list of mappings of id, name, company, sync_status.

        Returns:
            The event_id of the record.
        """
        event = shape.sync_operation(sync_type, sync_details, sync_results, leads_processed)
        return self._emit(
            f"sync.{sync_type}", event, failed=event["sync_results"]["success"] is False
        )

    def log_migration_operation(
        self,
        migration_type: str,
        migration_details: Any,
        migration_results: Any,
        data_summary: Any = None,
    ) -> str:
        """Log one run of a migration.

        Args:
            migration_type: json_to_db, backup_creation or rollback.
            migration_details: source_files, backup_created, backup_location,
                validation_enabled.
            migration_results: success, total_records, records_migrated, …
            data_summary: source_file_sizes (10^6 bytes), quality_distribution,
                field_completeness, validation_errors.

        Returns:
            The event_id of the record.
        """
        event = shape.migration_operation(
            migration_type, migration_details, migration_results, data_summary
        )
        return self._emit(
            f"migration.{migration_type}",
            event,
            failed=event["migration_results"]["success"] is False,
        )

    def log_error(self, error_type: str, error_details: Any, context: Any = None) -> str:
        """Log one error.

        Args:
            error_type: database_error, sync_error, validation_error, …
            error_details: the exception; or its text; or a mapping of message, code,
                stack_trace, severity, recovery_attempted, recovery_successful,
                recovery_method, data_loss.
            context: operation, lead_data, system_state, user_action, environment.

        Returns:
            The event_id of the record.
        """
        event = shape.error_log(error_type, error_details, context)
        return self._emit(f"error.{error_type.removesuffix('_error')}", event, failed=True)

    def log_performance_metrics(
        self, operation_name: str, performance_data: Any, system_info: Any = None
    ) -> str:
        """Log one measurement.

        Args:
            operation_name: name of the measured operation.
            performance_data: start_time, end_time, total_duration_ms, success,
                cpu_usage (percent), memory_usage_mb, database_queries, api_calls, …
            system_info: database_size_mb, total_leads, pending_syncs,
                active_connections, system_load.

        Returns:
            The event_id of the record.
        """
        event = shape.performance_metrics(operation_name, performance_data, system_info)
        return self._emit(f"performance.{operation_name}", event)

    def log_monitoring_data(
        self, monitoring_type: str, monitoring_data: Any, alerts: Any = None
    ) -> str:
        """Log one check of the system.

        Args:
            monitoring_type: health_check, sync_status, database_stats, …
            monitoring_data: collection_interval (seconds), metrics, database_responsive,
                airtable_accessible, sync_queue_size, error_rate (percent),
                avg_response_time (ms), total_leads, …
            alerts: list of mappings of severity, message, …

        Returns:
            The event_id of the record.
        """
        event = shape.monitoring_data(monitoring_type, monitoring_data, alerts)
        return self._emit(f"monitoring.{monitoring_type}", event)

    def create_daily_summary(self, date: dt.date | str | None = None) -> Path:
        """Write the summary of a UTC day from that day's log files.

        Args:
            date: the day, as a date or `2026-11-23`; today by default.

        Returns:
            The file written.

        Raises:
            ValueError: `date` is not a calendar day.
            OSError: the log files cannot be read, or the summary cannot be written.
        """
        day = utc_date(now_us()) if date is None else str(date)
        try:
            dt.date.fromisoformat(day)
        except ValueError:
            raise ValueError(f"not a date: {date!r}; write it like 2026-11-23") from None
        (self._own.flush if self._own is not None else current().flush)()
        return write_daily_summary(self.directory, day, session_id=current_session().session_id)


_DEFAULT = DatabaseLogger()


def log_database_event(
    event_type: str,
    lead_data: Any = None,
    operation_result: Any = None,
    additional_data: Mapping[str, Any] | None = None,
) -> str:
    """Log one event of any type; the meaning of the arguments depends on the type.

    Args:
        event_type: one of `EVENT_TYPES`.
        lead_data: the lead; for a sync the list of leads; for an error the lead that it
            concerned; otherwise unused.
        operation_result: the result, the error's details, the measurements or the
            monitoring data.
        additional_data: for a database operation: operation_type, performance_metrics; for a
            sync: sync_type, sync_details, leads_processed; for a migration: migration_type,
            migration_details, data_summary; for an error: error_type, context; for performance:
            operation_name, system_info; for monitoring: monitoring_type, alerts.

    Returns:
        The event_id of the record.

    Raises:
        ValueError: the event type does not exist; the message names the valid ones.
    """
    more = dict(additional_data or {})
    get = more.get
    logger = _DEFAULT
    if event_type == "database_operation":
        return logger.log_database_operation(
            get("operation_type") or "unknown",
            lead_data,
            operation_result,
            get("performance_metrics"),
        )
    if event_type == "sync_operation":
        leads = get("leads_processed")
        return logger.log_sync_operation(
            get("sync_type") or "unknown",
            get("sync_details"),
            operation_result,
            lead_data if leads is None else leads,
        )
    if event_type == "migration_operation":
        return logger.log_migration_operation(
            get("migration_type") or "unknown",
            get("migration_details"),
            operation_result,
            get("data_summary"),
        )
    if event_type == "error":
        context = get("context")
        if lead_data is not None and (context is None or isinstance(context, Mapping)):
            context = {"lead_data": lead_data, **(context or {})}
        return logger.log_error(get("error_type") or "unknown_error", operation_result, context)
    if event_type == "performance":
        return logger.log_performance_metrics(
            get("operation_name") or "unknown", operation_result, get("system_info")
        )
    if event_type == "monitoring":
        return logger.log_monitoring_data(
            get("monitoring_type") or "unknown", operation_result, get("alerts")
        )
    close = difflib.get_close_matches(str(event_type), EVENT_TYPES, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"unknown event type {event_type!r}; use {', '.join(EVENT_TYPES)}{hint}")
