"""The guard: masks secrets after rendering, so that events without any are not walked.

Testing a whole line costs more than rendering it. Of a database operation, the event that comes
most often, only the values that a caller can choose are tested; ids, times, numbers and labels
are of our own making.
"""

from functools import lru_cache
from typing import Any

import orjson
from structlog.typing import EventDict

from leadlog_processors.fields import DATABASE_OPERATION
from leadlog_processors.privacy import mask_secrets, may_contain_secret
from leadlog_processors.rendering import render, to_json_type

_NEWLINE = orjson.OPT_APPEND_NEWLINE


@lru_cache(maxsize=4096)
def _is_harmless(name: str) -> bool:
    """Whether a name, of which there are few, holds no secret."""
    return not may_contain_secret(name.encode("utf-8", "replace"))


def chosen_by_caller(event: EventDict) -> tuple[Any, ...] | None:
    """The values of a database operation that may hold a secret.

    Returns:
        None where the event has no such form, or one of its names is suspicious: then the
        whole line is to be tested.
    """
    try:
        details, data = event["operation_details"], event["data_details"]
        names_are_harmless = (
            _is_harmless(event["event_name"])
            and _is_harmless(event["thread_name"])
            and _is_harmless(details["operation_type"])
        )
        if not names_are_harmless:
            return None
        return (
            event["lead_identifier"],
            data["fields_changed"],
            data["fields_processed"],
            data["duplicate_action"],
            data["duplicate_matched_on"],
            details["error_message"],
            details["entity"],
            details["outcome"],
            details["operation_id"],
            details["started_at"],
            details["transaction_id"],
            event.get("context"),
            event.get("extra"),
            event.get("processor_errors"),
        )
    except (KeyError, TypeError):
        return None


_KNOWN = frozenset(
    (
        "timestamp",
        "level",
        "log_type",
        "event_name",
        "session_id",
        "event_id",
        "schema_version",
        "process_id",
        "thread_name",
        "operation_details",
        "lead_identifier",
        "data_details",
        "performance_metrics",
        "training_labels",
        "context",
        "extra",
        "processor_errors",
        "sample_rate",
        "trace_id",
        "span_id",
    )
)


def guard(line: bytes, event: EventDict) -> bytes:
    """The line with every secret masked; the same line where there is none.

    Args:
        line: the rendered event, with its newline.
        event: the event.
    """
    suspect = line
    if event.get("log_type") == DATABASE_OPERATION and event.keys() <= _KNOWN:
        values = chosen_by_caller(event)
        if values is not None:
            suspect = orjson.dumps(values, to_json_type)
    if not may_contain_secret(suspect):
        return line
    plain = orjson.loads(line)
    masked = mask_secrets(plain)
    return line if masked is plain else render(masked, _NEWLINE)
