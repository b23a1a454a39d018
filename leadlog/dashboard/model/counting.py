"""Weighted counts and percentiles, shared by all pages."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate

from leadlog.reading.analytics.durations import middle_of
from leadlog.reading.index.columns import Kind
from leadlog.reading.index.figures import Total

__all__ = ["Buckets", "add_buckets", "is_sampled", "percentiles", "share", "weighed"]

Buckets = Mapping[int, float]
"""Duration bucket to the number of durations in it."""


def weighed(totals: Mapping[int, Total], kinds: Mapping[int, Kind]) -> float:
    """Return the estimated number of events, including those that sampling left out."""
    return sum(total.n / kinds[kind].rate for kind, total in totals.items())


def is_sampled(numbers: Iterable[int], kinds: Mapping[int, Kind]) -> bool:
    """Return True if any of the kinds was sampled, so that its count is an estimate."""
    return any(kinds[number].rate < 1 for number in numbers)


def share(part: float, whole: float) -> float | None:
    """Return the share of a part in a whole; None if the whole is 0."""
    return part / whole if whole else None


def add_buckets(into: dict[int, float], counted: Iterable[tuple[int, int]], rate: float) -> None:
    """Add counts by bucket to others, scaled up for events that sampling left out.

    Args:
        into: the counts to add to; modified.
        counted: buckets with the number of logged events in each.
        rate: share of the events that were logged.
    """
    if rate == 1 and not into:
        into.update(counted)
        return
    get = into.get
    for bucket, n in counted:
        into[bucket] = get(bucket, 0.0) + n / rate


def percentiles(buckets: Buckets, *ranks: float) -> tuple[float | None, ...]:
    """Return percentiles in milliseconds; None for each if there are no durations.

    The error is at most 1 %.

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
