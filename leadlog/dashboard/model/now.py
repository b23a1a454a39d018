"""The state of the store: one sentence, four tiles, charts, operations and newest errors."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from leadlog.core.clock import format_us
from leadlog.dashboard.log import Log
from leadlog.dashboard.model.counting import (
    add_buckets,
    is_sampled,
    percentiles,
    share,
    weighed,
)
from leadlog.dashboard.model.errors import ErrorGroup, error_groups
from leadlog.dashboard.model.verdict import OperationFigures, Verdict, verdict
from leadlog.dashboard.model.windows import WEEK_US, TimeWindow
from leadlog.reading.index.columns import Kind
from leadlog.reading.index.figures import Figures
from leadlog.reading.index.periods import PeriodCounts, counts_of_period

__all__ = ["Chart", "Marker", "Now", "Tile", "now"]

_US: Final = 1_000_000
_OPERATIONS_SHOWN: Final = 200
_ERRORS_SHOWN: Final = 8
_SPARKS: Final = 30
_MARKERS_SHOWN: Final = 50
_NOTHING: Final = Verdict("unknown", "The log is empty: nothing has been recorded yet.")


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure, with its trend.

    Attributes:
        name: title of the tile.
        unit: `count`, `share` or `ms`.
        value: value in the period; None if unknown.
        before: value in the same period a week earlier; None if the log does not go back that far.
        spark: value in each of thirty parts of the period.
        rising: True if a higher value is worse, False if it is better, None if neither.
    """

    name: str
    unit: str
    value: float | None
    before: float | None
    spark: tuple[float | None, ...]
    rising: bool | None


@dataclass(frozen=True, slots=True)
class Chart:
    """The three charts, on a common time axis.

    Attributes:
        at: start of each slot, seconds since 1970.
        step: width of a slot in seconds.
        calls: calls of the store per slot.
        failed: failed calls per slot.
        errors: error records per slot.
        p50: median duration of the calls per slot, in milliseconds.
        p95: 95th percentile of the durations per slot, in milliseconds.
    """

    at: tuple[int, ...]
    step: int
    calls: tuple[float, ...]
    failed: tuple[float, ...]
    errors: tuple[float, ...]
    p50: tuple[float | None, ...]
    p95: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Marker:
    """An application's own event, marked in the charts, such as a deployment.

    Attributes:
        at: time of the event, seconds since 1970.
        text: name of the event.
        event_id: id of its record.
    """

    at: float
    text: str
    event_id: str | None


@dataclass(frozen=True, slots=True)
class Now:
    """Everything on the first page.

    Attributes:
        since: start of the period, as in the records.
        until: end of the period, as in the records.
        last: time of the newest event in the log; None for an empty log.
        state: the verdict on the period.
        tiles: the four figures.
        chart: the three charts.
        operations: the operations that fail most, then those that take most time.
        operations_left_out: number of operations left out.
        errors: the newest error groups.
        markers: marked events, such as deployments.
    """

    since: str
    until: str
    last: str | None
    state: Verdict
    tiles: tuple[Tile, ...]
    chart: Chart
    operations: tuple[OperationFigures, ...]
    operations_left_out: int
    errors: tuple[ErrorGroup, ...]
    markers: tuple[Marker, ...]


def now(log: Log, window: TimeWindow, firing: Collection[str] = ()) -> Now:
    """Return the state of the store in a period.

    Args:
        log: the log.
        window: the period.
        firing: names of the firing alerts.

    Raises:
        IndexUnavailableError: the index cannot be read.
        ReadError: a log file cannot be read.
    """
    with log.figures() as figures:
        extent = figures.extent()
        read = _read(figures, window, extent)
        chart = _chart(window, read)
        operations = _operations(window, read)
        tiles = _tiles(chart, read)
        groups = error_groups(
            log,
            figures,
            window,
            most=_ERRORS_SHOWN,
            series=read.now.series,
            totals=read.now.totals,
        )
        markers = _markers(log, figures, window, read.kinds)
    last, state = None, _NOTHING
    if extent is not None:
        last = format_us(extent[1])
        state = verdict([tile.value for tile in tiles], operations, firing)
    return Now(
        window.since_text,
        window.until_text,
        last,
        state,
        tiles,
        chart,
        operations[:_OPERATIONS_SHOWN],
        max(len(operations) - _OPERATIONS_SHOWN, 0),
        groups,
        markers,
    )


