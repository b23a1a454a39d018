"""Conversion of a captured operation's facts into its event.

Facts are JSON. The top level holds what is known only after the call has ended and the database
has responded (`at`, `outcome`, `error_message`, `wall_ms`, `cpu_ms`, `queries`, `database_ms`,
`transaction_id`); `operation` holds what was known before, under the names of
`leadlog.recording.capture.operation.Operation`.
"""

from collections.abc import Mapping
from typing import Any, Final

from leadlog.core.clock import format_us
from leadlog.core.records import shape
from leadlog.core.records.section import Event
from leadlog_processors.fields import DATABASE_OPERATION, LEAD, SCHEMA_VERSION

_BLANK: Final = shape.blank(DATABASE_OPERATION)
_NOBODY, _UNLABELLED = _BLANK["lead_identifier"], _BLANK["training_labels"]
SUCCESSES: Final = frozenset(("committed", "completed"))
"""Outcomes of an operation that succeeded."""


def operation(facts: Mapping[str, Any]) -> Event:
    """Return the event of an operation; its values have the contract's types already.

    Every key is written out, because filling `shape.blank` key by key costs five times as much; a
    test compares the keys and their order with `shape.blank`.
    """
    known = facts["operation"].get
    error_message, wall_ms = facts["error_message"], facts["wall_ms"]
    data = {
        "fields_processed": known("fields_processed"),
        "fields_changed": known("fields_changed"),
        "data_size_bytes": known("data_size_bytes"),
        "duplicate_action": known("duplicate_action"),
        "duplicate_matched_on": known("duplicate_matched_on"),
    }
    details = {
        "operation_type": known("operation_type"),
        "operation_id": facts["id"],
        "success": error_message is None and facts["outcome"] in SUCCESSES,
        "outcome": facts["outcome"],
        "records_affected": known("records_affected"),
        "execution_time_ms": wall_ms,
        "duplicate_detected": known("duplicate_detected"),
        "error_message": error_message,
        "entity": known("entity"),
        "bulk": known("bulk"),
        "started_at": format_us(known("started_us")),
        "transaction_id": facts["transaction_id"],
    }
    event: Event = {
        "timestamp": facts["at"],
        "level": None,
        "log_type": DATABASE_OPERATION,
        "event_name": None,
        "session_id": None,
        "event_id": facts["id"],
        "schema_version": SCHEMA_VERSION,
        "process_id": None,
        "thread_name": None,
        "operation_details": details,
        "lead_identifier": _NOBODY.copy(),
        "data_details": data,
        "performance_metrics": {
            "execution_time_ms": wall_ms,
            "database_queries": facts["queries"],
            "database_time_ms": facts["database_ms"],
            "memory_usage_mb": None,
            "cpu_time_ms": facts["cpu_ms"],
        },
        "training_labels": _UNLABELLED.copy(),
    }
    for section, key in (
        *((details, "statement"), (details, "statement_fingerprint"), (details, "load")),
        *((details, "records_cut"), (details, "schema"), (details, "database")),
        *((data, "change"), (event, "sample_rate")),
    ):
        if known(key) is not None:
            section[key] = known(key)
    if known("lead_outcomes") is not None:
        data.update(known("lead_outcomes"))
    lead = known("lead")
    if lead is not None:
        shape.identify(lead, event, {})
        if known("whole"):
            event[LEAD] = lead
            if data["data_size_bytes"] is None:
                data["data_size_bytes"] = shape.size_bytes(lead)
    who = event["lead_identifier"]
    if known("lead_id") is not None:
        who["lead_id"] = known("lead_id")
    if known("previous_lead_id") is not None:
        who["previous_lead_id"] = known("previous_lead_id")
    if known("lead_ids") is not None:
        who["lead_ids"] = known("lead_ids")
        who["lead_count"] = known("lead_count")
    return event
