"""Weights and percentiles, by which all pages count."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate

from leadlog.reading.analytics.durations import middle_of
from leadlog.reading.index.columns import Kind
from leadlog.reading.index.figures import Total

__all__ = ["Buckets", "add_buckets", "is_sampled", "percentiles", "share", "weighed"]

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


def add_buckets(into: dict[int, float], counted: Iterable[tuple[int, int]], rate: float) -> None:
    """Add counts by bucket to others, those that sampling left out included.

    Args:
        into: is added to.
        counted: bucket and how many events of the log have it.
        rate: share of the events that are in the log.
    """
    if rate == 1 and not into:
        into.update(counted)
        return
    get = into.get
    for bucket, n in counted:
        into[bucket] = get(bucket, 0.0) + n / rate


def percentiles(buckets: Buckets, *ranks: float) -> tuple[float | None, ...]:
    """Return the durations below which some shares of all lie, milliseconds; None without any.

    They are off by at most 1 %.

    Args:
        buckets: counts by bucket.
        ranks: the shares, 0 to 1.
    """
    ordered = sorted(buckets)
    passed = [*accumulate(map(buckets.__getitem__, ordered))]
    if not passed or not passed[-1]:
        return (None,) * len(ranks)
    found = (bisect_left(passed, rank * passed[-1] - 1e-9) for rank in ranks)
    return tuple(middle_of(ordered[min(place, len(ordered) - 1)]) for place in found)