def _numbers(kinds: Mapping[int, Kind], wanted: Callable[[Kind], bool]) -> list[int]:
    return [number for number, kind in kinds.items() if wanted(kind)]


def _is_call(kind: Kind) -> bool:
    return kind.category == "database_operations"


def _is_error(kind: Kind) -> bool:
    return kind.category == "error_logs"


class _Read(NamedTuple):
    """The data of a period that is read once and shared by everything on the page.

    Attributes:
        kinds: by number.
        now: of the period.
        before: of the period a week earlier; None where the log does not reach so far.
    """

    kinds: Mapping[int, Kind]
    now: PeriodCounts
    before: PeriodCounts | None


_Name = tuple[str, str]
"""Name of an operation and category of its records."""


def _read(figures: Figures, window: TimeWindow, extent: tuple[int, int] | None) -> _Read:
    kinds = figures.kinds()
    earlier = window.shifted(WEEK_US)
    lots = {lot for number, lot in figures.lots().items() if _is_call(kinds[number])}
    return _Read(
        kinds,
        counts_of_period(figures, window.since, window.until, window.step, lots),
        counts_of_period(figures, earlier.since, earlier.until, None, ())
        if extent is not None and extent[0] <= earlier.since
        else None,
    )


def _chart(window: TimeWindow, read: _Read) -> Chart:
    slots, kinds = window.slots(), read.kinds
    made: dict[int, float] = defaultdict(float)
    failed: dict[int, float] = defaultdict(float)
    wrong: dict[int, float] = defaultdict(float)
    for number, own in read.now.series.items():
        kind = kinds[number]
        into_all = [made] if _is_call(kind) else [wrong] if _is_error(kind) else []
        if _is_call(kind) and kind.failed:
            into_all.append(failed)
        for into in into_all:
            for slot, n in own.items():
                into[slot] += n / kind.rate
    buckets: dict[int, dict[int, float]] = defaultdict(dict)
    for (lot, slot), counted in read.now.lots.items():
        add_buckets(buckets[slot], counted.items(), kinds[lot].rate)
    both = [percentiles(buckets.get(slot, {}), 0.5, 0.95) for slot in slots]
    return Chart(
        tuple(window.times()),
        window.step,
        tuple(made.get(slot, 0.0) for slot in slots),
        tuple(failed.get(slot, 0.0) for slot in slots),
        tuple(wrong.get(slot, 0.0) for slot in slots),
        tuple(p50 for p50, _ in both),
        tuple(p95 for _, p95 in both),
    )


def _operations(window: TimeWindow, read: _Read) -> tuple[OperationFigures, ...]:
    kinds = read.kinds
    name_of: dict[int, _Name] = {
        number: (str(kind.operation), kind.category)
        for number, kind in kinds.items()
        if kind.operation is not None and not _is_error(kind)
    }
    by_name: dict[_Name, list[int]] = defaultdict(list)
    for number in read.now.totals:
        if number in name_of:
            by_name[name_of[number]].append(number)
    buckets = _buckets(read.now, kinds, name_of)
    before = {} if read.before is None else _buckets(read.before, kinds, name_of)
    found = []
    for name, numbers in by_name.items():
        own = {number: read.now.totals[number] for number in numbers}
        failed = weighed({n: t for n, t in own.items() if kinds[n].failed}, kinds)
        known = weighed({n: t for n, t in own.items() if kinds[n].failed is not None}, kinds)
        p50, p95 = percentiles(buckets.get(name, {}), 0.5, 0.95)
        if sum(total.timed for total in own.values()) == 1:  # which is known exactly
            p50 = p95 = sum(total.us for total in own.values()) / 1000
        (p95_before,) = percentiles(before.get(name, {}), 0.95)
        found.append(
            OperationFigures(
                *name,
                n=weighed(own, kinds),
                approx=is_sampled(numbers, kinds),
                failed=failed,
                failed_share=share(failed, known),
                p50=p50,
                p95=p95,
                p95_before=p95_before,
                total_ms=sum(t.us / kinds[n].rate for n, t in own.items()) / 1000,
                spark=_spark(window, numbers, read),
            )
        )
    found.sort(key=lambda one: (-one.failed, -one.total_ms, one.name))
    return tuple(found)


