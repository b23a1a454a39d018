"""An operation as facts: what is known when its call has ended, and what only its outcome tells.

The first part is rendered once, before COMMIT is sent or at the end of the call, whichever comes
first: what becomes of mutable values later changes nothing. The second part is joined to it as
bytes. See `leadlog.core.records.captured` for what becomes of both.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from leadlog.core.records.captured import KNOWN
from leadlog.recording.pipeline import get_logger
from leadlog.recording.pipeline.facts import Facts, add_writer, joined
from leadlog_processors.rendering import render

if TYPE_CHECKING:
    from leadlog.recording.capture.operation import Operation

_log = get_logger()


_VALUES = ("fields_changed", "lead", "lead_outcomes")


def known(operation: "Operation") -> bytes:
    """What is known before the outcome, as a JSON object."""
    return _known(operation, KNOWN)


def brief(operation: "Operation") -> bytes:
    """As `known`, without the values."""
    return _known(operation, [key for key in KNOWN if key not in _VALUES])


def _known(operation: "Operation", keys: Sequence[str]) -> bytes:
    facts: Facts = {
        "kind": "operation",
        "name": operation.event_name,
        "session": operation.session.session_id,
        "memory": _log.memory_mb(),
        "operation": {key: getattr(operation, key) for key in keys},
    }
    if operation.context is not None:
        facts["context"] = operation.context
    add_writer(facts)
    return render(facts)


def frame(operation: "Operation", level: str, outcome: str, before: bytes | None = None) -> bytes:
    """The frame of an operation with that outcome.

    Args:
        operation: what it tells of.
        level: of its record.
        outcome: what the database did.
        before: what `known` or `brief` gave, if that was asked before.
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
