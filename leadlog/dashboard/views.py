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
from leadlog.dashboard.model.commands import json_text, period
from leadlog.reading.analytics.subjects import OPERATION_NAME
from leadlog.reading.moments import moment

__all__ = ["CHANGES", "VIEWS", "Asked", "Change", "View", "period_text"]

_RECORD_BYTES: Final = 200_000
_TAIL: Final = 500
_HEALTH_SECONDS: Final = 3.0
_N: Final = "sum(1 / coalesce(sample_rate, 1))"
_CALLS: Final = " UNION ALL ".join(
    f"SELECT log_type, sample_rate, success, {ms} AS ms, {name} AS operation FROM {table}"  # noqa: S608 - ours
    for table, name, ms in (
        ("operations", OPERATION_NAME, "execution_time_ms"),
        ("performance", "operation_name", "total_duration_ms"),
        ("syncs", "event_name", "execution_time_ms"),
        ("migrations", "event_name", "execution_time_ms"),
    )
)
_OPERATIONS: Final = (
    f"SELECT log_type, operation, round({_N}) AS calls, "  # noqa: S608 - ours
    f"round(coalesce({_N} FILTER (NOT success), 0)) AS failed, quantile_disc(ms, 0.5) AS p50, "
    f"quantile_disc(ms, 0.95) AS p95, "
    f"sum(ms / coalesce(sample_rate, 1)) AS total_ms FROM ({_CALLS}) "
    "WHERE operation IS NOT NULL GROUP BY log_type, operation "
    "ORDER BY failed DESC, total_ms DESC"
)
_RUNS: Final = (
    "SELECT timestamp, log_type, sync_type AS type, success, execution_time_ms, error_message "
    "FROM syncs UNION ALL SELECT timestamp, log_type, migration_type, success, execution_time_ms, "
    "error_message FROM migrations ORDER BY timestamp DESC"
)
_SCORES: Final = (
    "SELECT timestamp::DATE AS day, count(*) AS calls, avg(data_quality_score) AS mean "
    "FROM operations WHERE data_quality_score IS NOT NULL GROUP BY day ORDER BY day"
)


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

    def commands(self) -> model.CommandLines:
        """Return a builder of commands on the log."""
        with self.log.figures() as figures:
            return model.CommandLines(self.log.directory, figures.damaged())

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

    def before(self) -> tuple[int, int] | None:
        """Return time and number of the event before which rows are wanted, as `1795998.17`.

        Raises:
            AskedError: the value is not a whole number.
        """
        text = self.given.get("before", "")
        if not text:
            return None
        at, _, number = text.partition(".")
        try:
            return int(at), int(number or 0)
        except ValueError:
            raise AskedError(f"before = {text!r} is not the place of an event") from None

    def text(self, name: str) -> str:
        """Return a required parameter as text.

        Raises:
            AskedError: the parameter is missing.
        """
        found = self.given.get(name, "")
        if not found:
            raise AskedError(f"say which: {name} is missing")
        return found


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
    lines = asked.commands()
    return {
        "window": _period(window),
        "now": model.now(asked.log, window, firing),
        "firing": firing,
        "sealed": asked.log.sealed_days(),
        "commands": {
            "leadlog": lines.query(_OPERATIONS, window),
            "jq": lines.jq(
                '[.operation_details["entity", "operation_type", "outcome", "success", '
                '"execution_time_ms"], .sample_rate]',
                "database_operations",
                window=window,
            ),
        },
    }


def _explore(asked: Asked) -> dict[str, Any]:
    window, wanted = asked.window(), asked.filter()
    return {
        "window": _period(window),
        "found": model.explore(asked.log, window, wanted),
        "rows": model.rows(asked.log, window, wanted, before=asked.before()),
        "sealed": asked.log.sealed_days(),
        "commands": asked.commands().explore(wanted, window),
    }


def _after(asked: Asked) -> dict[str, Any]:
    """Return the events indexed after a number, and the last number that was examined."""
    number = asked.number("number") or 0
    found, last, looked = model.rows_after(
        asked.log, number, asked.filter(), _TAIL, since=asked.window().since
    )
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
    lines, name = asked.commands(), record.get("event_id")
    return {
        **_record(record),
        "commands": {
            "leadlog": lines.leadlog("show", shlex.quote(str(name))),
            "jq": lines.jq(f"select(.event_id == {json_text(name)})"),
        },
    }


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
    lines = asked.commands()
    return {
        "window": _period(window),
        "groups": groups,
        "commands": {
            "leadlog": lines.leadlog("errors", "--all", period(window)),
            "jq": lines.jq(
                ".error_details | [.fingerprint, .error_message]", "error_logs", window=window
            ),
        },
    }


