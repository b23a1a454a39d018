"""One event as one readable line: time, event, outcome, user, subject, changes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from leadlog.cli.terminal import Styled, count, fit, line, safe

__all__ = ["bound_context", "change", "common_context", "context_line", "event_line", "value"]

Data = Mapping[str, Any]

_TIER_COLOURS = {
    "excellent": "green",
    "good": "green",
    "acceptable": "yellow",
    "slow": "red",
    "very_slow": "red",
}
_LEVEL_COLOURS = {"warning": "yellow", "error": "red", "critical": "red"}
_OUTCOME_COLOURS = {
    "committed": "green",
    "completed": "green",
    "ok": "green",
    "unknown": "yellow",
}
_RESULTS = ("operation_details", "sync_results", "migration_results", "operation_info")
_ERRORS = (*_RESULTS, "request_info", "error_details")
_DURATIONS = {"operation_info": "total_duration_ms"}
_NARROW = 100
_TEXT_LIMIT = 160
_VALUE_LIMIT = 40
_MOST_CHANGES = 12
_QUIET = frozenset({"row_version", "updated_at", "created_at"})
"""Columns that change whenever any other column changes."""
_ERROR_CONTEXT = frozenset(
    {"operation_in_progress", "operation_id", "lead_data", "system_state", "user_action"}
    | {"environment", "called_from"}
)
"""Keys of an error's context that leadlog sets itself, unlike bound ones."""


def event_line(event: Data, width: int | None = None, *, context: Data | None = None) -> str:
    """Return an event as one coloured line of at most `width` cells.

    Never raises, whatever the event holds; stored values are always escaped.

    Args:
        event: the record.
        width: width of the terminal in cells; None for no limit.
        context: bound values that are shown elsewhere and not repeated here.
    """
    narrow = width is not None and width < _NARROW
    level = _text(event.get("level"))
    loud = level.upper() if level in _LEVEL_COLOURS else ""
    outcome = list(_outcome(event)) or [loud.ljust(9) if loud else ""]
    colours = {**_OUTCOME_COLOURS, loud: _LEVEL_COLOURS.get(level, "")}
    name = _text(event.get("event_name"))
    user, others = _user(event, context), _bound(event, context)
    parts: list[Styled | str] = [
        Styled(_time(event.get("timestamp"), narrow=narrow), {"dim": True}),
        Styled(name.ljust(12 if narrow else 18), {"bold": True, "fg": _LEVEL_COLOURS.get(level)}),
        *(Styled(one, {"fg": colours.get(one.strip(), "red")}) for one in outcome),
        *_duration(event),
        Styled(user, {"fg": "cyan"}),
        *_subject(event, narrow=narrow),
        *_error(event),
        *_changes(event),
        *_own_fields(event),
        *(Styled(one, {"dim": True}) for one in others),
    ]
    return line(parts, width)


def bound_context(event: Data) -> dict[str, Any]:
    """Return the values that the application bound, such as the user or the request."""
    context = _section(event, "context")
    if event.get("log_type") == "error_log":
        return {key: bound for key, bound in context.items() if key not in _ERROR_CONTEXT}
    return dict(context)


def _user(event: Data, told: Data | None) -> str:
    user = bound_context(event).get("user")
    return "" if user is None or (told or {}).get("user") == user else value(user)


def _bound(event: Data, told: Data | None) -> Iterator[str]:
    for key, bound in bound_context(event).items():
        if key != "user" and (told is None or told.get(key) != bound):
            yield f"{_text(key)}={value(bound)}"


def common_context(events: Iterable[Data]) -> dict[str, Any]:
    """Return the bound values that are the same in every event that has them."""
    found: dict[str, Any] = {}
    several: set[str] = set()
    for event in events:
        for key, bound in bound_context(event).items():
            if found.setdefault(key, bound) != bound:
                several.add(key)
    return {key: bound for key, bound in found.items() if key not in several}


def context_line(events: Iterable[Data]) -> str:
    """Return the context that the events have in common, as one line of text."""
    return "  ".join(f"{_text(key)}={value(one)}" for key, one in common_context(events).items())


def change(cell: Any, limit: int | None = _VALUE_LIMIT) -> str:
    """Return the change of a column as `old → new`, with values truncated to `limit` cells."""
    if not isinstance(cell, Mapping) or not cell:
        return "written by the database"
    if "new" not in cell:
        return f"was {value(cell.get('old'), limit)}"
    if "old" not in cell:
        return value(cell["new"], limit)
    return f"{value(cell['old'], limit)} → {value(cell['new'], limit)}"


