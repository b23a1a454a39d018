"""Durations in short notation: `90`, `"90s"`, `"5m"`, `"2h"`, `"3d"`, `"1w"`."""

import re
from typing import Any, Final

__all__ = ["describe", "seconds"]

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_WRITTEN: Final = re.compile(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*([smhdw]?)\s*", re.ASCII)


def seconds(value: Any) -> float:
    """Return a duration in seconds.

    >>> seconds(90), seconds("1.5m"), seconds("2h")
    (90.0, 90.0, 7200.0)

    Raises:
        ValueError: it is not a duration; the message shows how to write one.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e10:
        return float(value)
    match = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{value!r} is not a duration; write seconds, or "90s", "5m", "2h", "3d"')
    return float(match[1]) * _UNITS[match[2]]


def describe(duration: float) -> str:
    """Return a duration as text in the largest unit that gives a whole number.

    >>> describe(90), describe(7200), describe(0)
    ('90 s', '2 h', '0 s')
    """
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if duration >= size and duration % size == 0:
            return f"{duration / size:.0f} {unit}"
    return f"{duration:.4g} s"
