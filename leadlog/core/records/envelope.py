"""The keys that every record begins with, and the literal types they share."""

from typing import Any, Literal, NotRequired

from typing_extensions import ReadOnly, TypedDict

Level = Literal["debug", "info", "warning", "error", "critical"]
Tier = Literal["excellent", "good", "acceptable", "slow", "very_slow"]
Outcome = Literal[
    "committed",
    "rolled_back",
    "savepoint_rolled_back",
    "failed",
    "commit_failed",
    "completed",
    "unknown",
]


class RecordEnvelope(TypedDict):
    """The keys that every record begins with."""

    timestamp: ReadOnly[str]
    """When the operation ended: RFC 3339, UTC, six fractional digits and `Z`."""
    level: ReadOnly[Level]
    """Severity of the event."""
    event_name: ReadOnly[str]
    """Dotted name of what happened, such as `lead.add`."""
    session_id: ReadOnly[str]
    """8 characters `[0-9a-z]`; correlates related events."""
    event_id: ReadOnly[str]
    """Unique across processes and restarts; sorts by time."""
    schema_version: ReadOnly[int]
    """Version of this contract."""
    process_id: ReadOnly[int]
    """The writer's process id."""
    thread_name: ReadOnly[str]
    """The writer's thread."""
    trace_id: NotRequired[ReadOnly[str]]
    """W3C trace id; present inside an OpenTelemetry span or what `leadlog.instrument` records."""
    span_id: NotRequired[ReadOnly[str]]
    """W3C span id; present where `trace_id` is."""
    sample_rate: NotRequired[ReadOnly[float]]
    """Share of such events that is kept; count this event as 1 / sample_rate events."""
    truncated: NotRequired[ReadOnly[bool]]
    """Whether values were cut to keep the line within its limit."""
    truncated_fields: NotRequired[ReadOnly[list[str]]]
    """Paths of the values that were cut."""
    processor_errors: NotRequired[ReadOnly[list[str]]]
    """Processors that raised on this event, with the error; the event was written without them."""
    recovered: NotRequired[ReadOnly[bool]]
    """Whether the writer died before it finished the event; another process finished it, without
    the writer's own processors."""
    extra: NotRequired[ReadOnly[dict[str, Any]]]
    """Values the caller passed that have no key in the record or the wrong type, by their path."""


class WithContext(RecordEnvelope):
    """An envelope with bound context."""

    context: NotRequired[ReadOnly[dict[str, Any]]]
    """Values bound to the session."""
