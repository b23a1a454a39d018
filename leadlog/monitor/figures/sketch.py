"""Mergeable percentiles: counts of durations in the buckets of the built-in queries.

Minutes, hours and processes are merged by adding counts, and a percentile is within one percent of
the value that has its rank.
"""

import math
import struct
from collections.abc import Iterable
from typing import Self

from leadlog.reading.analytics.durations import bucket_of, middle_of

__all__ = ["Sketch"]


class Sketch:
    """Weighted durations by bucket.

    Attributes:
        counts: weight by bucket, as in `leadlog.reading.analytics.durations`.
    """

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[int, float] = {}

    @property
    def n(self) -> float:
        """The number of durations that it represents."""
        return math.fsum(self.counts.values())

    def add(self, ms: float, weight: float = 1.0) -> None:
        """Add a duration of 0 to 10¹² ms that represents `weight` durations."""
        bucket = bucket_of(ms)
        self.counts[bucket] = self.counts.get(bucket, 0.0) + weight

    def merge(self, other: "Sketch") -> None:
        """Add the counts of another sketch."""
        for bucket, weight in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0.0) + weight

    def percentile(self, percent: float) -> float | None:
        """Return the value at rank `ceil(percent / 100 * n)` in milliseconds; None if n is 0."""
        if not self.counts:
            return None
        # Sums of weights such as 1/0.3 miss whole ranks by rounding.
        wanted = self.n * percent / 100 * (1 - 1e-12)
        passed = 0.0
        bucket = 0
        for bucket in sorted(self.counts):
            passed += self.counts[bucket]
            if passed >= wanted:
                break
        return middle_of(bucket)

    def above(self, ms: float) -> float:
        """Return the number of longer durations, to the precision of a bucket."""
        limit = bucket_of(ms)
        return math.fsum(weight for bucket, weight in self.counts.items() if bucket > limit)

    def to_bytes(self) -> bytes:
        """Return the counts as bytes, ten per bucket."""
        size = len(self.counts)
        return struct.pack(f"<{size}h{size}d", *self.counts, *self.counts.values())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the sketch encoded by `to_bytes`."""
        size = len(data) // 10
        numbers = struct.unpack(f"<{size}h{size}d", data)
        sketch = cls()
        sketch.counts = dict(zip(numbers[:size], numbers[size:], strict=True))
        return sketch

    @classmethod
    def merged(cls, parts: Iterable["Sketch"]) -> Self:
        """Return a new sketch with the counts of all parts."""
        sketch = cls()
        for part in parts:
            sketch.merge(part)
        return sketch
