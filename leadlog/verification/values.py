"""Compares logged values with values of the database.

The log holds JSON and the database has its own types, so the database's value is rendered by the
same rules as the log (`leadlog_processors.rendering`). If the results differ, its type decides:
numbers are compared as numbers, times as points in time, UUIDs as UUIDs, network addresses as
addresses, ranges by the values in them, and JSON stored as text as JSON.
"""

import datetime as dt
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Range

from leadlog.core.records.keys import key_text
from leadlog_processors.rendering import render

__all__ = ["equal", "key_of", "plain"]

_AS_THEY_ARE: Final = (str, int, bool)
_JSON_BITS: Final = 63
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def _end(value: Any) -> Any:
    """Return the end of a logged range when the range found has no end to take its type from."""
    if type(value) is not str:
        return value
    return dt.date.fromisoformat(value) if len(value) == 10 else dt.datetime.fromisoformat(value)


_FROM_JSON: Final[Mapping[type, Callable[[Any], Any]]] = {
    int: int,
    Decimal: lambda number: Decimal(str(number)),
    dt.date: dt.date.fromisoformat,
    dt.datetime: dt.datetime.fromisoformat,
    type(None): _end,
}
_DURATION: Final = re.compile(r"(?:(-?\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?)", re.ASCII)


def plain(value: object) -> Any:
    """Return a value of the database in the log's format."""
    if value is None or (type(value) in _AS_THEY_ARE and not _odd(value)):
        return value
    return orjson.loads(render({"": value}))[""]


def _odd(value: Any) -> bool:
    """Return whether a text or an int must be rendered like the log: non-ASCII, or too large."""
    if type(value) is str:
        return not value.isascii()
    return type(value) is int and value.bit_length() > _JSON_BITS


def key_of(values: tuple[object, ...]) -> str:
    r"""Return a primary key in the log's format.

    >>> key_of((7,)), key_of(("a,b", 1))
    ('7', 'a\\,b,1')
    """
    return key_text(values)


def equal(
    logged: Any, found: object, column_type: "sa.types.TypeEngine[Any] | None" = None
) -> bool:
    """Return whether a logged value and a value of the database are equal.

    >>> equal("1.50", Decimal("1.5")), equal("7", "007"), equal(False, 0)
    (True, False, True)

    Args:
        logged: a value from the log.
        found: the value of the database, as returned by the driver.
        column_type: the type of the column, if known.
    """
    have = plain(found)
    if type(logged) is type(have) and logged == have:
        return True
    if logged is None or have is None:
        return logged is None and have is None
    if isinstance(found, int | float | Decimal):
        return _equal_number(logged, found, column_type)
    if isinstance(found, dt.datetime):
        return _equal_moment(logged, found)
    if isinstance(found, UUID) or (isinstance(found, str) and len(found) == 32):
        one, other = _uuid(logged), _uuid(str(found))
        return one is not None and one == other
    if type(found).__module__ == "ipaddress":
        return _equal_address(logged, str(found))
    if isinstance(found, Range):
        return _equal_range(logged, found)
    if isinstance(found, list) and found and isinstance(found[0], Range):
        return _equal_ranges(logged, found)
    if isinstance(found, list) and isinstance(logged, list):
        return len(logged) == len(found) and all(map(equal, logged, found))
    if isinstance(found, Mapping | list):
        return _equal_json(logged, have)
    if isinstance(found, str) and type(logged) in (dict, list):
        try:
            return _equal_json(logged, orjson.loads(found))
        except orjson.JSONDecodeError:
            return False
    if isinstance(column_type, sa.CHAR) and isinstance(found, str) and type(logged) is str:
        return found.rstrip(" ") == logged.rstrip(" ")  # CHAR is padded with spaces
    return False


def _equal_number(logged: Any, found: float | Decimal, column_type: object) -> bool:
    if type(logged) not in (bool, int, float, str):
        return False
    try:
        one = Decimal(str(int(logged) if type(logged) is bool else logged))
        other = Decimal(str(int(found) if isinstance(found, bool) else found))
        if one == other:
            return True
        scale = getattr(column_type, "scale", None)
        if isinstance(found, Decimal) and type(scale) is int:
            return round(one, scale) == other  # the column rounds to its scale
    except (InvalidOperation, ValueError):
        pass
    return False


def _equal_moment(logged: Any, found: dt.datetime) -> bool:
    if type(logged) is not str:
        return False
    duration = _DURATION.fullmatch(logged)
    if duration:  # SQLAlchemy's Interval on databases without one: a time since the epoch
        days, hours, minutes, seconds = (float(part or 0) for part in duration.groups())
        since = dt.timedelta(days, hours=hours, minutes=minutes, seconds=seconds)
        return _EPOCH + since == _utc(found)
    try:
        one = dt.datetime.fromisoformat(logged)
    except ValueError:
        return False
    return _utc(one) == _utc(found)


def _equal_address(logged: Any, found: str) -> bool:
    try:
        return ipaddress.ip_interface(logged) == ipaddress.ip_interface(found)
    except ValueError:
        return False


def _equal_range(logged: Any, found: Range[Any]) -> bool:
    """Return whether two ranges hold the same values: `[1,4]` of integers is `[1,5)`."""
    if found.isempty:
        return _is_empty(logged)
    one = _range(logged, _type_of(found))
    return one is not None and bool(one == found)


def _equal_ranges(logged: Any, found: Sequence[Range[Any]]) -> bool:
    """Return whether two multiranges hold the same values; the server sorts and merges them."""
    if type(logged) is not list or not found:
        return False
    ranges = [_range(one, _type_of(found[0])) for one in logged if not _is_empty(one)]
    known = [one for one in ranges if one is not None]
    if len(known) < len(ranges):
        return False
    merged: list[Range[Any]] = []
    for one in sorted(known, key=lambda one: (one.lower is not None, one.lower or 0)):
        if merged and (merged[-1].overlaps(one) or merged[-1].adjacent_to(one)):
            merged[-1] = merged[-1].union(one)
        else:
            merged.append(one)
    return len(merged) == len(found) and all(map(Range.__eq__, merged, found))


def _type_of(found: Range[Any]) -> type:
    return type(found.lower if found.lower is not None else found.upper)


def _range(logged: Any, kind: type) -> "Range[Any] | None":
    try:
        ends = [
            None if logged[end] is None else _FROM_JSON[kind](logged[end])
            for end in ("lower", "upper")
        ]
        return Range(*ends, bounds=logged["bounds"], empty=logged["empty"])
    except (KeyError, TypeError, ValueError, InvalidOperation):
        return None


def _is_empty(logged: Any) -> bool:
    """Return whether no value lies in a logged range: `empty`, `[5,5)`, or `(4,5)` of integers."""
    if type(logged) is not dict or logged.get("empty") is True:
        return type(logged) is dict
    lower, upper, bounds = (logged.get(key) for key in ("lower", "upper", "bounds"))
    if lower is None or upper is None or bounds == "[]":
        return False
    return bool(lower == upper or (bounds == "()" and type(lower) is int and lower + 1 == upper))


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment


def _uuid(text: Any) -> UUID | None:
    try:
        return UUID(text)
    except (ValueError, AttributeError, TypeError):
        return None


def _equal_json(one: Any, other: Any) -> bool:
    if type(one) is dict and type(other) is dict:
        return one.keys() == other.keys() and all(
            _equal_json(item, other[name]) for name, item in one.items()
        )
    if type(one) is list and type(other) is list:
        return len(one) == len(other) and all(map(_equal_json, one, other))
    return equal(one, other)
