"""From an operation to its records."""

from leadlog.capturing.scope import Operation
from leadlog.clock import format_us
from leadlog.pipeline import get_logger, report_failure
from leadlog.records import shape
from leadlog.records.section import Event
from leadlog_processors.fields import LEAD

_log = get_logger()

_SUCCESSES = frozenset(("committed", "completed"))
_USER_ERRORS: tuple[type[Exception], ...] = (ValueError, TypeError)


def error_type_of(error: BaseException) -> str:
    """validation_error for bad input, database_error for the database's, else internal_error."""
    for kind in type(error).__mro__:
        if kind.__module__.startswith("sqlalchemy.") or kind.__name__ == "StoreError":
            break
    else:
        return "validation_error" if isinstance(error, _USER_ERRORS) else "internal_error"
    return "validation_error" if isinstance(error, ValueError) else "database_error"


def emit(operation: Operation) -> None:
    """Writes the record of an operation, and of its error if it has one; never raises."""
    try:
        _emit(operation)
    except Exception as error:  # noqa: BLE001 - a hook that raises would fail the user's statement
        report_failure(error)


def _emit(operation: Operation) -> None:
    error, outcome = operation.error, operation.outcome
    success = error is None and outcome in _SUCCESSES
    event = shape.blank("database_operation")
    _fill(event, operation, outcome, success=success)
    level = "info" if success else "warning" if error is None else "error"
    event["timestamp"] = operation.ended_us
    event["event_id"] = operation.operation_id
    _log.emit(level, operation.event_name, event)
    operation.recorded = True
    if error is not None:
        error_type = error_type_of(error)
        failure = shape.error_log(
            error_type,
            error,
            {
                "operation": operation.operation_type,
                "operation_id": operation.operation_id,
                "lead_data": operation.lead,
            },
        )
        failure["timestamp"] = operation.ended_us
        _log.emit("error", f"error.{error_type.removesuffix('_error')}", failure)


def _fill(event: Event, operation: Operation, outcome: str, *, success: bool) -> None:
    """Fills the sections directly: what the hooks measured has the contract's types already."""
    error, watch, meter = operation.error, operation.watch, operation.meter
    details, data = event["operation_details"], event["data_details"]
    details["operation_type"] = operation.operation_type
    details["operation_id"] = operation.operation_id
    details["success"] = success
    details["outcome"] = outcome
    details["records_affected"] = operation.records_affected
    details["duplicate_detected"] = operation.duplicate_detected
    details["error_message"] = None if error is None else describe_message(error)
    details["entity"] = operation.entity
    details["bulk"] = operation.bulk
    details["started_at"] = format_us(operation.started_us)
    details["transaction_id"] = operation.transaction_id
    data["fields_processed"] = operation.fields_processed
    data["fields_changed"] = operation.fields_changed
    data["data_size_bytes"] = operation.data_size_bytes
    data["duplicate_action"] = operation.duplicate_action
    data["duplicate_matched_on"] = operation.duplicate_matched_on
    if operation.lead_outcomes is not None:
        data.update(operation.lead_outcomes)
    metrics = event["performance_metrics"]
    if watch is not None:
        metrics["execution_time_ms"] = details["execution_time_ms"] = watch.wall_ms
        metrics["cpu_time_ms"] = watch.cpu_ms
    if meter is not None:
        metrics["database_queries"] = meter.queries
        metrics["database_time_ms"] = meter.database_ns / 1e6
    lead = operation.lead
    if lead is not None:
        shape.identify(lead, event, {})
        if operation.whole:
            event[LEAD] = lead
            if data["data_size_bytes"] is None:
                data["data_size_bytes"] = shape.size_bytes(lead)
    if operation.lead_ids is not None:
        event["lead_identifier"]["lead_ids"] = operation.lead_ids
        event["lead_identifier"]["lead_count"] = operation.lead_count


def describe_message(error: BaseException) -> str:
    """An exception's text; its class where it has none or cannot tell."""
    try:
        return str(error) or type(error).__name__
    except Exception:  # noqa: BLE001 - an exception's own code may raise anything
        return type(error).__name__
