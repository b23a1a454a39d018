"""From an operation to its records."""

from typing import Any

from leadlog.capture.scope import Operation
from leadlog.clock import format_us
from leadlog.pipeline import get_logger, report_failure
from leadlog.records import shape
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
    event = shape.database_operation(
        operation.operation_type, operation.lead, _result(operation, success), _metrics(operation)
    )
    if not operation.whole:
        event.pop(LEAD, None)
        event["data_details"]["fields_processed"] = operation.fields_processed
        event["data_details"]["data_size_bytes"] = None
    if operation.lead_ids is not None:
        event["lead_identifier"]["lead_ids"] = operation.lead_ids
        event["lead_identifier"]["lead_count"] = operation.lead_count
    level = "info" if success else "warning" if error is None else "error"
    event["timestamp"] = operation.ended_us
    event["event_id"] = operation.event_id
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


def _result(operation: Operation, success: bool) -> dict[str, Any]:
    error = operation.error
    return {
        "operation_id": operation.operation_id,
        "success": success,
        "outcome": operation.outcome,
        "records_affected": operation.records_affected,
        "duplicate_detected": operation.duplicate_detected,
        "duplicate_action": operation.duplicate_action,
        "duplicate_matched_on": operation.duplicate_matched_on,
        "error_message": None if error is None else describe_message(error),
        "entity": operation.entity,
        "bulk": operation.bulk,
        "started_at": format_us(operation.started_us),
        "transaction_id": operation.transaction_id,
        "fields_processed": operation.fields_processed,
        "fields_changed": operation.fields_changed,
        "data_size_bytes": operation.data_size_bytes,
    }


def _metrics(operation: Operation) -> dict[str, Any]:
    watch, meter = operation.watch, operation.meter
    return {
        "execution_time_ms": None if watch is None else watch.wall_ms,
        "database_queries": None if meter is None else meter.queries,
        "database_time_ms": None if meter is None else meter.database_ns / 1e6,
        "cpu_time_ms": None if watch is None else watch.cpu_ms,
    }


def describe_message(error: BaseException) -> str:
    """An exception's text; its class where it has none or cannot tell."""
    try:
        return str(error) or type(error).__name__
    except Exception:  # noqa: BLE001 - an exception's own code may raise anything
        return type(error).__name__
