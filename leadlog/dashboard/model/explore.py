"""The events of a period: facets with counts, a histogram, and rows."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from leadlog.core.clock import format_us
from leadlog.dashboard.log import Log
from leadlog.dashboard.model.filters import FACETS, EventFilter, value_of
from leadlog.dashboard.model.windows import TimeWindow
from leadlog.reading.index.columns import Kind
from leadlog.reading.index.figures import Figures, IndexedEvent

__all__ = ["EventRow", "Explored", "Facet", "explore", "rows", "rows_after"]

_ROWS: Final = 500
_VALUES: Final = 20
_USERS_UP_TO: Final = 300_000
_TEXT: Final = 200
_END: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Facet:
    """The values of one facet.

    Attributes:
        name: name of the facet in a filter.
        values: values with their number of events, most frequent first; "" for events without one.
        more: number of values left out.
    """

    name: str
    values: tuple[tuple[str, float], ...]
    more: int


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event in a list.

    Attributes:
        number: index number of the event.
        at: time of the event, as in the records.
        category: folder of the event.
        name: name of the operation, or of the event.
        outcome: outcome of the operation.
        failed: whether the operation failed.
        level: log level.
        tier: performance tier.
        ms: duration in milliseconds.
        user: bound user.
        key: primary key of the affected row.
        session: session id.
        event_id: id of the record.
        text: summary of the record, truncated.
    """

    number: int
    at: str
    category: str
    name: str
    outcome: str | None
    failed: bool | None
    level: str | None
    tier: str | None
    ms: float | None
    user: str | None
    key: str | None
    session: str | None
    event_id: str | None
    text: str | None


@dataclass(frozen=True, slots=True)
class Explored:
    """The facets and the histogram of the events in a period.

    Attributes:
        since: start of the period.
        until: end of the period.
        total: number of events that match the filter.
        approx: whether `total` is an estimate from sampled events.
        facets: facets with counts over the whole period, each ignoring its own part of the filter.
        at: start of each slot of the histogram, seconds since 1970.
        step: width of a slot in seconds.
        well: number of events per slot that did not fail.
        failed: number of failed operations and errors per slot.
    """

    since: str
    until: str
    total: float
    approx: bool
    facets: tuple[Facet, ...]
    at: tuple[int, ...]
    step: int
    well: tuple[float, ...]
    failed: tuple[float, ...]


def explore(log: Log, window: TimeWindow, wanted: EventFilter) -> Explored:
    """Return the facets and the histogram of the events in a period.

    Args:
        log: the log.
        window: the period.
        wanted: filter of the events.

    Raises:
        IndexUnavailableError: the index cannot be read.
    """
    with log.figures() as figures:
        kinds = figures.kinds()
        counts, series = _counts(figures, window, wanted, kinds)
        slots = window.slots()
        well: dict[int, float] = defaultdict(float)
        failed: dict[int, float] = defaultdict(float)
        total, approx = 0.0, False
        for number, own in series.items():
            kind = kinds[number]
            if not wanted.takes(kind):
                continue
            bad = kind.failed or kind.category == "error_logs"
            for slot, n in own.items():
                (failed if bad else well)[slot] += n / kind.rate
                total += n / kind.rate
            approx = approx or kind.rate < 1
        facets = [
            facet for name in FACETS if (facet := _facet(name, counts, wanted, kinds)) is not None
        ]
        users = _users(figures, window, wanted, kinds, total)
        if users is not None:
            facets.append(users)
    return Explored(
        window.since_text,
        window.until_text,
        total,
        approx,
        tuple(facets),
        tuple(window.times()),
        window.step,
        tuple(well.get(slot, 0.0) for slot in slots),
        tuple(failed.get(slot, 0.0) for slot in slots),
    )


def _counts(
    figures: Figures, window: TimeWindow, wanted: EventFilter, kinds: Mapping[int, Kind]
) -> tuple[dict[int, float], dict[int, dict[int, int]]]:
    """Return counts of events by kind, and by kind and slot; of all kinds, ignoring facets."""
    if wanted.by_kind:
        series = figures.series(None, window.since, window.until, window.step)
    else:
        series = defaultdict(dict)
        rows = figures.grouped(
            None, window.since, window.until, window.step, **wanted.conditions(figures)
        )
        for kind, slot, n in rows:
            series[kind][slot] = n
    return {
        number: sum(own.values()) / kinds[number].rate for number, own in series.items()
    }, series


def _facet(
    name: str, counts: Mapping[int, float], wanted: EventFilter, kinds: Mapping[int, Kind]
) -> Facet | None:
    values: dict[str, float] = defaultdict(float)
    for number, n in counts.items():
        kind = kinds[number]
        if wanted.takes(kind, but=name):
            values[value_of(kind, name)] += n
    values.pop("", None)
    return _ranked(name, values, wanted.values.get(name, ()))


def _ranked(name: str, values: dict[str, float], chosen: Collection[str]) -> Facet | None:
    """Return the most frequent values, and those that the filter has; None where there is none."""
    for value in chosen:
        values.setdefault(value, 0.0)
    if not values:
        return None
    ranked = sorted(values.items(), key=lambda one: (-one[1], one[0]))
    also = [one for one in ranked[_VALUES:] if one[0] in chosen]
    return Facet(name, (*ranked[:_VALUES], *also), max(len(ranked) - _VALUES - len(also), 0))