def _buckets(
    counts: PeriodCounts, kinds: Mapping[int, Kind], name_of: Mapping[int, _Name]
) -> Mapping[_Name, dict[int, float]]:
    found: dict[_Name, dict[int, float]] = defaultdict(dict)
    for number, counted in counts.durations.items():
        if number in name_of:
            add_buckets(found[name_of[number]], counted.items(), kinds[number].rate)
    return found


def _spark(window: TimeWindow, numbers: list[int], read: _Read) -> tuple[float, ...]:
    slots = window.slots()
    width = -(-len(slots) // _SPARKS) or 1
    sums = [0.0] * -(-len(slots) // width)
    for number in numbers:
        rate = read.kinds[number].rate
        for slot, n in read.now.series.get(number, {}).items():
            sums[(slot - slots.start) // width] += n / rate
    return tuple(sums)


def _thinned(values: list[Any], join: Callable[[list[Any]], Any]) -> tuple[Any, ...]:
    """Return about thirty values, each joined from several of the given ones."""
    width = -(-len(values) // _SPARKS) or 1
    return tuple(join(values[at : at + width]) for at in range(0, len(values), width))


def _highest(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known, default=None)


def _tiles(chart: Chart, read: _Read) -> tuple[Tile, ...]:
    kinds = read.kinds

    def measured(
        counts: PeriodCounts,
    ) -> tuple[float, float | None, float | None, float]:
        totals = counts.totals
        made = {n: t for n, t in totals.items() if _is_call(kinds[n])}
        known = {n: t for n, t in made.items() if kinds[n].failed is not None}
        failed = {n: t for n, t in made.items() if kinds[n].failed}
        buckets: dict[int, float] = {}
        for number, counted in counts.durations.items():
            if number in made:
                add_buckets(buckets, counted.items(), kinds[number].rate)
        (p95,) = percentiles(buckets, 0.95)
        wrong = {n: t for n, t in totals.items() if _is_error(kinds[n])}
        return (
            weighed(made, kinds),
            share(weighed(failed, kinds), weighed(known, kinds)),
            p95,
            weighed(wrong, kinds),
        )

    values = measured(read.now)
    before: tuple[float | None, ...] = (None,) * 4
    if read.before is not None:
        before = measured(read.before)
    failing = [share(failed, made) for failed, made in zip(chart.failed, chart.calls, strict=True)]
    return (
        Tile("Operations", "count", values[0], before[0], _thinned([*chart.calls], sum), None),
        Tile("Failed", "share", values[1], before[1], _thinned(failing, _highest), rising=True),
        Tile("p95", "ms", values[2], before[2], _thinned([*chart.p95], _highest), rising=True),
        Tile("Errors", "count", values[3], before[3], _thinned([*chart.errors], sum), rising=True),
    )


def _markers(
    log: Log, figures: Figures, window: TimeWindow, kinds: Mapping[int, Kind]
) -> tuple[Marker, ...]:
    wanted = _numbers(
        kinds,
        lambda kind: (
            kind.monitoring == "application_event"
            and (kind.event_name or "").partition(".")[0] in {"deploy", "deployment", "release"}
        ),
    )
    if not wanted:
        return ()
    found = figures.newest(wanted, window.since, window.until, most=_MARKERS_SHOWN)
    records = log.records(figures, [one.number for one in found])
    return tuple(
        Marker(one.at / _US, str(record.get("event_name")), record.get("event_id"))
        for one in found
        if (record := records.get(one.number)) is not None
    )
