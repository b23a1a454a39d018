"""How the store does now: one sentence, four tiles, the charts, operations and newest errors."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from leadlog.core.clock import format_us
from leadlog.dashboard.model.counting import is_sampled, percentile, share, weighed
from leadlog.dashboard.model.errors import ErrorGroup, error_groups
from leadlog.dashboard.model.log import Log
from leadlog.dashboard.model.windows import WEEK_US, TimeWindow
from leadlog.reading.index.columns import Kind
from leadlog.reading.index.figures import Figures

__all__ = ["Chart", "Marker", "Now", "OperationFigures", "Tile", "Verdict", "now"]

Word = Literal["ok", "warning", "critical", "unknown"]

_US: Final = 1_000_000
_OPERATIONS_SHOWN: Final = 200
_ERRORS_SHOWN: Final = 8
_SPARKS: Final = 30
_MARKERS_SHOWN: Final = 50
_WARNING_SHARE: Final = 0.02
_CRITICAL_SHARE: Final = 0.10
_LEAST_CALLS: Final = 5
_SLOWER: Final = 2.0
_SLOW_MS: Final = 1_000.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to "is it us?".

    Attributes:
        word: how bad it is.
        sentence: for people.
        operation: which operation the sentence is about, if about one.
    """

    word: Word
    sentence: str
    operation: str | None = None


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure.

    Attributes:
        name: of the tile.
        unit: `count`, `share`, `ms`.
        value: of the period; None where it is not known.
        before: of the same period a week earlier; None where the log does not reach so far.
        spark: the figure in thirty parts of the period.
        rising: whether a higher figure is worse, better (False) or neither (None).
    """

    name: str
    unit: str
    value: float | None
    before: float | None
    spark: tuple[float | None, ...]
    rising: bool | None


@dataclass(frozen=True, slots=True)
class Chart:
    """The three charts, on one axis of time.

    Attributes:
        at: seconds since 1970 at which the slots begin.
        step: width of a slot in seconds.
        calls: calls on the store per slot.
        failed: those that failed.
        errors: error records per slot.
        p50: median of the calls' durations, milliseconds.
        p95: the 95th percentile.
    """

    at: tuple[int, ...]
    step: int
    calls: tuple[float, ...]
    failed: tuple[float, ...]
    errors: tuple[float, ...]
    p50: tuple[float | None, ...]
    p95: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class OperationFigures:
    """One operation in the period.

    Attributes:
        name: `Class.operation`.
        category: whose records it counts.
        n: how many calls there were.
        approx: whether `n` is an estimate of sampled calls.
        failed: how many failed.
        failed_share: of the calls, 0 to 1.
        p50: median of the durations, milliseconds.
        p95: the 95th percentile.
        p95_before: the same a week earlier.
        total_ms: time that went into it.
        spark: calls in thirty parts of the period.
    """

    name: str
    category: str
    n: float
    approx: bool
    failed: float
    failed_share: float | None
    p50: float | None
    p95: float | None
    p95_before: float | None
    total_ms: float
    spark: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Marker:
    """An event of the application's own that is drawn into the charts, such as a deployment.

    Attributes:
        at: seconds since 1970.
        text: its name.
        event_id: of its record.
    """

    at: float
    text: str
    event_id: str | None


@dataclass(frozen=True, slots=True)
class Now:
    """Everything that the first page shows.

    Attributes:
        since: beginning of the period, as in the records.
        until: its end.
        last: time of the newest event in the log; None for an empty log.
        state: one sentence.
        tiles: four figures.
        chart: three charts.
        operations: by trouble: those that fail most first, then those that take most time.
        operations_left_out: how many more there are.
        errors: the newest groups.
        markers: deployments.
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
    """Return how the store does in a period.

    Args:
        log: the log.
        window: the period.
        firing: names of the alerts that fire.

    Raises:
        IndexUnavailableError: the index cannot be read.
        ReadError: a log file cannot be read.
    """
    with log.figures() as figures:
        kinds = figures.kinds()
        extent = figures.extent()
        timed = _timed(figures, window, kinds)
        chart = _chart(window, kinds, timed)
        operations = _operations(figures, window, kinds, extent, timed)
        tiles = _tiles(figures, window, chart, extent, timed)
        groups = error_groups(log, figures, window, most=_ERRORS_SHOWN)
        markers = _markers(log, figures, window, kinds)
    last = None if extent is None else format_us(extent[1])
    state = _state(tiles, operations, firing, last)
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


class _Timed(NamedTuple):
    """What is read once for all that is shown of a period.

    Attributes:
        by_kind: kind to bucket to how many were meant.
        by_slot: the same of all calls by slot of the charts.
        events: kind to slot of the charts to number of events.
    """

    by_kind: Mapping[int, Mapping[int, float]]
    by_slot: Mapping[int, Mapping[int, float]]
    events: Mapping[int, Mapping[int, int]]


