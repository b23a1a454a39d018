"""One session as a waterfall: what ran when, for how long, and what failed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from leadlog.core.clock import format_us
from leadlog.dashboard.log import Log
from leadlog.reading.events import Event
from leadlog.reading.index import MovedError, read_places
from leadlog.reading.index.columns import duration_of, kind_of, microseconds_of, user_of

__all__ = ["Bar", "SessionStory", "session"]

_MOST: Final = 1_000
_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class Bar:
    """One event of a session.

    Attributes:
        event_id: id of its record.
        category: folder of the event.
        name: name of the operation, or of the event.
        start_ms: start, milliseconds since the start of the session.
        duration_ms: duration in milliseconds; None if unknown.
        depth: number of measured operations that enclose it.
        failed: whether it failed.
        outcome: outcome in the database.
        key: primary key of the affected row.
        transaction_id: id of its transaction.
        text: why it failed.
    """

    event_id: str | None
    category: str
    name: str
    start_ms: float
    duration_ms: float | None
    depth: int
    failed: bool
    outcome: str | None
    key: str | None
    transaction_id: str | None
    text: str | None


@dataclass(frozen=True, slots=True)
class SessionStory:
    """The events of one session.

    Attributes:
        session_id: id of the session.
        since: start of the first event, as in the records.
        until: end of the last event shown, as in the records.
        total_ms: time between the two, in milliseconds.
        users: users bound in the session.
        events: number of events in the session.
        errors: number of bars that are errors or failed operations.
        bars: bars of its first thousand events, by start.
        processes: ids of the processes that wrote the events.
    """

    session_id: str
    since: str
    until: str
    total_ms: float
    users: tuple[str, ...]
    events: int
    errors: int
    bars: tuple[Bar, ...]
    processes: tuple[int, ...]


def session(log: Log, session_id: str) -> SessionStory | None:
    """Return the story of a session; None if the log has no event of it.

    Args:
        log: the log.
        session_id: id of the session.

    Raises:
        IndexUnavailableError: the index cannot be read.
        ReadError: a log file cannot be read.
    """
    with log.index() as index:
        places = index.of_session(session_id)
        try:
            events = [*read_places(places[:_MOST])]
        except MovedError as error:
            (place,) = error.args
            index.forget(place.file)
            index.catch_up()
            places = index.of_session(session_id)
            events = [*read_places(places[:_MOST])]
    events = [event for event in events if event.data.get("session_id") == session_id]
    if not events:
        return None
    spans = [_span(event) for event in events]
    first = min(start for start, _, _ in spans)
    last = max(end for _, end, _ in spans)
    spans.sort(key=lambda span: (span[0], -span[1]))
    bars: list[Bar] = []
    around: list[int] = []
    for start, end, event in spans:
        while around and around[-1] <= start and (around[-1] < end or start < end):
            around.pop()
        bars.append(_bar(event, start - first, end - start, len(around)))
        if end > start:
            around.append(end)
    users = {user for event in events if (user := user_of(event.data)) is not None}
    processes = {event.data.get("process_id") for event in events}
    return SessionStory(
        session_id,
        format_us(first),
        format_us(last),
        (last - first) / 1000,
        tuple(sorted(users)),
        len(places),
        sum(_is_wrong(event.data) for event in events),
        tuple(bars),
        tuple(sorted(one for one in processes if type(one) is int)),
    )


def _span(event: Event) -> tuple[int, int, Event]:
    """Return the start and the end of an event in microseconds, and the event itself."""
    end = microseconds_of(event.timestamp)
    return end - (duration_of(event.data) or 0), end, event


def _section(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    return found if isinstance(found, Mapping) else {}


def _is_wrong(data: Mapping[str, Any]) -> bool:
    kind = kind_of("", data)
    return bool(kind.failed) or data.get("log_type") == "error_log"


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return value if len(value) <= _TEXT else f"{value[: _TEXT - 1]}…"


def _bar(event: Event, start: int, duration: int, depth: int) -> Bar:
    data = event.data
    kind = kind_of(event.path.parent.name, data)
    details = _section(data, "operation_details")
    error = _section(data, "error_details")
    return Bar(
        _text(data.get("event_id")),
        kind.category,
        kind.operation or kind.monitoring or kind.event_name or "",
        start / 1000,
        None if duration_of(data) is None else duration / 1000,
        min(depth, 12),
        _is_wrong(data),
        kind.outcome,
        _text(_section(data, "lead_identifier").get("lead_id")),
        _text(details.get("transaction_id")),
        _text(error.get("error_message")) or _text(details.get("error_message")),
    )
