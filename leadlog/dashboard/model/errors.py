"""Errors by cause, with counts, times and state; and the details of a single error."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from leadlog.core.clock import format_us
from leadlog.core.errors import ReadError
from leadlog.dashboard.log import Log
from leadlog.dashboard.model.counting import is_sampled, weighed
from leadlog.dashboard.model.windows import TimeWindow
from leadlog.reading.analytics.marks import Mark, read_marks, state_of
from leadlog.reading.index.columns import Kind
from leadlog.reading.index.figures import Figures, Total

__all__ = ["ErrorDetail", "ErrorGroup", "error_detail", "error_groups"]

_US: Final = 1_000_000
_MOST: Final = 500
_SPARKS: Final = 30
_TEXT: Final = 300
_SHARED: Final = 500


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """The errors with one cause in a period.

    Attributes:
        fingerprint: identifier of the cause.
        exception: qualified name of the error's class.
        error_type: database_error, validation_error, …
        message: message of the newest error, truncated.
        severity: severity of the newest error.
        state: open, reopened, resolved or ignored; None if the marks cannot be read.
        events: number of errors in the period.
        approx: whether `events` is an estimate from sampled events.
        first_seen: time of the first error in the whole log, as in the records.
        last_seen: time of the last error in the period; in the whole log for a single group.
        spark: number of errors in each of thirty parts of the period.
        last_event_id: event id of the newest error.
        last_session_id: session id of the newest error.
        operation: operation in progress at the newest error.
    """

    fingerprint: str
    exception: str | None
    error_type: str | None
    message: str | None
    severity: str | None
    state: str | None
    events: float
    approx: bool
    first_seen: str
    last_seen: str
    spark: tuple[float, ...]
    last_event_id: str | None
    last_session_id: str | None
    operation: str | None


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """One cause, with the record of one of its errors.

    Attributes:
        group: the cause.
        record: the record of the error, as in the log.
        place: position of the error among those with this cause, 1 for the newest.
        of: number of errors with this cause in the log.
        sessions: number of sessions with such errors in the period.
        next: index number of the next newer error; None for the newest.
        previous: index number of the next older error; None for the oldest.
        shares: facet to value to the number of the newest errors that have it.
        shared_of: number of errors that `shares` were computed from.
    """

    group: ErrorGroup
    record: Mapping[str, Any]
    place: int
    of: int
    sessions: int
    next: int | None
    previous: int | None
    shares: Mapping[str, tuple[tuple[str, int], ...]]
    shared_of: int


def error_groups(
    log: Log,
    figures: Figures,
    window: TimeWindow,
    *,
    most: int = _MOST,
    series: Mapping[int, Mapping[int, int]] | None = None,
    totals: Mapping[int, Total] | None = None,
) -> tuple[ErrorGroup, ...]:
    """Return the causes with errors in a period, newest first.

    Args:
        log: the log.
        figures: open figures of the log.
        window: the period.
        most: maximum number of causes.
        series: series of the period, if already read.
        totals: totals of the period, if already read.

    Raises:
        IndexUnavailableError: the index cannot be read.
        ReadError: a log file cannot be read.
    """
    kinds = figures.kinds()
    errors = [number for number, kind in kinds.items() if kind.category == "error_logs"]
    by_print: dict[str, list[int]] = defaultdict(list)
    for number in errors:
        by_print[kinds[number].fingerprint or ""].append(number)
    if series is None:
        series = figures.series(errors, window.since, window.until, window.step)
    if totals is None:
        totals = figures.totals(errors, window.since, window.until)
    there = {kinds[number].fingerprint or "" for number in errors if number in series}
    try:
        marks: dict[str, Mark] | None = read_marks(log.directory)
    except ReadError:
        marks = None
    newest = {}
    for fingerprint in there:
        for found in figures.newest(by_print[fingerprint], window.since, window.until, most=1):
            newest[fingerprint] = found
    shown = sorted(newest, key=lambda one: (-newest[one].at, one))[:most]
    records = log.records(figures, [newest[one].number for one in shown])
    groups = []
    for fingerprint in shown:
        numbers = by_print[fingerprint]
        extent = figures.first_and_last(numbers) or (newest[fingerprint].at,) * 2
        groups.append(
            _group(
                fingerprint,
                records.get(newest[fingerprint].number, {}),
                kinds,
                numbers,
                events=weighed({n: totals[n] for n in numbers if n in totals}, kinds),
                extent=extent,
                last=newest[fingerprint].at,
                kind=kinds[newest[fingerprint].kind],
                marks=marks,
                spark=_spark(series, numbers, window, kinds),
            )
        )
    return tuple(groups)


def _spark(
    series: Mapping[int, Mapping[int, int]],
    numbers: list[int],
    window: TimeWindow,
    kinds: Mapping[int, Kind],
) -> tuple[float, ...]:
    slots = window.slots()
    width = -(-len(slots) // _SPARKS) or 1
    values = [0.0] * -(-len(slots) // width)
    for number in numbers:
        for slot, n in series.get(number, {}).items():
            if slot in slots:
                values[(slot - slots.start) // width] += n / kinds[number].rate
    return tuple(values)


def _group(
    fingerprint: str,
    record: Mapping[str, Any],
    kinds: Mapping[int, Kind],
    numbers: list[int],
    *,
    events: float,
    extent: tuple[int, int],
    last: int,
    kind: Kind,
    marks: Mapping[str, Mark] | None,
    spark: tuple[float, ...],
) -> ErrorGroup:
    details = record.get("error_details")
    details = details if isinstance(details, Mapping) else {}
    state = None
    if marks is not None:  # which an error that came after the period reopens, too
        latest = datetime.fromtimestamp(extent[1] / _US, UTC).replace(tzinfo=None)
        state = state_of(marks.get(fingerprint), latest)
    return ErrorGroup(
        fingerprint,
        kind.exception,
        kind.error_type,
        _cut(details.get("error_message")),
        _cut(details.get("severity")),
        state,
        events,
        is_sampled(numbers, kinds),
        format_us(extent[0]),
        format_us(last),
        spark,
        _cut(record.get("event_id")),
        _cut(record.get("session_id")),
        kind.operation,
    )


def _cut(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return value if len(value) <= _TEXT else f"{value[: _TEXT - 1]}…"


def error_detail(
    log: Log, window: TimeWindow, fingerprint: str, number: int | None = None
) -> ErrorDetail | None:
    """Return one cause with one of its errors; None if the log has no such cause.

    Args:
        log: the log.
        window: the period of the group's counts.
        fingerprint: fingerprint of the cause.
        number: index number of the error; the newest one by default.

    Raises:
        IndexUnavailableError: the index cannot be read.
        ReadError: a log file cannot be read.
    """
    with log.figures() as figures:
        kinds = figures.kinds()
        numbers = [
            key
            for key, kind in kinds.items()
            if kind.category == "error_logs" and kind.fingerprint == fingerprint
        ]
        extent = figures.first_and_last(numbers)
        if extent is None:
            return None
        newest = figures.newest(numbers, extent[0], extent[1] + 1, most=_SHARED)
        places = [one.number for one in newest]
        at = places.index(number) if number in places else 0
        records = log.records(figures, places)
        record = records.get(places[at], {})
        whole = figures.totals(numbers, extent[0], extent[1] + 1)
        inside = figures.totals(numbers, window.since, window.until)
        series = figures.series(numbers, window.since, window.until, window.step)
        try:
            marks: dict[str, Mark] | None = read_marks(log.directory)
        except ReadError:
            marks = None
        group = _group(
            fingerprint,
            record,
            kinds,
            numbers,
            events=weighed(inside, kinds),
            extent=extent,
            last=extent[1],
            kind=kinds[newest[at].kind],
            marks=marks,
            spark=_spark(series, numbers, window, kinds),
        )
        return ErrorDetail(
            group,
            record,
            at + 1,
            sum(total.n for total in whole.values()),
            figures.sessions(numbers, window.since, window.until),
            places[at - 1] if at else None,
            places[at + 1] if at + 1 < len(places) else None,
            _shares(records.values()),
            len(records),
        )


def _shares(records: Any) -> dict[str, tuple[tuple[str, int], ...]]:
    counted: dict[str, dict[str, int]] = {
        name: defaultdict(int)
        for name in ("operation", "user", "environment", "process", "called from", "code")
    }
    for record in records:
        context = record.get("context")
        context = context if isinstance(context, Mapping) else {}
        details = record.get("error_details")
        details = details if isinstance(details, Mapping) else {}
        for name, value in (
            ("operation", context.get("operation_in_progress")),
            ("user", context.get("user")),
            ("environment", context.get("environment")),
            ("process", record.get("process_id")),
            ("called from", context.get("called_from")),
            ("code", details.get("error_code")),
        ):
            if isinstance(value, str | int):
                counted[name][str(value)[:_TEXT]] += 1
    return {
        name: tuple(sorted(values.items(), key=lambda one: (-one[1], one[0]))[:8])
        for name, values in counted.items()
        if values
    }