def value(stored: Any, limit: int | None = _VALUE_LIMIT) -> str:
    """Return a stored value as readable text, truncated to `limit` cells."""
    if isinstance(stored, str):
        text = stored or '""'
    else:
        try:
            text = orjson.dumps(stored).decode()
        except (TypeError, ValueError):
            text = str(stored)
    return fit(safe(text), limit)


def _section(event: Data, name: str) -> Data:
    section = event.get(name)
    return section if isinstance(section, dict) else {}


def _text(stored: Any) -> str:
    return "" if stored is None else fit(safe(str(stored)), _TEXT_LIMIT)


def _time(timestamp: Any, *, narrow: bool) -> str:
    """Return the UTC time as `11-23 10:00:00.123`; without milliseconds if narrow."""
    text = _text(timestamp)
    return f"{text[5:10]} {text[11 : 19 if narrow else 23]}"


def _outcome(event: Data) -> Iterator[str]:
    for name in _RESULTS:
        section = _section(event, name)
        success = section.get("success")
        outcome = _text(section.get("outcome"))
        if not outcome and isinstance(success, bool):
            outcome = "ok" if success else "failed"
        if outcome:
            yield outcome.ljust(9)


def _duration(event: Data) -> Iterator[Styled]:
    tier = _text(_section(event, "training_labels").get("performance_tier"))
    for name in _RESULTS:
        took = _section(event, name).get(_DURATIONS.get(name, "execution_time_ms"))
        if isinstance(took, int | float):
            slow = tier if _TIER_COLOURS.get(tier, "green") != "green" else ""
            yield Styled(f"{took:8.1f} ms {slow}".rstrip(), {"fg": _TIER_COLOURS.get(tier)})


def _subject(event: Data, *, narrow: bool) -> Iterator[str]:
    """Yield the subjects of an event: a row, rows, a run, an error."""
    lead = _section(event, "lead_identifier")
    details = _section(event, "operation_details")
    key = lead.get("name") or lead.get("lead_id")
    yield _text(key)
    if not narrow:
        yield _text(lead.get("company"))
    rows = details.get("records_affected")
    if isinstance(rows, int) and details.get("entity") is not None and (key is None or rows != 1):
        yield count(rows, "row")
    request = _section(event, "request_info")
    if request:
        yield _text(_section(event, "operation_info").get("operation_name"))
        yield _text(request.get("status"))
    results = _section(event, "sync_results")
    for name in ("leads_synced", "leads_failed"):
        if results.get(name) is not None:
            yield f"{name.partition('_')[2]} {_text(results[name])}"
    results = _section(event, "migration_results")
    for name in ("records_migrated", "records_failed"):
        if results.get(name) is not None:
            yield f"{name.partition('_')[2]} {_text(results[name])}"
    error = _section(event, "error_details")
    kind = _text(error.get("exception_class") or error.get("error_type"))
    yield kind.rpartition(".")[2]
    yield _text(error.get("error_code"))
    total = _section(event, "statistics").get("total_leads")
    if isinstance(total, int):
        yield count(total, "lead")
    alerts = event.get("alerts")
    if isinstance(alerts, list) and alerts:
        yield count(len(alerts), "alert")


def _error(event: Data) -> Iterator[Styled]:
    for name in _ERRORS:
        text = _section(event, name).get("error_message")
        if text:
            yield Styled(_text(text), {"fg": "red"})
            return


def _changes(event: Data) -> Iterator[str]:
    changed = _section(_section(event, "data_details"), "fields_changed")
    kind = _section(event, "data_details").get("change")
    telling = {key: cell for key, cell in changed.items() if key not in _QUIET}
    if kind in {"create", "delete"}:
        if telling:
            yield count(len(telling), "field")
        return
    for key, cell in list(telling.items())[:_MOST_CHANGES]:
        yield f"{_text(key)}: {change(cell)}"
    if len(telling) > _MOST_CHANGES:
        yield f"and {count(len(telling) - _MOST_CHANGES, 'more field', 'more fields')}"


def _own_fields(event: Data) -> Iterator[str]:
    """Yield the fields of an application's own event."""
    points = _section(event, "monitoring_info").get("data_points")
    for place in (points, event.get("extra")):
        if isinstance(place, dict):
            for key, stored in place.items():
                yield f"{_text(key)}={value(stored)}"