def _error(asked: Asked) -> dict[str, Any]:
    window, fingerprint = asked.window(), asked.text("fingerprint")
    found = model.error_detail(asked.log, window, fingerprint, asked.number("number"))
    if found is None:
        raise AskedError(f"the log has no error with the fingerprint {fingerprint!r}")
    lines = asked.commands()
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
            "leadlog": lines.leadlog("errors", shlex.quote(fingerprint), "--all"),
            "jq": lines.jq(
                "select((.error_details | .fingerprint // .error_type) == "
                f"{json_text(fingerprint)})",
                "error_logs",
            ),
        },
    }


def _entity(asked: Asked) -> dict[str, Any]:
    key, said = asked.given.get("key", ""), asked.given.get("at")
    if not key:
        return {"key": "", "rows": (), "near": _some_keys(asked.log), "commands": {}}
    at = moment(said) if said else None
    found = model.entity(asked.log, key, at=at, reads=asked.given.get("reads") == "1")
    lines, text = asked.commands(), json_text(key)
    program = (
        f"select(.lead_identifier | .lead_id == {text} or .previous_lead_id == {text} "
        f"or (.lead_ids // [] | index({text}))) | "
        "[.timestamp, .event_name, .operation_details.outcome, .data_details.fields_changed]"
    )
    reads = ("--reads",) if asked.given.get("reads") == "1" else ()
    return {
        "key": key,
        "rows": found.rows,
        "near": found.near or (_some_keys(asked.log) if not found.rows else ()),
        "commands": {
            "leadlog": lines.leadlog("history", shlex.quote(key), *reads),
            "jq": lines.jq(program, "database_operations"),
        },
    }


def _some_keys(log: Log) -> tuple[str, ...]:
    with log.index() as index:
        return tuple(index.keys(12))


def _session(asked: Asked) -> dict[str, Any]:
    name = asked.given.get("id", "")
    found = model.session(asked.log, name) if name else None
    lines = asked.commands()
    return {
        "id": name,
        "session": found,
        "recent": () if found is not None else _recent_sessions(asked.log),
        "commands": {
            "leadlog": lines.leadlog("session", shlex.quote(name)),
            "jq": lines.jq(f"select(.session_id == {json_text(name)})"),
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
    window, lines = asked.window(), asked.commands()
    return {
        "window": _period(window),
        "runs": model.runs(asked.log, window),
        "commands": {
            "leadlog": lines.query(_RUNS, window),
            "jq": lines.jq(
                "[.timestamp, .log_type, .sync_results // .migration_results]",
                "sync_operations",
                "migration_operations",
                window=window,
            ),
        },
    }


def _quality(asked: Asked) -> dict[str, Any]:
    window, lines = asked.window(), asked.commands()
    found = model.quality(asked.log, window)
    days = model.window(f"{found.days[0]}T00:00:00Z", _after_day(found.days[-1]))
    return {
        "window": _period(window),
        "quality": found,
        "commands": {
            "leadlog": lines.query(_SCORES, days),
            "jq": lines.jq(
                "select(.training_labels.data_quality_score != null) | "
                ".training_labels | [.data_quality_score, .data_quality_issues]",
                "database_operations",
                window=days,
            ),
        },
    }


def _after_day(day: str) -> str:
    """Return the midnight at which a UTC day ends."""
    return format_us(moment(f"{day}T00:00:00Z") + 86_400_000_000)


def _alerts(asked: Asked) -> dict[str, Any]:
    lines = asked.commands()
    return {
        "alerts": model.alerts(asked.log),
        "commands": {
            "leadlog": lines.leadlog("alerts", "list", "--all"),
            "jq": lines.jq(".alerts[]?", "monitoring_data"),
        },
    }


def _health(asked: Asked) -> dict[str, Any]:
    from leadlog.monitor.health.health import check

    found = check(directory=asked.log.directory, timeout_seconds=_HEALTH_SECONDS)
    return {
        "health": found.as_dict(),
        "commands": {"leadlog": asked.commands().leadlog("health")},
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
        "directory": asked.commands().place,
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
