"""Change points of a series of daily values, and their sizes, by a plain statistic.

Values are compared as ratios (by their logarithms), because latencies and sizes differ by factors.
Weekends are first shifted by their usual distance from the days of their week. Then the series is
cut where the means of the parts leave the smallest sum of squares: once or, if that is no change,
twice, for a value that rose and fell again. A cut is a change if

- the ratio is at least the one that the caller asks for;
- the difference is more than `SURE` times what the noise makes likely. The noise is the larger of
  two robust estimates, from the differences of neighbouring days and from the residuals of the
  means, and is increased if each day resembles the one before, as in a drift;
- means describe the days around it better than a straight line: a daily increase is growth.

The parts between changes are searched in the same way.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate, pairwise, starmap
from statistics import fmean, median
from typing import NamedTuple

__all__ = ["LEAST_DAYS", "ChangePoint", "changes", "slope"]

LEAST_DAYS = 3
SURE = 7.0
_MAD = 1.4826  # scales the median absolute deviation to a standard deviation of normal values
_QUIETEST = 0.01  # lower bound of the noise, for days that are equal to the digit
_STEP_FITS = 0.8
_MOST_ALIKE = 0.9
_SATURDAY = 5


class ChangePoint(NamedTuple):
    """One change of a series.

    Attributes:
        at: index of the first value after the change.
        before: geometric mean of the values before it.
        after: geometric mean of the values from then on.
        sureness: the difference in standard deviations of the noise.
    """

    at: int
    before: float
    after: float
    sureness: float

    @property
    def ratio(self) -> float:
        """The ratio of the value after the change to the one before."""
        return self.after / self.before


def changes(
    values: Sequence[float], days: Sequence[int] | None = None, least_ratio: float = 1.25
) -> list[ChangePoint]:
    """Return the changes of a series, in order.

    Args:
        values: one for each day, above 0.
        days: the days as ordinals (`datetime.date.toordinal`), ascending; without them weekends are
            not treated specially.
        least_ratio: smaller changes, up or down, are left out.
    """
    logs = [math.log(value) for value in values]
    if days is not None:
        usual = _weekend(logs, days)
        logs = [
            log - usual if _is_weekend(day) else log for log, day in zip(logs, days, strict=True)
        ]
    return _search(logs, 0, math.log(least_ratio))


def _is_weekend(day: int) -> bool:
    return (day - 1) % 7 >= _SATURDAY


def _weekend(logs: Sequence[float], days: Sequence[int]) -> float:
    """Return the distance of weekends from the other days of their week (median over the weeks)."""
    weeks: defaultdict[int, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for log, day in zip(logs, days, strict=True):
        weeks[(day - 1) // 7][_is_weekend(day)].append(log)
    apart = [median(weekend) - median(work) for work, weekend in weeks.values() if work and weekend]
    return median(apart) if len(apart) > 1 else 0.0


class _Squares:
    """The sums of squares around the mean of any part of a series, each in constant time."""

    def __init__(self, logs: Sequence[float]) -> None:
        self._sums = [0.0, *accumulate(logs)]
        self._squares = [0.0, *accumulate(log * log for log in logs)]

    def mean(self, first: int, last: int) -> float:
        """Return the mean of the values from `first` to before `last`."""
        return (self._sums[last] - self._sums[first]) / (last - first)

    def __call__(self, first: int, last: int) -> float:
        squares = self._squares[last] - self._squares[first]
        return max(squares - self.mean(first, last) ** 2 * (last - first), 0.0)


def _search(logs: Sequence[float], offset: int, least: float) -> list[ChangePoint]:
    squares = _Squares(logs)
    for number in (1, 2):
        if len(logs) < (number + 1) * LEAST_DAYS:
            return []
        cuts = _best(squares, len(logs), number)
        found = _judged(logs, squares, cuts, least)
        if found is not None:
            parts = pairwise((0, *cuts, len(logs)))
            inner = [_search(logs[first:last], offset + first, least) for first, last in parts]
            moved = [one._replace(at=offset + one.at) for one in found]
            return sorted(sum(inner, moved))
    return []


def _best(squares: _Squares, length: int, number: int) -> tuple[int, ...]:
    """Return the place or places to cut, so that the remaining squares are least."""
    if number == 1:
        places: list[tuple[int, ...]] = [(at,) for at in range(LEAST_DAYS, length - LEAST_DAYS + 1)]
    else:
        places = [
            (first, second)
            for first in range(LEAST_DAYS, length - 2 * LEAST_DAYS + 1)
            for second in range(first + LEAST_DAYS, length - LEAST_DAYS + 1)
        ]
    return min(places, key=lambda cuts: sum(starmap(squares, pairwise((0, *cuts, length)))))


def _judged(
    logs: Sequence[float], squares: _Squares, cuts: tuple[int, ...], least: float
) -> list[ChangePoint] | None:
    """Return the changes at some cuts; None if one of them is not a change."""
    edges = (0, *cuts, len(logs))
    beside = [
        log - squares.mean(first, last)
        for first, last in pairwise(edges)
        for log in logs[first:last]
    ]
    noise = max(_noise(logs), _MAD * median(map(abs, beside)), _QUIETEST) * _lingering(beside)
    found = []
    for first, at, last in zip(edges, edges[1:], edges[2:], strict=False):
        before, after = squares.mean(first, at), squares.mean(at, last)
        likely = noise * math.sqrt(1 / (at - first) + 1 / (last - at))
        by_steps = squares(first, at) + squares(at, last)
        if abs(after - before) < max(least, SURE * likely) or by_steps > _STEP_FITS * _left_by_line(
            logs[first:last]
        ):
            return None
        sureness = round(abs(after - before) / likely, 1)
        found.append(ChangePoint(at, math.exp(before), math.exp(after), sureness))
    return found


def _lingering(beside: Sequence[float]) -> float:
    """Return the factor by which the autocorrelation of days makes a mean less certain."""
    square = sum(one**2 for one in beside)
    if not square:
        return 1.0
    alike = sum(first * second for first, second in pairwise(beside)) / square
    alike = min(max(alike, 0.0), _MOST_ALIKE)
    return math.sqrt((1 + alike) / (1 - alike))


def _left_by_line(logs: Sequence[float]) -> float:
    """Return the sum of squares around a straight line."""
    middle, mean = (len(logs) - 1) / 2, fmean(logs)
    spread = sum((day - middle) ** 2 for day in range(len(logs)))
    rise = sum((day - middle) * (log - mean) for day, log in enumerate(logs)) / spread
    return sum((log - mean - rise * (day - middle)) ** 2 for day, log in enumerate(logs))


def _noise(logs: Sequence[float]) -> float:
    """Return the standard deviation of a day, estimated from differences of neighbours."""
    steps = [after - before for before, after in pairwise(logs)]
    return _MAD * median(map(abs, steps)) / math.sqrt(2)


def slope(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return the slope of `ys` over `xs`: the median of the slopes of all pairs (Theil-Sen).

    Args:
        xs: the positions, as many as `ys`.
        ys: the values, at least two.

    Returns:
        The slope; None if all `xs` are equal.
    """
    slopes = [
        (ys[later] - ys[first]) / (xs[later] - xs[first])
        for first in range(len(xs))
        for later in range(first + 1, len(xs))
        if xs[later] != xs[first]
    ]
    return median(slopes) if slopes else None
