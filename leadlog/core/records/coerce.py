"""Conversion of values to the types of the record contract; nothing is guessed or dropped.

Each function takes a value, the path where it belongs, and `extra`, the mapping that collects
values that do not fit. A missing value is None.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

Extra = dict[str, Any]

MOST: Final = 1e15
"""Largest number whose sums every reader computes exactly enough."""
MOST_MS: Final = 1e12
"""Longest plausible duration, milliseconds: 31 years."""


def number(value: Any, path: str, extra: Extra) -> float | None:
    """Return a number up to `MOST`, also from text; anything else is put into `extra`."""
    return _within(-MOST, MOST, value, path, extra)


def duration(value: Any, path: str, extra: Extra) -> float | None:
    """Return milliseconds from 0 to `MOST_MS`, also from text; others are put into `extra`."""
    return _within(0, MOST_MS, value, path, extra)


def _within(least: float, most: float, value: Any, path: str, extra: Extra) -> float | None:
    if value is None:
        return None
    found: float | None = None
    if type(value) is int or type(value) is float:
        found = value
    elif not isinstance(value, bool):
        try:
            found = float(value)
        except (TypeError, ValueError, OverflowError):
            pass
    if found is not None and least <= found <= most:  # False for NaN
        return found
    extra[path] = value
    return None


def integer(value: Any, path: str, extra: Extra) -> int | None:
    """Return a whole number up to `MOST`; anything else is put into `extra`."""
    found = number(value, path, extra)
    if found is None or type(found) is int:
        return found
    if found == int(found):
        return int(found)
    extra[path] = value
    return None


def boolean(value: Any, path: str, extra: Extra) -> bool | None:
    """Return True or False; anything else is put into `extra`."""
    if value is None or value is True or value is False:
        return value
    extra[path] = value
    return None


def text(value: Any, path: str, extra: Extra) -> str | None:
    """Return a text, also from numbers, ids and exceptions; containers are put into `extra`."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        if value:
            extra[path] = value
        return None
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a value's own code may raise anything
        extra[path] = value
        return None


def mapping(value: Any, path: str, extra: Extra) -> dict[str, Any] | None:
    """Return an object; a list becomes one keyed by position, others are put into `extra`."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple):
        return {str(i): item for i, item in enumerate(value)}
    extra[path] = value
    return None


def numbers(value: Any, path: str, extra: Extra) -> dict[str, float | None] | None:
    """Return an object whose values are numbers; other values are put into `extra`."""
    found = mapping(value, path, extra)
    if found is None:
        return None
    return {str(key): number(item, f"{path}.{key}", extra) for key, item in found.items()}


def counts(value: Any, path: str, extra: Extra) -> dict[str, int | None] | None:
    """Return an object whose values are whole numbers; other values are put into `extra`."""
    found = mapping(value, path, extra)
    if found is None:
        return None
    return {str(key): integer(item, f"{path}.{key}", extra) for key, item in found.items()}


def one_of(allowed: tuple[str, ...]) -> Callable[[Any, str, Extra], str | None]:
    """Return a function that accepts only the allowed texts and puts others into `extra`."""

    def choose(value: Any, path: str, extra: Extra) -> str | None:
        if value is None or (isinstance(value, str) and value in allowed):
            return value
        extra[path] = value
        return None

    return choose


def texts(value: Any, path: str, extra: Extra) -> list[str] | None:
    """Return a list of texts; one text becomes a list of one, others are put into `extra`."""
    if value is None:
        return None
    if isinstance(value, str):
        return [value]
    if isinstance(value, Iterable) and not isinstance(value, Mapping | bytes):
        return [item if isinstance(item, str) else _shown(item) for item in value]
    extra[path] = value
    return None


def _shown(item: Any) -> str:
    try:
        return str(item)
    except Exception:  # noqa: BLE001 - a value's own code may raise anything
        return f"<unprintable {type(item).__name__}>"
