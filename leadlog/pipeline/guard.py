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
def _is_harmless(*names: str) -> bool:
    """Whether names, of which there are few, hold no secret."""
    return not may_contain_secret("\n".join(names).encode("utf-8", "replace"))


def chosen_by_caller(event: EventDict) -> tuple[Any, ...] | None:
    """The values of a database operation that may hold a secret.

    Returns:
        None where the event has no such form, or one of its names is suspicious: then the
        whole line is to be tested.
    """
    try:
        details, data = event["operation_details"], event["data_details"]
        if not (
            _is_harmless(event["event_name"], event["thread_name"], details["operation_type"])
            and _is_harmless(*(data["fields_processed"] or ()))
            and details["operation_id"].isalnum()
        ):
            return None
        return (
            event["lead_identifier"],
            data["fields_changed"],
            data["duplicate_action"],
            data["duplicate_matched_on"],
            details["error_message"],
            details["entity"],
            details["started_at"],
            details["transaction_id"],
            event.get("context"),
            event.get("extra"),
            event.get("processor_errors"),
        )
    except (AttributeError, KeyError, TypeError):
        return None


def guard(line: bytes, event: EventDict) -> bytes:
    """The line with every secret masked; the same line where there is none.

    Args:
        line: the rendered event, with its newline.
        event: the event, whose top-level keys are those of the record contract.
    """
    suspect = line
    if event.get("log_type") == DATABASE_OPERATION:
        values = chosen_by_caller(event)
        if values is not None:
            suspect = orjson.dumps(values, to_json_type)
    return guard_line(line, suspect)


def guard_line(line: bytes, suspect: bytes) -> bytes:
    """The line with every secret masked, where `suspect`, a part of it or all, has one."""
    if not may_contain_secret(suspect):
        return line
    plain = orjson.loads(line)
    masked = mask_secrets(plain)
    return line if masked is plain else render(masked, _NEWLINE)


def strict_guard(line: bytes, event: EventDict) -> bytes:  # noqa: ARG001 - a guard's signature
    """As `guard`, for events into which processors of the user's own may put anything."""
    return guard_line(line, line)
