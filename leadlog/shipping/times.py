"""Conversion of timestamps to numbers, cached for all records of one second."""

from functools import lru_cache

from leadlog.core.clock import parse

__all__ = ["micros_of"]


@lru_cache(maxsize=256)
def _second(text: str) -> int:
    return parse(f"{text}Z")


def micros_of(timestamp: str) -> int:
    """Return a record's `timestamp` in microseconds since 1970; 0 for an earlier time.

    Raises:
        ValueError: The text is not a record's timestamp.
    """
    if len(timestamp) != 27:
        return max(parse(timestamp), 0)
    return max(_second(timestamp[:19]) + int(timestamp[20:26]), 0)
