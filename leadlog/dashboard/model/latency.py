"""A heatmap of durations over time, and what the events in a selected box have in common."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, Final

from leadlog.dashboard.log import Log
from leadlog.dashboard.model.filters import FACETS, EventFilter, value_of
from leadlog.dashboard.model.windows import TimeWindow
from leadlog.reading.analytics.durations import NO_TIME, bucket_of, middle_of

__all__ = ["Heatmap", "SignificantValue", "differences", "heatmap"]

_MOST_EVENTS: Final = 300_000
_ROWS: Final = 24
_DIFFERENCES: Final = 12


@dataclass(frozen=True, slots=True)
class Heatmap:
    """A heatmap of durations over time.

    Attributes:
        at: start of each column, seconds since 1970.
        step: width of a column in seconds.
        edges: limits of the rows in milliseconds, one more than there are rows.
        cells: number of durations in each row, column by column.
        most: the highest number in a cell.
    """

    at: tuple[int, ...]
    step: int
    edges: tuple[float, ...]
    cells: tuple[tuple[float, ...], ...]
    most: float


@dataclass(frozen=True, slots=True)
class SignificantValue:
    """A facet value that is more frequent inside a selection than outside it.

    Attributes:
        facet: name of the facet in a filter.
        value: value of the facet.
        inside: share of the selected events that have it.
        outside: share of the other events that have it.
    """

    facet: str
    value: str
    inside: float
    outside: float | None


def heatmap(log: Log, window: TimeWindow, wanted: EventFilter) -> Heatmap:
    """Return the heatmap of a period.

    Args:
        log: the log.
        window: the period.
        wanted: filter of the events; if it is not by kind alone, single events are counted.

    Raises:
        IndexUnavailableError: the index cannot be read.
    """
    with log.figures() as figures:
        kinds = figures.kinds()
        counted: dict[tuple[int, int], float] = defaultdict(float)
        if wanted.by_kind:
            chosen = wanted.kinds(kinds)
            for number, slot, own in figures.latencies(
                chosen, window.since, window.until, window.step
            ):
                rate = kinds[number].rate
                for bucket, n in own:
                    counted[slot, bucket] += n / rate
        else:
            found = figures.newest(
                wanted.kinds(kinds),
                window.since,
                window.until,
                most=_MOST_EVENTS,
                **wanted.conditions(figures),
            )
            for one in found:
                if one.duration is not None:
                    slot = one.at // (window.step * 1_000_000)
                    counted[slot, bucket_of(one.duration / 1000)] += 1 / kinds[one.kind].rate
    slots = window.slots()
    buckets = [bucket for _, bucket in counted if bucket != NO_TIME]
    if not buckets:
        return Heatmap(tuple(window.times()), window.step, (), (), 0.0)
    low, high = min(buckets), max(buckets) + 1
    height = -(-(high - low) // _ROWS)
    many = -(-(high - low) // height)
    cells = [[0.0] * many for _ in slots]
    for (slot, bucket), many_of in counted.items():
        if slot in slots:
            place = 0 if bucket == NO_TIME else (bucket - low) // height
            cells[slot - slots.start][place] += many_of
    return Heatmap(
        tuple(window.times()),
        window.step,
        tuple(middle_of(low + place * height) for place in range(many + 1)),
        tuple(tuple(column) for column in cells),
        max(map(max, cells)),
    )


def differences(
    log: Log,
    window: TimeWindow,
    wanted: EventFilter,
    *,
    box: TimeWindow,
    low_ms: float,
    high_ms: float,
) -> tuple[SignificantValue, ...]:
    """Return the facet values that are more frequent in a box of the heatmap than outside it.

    Args:
        log: the log.
        window: the period of the heatmap.
        wanted: filter of the heatmap's events.
        box: the selected period.
        low_ms: the shortest selected duration in milliseconds.
        high_ms: the longest selected duration in milliseconds.

    Raises:
        IndexUnavailableError: the index cannot be read.
    """
    with log.figures() as figures:
        kinds = figures.kinds()
        chosen, conditions = wanted.kinds(kinds), wanted.conditions(figures)
        limits: dict[str, Any] = {
            "least_us": max(round(low_ms * 1000), wanted.least_us or 0),
            "most_us": min(round(high_ms * 1000), wanted.most_us or 1 << 60),
        }
        step = max(round(window.seconds), 1)
        inside: Counter[int] = Counter()
        for number, _, n in figures.grouped(
            chosen, box.since, box.until, step, **(conditions | limits)
        ):
            inside[number] += n
        everything: Counter[int] = Counter()
        if wanted.by_kind:
            for number, total in figures.totals(chosen, window.since, window.until).items():
                everything[number] += total.timed
        else:
            for number, _, n in figures.grouped(
                chosen, window.since, window.until, step, **conditions
            ):
                everything[number] += n
    inside_n, all_n = sum(inside.values()), sum(everything.values())
    if not inside_n:
        return ()
    found: list[SignificantValue] = []
    for name in FACETS:
        values: Counter[str] = Counter()
        others: Counter[str] = Counter()
        for number, n in inside.items():
            values[value_of(kinds[number], name)] += n
        for number, n in everything.items():
            others[value_of(kinds[number], name)] += n
        rest = all_n - inside_n
        for value, n in values.items():
            if value:
                outside = max(others[value] - n, 0) / rest if rest > 0 else None
                found.append(SignificantValue(name, value, n / inside_n, outside))
    found.sort(key=lambda one: (-abs(one.inside - (one.outside or 0)), one.facet, one.value))
    return tuple(one for one in found if one.outside is None or one.inside > one.outside)[
        :_DIFFERENCES
    ]
