"""The guard: masks secrets after rendering, so that events without any are not walked.

Testing a whole line costs more than rendering it. Of a database operation, the event that comes
most often, only the values that a caller can choose are tested; ids, times, numbers and labels
are of our own making.
"""

import datetime as dt
from functools import lru_cache

import orjson
from structlog.typing import EventDict

from leadlog.core.records import shape
from leadlog_processors.envelope import ENVELOPE
from leadlog_processors.fields import DATABASE_OPERATION
from leadlog_processors.privacy import mask_secrets, may_contain_secret
from leadlog_processors.rendering import render

_NEWLINE = orjson.OPT_APPEND_NEWLINE
_CHOSEN, _BEHIND = b'"lead_identifier":{', b',"data_size_bytes":'
_BLANK = shape.blank(DATABASE_OPERATION)
_KEYS = len(_BLANK.keys() | {*ENVELOPE})
"""Of a record to which nothing was added, such as bound context."""
_DETAILS, _DATA = len(_BLANK["operation_details"]), len(_BLANK["data_details"])
_time_of = dt.datetime.fromisoformat


@lru_cache(maxsize=4096)
def _is_harmless(*names: str | None) -> bool:
    """Whether names, of which there are few, hold no secret."""
    return not may_contain_secret("\n".join(filter(None, names)).encode("utf-8", "replace"))


def _suspect_part(line: bytes, event: EventDict) -> bytes:
    """What a caller chose in the line of a database operation; there a secret may stand.

    The whole line where a name is suspicious, and of a call that failed. A section's key cannot
    stand inside a text, where its quotes would be escaped; where it stands as a key of the
    caller's own, more is given than need be.

    Raises:
        ValueError: an id is no hexadecimal number, or a time no time, as ours are.
    """
    details, data = event["operation_details"], event["data_details"]
    started_at, transaction_id = details["started_at"], details["transaction_id"]
    int(details["operation_id"], 16)
    if transaction_id is not None:
        int(transaction_id, 16)
    if started_at is not None:
        _time_of(started_at)
    if (
        details["error_message"] is None
        and len(details) == _DETAILS
        and _is_harmless(
            event["event_name"],
            event["thread_name"],
            details["operation_type"],
            details["entity"],
            data["duplicate_action"],
            data["duplicate_matched_on"],
        )
    ):
        start, end = line.find(_CHOSEN), line.rfind(_BEHIND)
        if 0 <= start < end:
            ours = len(event) == _KEYS and len(data) == _DATA
            return line[start:end] if ours else line[start:]
    return line


def guard(line: bytes, event: EventDict) -> bytes:
    """The line with every secret masked; the same line where there is none.

    Args:
        line: the rendered event, with its newline.
        event: the event, whose top-level keys are those of the record contract.
    """
    suspect = line
    if event.get("log_type") == DATABASE_OPERATION:
        try:
            suspect = _suspect_part(line, event)
        except (AttributeError, KeyError, TypeError, ValueError):
            suspect = line  # no record of ours: anything may stand anywhere
    return _masked(line) if may_contain_secret(suspect) else line


def strict_guard(line: bytes, event: EventDict) -> bytes:  # noqa: ARG001 - a guard's signature
    """As `guard`, for events into which processors of the user's own may put anything."""
    return _masked(line) if may_contain_secret(line) else line


def _masked(line: bytes) -> bytes:
    plain = orjson.loads(line)
    masked = mask_secrets(plain)
    return line if masked is plain else render(masked, _NEWLINE)
