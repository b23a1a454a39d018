"""Rendering of an operation's records: its known facts, its outcome, and its exception.

The facts known when a call has ended are rendered once, before COMMIT is sent or at the end of the
call, whichever comes first: later changes of mutable values have no effect. Facts that depend on
the outcome are joined to them as bytes. See `leadlog.core.records.captured` for how the drain reads
both. An exception is rendered where it is caught and not kept: its frames hold the application's
objects, and a record may wait for the end of a transaction.
"""

import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from traceback import extract_tb
from types import FrameType
from typing import TYPE_CHECKING, Any

import attrs

from leadlog.core.records import shape
from leadlog.core.records.captured import SUCCESSES
from leadlog.core.records.operation import operation_name
from leadlog.recording.pipeline import get_logger, report_failure
from leadlog.recording.pipeline.facts import Facts, add_writer, joined
from leadlog.recording.pipeline.logger import LEVELS
from leadlog_processors.exceptions import class_name, error_code, read
from leadlog_processors.failure import describe
from leadlog_processors.fields import CATEGORIES, DATABASE_OPERATION
from leadlog_processors.fingerprint import is_own
from leadlog_processors.quoted import without_quoted_values
from leadlog_processors.rendering import render
from leadlog_processors.session import resume_session

if TYPE_CHECKING:
    from leadlog.recording.capture.operation import Operation


_log = get_logger()


def known(operation: "Operation", *, brief: bool = False) -> bytes:
    """Return the facts known before the outcome, as a JSON object.

    Args:
        operation: the operation.
        brief: whether to leave out values.
    """
    facts: Facts = {
        "kind": "operation",
        "name": operation.event_name,
        "session": operation.session.session_id,
        "memory": _log.memory_mb(),
        "operation": {
            "operation_type": operation.operation_type,
            "entity": operation.entity,
            "bulk": operation.bulk,
            "started_us": operation.started_us,
            "records_affected": operation.records_affected,
            "records_cut": operation.records_cut,
            "schema": operation.schema,
            "database": operation.database,
            "statement": operation.statement,
            "statement_fingerprint": operation.statement_fingerprint,
            "load": operation.load,
            "duplicate_detected": operation.duplicate_detected,
            "duplicate_action": operation.duplicate_action,
            "duplicate_matched_on": operation.duplicate_matched_on,
            "fields_processed": operation.fields_processed,
            "fields_changed": operation.fields_changed,
            "change": operation.change,
            "data_size_bytes": operation.data_size_bytes,
            "lead": operation.lead,
            "whole": operation.whole,
            "lead_id": operation.lead_id,
            "previous_lead_id": operation.previous_lead_id,
            "lead_ids": operation.lead_ids,
            "lead_count": operation.lead_count,
            "lead_outcomes": operation.lead_outcomes,
            "sample_rate": operation.sample_rate,
        },
    }
    if brief:
        facts["operation"].update(fields_changed=None, lead=None, lead_outcomes=None)
    if operation.context is not None:
        facts["context"] = operation.context
    add_writer(facts, operation.session)
    return render(facts)


def frame(operation: "Operation", level: str, outcome: str, before: bytes | None = None) -> bytes:
    """Return the frame of an operation with the given outcome.

    Args:
        operation: the operation.
        level: level of its record.
        outcome: outcome in the database.
        before: the result of `known`, if it was rendered earlier.
    """
    error, watch, meter = operation.error, operation.watch, operation.meter
    late = {
        "id": operation.operation_id,
        "at": operation.ended_us,
        "method": level,
        "outcome": outcome,
        "error_message": None if error is None else error.message,
        "wall_ms": None if watch is None else watch.wall_ms,
        "cpu_ms": None if watch is None else watch.cpu_ms,
        "queries": None if meter is None else meter.queries,
        "database_ms": None if meter is None else meter.database_ns / 1e6,
        "transaction_id": operation.transaction_id,
    }
    return joined(late, before or known(operation))


_CATEGORY = CATEGORIES[DATABASE_OPERATION]


def emit(operation: "Operation") -> None:
    """Write the record of an operation, and of its error if it has one; never raises.

    The record belongs to the session in which the call was made, even if that has ended by now.
    """
    try:
        _emit(operation)
    except Exception as error:  # noqa: BLE001 - a hook that raises would fail the user's statement
        report_failure(error)


def _emit(operation: "Operation") -> None:
    error, outcome = operation.error, operation.outcome
    success = error is None and outcome in SUCCESSES
    level = "info" if success else "warning" if error is None else "error"
    if _log.is_enabled_for(LEVELS[level]):
        _log.hand_over(_CATEGORY, frame(operation, level, outcome, operation.known))
    operation.written()
    if error is not None:
        with resume_session(operation.session):
            _emit_error(operation, error)


def _emit_error(operation: "Operation", error: "ErrorFacts") -> None:
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


_SQLITE_DUPLICATES = (
    "SQLITE_CONSTRAINT_UNIQUE",
    "SQLITE_CONSTRAINT_PRIMARYKEY",
    "SQLITE_CONSTRAINT_ROWID",
)
_MYSQL_DUPLICATES = ((1062,), (1586,))
_CALLERS = 10
_USER_ERRORS: tuple[type[Exception], ...] = (ValueError, TypeError)


