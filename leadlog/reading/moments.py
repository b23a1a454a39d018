"""Points in time as users write them.

| written | means |
|---|---|
| `2026-11-23T10:00:00Z`, `2026-11-23 10:00+01:00` | that time; UTC without an offset |
| `2026-11-23` | the start of that UTC day |
| `now`, `today`, `yesterday` | the current time; the start of that UTC day |
| `90s`, `30m`, `2h`, `7d`, `1w` | that long ago |
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

from leadlog.core.clock import format_us, now_us
from leadlog.core.errors import LeadlogError

__all__ = ["MomentError", "microseconds", "moment", "shifted", "stamp"]

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smhdw])(?:\s+ago)?", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US: Final = 86_400_000_000


class MomentError(LeadlogError, ValueError):
    """A point in time that cannot be understood; the message says how to write it."""


def microseconds(at: datetime) -> int:
    """Return a time in microseconds since 1970; UTC if it has no offset.

    >>> microseconds(datetime(1970, 1, 2))
    86400000000
    """
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return (at - _EPOCH) // timedelta(microseconds=1)


def stamp(at: datetime) -> str:
    """Return a time as `timestamp` in the records; UTC if it has no offset.

    >>> stamp(datetime(2026, 11, 23, 10))
    '2026-11-23T10:00:00.000000Z'
    """
    return format_us(microseconds(at))


def moment(text: str, now: int | None = None) -> int:
    """Return a point in time in microseconds since 1970.

    >>> moment("2026-11-23", 0), moment("2h", 7_200_000_000), moment("yesterday", 90_000_000_000)
    (1795392000000000, 0, 0)

    Args:
        text: as in the table of the module, in any case.
        now: the current time in microseconds since 1970.

    Raises:
        MomentError: it is not a point in time.
    """
    now = now_us() if now is None else now
    said = text.strip().lower()
    today = now - now % _DAY_US
    named = {"now": now, "today": today, "yesterday": today - _DAY_US}.get(said)
    if named is not None:
        return named
    ago = _AGO.fullmatch(said)
    try:
        if ago is not None:
            us = now - round(float(ago[1]) * _UNITS[ago[2]] * 1_000_000)
        else:
            us = microseconds(datetime.fromisoformat(said.upper()))
        format_us(us)  # raises for times outside the calendar
        return us
    except (ValueError, OverflowError):
        raise MomentError(
            f"{text!r} is not a point in time; write it like 2026-11-23T10:00:00Z, 2026-11-23, "
            "yesterday, or 2h for two hours ago (s, m, h, d, w)"
        ) from None


def shifted(day: date, days: int) -> date:
    """Return the day a number of days later, limited to the range of the calendar.

    >>> shifted(date(9999, 12, 31), 1), shifted(date(2026, 2, 28), 1)
    (datetime.date(9999, 12, 31), datetime.date(2026, 3, 1))
    """
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return date.max if days > 0 else date.min
