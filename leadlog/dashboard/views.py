"""The data of each page as JSON, with the commands that show the same data."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from leadlog.core.clock import format_us, now_us
from leadlog.core.errors import LeadlogError
from leadlog.dashboard import model
from leadlog.dashboard.model import Log, TimeWindow
from leadlog.reading.moments import moment

__all__ = ["CHANGES", "VIEWS", "Asked", "Change", "View", "period_text"]

_RECORD_BYTES: Final = 200_000
_TAIL: Final = 500
_HEALTH_SECONDS: Final = 3.0


class AskedError(LeadlogError, ValueError):
    """A parameter of a request is missing, bad or unknown."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a view.

    Attributes:
        log: the log.
        given: the parameters of the request.
    """

    log: Log
    given: Mapping[str, str]

    @property
    def place(self) -> str:
        """The log directory, quoted for a command line."""
        return shlex.quote(str(self.log.directory))

    def window(self) -> TimeWindow:
        """Return the requested period."""
        since, until = self.given.get("since"), self.given.get("until")
        extent = None
        if since == "all":
            with self.log.figures() as figures:
                extent = figures.extent()
        return model.window(since, until, extent=extent)

    def filter(self) -> model.EventFilter:
        """Return the requested filter of events."""
        return model.filter_of(self.given.get("f", ""))

    def number(self, name: str) -> int | None:
        """Return a parameter as a whole number; None if it is not given.

        Raises:
            AskedError: the value is not a whole number.
        """
        text = self.given.get(name)
        if text in (None, ""):
            return None
        try:
            return int(str(text))
        except ValueError:
            raise AskedError(f"{name} = {text!r} is not a whole number") from None

    def text(self, name: str) -> str:
        """Return a required parameter as text.

        Raises:
            AskedError: the parameter is missing.
        """
        found = self.given.get(name, "")
        if not found:
            raise AskedError(f"say which: {name} is missing")
        return found

    def since_until(self, window: TimeWindow) -> str:
        """Return a period as command-line options."""
        return f"--since {window.since_text} --until {window.until_text}"


View = Callable[[Asked], dict[str, Any]]
Change = Callable[[Log, Mapping[str, Any]], dict[str, Any]]


def _period(window: TimeWindow) -> dict[str, Any]:
    return {
        "since": window.since / 1e6,
        "until": window.until / 1e6,
        "step": window.step,
        "live": window.live,
        "now": window.now / 1e6,
    }


def _now(asked: Asked) -> dict[str, Any]:
    window = asked.window()
    firing = model.firing(asked.log)
    period = asked.since_until(window)
    return {
        "window": _period(window),
        "now": model.now(asked.log, window, firing),
        "firing": firing,
        "sealed": asked.log.sealed_days(),
        "commands": {
            "leadlog": f"leadlog slow {period} --directory {asked.place}",
            "jq": _jq(
                window,
                "database_operations",
                asked.place,
                ".operation_details | [.entity, .operation_type, .outcome, .execution_time_ms]",
            ),
        },
    }


def _jq(window: TimeWindow, category: str, place: str, shown: str = "", test: str = "") -> str:
    tests = [
        f'.timestamp >= "{window.since_text}"',
        f'.timestamp < "{window.until_text}"',
        *([test] if test else []),
    ]
    program = f"select({' and '.join(tests)})" + (f" | {shown}" if shown else "")
    return f"jq -c {shlex.quote(program)} {place}/{category}/*.jsonl"


def _explore(asked: Asked) -> dict[str, Any]:
    window, wanted = asked.window(), asked.filter()
    return {
        "window": _period(window),
        "found": model.explore(asked.log, window, wanted),
        "rows": model.rows(asked.log, window, wanted, before=asked.number("before")),
        "sealed": asked.log.sealed_days(),
        "commands": wanted.commands(window, str(asked.log.directory)),
    }


def _after(asked: Asked) -> dict[str, Any]:
    """Return the events indexed after a number, and the last number that was examined."""
    number = asked.number("number") or 0
    found, last, looked = model.rows_after(asked.log, number, asked.filter(), _TAIL)
    return {"rows": found, "number": last, "more": looked == _TAIL}


def _heatmap(asked: Asked) -> dict[str, Any]:
    window = asked.window()
    return {"window": _period(window), "heatmap": model.heatmap(asked.log, window, asked.filter())}


def _differences(asked: Asked) -> dict[str, Any]:
    window = asked.window()
    try:
        start, end = float(asked.text("start")), float(asked.text("end"))
        low, high = float(asked.text("low")), float(asked.text("high"))
        box = TimeWindow(round(start * 1e6), round(end * 1e6), window.step, window.now, live=False)
        format_us(box.since)
        format_us(box.until)
    except (ValueError, OverflowError) as error:
        raise AskedError(f"the selected box cannot be read: {error}") from error
    return {
        "differences": model.differences(
            asked.log, window, asked.filter(), box=box, low_ms=low, high_ms=high
        )
    }


def _event(asked: Asked) -> dict[str, Any]:
    number = asked.number("number")
    if number is None:
        raise AskedError("say which: number is missing")
    with asked.log.figures() as figures:
        record = asked.log.records(figures, [number]).get(number)
    if record is None:
        raise AskedError(f"there is no longer an event {number}; load the page again")
    name = shlex.quote(str(record.get("event_id")))
    return {
        **_record(record),
        "commands": {
            "leadlog": f"leadlog show {name} --directory {asked.place}",
            "jq": _jq_event(record, asked.place),
        },
    }


def _jq_event(record: Mapping[str, Any], place: str) -> str:
    program = f"select(.event_id == {_text(record.get('event_id'))})"
    return f"jq -c {shlex.quote(program)} {place}/*/*.jsonl"


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as a page shows it: JSON as text, truncated if very long."""
    text = orjson.dumps(record, option=orjson.OPT_INDENT_2).decode()
    return {
        "record": text if len(text) <= _RECORD_BYTES else f"{text[:_RECORD_BYTES]}\n…",
        "log_type": record.get("log_type"),
        "event_id": record.get("event_id"),
        "session_id": record.get("session_id"),
        "lead_id": _of(record, "lead_identifier", "lead_id"),
        "fingerprint": _of(record, "error_details", "fingerprint")
        or _of(record, "error_details", "error_type"),
    }