@attrs.frozen
class ErrorFacts:
    """The rendered facts of an exception.

    Attributes:
        error_type: validation_error, database_error or internal_error.
        message: its text, or the name of its class if it has none.
        duplicate: whether the database refused a row because another one has its key.
        details: `error_message`, `error_code`, `exception_class`, `stack_trace` and `fingerprint`.
        called_from: file, line and function of the application that made the call; None if the
            stack shows none.
    """

    error_type: str
    message: str
    duplicate: bool
    details: dict[str, str | None]
    called_from: str | None = None


def error_facts(error: BaseException, *, concealed: bool = False) -> ErrorFacts:
    """Return the facts of an exception; never raises, even if the exception's own code does.

    Args:
        error: the exception.
        concealed: whether its text may hold a value that must not be in the log. Drivers quote
            values in their messages, SQLAlchemy quotes the statement and its parameters, and a line
            of source code may be SQL: none of these is kept.
    """
    mark_recorded(error, concealed=concealed)
    callers = _callers(error)
    trace = getattr(getattr(error, "orig", None), "__traceback__", None)
    message, details = _message(error), describe(error, trace, callers)
    if concealed:
        message = _without_values(error)
        places = "\n".join(_places(error, callers, message))
        details |= {"error_message": message, "stack_trace": places}
    called_from = _place(callers[-1]) if callers else None
    return ErrorFacts(error_type_of(error), message, _is_duplicate(error), details, called_from)


def mark_recorded(error: BaseException, *, concealed: bool = False) -> None:
    """Mark an exception as recorded, so that no outer call records it again.

    Args:
        error: the exception.
        concealed: as for `error_facts`.
    """
    with suppress(Exception):  # an exception may refuse attributes; a second record is harmless
        error.leadlog_recorded = "concealed" if concealed else "plain"  # type: ignore[attr-defined]


def already_recorded(error: BaseException) -> bool:
    """Return whether an inner call has recorded an exception."""
    return read(error, "leadlog_recorded") is not None


def is_concealed(error: BaseException) -> bool:
    """Return whether an exception or one of its causes may hold a value not to be recorded."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        if read(current, "leadlog_recorded") == "concealed":
            return True
        chain.append(current)
        current = current.__cause__ or current.__context__
    return False


def _callers(error: BaseException) -> Sequence[FrameType]:
    """Return the application's frames that led to an exception, the outermost first.

    These frames are still running, so the exception's traceback does not contain them.
    """
    trace = error.__traceback__
    frame = inspect.currentframe() if trace is None else trace.tb_frame.f_back
    greenlet: Any = sys.modules.get("greenlet")
    current = None if greenlet is None else greenlet.getcurrent()
    found: list[FrameType] = []
    while len(found) < _CALLERS:
        if frame is None:  # SQLAlchemy runs awaited code in a separate greenlet
            current = getattr(current, "parent", None)
            frame = getattr(current, "gr_frame", None)
            if frame is None:
                break
        if is_own(frame):
            found.append(frame)
        frame = frame.f_back
    return found[::-1]


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}"


def _without_values(error: BaseException) -> str:
    """Return the class and code of an error, and the names that the driver reports separately."""
    driver: Any = getattr(error, "orig", None) or error
    names = getattr(driver, "diag", driver)  # psycopg has them there; asyncpg at the error itself
    parts = [type(driver).__name__, str(error_code(error) or "")]
    for kind in ("table_name", "column_name", "constraint_name"):
        name = getattr(names, kind, None)
        if isinstance(name, str):
            parts.append(f"{kind.removesuffix('_name')} {name}")
    told = ", ".join(part for part in parts if part)
    return f"{told} (the message is left out: it may hold an excluded value)"


def _places(error: BaseException, callers: Sequence[FrameType], message: str) -> Iterator[str]:
    """Yield the places that an exception passed, without source lines and messages."""
    yield "Traceback (most recent call last), without lines of code:"
    for caller in callers:
        code = caller.f_code
        yield f'  File "{code.co_filename}", line {caller.f_lineno}, in {code.co_name}'
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    for one in reversed(chain):
        for frame in extract_tb(one.__traceback__):
            yield f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
        yield class_name(one)
    yield message


def error_type_of(error: BaseException) -> str:
    """Return validation_error, database_error or internal_error.

    Bad input is a validation_error; an error of the database or the store is a database_error.
    """
    for kind in type(error).__mro__:
        if kind.__module__.startswith("sqlalchemy.") or kind.__name__ == "StoreError":
            break
    else:
        return "validation_error" if isinstance(error, _USER_ERRORS) else "internal_error"
    return "validation_error" if isinstance(error, ValueError) else "database_error"


def _is_duplicate(error: BaseException) -> bool:
    driver = getattr(error, "orig", error)
    return (
        getattr(driver, "sqlstate", None) == "23505"
        or getattr(driver, "sqlite_errorname", None) in _SQLITE_DUPLICATES
        or (type(driver).__name__ == "IntegrityError" and driver.args[:1] in _MYSQL_DUPLICATES)
    )


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception's own code may raise anything
        text = ""
    return without_quoted_values(text) if text else type(error).__name__
