"""From an operation to its records."""

from leadlog.core.clock import format_us
from leadlog.core.records import shape
from leadlog.core.records.section import Event
from leadlog.recording.capture.operation import Operation
from leadlog.recording.pipeline import get_logger, report_failure
from leadlog_processors.fields import DATABASE_OPERATION, LEAD, SCHEMA_VERSION
from leadlog_processors.session import current_session, resume_session

_log = get_logger()

_BLANK = shape.blank(DATABASE_OPERATION)
_NOBODY, _UNLABELLED = _BLANK["lead_identifier"], _BLANK["training_labels"]
_SUCCESSES = frozenset(("committed", "completed"))


def emit(operation: Operation) -> None:
    """Writes the record of an operation, and of its error if it has one; never raises.

    The record belongs to the session that the call was made in, which may have ended by now.
    """
    try:
        if operation.session is current_session():
            _emit(operation)
        else:
            with resume_session(operation.session):
                _emit(operation)
    except Exception as error:  # noqa: BLE001 - a hook that raises would fail the user's statement
        report_failure(error)


def _emit(operation: Operation) -> None:
    error, outcome = operation.error, operation.outcome
    success = error is None and outcome in _SUCCESSES
    event = _event(operation, outcome, success=success)
    level = "info" if success else "warning" if error is None else "error"
    _log.emit(level, operation.event_name, event)
    operation.recorded = True
    if error is not None:
        failure = shape.error_log(
            error.error_type,
            {},
            {
                "operation": operation.operation_type,
                "operation_id": operation.operation_id,
                "lead_data": operation.lead,
            },
        )
        failure["error_details"].update(error.details)
        failure["timestamp"] = operation.ended_us
        _log.emit("error", f"error.{error.error_type.removesuffix('_error')}", failure)


def _event(operation: Operation, outcome: str, *, success: bool) -> Event:
    """The event, written out: what the hooks measured has the contract's types already.

    Filling `shape.blank` key by key costs five times as much; a test holds the keys, and their
    order, to it.
    """
    error, watch, meter = operation.error, operation.watch, operation.meter
    wall_ms = None if watch is None else watch.wall_ms
    data = {
        "fields_processed": operation.fields_processed,
        "fields_changed": operation.fields_changed,
        "data_size_bytes": operation.data_size_bytes,
        "duplicate_action": operation.duplicate_action,
        "duplicate_matched_on": operation.duplicate_matched_on,
    }
    event: Event = {
        "timestamp": operation.ended_us,
        "level": None,
        "log_type": DATABASE_OPERATION,
        "event_name": None,
        "session_id": None,
        "event_id": operation.operation_id,
        "schema_version": SCHEMA_VERSION,
        "process_id": None,
        "thread_name": None,
        "operation_details": {
            "operation_type": operation.operation_type,
            "operation_id": operation.operation_id,
            "success": success,
            "outcome": outcome,
            "records_affected": operation.records_affected,
            "execution_time_ms": wall_ms,
            "duplicate_detected": operation.duplicate_detected,
            "error_message": None if error is None else error.message,
            "entity": operation.entity,
            "bulk": operation.bulk,
            "started_at": format_us(operation.started_us),
            "transaction_id": operation.transaction_id,
        },
        "lead_identifier": _NOBODY.copy(),
        "data_details": data,
        "performance_metrics": {
            "execution_time_ms": wall_ms,
            "database_queries": None if meter is None else meter.queries,
            "database_time_ms": None if meter is None else meter.database_ns / 1e6,
            "memory_usage_mb": None,
            "cpu_time_ms": None if watch is None else watch.cpu_ms,
        },
        "training_labels": _UNLABELLED.copy(),
    }
    if operation.change is not None:
        data["change"] = operation.change
    if operation.records_cut is not None:
        event["operation_details"]["records_cut"] = operation.records_cut
    if operation.sample_rate is not None:
        event["sample_rate"] = operation.sample_rate
    if operation.lead_outcomes is not None:
        data.update(operation.lead_outcomes)
    lead = operation.lead
    if lead is not None:
        shape.identify(lead, event, {})
        if operation.whole:
            event[LEAD] = lead
            if data["data_size_bytes"] is None:
                data["data_size_bytes"] = shape.size_bytes(lead)
    if operation.lead_id is not None:
        event["lead_identifier"]["lead_id"] = operation.lead_id
    if operation.lead_ids is not None:
        event["lead_identifier"]["lead_ids"] = operation.lead_ids
        event["lead_identifier"]["lead_count"] = operation.lead_count
    return event
