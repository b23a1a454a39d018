"""Measures that sections of a summary are made of: durations, sums and runs, weighted."""

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate, repeat
from typing import Any

__all__ = ["Durations", "Runs", "Sum", "highest", "measured"]

_PERCENTS = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99}


def measured(value: Any) -> bool:
    """Whether it is a number; null and anything else was not measured."""
    return type(value) is float or type(value) is int


def highest(known: float | None, value: Any) -> float | None:
    """The higher of the two, as far as they were measured."""
    if not measured(value):
        return known
    return float(value) if known is None else max(known, value)


class Durations:
    """Measured milliseconds with their weights; weights cost memory once sampling is seen."""

    def __init__(self) -> None:
        self.values = array("d")
        self.weights: array[float] | None = None

    def add(self, value: Any, weight: float) -> None:
        """Takes one duration that stands for `weight` of them."""
        if not measured(value):
            return
        if self.weights is None and weight != 1.0:
            self.weights = array("d", repeat(1.0, len(self.values)))
        self.values.append(value)
        if self.weights is not None:
            self.weights.append(weight)

    def mean(self) -> float | None:
        """Weighted mean, milliseconds."""
        if not self.values:
            return None
        if self.weights is None:
            return round(math.fsum(self.values) / len(self.values), 3)
        total = math.fsum(map(float.__mul__, self.values, self.weights))
        return round(total / math.fsum(self.weights), 3)

    def percentiles(self) -> dict[str, Any]:
        """p50, p95 and p99, each a measured value by its rank, and how many were measured."""
        ranked = self._at_ranks(_PERCENTS.values())
        return {"n": len(self.values), **dict(zip(_PERCENTS, ranked, strict=True))}

    def _at_ranks(self, percents: Iterable[int]) -> list[float | None]:
        if not self.values:
            return [None for _ in percents]
        if self.weights is None:
            ranked = sorted(self.values)
            return [ranked[-(-len(ranked) * share // 100) - 1] for share in percents]
        pairs = sorted(zip(self.values, self.weights, strict=True))
        passed = list(accumulate(weight for _, weight in pairs))
        # Sums of weights such as 1/0.3 miss whole ranks by rounding.
        return [
            pairs[bisect_left(passed, passed[-1] * share / 100 * (1 - 1e-12))][0]
            for share in percents
        ]


class Sum:
    """Adds numbers up; null as long as there is none."""

    def __init__(self) -> None:
        self._total: float | None = None

    def add(self, value: Any, weight: float) -> None:
        """Takes one number that counts `weight` times."""
        if measured(value):
            self._total = (self._total or 0) + value * weight

    def result(self) -> int | None:
        """The sum, to the nearest whole number."""
        return None if self._total is None else round(self._total)


class Runs:
    """How many runs there were, and how they ended."""

    def __init__(self) -> None:
        self.total = self.succeeded = self.failed = 0.0
        self.durations = Durations()

    def add(self, success: Any, duration_ms: Any, weight: float) -> None:
        """Takes one run that stands for `weight` runs."""
        self.total += weight
        if success is True:
            self.succeeded += weight
        elif success is False:
            self.failed += weight
        self.durations.add(duration_ms, weight)

    def success_percent(self) -> float | None:
        """Of the runs whose end is known."""
        ended = self.succeeded + self.failed
        return round(100 * self.succeeded / ended, 3) if ended else None