def _timed(figures: Figures, window: TimeWindow, kinds: Mapping[int, Kind]) -> _Timed:
    by_kind: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    by_slot: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for number, _, bucket, n in figures.latencies(None, window.since, window.until):
        by_kind[number][bucket] += n / kinds[number].rate
    lots = {lot for number, lot in figures.lots().items() if _is_call(kinds[number])}
    read = figures.latencies_of_lots(lots, window.since, window.until, window.step)
    for lot, slot, bucket, n in read:
        by_slot[slot][bucket] += n / kinds[lot].rate
    events = figures.series(None, window.since, window.until, window.step)
    return _Timed(by_kind, by_slot, events)


def _chart(window: TimeWindow, kinds: Mapping[int, Kind], timed: _Timed) -> Chart:
    slots = window.slots()
    made: dict[int, float] = defaultdict(float)
    failed: dict[int, float] = defaultdict(float)
    wrong: dict[int, float] = defaultdict(float)
    for number, own in timed.events.items():
        kind = kinds[number]
        into_all = [made] if _is_call(kind) else [wrong] if _is_error(kind) else []
        if _is_call(kind) and kind.failed:
            into_all.append(failed)
        for into in into_all:
            for slot, n in own.items():
                into[slot] += n / kind.rate
    buckets = timed.by_slot
    return Chart(
        tuple(window.times()),
        window.step,
        tuple(made.get(slot, 0.0) for slot in slots),
        tuple(failed.get(slot, 0.0) for slot in slots),
        tuple(wrong.get(slot, 0.0) for slot in slots),
        tuple(percentile(buckets.get(slot, {}), 0.5) for slot in slots),
        tuple(percentile(buckets.get(slot, {}), 0.95) for slot in slots),
    )