def _users(
    figures: Figures,
    window: TimeWindow,
    wanted: EventFilter,
    kinds: Mapping[int, Kind],
    total: float,
) -> Facet | None:
    if total > _USERS_UP_TO:
        return None
    conditions = wanted.conditions(figures)
    del conditions["users"]  # its own part of the filter
    values: dict[str, float] = defaultdict(float)
    for name, kind, n in figures.by_user(
        wanted.kinds(kinds), window.since, window.until, **conditions
    ):
        values[name] += n / kinds[kind].rate
    return _ranked("user", values, wanted.users)


def rows(
    log: Log,
    window: TimeWindow,
    wanted: EventFilter,
    *,
    before: tuple[int, int] | None = None,
    most: int = _ROWS,
) -> tuple[EventRow, ...]:
    """Return the newest events of a period.

    Args:
        log: the log.
        window: the period.
        wanted: filter of the events.
        before: only events before this time, microseconds since 1970, and those at exactly this
            time with a smaller number.
        most: maximum number of events, at most 500.

    Raises:
        IndexUnavailableError: the index cannot be read.
        ReadError: a log file cannot be read.
    """
    with log.figures() as figures:
        kinds = figures.kinds()
        found = figures.newest(
            wanted.kinds(kinds),
            window.since,
            window.until,
            most=min(most, _ROWS),
            before=before,
            **wanted.conditions(figures),
        )
        return _rows(log, figures, found, kinds)


def rows_after(
    log: Log, number: int, wanted: EventFilter, most: int, *, since: int = 0
) -> tuple[tuple[EventRow, ...], int, int]:
    """Return the matching events that were indexed after a given one.

    Args:
        log: the log.
        number: index number of the given event.
        wanted: filter of the events.
        most: maximum number of events to examine.
        since: only events at this time or later, microseconds since 1970; recovered events
            may be older.

    Returns:
        The matching events, newest first; the last number examined; how many were examined.
    """
    with log.figures() as figures:
        last, looked = figures.after(number, most)
        if not looked:
            return (), number, 0
        kinds = figures.kinds()
        found = figures.newest(
            wanted.kinds(kinds),
            since,
            _END,
            most=most,
            numbers=(number, last),
            **wanted.conditions(figures),
        )
        return _rows(log, figures, found, kinds), last, looked


def _rows(
    log: Log, figures: Figures, found: list[IndexedEvent], kinds: Mapping[int, Kind]
) -> tuple[EventRow, ...]:
    records = log.records(figures, [one.number for one in found])
    return tuple(_row(one, kinds[one.kind], records.get(one.number, {})) for one in found)


def _row(one: IndexedEvent, kind: Kind, record: Mapping[str, Any]) -> EventRow:
    context, who = _section(record, "context"), _section(record, "lead_identifier")
    return EventRow(
        one.number,
        format_us(one.at),
        kind.category,
        _name(kind, record),
        kind.outcome,
        kind.failed if kind.category != "error_logs" else True,
        kind.level,
        kind.tier,
        None if one.duration is None else one.duration / 1000,
        _cut(context.get("user")),
        _cut(who.get("lead_id")),
        _cut(record.get("session_id")),
        _cut(record.get("event_id")),
        _text_of(kind, record),
    )


def _name(kind: Kind, record: Mapping[str, Any]) -> str:
    """Return the name of an event; for an application's own event, the name that it gave."""
    if kind.monitoring == "application_event":
        return _cut(record.get("event_name")) or kind.monitoring
    return kind.operation or kind.monitoring or kind.event_name or ""


def _section(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = record.get(name)
    return found if isinstance(found, Mapping) else {}


def _cut(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return value if len(value) <= _TEXT else f"{value[: _TEXT - 1]}…"


def _text_of(kind: Kind, record: Mapping[str, Any]) -> str | None:
    """Return a short summary of an event, or None."""
    if kind.category == "error_logs":
        return _cut(_section(record, "error_details").get("error_message"))
    if kind.category == "database_operations":
        error = _cut(_section(record, "operation_details").get("error_message"))
        if error is not None:
            return error
        who = _section(record, "lead_identifier")
        told = [who.get("name"), who.get("company")]
        changed = _section(_section(record, "data_details"), "fields_changed")
        text = ", ".join(one for one in told if isinstance(one, str))
        if changed:
            names = ", ".join(str(name) for name in list(changed)[:6])
            text = f"{text} · {names}" if text else names
        return _cut(text) if text else None
    if kind.category == "sync_operations":
        results = _section(record, "sync_results")
        return _counts_text(results, ("leads_synced", "leads_failed", "conflicts_resolved"))
    if kind.category == "migration_operations":
        results = _section(record, "migration_results")
        return _counts_text(results, ("records_migrated", "records_skipped", "records_failed"))
    if kind.category == "monitoring_data":
        extra = _section(_section(record, "monitoring_info"), "data_points")
        return _cut(", ".join(f"{name}={value}" for name, value in list(extra.items())[:6])) or None
    return kind.event_name


def _counts_text(section: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    told = [
        f"{section[name]} {name.partition('_')[2]}"
        for name in names
        if isinstance(section.get(name), int)
    ]
    return ", ".join(told) or None
