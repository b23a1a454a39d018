"""Values of query results in the form of JSON, CSV and tables.

| SQL | written as |
|---|---|
| whole numbers and decimals of any size | a number, digit for digit |
| NaN, infinite numbers | null |
| intervals | a number of milliseconds; a month counts 30 days |
| timestamps | text as in the records, `2026-11-23T10:00:00.000000Z` |
| dates, times of day | `2026-11-23`, `10:00:00.000000` |
| bytes | hexadecimal text |
| maps | an object, the keys as text |
"""

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import orjson

__all__ = ["json_text", "plain"]

_DAY_MS = 86_400_000
_MOST_BITS = 63


def json_text(value: Any) -> bytes:
    """Return the JSON of a result's value.

    >>> json_text({"n": Decimal("18446744073709551616"), "span": dt.timedelta(seconds=1.5)})
    b'{"n":18446744073709551616,"span":1500.0}'
    """
    return orjson.dumps(plain(value), option=orjson.OPT_PASSTHROUGH_DATETIME, default=str)


def plain(value: Any) -> Any:
    """Return a value in a form that orjson can write, by the table of the module."""
    match value:
        case None | str() | bool():
            return value
        case int():
            return value if value.bit_length() <= _MOST_BITS else orjson.Fragment(str(value))
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return orjson.Fragment(f"{value:f}") if value.is_finite() else None
        case dict():
            return {str(key): plain(inner) for key, inner in value.items()}
        case list():
            if value and all(type(one) is tuple for one in value):  # a map, as its pairs
                return {str(key): plain(inner) for key, inner in value}
            return [plain(one) for one in value]
        case dt.datetime():
            return f"{value.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
        case dt.timedelta():
            return value / dt.timedelta(milliseconds=1)
        case dt.time():
            return value.isoformat(timespec="microseconds")
        case bytes():
            return value.hex()
    if hasattr(value, "nanoseconds"):  # an interval, as pyarrow gives it
        return (value.months * 30 + value.days) * _DAY_MS + value.nanoseconds / 1_000_000
    return value
