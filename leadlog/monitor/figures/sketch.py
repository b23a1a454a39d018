"""Percentiles that add up: counts of durations in buckets of one percent.

A duration goes to bucket `ceil(ln(ms) / ln(1.01 / 0.99))`, the same as in the SQL of the built-in
queries, so minutes, hours and processes are merged by adding counts. What a percentile says is
within one percent of the value that has that rank.
"""

import math
import struct
from collections.abc import Iterable
from typing import Final, Self

__all__ = ["Sketch", "bucket"]

_GAMMA: Final = 1.01 / 0.99
_LN: Final = math.log(_GAMMA)
_LEAST_MS: Final = 1e-3  # shorter ones, and 0, are one bucket


def bucket(ms: float) -> int:
    """The bucket of a duration in milliseconds."""
    return math.ceil(math.log(max(_LEAST_MS, ms)) / _LN)


class Sketch:
    """Weighted durations by bucket.

    Attributes:
        counts: bucket to weight.
    """

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[int, float] = {}

    @property
    def n(self) -> float:
        """How many durations it stands for."""
        return math.fsum(self.counts.values())

    def add(self, ms: float, weight: float = 1.0) -> None:
        """Takes a duration that stands for `weight` of them."""
        where = math.ceil(math.log(max(_LEAST_MS, ms)) / _LN)
        self.counts[where] = self.counts.get(where, 0.0) + weight

    def merge(self, other: "Sketch") -> None:
        """Adds another one's counts."""
        for where, weight in other.counts.items():
            self.counts[where] = self.counts.get(where, 0.0) + weight

    def percentile(self, percent: float) -> float | None:
        """The value at rank `ceil(percent / 100 * n)`, milliseconds; None where n is 0."""
        if not self.counts:
            return None
        # Sums of weights such as 1/0.3 miss whole ranks by rounding.
        wanted = self.n * percent / 100 * (1 - 1e-12)
        passed = 0.0
        where = 0
        for where in sorted(self.counts):
            passed += self.counts[where]
            if passed >= wanted:
                break
        return float(2 * _GAMMA**where / (1 + _GAMMA))

    def above(self, ms: float) -> float:
        """How many took longer, to a bucket's width."""
        limit = bucket(ms)
        return math.fsum(weight for where, weight in self.counts.items() if where > limit)

    def to_bytes(self) -> bytes:
        """The counts, ten bytes a bucket."""
        size = len(self.counts)
        return struct.pack(f"<{size}h{size}d", *self.counts, *self.counts.values())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` gave."""
        size = len(data) // 10
        numbers = struct.unpack(f"<{size}h{size}d", data)
        sketch = cls()
        sketch.counts = dict(zip(numbers[:size], numbers[size:], strict=True))
        return sketch

    @classmethod
    def merged(cls, parts: Iterable["Sketch"]) -> Self:
        """A new one with the counts of all parts."""
        sketch = cls()
        for part in parts:
            sketch.merge(part)
        return sketch
