"""Durations by bucket; counts of buckets add up exactly over days and machines.

Bucket `b` holds durations above `RATIO ** (b - 1)` and up to `RATIO ** b` milliseconds, so the
bucket of a value is `CEIL(LN(ms) / LN(1.01/0.99))`, and the value that represents a bucket is off
by at most 1 %.
"""

import math
from typing import Any, TypeGuard

from leadlog.core.records.coerce import MOST_MS

__all__ = [
    "BUCKET_WIDTH",
    "LEAST_MS",
    "MOST_MS",
    "NO_TIME",
    "RATIO",
    "bucket_of",
    "bucket_sql",
    "is_duration",
    "middle_of",
    "nanoseconds",
]

RATIO = 1.01 / 0.99
"""Ratio of a bucket's upper limit to that of the bucket before."""

BUCKET_WIDTH = 0.02000066670666948
"""LN(1.01/0.99) as passed to every engine: some divide decimals with few digits."""

LEAST_MS = 1e-6
"""Shorter durations count as zero; negative ones, and those above `MOST_MS`, as not measured."""

NO_TIME = -1000
"""The bucket of durations below a nanosecond, mostly zero."""


def bucket_of(ms: float) -> int:
    """Return the bucket of a duration."""
    return NO_TIME if ms < LEAST_MS else math.ceil(math.log(ms) / BUCKET_WIDTH)


def bucket_sql(ms: str) -> str:
    """Return `bucket_of` in SQL, for an expression that is a duration from 0 to `MOST_MS`."""
    return (
        f"CASE WHEN {ms} < {LEAST_MS!r} THEN {NO_TIME} "
        f"ELSE CAST(CEIL(LN({ms}) / {BUCKET_WIDTH!r}) AS INTEGER) END"
    )


def middle_of(bucket: int) -> float:
    """Return the milliseconds that represent a bucket, at most 1 % from everything in it."""
    return 0.0 if bucket == NO_TIME else 2 * RATIO**bucket / (1 + RATIO)


def nanoseconds(ms: float) -> int:
    """Return a duration in nanoseconds as a whole number."""
    return math.floor(ms * 1_000_000 + 0.5)


def is_duration(value: Any) -> TypeGuard[float]:
    """Return whether a value is a plausible number of milliseconds."""
    return (type(value) is float or type(value) is int) and 0 <= value <= MOST_MS
