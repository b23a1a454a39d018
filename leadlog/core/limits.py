"""Limits by category as users write them: `90`, `error_logs=365`, `{"*": 90}`, `10GB`.

Settings and command line accept the same texts, so both parse them here.
"""

import difflib
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from leadlog.core.layout import CATEGORIES

__all__ = ["EVERY", "TOTAL", "bytes_by_category", "days_by_category", "sizes_of_categories"]

EVERY = "*"
"""Key for every category without an entry of its own."""

TOTAL = "total"
"""Key for all categories together."""

LEAST_BYTES = 1_000_000
"""Smallest size to which a log may be limited."""

_SIZE = re.compile(r"(?P<number>\d[\d_]*(?:\.\d+)?)\s*(?P<unit>[A-Za-z]*)", re.ASCII)
_UNITS = {"": 1, "b": 1} | {
    f"{letter}{infix}b": base**power
    for infix, base in (("", 1000), ("i", 1024))
    for power, letter in enumerate("kmgt", 1)
}


def days_by_category(value: object) -> dict[str, int]:
    """Return numbers of days by category.

    Args:
        value: a number (for every category), `CATEGORY=N`, or a mapping (also as JSON text)
            from categories, or `*` for all others, to numbers.

    Raises:
        ValueError: the value is none of these; the message names the valid forms.
    """
    return _by_category(value, EVERY, _days)


def bytes_by_category(value: object) -> dict[str, int]:
    """Return sizes in bytes by category.

    Args:
        value: a size (for all categories together), `CATEGORY=SIZE`, or a mapping (also as
            JSON text) from categories, or `total` for all together, to sizes; a size is a
            number of bytes or a text such as `500MB` (10^6) or `10GiB` (2^30).

    Raises:
        ValueError: the value is none of these; the message names the valid forms.
    """
    return _by_category(value, TOTAL, _room)


def sizes_of_categories(value: object) -> dict[str, int]:
    """Return sizes by category, as `bytes_by_category`; a bare size is for each category (`*`)."""
    return _by_category(value, EVERY, _size)


def _by_category(
    value: object, everything: str, number: Callable[[object, str], int]
) -> dict[str, int]:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"{value!r} is not a JSON object: {error}") from error
    elif isinstance(value, str) and "=" in value:
        name, _, rest = value.partition("=")
        value = {name.strip(): rest}
    given: Mapping[Any, Any] = value if isinstance(value, Mapping) else {everything: value}
    names = (everything, *CATEGORIES)
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
            raise ValueError(f"no category {name!r}; {hint}")
    return {name: number(limit, everything) for name, limit in given.items()}


def _days(value: object, everything: str) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*\d+\s*", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000:
        raise ValueError(
            f"{value!r} is not a whole number of days; write 90, error_logs=365 or "
            f'{{"{everything}": 90}}; 0 means forever'
        )
    return value


def _size(value: object, everything: str) -> int:
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None and match["unit"].lower() in _UNITS:
        value = int(Decimal(match["number"]) * _UNITS[match["unit"].lower()])
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(
            f"{value!r} is not a size; write 10000000000, 10GB, error_logs=500MB or "
            f'{{"{everything}": "10GB"}}; 0 means without limit'
        )
    return value


def _room(value: object, everything: str) -> int:
    """Return a size to limit a log to; refuse one too small to be meant."""
    size = _size(value, everything)
    if 0 < size < LEAST_BYTES:
        # `20`, meant as 20 GB, would delete nearly the whole log.
        raise ValueError(
            f"{size} bytes would keep hardly anything; write the unit (20GB), and at least 1MB"
        )
    return size