def _of(record: Mapping[str, Any], section: str, key: str) -> Any:
    found = record.get(section)
    return found.get(key) if isinstance(found, Mapping) else None


def _errors(asked: Asked) -> dict[str, Any]:
    window = asked.window()
    with asked.log.figures() as figures:
        groups = model.error_groups(asked.log, figures, window)
    return {
        "window": _period(window),
        "groups": groups,
        "commands": {
            "leadlog": (
                f"leadlog errors --all {asked.since_until(window)} --directory {asked.place}"
            ),
            "jq": _jq(
                window,
                "error_logs",
                asked.place,
                ".error_details | [.fingerprint, .error_message]",
            ),
        },
    }


def _error(asked: Asked) -> dict[str, Any]:
    window, fingerprint = asked.window(), asked.text("fingerprint")
    found = model.error_detail(asked.log, window, fingerprint, asked.number("number"))
    if found is None:
        raise AskedError(f"the log has no error with the fingerprint {fingerprint!r}")
    return {
        "group": found.group,
        "place": found.place,
        "of": found.of,
        "sessions": found.sessions,
        "next": found.next,
        "previous": found.previous,
        "shares": found.shares,
        "shared_of": found.shared_of,
        "trace": _of(found.record, "error_details", "stack_trace"),
        "message": _of(found.record, "error_details", "error_message"),
        "at": found.record.get("timestamp"),
        "called_from": _of(found.record, "context", "called_from"),
        **_record(found.record),
        "commands": {
            "leadlog": f"leadlog errors {shlex.quote(fingerprint)} --all --directory {asked.place}",
            "jq": _jq(
                window,
                "error_logs",
                asked.place,
                "",
                f".error_details.fingerprint == {_text(fingerprint)}",
            ),
        },
    }


