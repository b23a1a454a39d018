"""An operation as facts: what is known when its call has ended, and what only its outcome tells.

The first part is rendered once, before COMMIT is sent or at the end of the call, whichever comes
first: what becomes of mutable values later changes nothing. The second part is joined to it as
bytes. See `leadlog.core.records.captured` for what becomes of both.
"""

from typing import TYPE_CHECKING

from leadlog.recording.pipeline import get_logger
from leadlog.recording.pipeline.facts import Facts, add_writer, joined
from leadlog_processors.rendering import render

if TYPE_CHECKING:
    from leadlog.recording.capture.operation import Operation

_log = get_logger()


def known(operation: "Operation", *, brief: bool = False) -> bytes:
    """What is known before the outcome, as a JSON object.

    Args:
        operation: what it tells of.
        brief: without the values.
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
    """The frame of an operation with that outcome.

    Args:
        operation: what it tells of.
        level: of its record.
        outcome: what the database did.
        before: what `known` gave, if that was asked before.
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
