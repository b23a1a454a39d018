"""Weights and percentiles, by which all pages count."""

from collections.abc import Iterable, Mapping

from leadlog.reading.analytics.durations import middle_of
from leadlog.reading.index.columns import Kind
from leadlog.reading.index.figures import Total

__all__ = ["Buckets", "is_sampled", "percentile", "share", "weighed"]

Buckets = Mapping[int, float]
"""Bucket of a duration to how many there were."""


def weighed(totals: Mapping[int, Total], kinds: Mapping[int, Kind]) -> float:
    """Return how many events were meant, those that sampling left out included."""
    return sum(total.n / kinds[kind].rate for kind, total in totals.items())


def is_sampled(numbers: Iterable[int], kinds: Mapping[int, Kind]) -> bool:
    """Return whether any of some kinds was sampled, so that its number is an estimate."""
    return any(kinds[number].rate < 1 for number in numbers)


def share(part: float, whole: float) -> float | None:
    """Return a part of a whole; None of nothing."""
    return part / whole if whole else None


def percentile(buckets: Buckets, rank: float) -> float | None:
    """Return the duration below which a share of all lies, milliseconds; None without any.

    It is off by at most 1 %.

    Args:
        buckets: counts by bucket.
        rank: the share, 0 to 1.
    """
    whole = sum(buckets.values())
    if not whole:
        return None
    left = rank * whole
    for bucket in sorted(buckets):
        left -= buckets[bucket]
        if left <= 1e-9:
            return middle_of(bucket)
    return middle_of(max(buckets))