def _entity(asked: Asked) -> dict[str, Any]:
    key, said = asked.given.get("key", ""), asked.given.get("at")
    if not key:
        return {"key": "", "rows": (), "near": _some_keys(asked.log), "commands": {}}
    at = moment(said) if said else None
    found = model.entity(asked.log, key, at=at, reads=asked.given.get("reads") == "1")
    name = shlex.quote(key)
    program = (
        f"select(.lead_identifier.lead_id == {_text(key)}) | "
        "[.timestamp, .event_name, .data_details.fields_changed]"
    )
    return {
        "key": key,
        "rows": found.rows,
        "near": found.near or (_some_keys(asked.log) if not found.rows else ()),
        "commands": {
            "leadlog": f"leadlog history {name} --directory {asked.place}",
            "jq": f"jq -c {shlex.quote(program)} {asked.place}/database_operations/*.jsonl",
        },
    }


def _some_keys(log: Log) -> tuple[str, ...]:
    with log.index() as index:
        return tuple(index.keys(12))


def _session(asked: Asked) -> dict[str, Any]:
    name = asked.given.get("id", "")
    found = model.session(asked.log, name) if name else None
    program = f"select(.session_id == {_text(name)})"
    return {
        "id": name,
        "session": found,
        "recent": () if found is not None else _recent_sessions(asked.log),
        "commands": {
            "leadlog": f"leadlog session {shlex.quote(name)} --directory {asked.place}",
            "jq": f"jq -c {shlex.quote(program)} {asked.place}/*/*.jsonl",
        }
        if name
        else {},
    }


def _recent_sessions(log: Log) -> list[dict[str, Any]]:
    """Return the sessions of the newest events, each with its newest event."""
    window = model.window("all", extent=_extent(log))
    found: dict[str, model.EventRow] = {}
    for row in model.rows(log, window, model.filter_of(""), most=300):
        if row.session:
            found.setdefault(row.session, row)
    return [
        {"session": name, "at": row.at, "name": row.name, "user": row.user}
        for name, row in [*found.items()][:20]
    ]


def _extent(log: Log) -> tuple[int, int] | None:
    with log.figures() as figures:
        return figures.extent()


def _runs(asked: Asked) -> dict[str, Any]:
    window = asked.window()
    period = asked.since_until(window)
    sql = "SELECT * FROM syncs ORDER BY timestamp DESC"
    return {
        "window": _period(window),
        "runs": model.runs(asked.log, window),
        "commands": {
            "leadlog": f"leadlog query {shlex.quote(sql)} {period} --directory {asked.place}",
            "jq": _jq(window, "sync_operations", asked.place, "[.timestamp, .sync_results]"),
        },
    }


def _quality(asked: Asked) -> dict[str, Any]:
    window = asked.window()
    period = asked.since_until(window)
    sql = (
        "SELECT date, round(data_quality_score, 1) AS score, count(*) AS leads FROM operations "
        "WHERE data_quality_score IS NOT NULL GROUP BY ALL ORDER BY ALL"
    )
    return {
        "window": _period(window),
        "quality": model.quality(asked.log, window),
        "commands": {
            "leadlog": f"leadlog query {shlex.quote(sql)} {period} --directory {asked.place}",
            "jq": _jq(
                window,
                "database_operations",
                asked.place,
                ".training_labels | [.data_quality_score, .data_quality_issues]",
                ".training_labels.data_quality_score != null",
            ),
        },
    }


