"""From an operation to its records."""

from leadlog.core.records import shape
from leadlog.core.records.captured import SUCCESSES
from leadlog.core.records.operation import operation_name
from leadlog.recording.capture.facts import frame
from leadlog.recording.capture.failures import ErrorFacts
from leadlog.recording.capture.operation import Operation
from leadlog.recording.pipeline import get_logger, report_failure
from leadlog.recording.pipeline.logger import LEVELS
from leadlog_processors.fields import CATEGORIES, DATABASE_OPERATION
from leadlog_processors.session import resume_session

_log = get_logger()

_CATEGORY = CATEGORIES[DATABASE_OPERATION]


def emit(operation: Operation) -> None:
    """Writes the record of an operation, and of its error if it has one; never raises.

    The record belongs to the session that the call was made in, which may have ended by now.
    """
    try:
        _emit(operation)
    except Exception as error:  # noqa: BLE001 - a hook that raises would fail the user's statement
        report_failure(error)


def _emit(operation: Operation) -> None:
    error, outcome = operation.error, operation.outcome
    success = error is None and outcome in SUCCESSES
    level = "info" if success else "warning" if error is None else "error"
    if _log.is_enabled_for(LEVELS[level]):
        _log.hand_over(_CATEGORY, frame(operation, level, outcome, operation.known))
    operation.written()
    if error is not None:
        with resume_session(operation.session):
            _emit_error(operation, error)


def _emit_error(operation: Operation, error: ErrorFacts) -> None:
    context = {
        "operation": operation_name(operation.operation_type, operation.entity),
        "operation_id": operation.operation_id,
        "lead_data": operation.lead,
    }
    if error.called_from is not None:
        context["called_from"] = error.called_from
    failure = shape.error_log(error.error_type, {}, context)
    failure["error_details"].update(error.details)
    failure["timestamp"] = operation.ended_us
    _log.emit("error", f"error.{error.error_type.removesuffix('_error')}", failure)