def _operations(
    figures: Figures,
    window: TimeWindow,
    kinds: Mapping[int, Kind],
    extent: tuple[int, int] | None,
    timed: _Timed,
) -> tuple[OperationFigures, ...]:
    wanted = _numbers(
        kinds, lambda kind: kind.operation is not None and kind.category != "error_logs"
    )
    totals = figures.totals(wanted, window.since, window.until)
    by_name: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number in totals:
        kind = kinds[number]
        by_name[str(kind.operation), kind.category].append(number)
    name_of = {number: name for name, numbers in by_name.items() for number in numbers}
    buckets: dict[tuple[str, str], dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for number, name in name_of.items():
        for bucket, meant in timed.by_kind.get(number, {}).items():
            buckets[name][bucket] += meant
    earlier = window.shifted(WEEK_US)
    before: dict[tuple[str, str], dict[int, float]] = {}
    if extent is not None and extent[0] <= earlier.since:
        all_names = {
            number: (str(kinds[number].operation), kinds[number].category) for number in wanted
        }
        before = _buckets(figures, earlier, kinds, all_names)
    sparks = _sparks(window, kinds, name_of, timed)
    found = []
    for name, numbers in by_name.items():
        own = {number: totals[number] for number in numbers}
        failed = weighed({n: t for n, t in own.items() if kinds[n].failed}, kinds)
        known = weighed({n: t for n, t in own.items() if kinds[n].failed is not None}, kinds)
        found.append(
            OperationFigures(
                *name,
                n=weighed(own, kinds),
                approx=is_sampled(numbers, kinds),
                failed=failed,
                failed_share=share(failed, known),
                p50=percentile(buckets.get(name, {}), 0.5),
                p95=percentile(buckets.get(name, {}), 0.95),
                p95_before=percentile(before.get(name, {}), 0.95),
                total_ms=sum(t.us / kinds[n].rate for n, t in own.items()) / 1000,
                spark=sparks[name],
            )
        )
    found.sort(key=lambda one: (-one.failed, -one.total_ms, one.name))
    return tuple(found)


def _buckets(
    figures: Figures,
    window: TimeWindow,
    kinds: Mapping[int, Kind],
    name_of: Mapping[int, tuple[str, str]],
) -> dict[tuple[str, str], dict[int, float]]:
    found: dict[tuple[str, str], dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for number, _, bucket, n in figures.latencies([*name_of], window.since, window.until):
        found[name_of[number]][bucket] += n / kinds[number].rate
    return found


def _sparks(
    window: TimeWindow,
    kinds: Mapping[int, Kind],
    name_of: Mapping[int, tuple[str, str]],
    timed: _Timed,
) -> dict[tuple[str, str], tuple[float, ...]]:
    slots = window.slots()
    sums: dict[tuple[str, str], dict[int, float]] = {
        name: defaultdict(float) for name in name_of.values()
    }
    for number, name in name_of.items():
        for slot, n in timed.events.get(number, {}).items():
            sums[name][slot] += n / kinds[number].rate
    return {
        name: _thinned([own.get(slot, 0.0) for slot in slots], sum) for name, own in sums.items()
    }


def _thinned(values: list[Any], join: Callable[[list[Any]], Any]) -> tuple[Any, ...]:
    """Return some thirty values in the place of many."""
    width = -(-len(values) // _SPARKS) or 1
    return tuple(join(values[at : at + width]) for at in range(0, len(values), width))


def _highest(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known, default=None)


def _tiles(
    figures: Figures,
    window: TimeWindow,
    chart: Chart,
    extent: tuple[int, int] | None,
    timed: _Timed,
) -> tuple[Tile, ...]:
    kinds = figures.kinds()
    calls = _numbers(kinds, _is_call)
    errors = _numbers(kinds, _is_error)

    def measured(period: TimeWindow) -> tuple[float, float | None, float | None, float]:
        made = figures.totals(calls, period.since, period.until)
        known = {n: t for n, t in made.items() if kinds[n].failed is not None}
        failed = {n: t for n, t in made.items() if kinds[n].failed}
        buckets: dict[int, float] = defaultdict(float)
        if period is window:
            for own in timed.by_slot.values():
                for bucket, meant in own.items():
                    buckets[bucket] += meant
        else:
            for number, _, bucket, n in figures.latencies(calls, period.since, period.until):
                buckets[bucket] += n / kinds[number].rate
        wrong = figures.totals(errors, period.since, period.until)
        return (
            weighed(made, kinds),
            share(weighed(failed, kinds), weighed(known, kinds)),
            percentile(buckets, 0.95),
            weighed(wrong, kinds),
        )

    values = measured(window)
    earlier = window.shifted(WEEK_US)
    reaches = extent is not None and extent[0] <= earlier.since
    before: tuple[float | None, ...] = measured(earlier) if reaches else (None,) * 4
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


def _state(
    tiles: tuple[Tile, ...],
    operations: tuple[OperationFigures, ...],
    firing: Collection[str],
    last: str | None,
) -> Verdict:
    calls, failed, p95, errors = (tile.value for tile in tiles)
    if last is None:
        return Verdict("unknown", "The log is empty: nothing has been recorded yet.")
    if not calls and not errors:
        return Verdict("unknown", "Nothing happened in this period.")
    worst = next(
        (
            one
            for one in operations
            if one.failed >= 2
            and (one.failed_share or 0) >= _WARNING_SHARE
            and one.n >= _LEAST_CALLS
            and one.category == "database_operations"
        ),
        None,
    )
    alarm = f" {_count(len(firing), 'alert')} firing." if firing else ""
    word: Word = "warning" if firing else "ok"
    if failed is not None and failed >= _CRITICAL_SHARE:
        word = "critical"
        text = f"{_percent(failed)} of all operations fail"
        if worst is not None:
            text += f", most of them {worst.name}"
        return Verdict(word, f"{text}.{alarm}", worst.name if worst else None)
    if worst is not None and worst.failed_share is not None:
        word = "critical" if worst.failed_share >= 0.5 else "warning"
        text = f"{worst.name} fails in {_percent(worst.failed_share)} of its calls"
        return Verdict(
            word,
            f"{text}; all others are well.{alarm}"
            if not _more(operations, worst)
            else f"{text}, and others fail, too.{alarm}",
            worst.name,
        )
    slower = next((one for one in operations if _is_slower(one)), None)
    if slower is not None and slower.p95 is not None and slower.p95_before:
        text = (
            f"{slower.name} takes {slower.p95 / slower.p95_before:.1f} times as long as a week "
            "ago (p95)"
        )
        return Verdict("warning", f"{text}.{alarm}", slower.name)
    return Verdict(
        word,
        f"{'All is well' if not firing else 'Operations are well'}: "
        f"{_count(round(calls or 0), 'operation')}, "
        f"{_percent(failed) if failed else 'none'} failed"
        f"{'' if p95 is None else f', p95 {_ms(p95)}'}.{alarm}",
    )


def _more(operations: tuple[OperationFigures, ...], worst: OperationFigures) -> bool:
    return any(
        one is not worst and one.failed >= 2 and (one.failed_share or 0) >= _WARNING_SHARE
        for one in operations
    )


def _is_slower(one: OperationFigures) -> bool:
    return (
        one.n >= 20
        and one.p95 is not None
        and one.p95_before is not None
        and one.p95 > _SLOWER * one.p95_before
        and one.p95 > _SLOW_MS
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _percent(part: float) -> str:
    return f"{part * 100:.2g} %" if part < 0.1 else f"{part * 100:.0f} %"


def _ms(ms: float) -> str:
    return f"{ms / 1000:.3g} s" if ms >= 1000 else f"{ms:.3g} ms"