def _alerts(asked: Asked) -> dict[str, Any]:
    return {
        "alerts": model.alerts(asked.log),
        "commands": {
            "leadlog": f"leadlog alerts list --all --directory {asked.place}",
            "jq": f"jq -c {shlex.quote('.alerts[]')} {asked.place}/monitoring_data/*.jsonl",
        },
    }


def _health(asked: Asked) -> dict[str, Any]:
    from leadlog.monitor.health.health import check

    found = check(directory=asked.log.directory, timeout_seconds=_HEALTH_SECONDS)
    return {
        "health": found.as_dict(),
        "commands": {"leadlog": f"leadlog health --directory {asked.place}"},
    }


def _questions(asked: Asked) -> dict[str, Any]:
    from importlib import resources

    from leadlog.dashboard.sql import LIMITS
    from leadlog.reading.tables import FLAT

    text = (resources.files("leadlog.dashboard") / "assets" / "questions.json").read_bytes()
    return {
        "questions": orjson.loads(text),
        "tables": [*FLAT, "events", *FLAT.values()],
        "limits": {
            "seconds": LIMITS.seconds,
            "memory_mb": LIMITS.memory_mb,
            "threads": LIMITS.threads,
        },
        "directory": asked.place,
    }


VIEWS: Final[Mapping[str, View]] = {
    "now": _now,
    "explore": _explore,
    "after": _after,
    "heatmap": _heatmap,
    "differences": _differences,
    "event": _event,
    "errors": _errors,
    "error": _error,
    "entity": _entity,
    "session": _session,
    "runs": _runs,
    "quality": _quality,
    "alerts": _alerts,
    "health": _health,
    "questions": _questions,
}
"""Name of a view in the address to the function that returns its data."""


def _mark(log: Log, given: Mapping[str, Any]) -> dict[str, Any]:
    """Mark an error as resolved or ignored, or remove its mark."""
    from leadlog.reading.analytics.marks import Mark, set_mark

    fingerprint, word = given.get("fingerprint"), given.get("word")
    if not isinstance(fingerprint, str) or not fingerprint:
        raise AskedError("say which: fingerprint is missing")
    now = format_us(now_us())
    if word == "resolved":
        mark: Mark | None = Mark("resolved", now)
    elif word == "ignored":
        mark = Mark("ignored", now, 30)
    elif word == "open":
        mark = None
    else:
        raise AskedError(f"word = {word!r} must be resolved, ignored or open")
    set_mark(log.directory, fingerprint, mark)
    return {"fingerprint": fingerprint, "word": word}


def _silence(log: Log, given: Mapping[str, Any]) -> dict[str, Any]:
    """Silence an alert for the given number of hours, one by default."""
    from leadlog.monitor.state import write_state
    from leadlog.monitor.storage import add_silence

    rule, label = given.get("rule"), given.get("label")
    hours, comment = given.get("hours", 1), given.get("comment")
    if not isinstance(rule, str) or not rule or not isinstance(label, str):
        raise AskedError("say which: rule and label are missing")
    if type(hours) not in {int, float} or not 0 < hours <= 168:
        raise AskedError(f"hours = {hours!r} must be a number above 0 and up to 168")
    now = now_us()
    with write_state(log.directory) as connection:
        number = add_silence(
            connection,
            rule=rule,
            label=label,
            comment=comment if isinstance(comment, str) and comment else "from the dashboard",
            by="dashboard",
            created_us=now,
            ends_us=now + round(hours * 3_600_000_000),
        )
    return {"number": number}


CHANGES: Final[Mapping[str, Change]] = {"mark": _mark, "silence": _silence}
"""Name of a change in the address to the function that makes it; needs --allow-changes."""


def period_text(since: Any, until: Any) -> tuple[str | None, str | None]:
    """Return a period as timestamps for the readers; None for an open end.

    Raises:
        MomentError: a time cannot be understood.
    """
    return (
        format_us(moment(since)) if isinstance(since, str) and since not in ("", "all") else None,
        format_us(moment(until)) if isinstance(until, str) and until not in ("", "now") else None,
    )
