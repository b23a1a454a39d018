"""The figures of a period, counted at once: each single event is read no more than once.

What lies whole in slots of the roll-ups comes from there. The rest, which is a period's ends, or
all of a period that is drawn in slots narrower than a quarter of an hour, is counted event by
event.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from leadlog.reading.analytics.durations import BUCKET_WIDTH, NO_TIME
from leadlog.reading.index.figures import Figures, Total
from leadlog.reading.index.rollups import fine_and_coarse

__all__ = ["PeriodCounts", "counts_of_period"]

Counts = dict[int, int]
"""Bucket of a duration to how many events have it."""

_EMPTY: Final = Total(0, 0, 0)


@dataclass(frozen=True, slots=True)
class PeriodCounts:
    """What the events of a period add up to.

    Attributes:
        series: kind to slot to number of events; empty without a step.
        totals: kind to what its events add up to.
        durations: kind to the durations of its events, by bucket.
        lots: lot and slot to the durations of its events, by bucket; empty without a step.
    """

    series: Mapping[int, Mapping[int, int]]
    totals: Mapping[int, Total]
    durations: Mapping[int, Counts]
    lots: Mapping[tuple[int, int], Counts]


def counts_of_period(
    figures: Figures, since: int, until: int, step: int | None, lots: Collection[int]
) -> PeriodCounts:
    """Count the events of a period.

    Args:
        figures: of the log.
        since: first moment, microseconds since 1970.
        until: the moment at which the period has ended.
        step: width of a slot in seconds; None for no slots.
        lots: numbers of the lots whose durations are wanted by slot.

    Raises:
        IndexUnavailableError: the index cannot be read.
    """
    fine, coarse = fine_and_coarse(since, until, step)
    series: defaultdict[int, Counts] = defaultdict(dict)
    totals: dict[int, Total] = {}
    durations: defaultdict[int, Counts] = defaultdict(dict)
    by_lot: defaultdict[tuple[int, int], Counts] = defaultdict(dict)
    if coarse is not None:
        totals.update(figures.totals(None, *coarse))
        for kind, _, packed in figures.latencies(None, *coarse):
            _add(durations[kind], dict(packed))
        if step is not None:
            series.update(figures.series(None, *coarse, step))
            for lot, slot, packed in figures.latencies_of_lots(lots, *coarse, step):
                _add(by_lot[lot, slot], dict(packed))
    lot_of = figures.lots()
    for start, end in fine:
        for (kind, slot), own in _single(figures, start, end, step).items():
            timed = [us for us in own if us is not None]
            n, n_timed, us = totals.get(kind, _EMPTY)
            totals[kind] = Total(n + len(own), n_timed + len(timed), us + sum(timed))
            counted = _buckets(timed)
            _add(durations[kind], counted)
            if step is not None:
                slots = series[kind]
                slots[slot] = slots.get(slot, 0) + len(own)
                if lot_of[kind] in lots:
                    _add(by_lot[lot_of[kind], slot], counted)
    return PeriodCounts(series, totals, durations, by_lot)


def _single(
    figures: Figures, start: int, end: int, step: int | None
) -> Mapping[tuple[int, int], list[int | None]]:
    found: defaultdict[tuple[int, int], list[int | None]] = defaultdict(list)
    for kind, slot, duration in figures.durations(start, end, step):
        found[kind, slot].append(duration)
    return found


def _buckets(timed: list[int]) -> Counts:
    log, ceil, width = math.log, math.ceil, BUCKET_WIDTH
    counted: Counts = {}
    get = counted.get
    for us in timed:
        bucket = ceil(log(us / 1000) / width) if us else NO_TIME  # as `bucket_of`
        counted[bucket] = get(bucket, 0) + 1
    return counted


def _add(into: Counts, more: Mapping[int, int]) -> None:
    if not into:
        into.update(more)
        return
    get = into.get
    for bucket, n in more.items():
        into[bucket] = get(bucket, 0) + n
