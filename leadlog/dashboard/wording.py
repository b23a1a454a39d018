"""Readable figures, times and stored texts, for the report and the terminal.

Figures have three significant digits; an unknown value is an en dash, never 0.
"""

import datetime as dt
import math
import unicodedata
from typing import Final

__all__ = ["UNKNOWN", "change", "duration", "figure", "moment", "percent", "plain", "span"]

UNKNOWN: Final = "–"
"""Placeholder for an unknown figure."""

_THOUSANDS: Final = ("", "k", "M", "G", "T", "P", "E")
_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # noqa: SIM905 - reads better
_DAYS: Final = "Mon Tue Wed Thu Fri Sat Sun".split()  # noqa: SIM905 - reads better
_MINUTE_MS: Final = 60_000.0
_HOUR_MS: Final = 60 * _MINUTE_MS
_DAY_MS: Final = 24 * _HOUR_MS
_JOINERS: Final = "\u200c\u200d"
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def figure(value: float | None) -> str:
    """Return a number with three significant digits.

    >>> [figure(one) for one in (0, 7, 12.345, 999.6, 1234, 45_678, 1_999_999, None)]
    ['0', '7', '12.3', '1k', '1.23k', '45.7k', '2M', '–']
    >>> figure(0.01234), figure(-1500)
    ('0.0123', '-1.5k')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    rounded = float(f"{value:.3g}")
    thousands = 0
    while abs(rounded) >= 1000 and thousands + 1 < len(_THOUSANDS):
        rounded = float(f"{rounded / 1000:.3g}")
        thousands += 1
    return f"{_digits(rounded)}{_THOUSANDS[thousands]}"


def _digits(value: float) -> str:
    """Return a number with three significant digits, without exponent or trailing zeros."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(ms: float | None) -> str:
    """Return a duration in a suitable unit.

    >>> [duration(one) for one in (0.0421, 12.34, 999.9, 1234, 65_000, 7_200_000, None)]
    ['0.0421 ms', '12.3 ms', '1 s', '1.23 s', '1 min 5 s', '2 h', '–']
    """
    if ms is None or not math.isfinite(ms):
        return UNKNOWN
    if float(f"{ms:.3g}") < 1000:
        return f"{figure(ms)} ms"
    if float(f"{ms:.3g}") < _MINUTE_MS:
        return f"{figure(ms / 1000)} s"
    return span(ms)


def span(ms: float) -> str:
    """Return a long duration in its two largest units.

    >>> span(3_725_000), span(172_800_000), span(59_999)
    ('1 h 2 min', '2 d', '1 min')
    """
    seconds = round(ms / 1000)
    for size, unit, below, smaller in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if seconds >= size:
            whole, rest = divmod(seconds, size)
            return f"{whole:,} {unit}" + (f" {rest // below} {smaller}" if rest // below else "")
    return f"{seconds} s"


def percent(share: float | None) -> str:
    """Return a share between 0 and 1 as a percentage.

    A share just below 1 or just above 0 is never rounded to 100 % or 0 %.

    >>> [percent(one) for one in (0, 0.01234, 0.5, 1, 0.99996, 0.0000004, None)]
    ['0 %', '1.23 %', '50 %', '100 %', '>99.9 %', '<0.001 %', '–']
    """
    if share is None or not math.isfinite(share):
        return UNKNOWN
    if 0 < share < 0.00001:
        return "<0.001 %"
    if 0.9995 <= share < 1:
        return ">99.9 %"
    return f"{figure(100 * share)} %"


def change(now: float | None, before: float | None) -> str:
    """Return the change of a figure from its earlier value.

    >>> change(110, 100), change(90, 100), change(5, 0), change(0, 0), change(900, 100)
    ('+10 %', '−10 %', 'new', 'same', '×9')
    >>> change(None, 3)
    '–'
    """
    if now is None or before is None:
        return UNKNOWN
    if now == before:
        return "same"
    if before == 0:
        return "new"
    ratio = now / before
    if ratio >= 3:
        return f"×{figure(ratio)}"
    share = 100 * (ratio - 1)
    text = figure(abs(share))
    if abs(share) < 0.1:
        return "same"
    return f"{'+' if share > 0 else '−'}{text} %"


def moment(us: int | None, *, seconds: bool = False, weekday: bool = False) -> str:
    """Return a point in time as a readable UTC date and time.

    Args:
        us: microseconds since 1970.
        seconds: whether to include the seconds.
        weekday: whether to include the day of the week.

    >>> moment(1_795_998_065_000_000), moment(1_795_998_065_000_000, seconds=True, weekday=True)
    ('30 Nov 2026, 00:21', 'Mon 30 Nov 2026, 00:21:05')
    """
    if us is None:
        return UNKNOWN
    at = _EPOCH + dt.timedelta(microseconds=us)
    day = f"{at.day} {_MONTHS[at.month - 1]} {at.year}"
    if weekday:
        day = f"{_DAYS[at.weekday()]} {day}"
    return f"{day}, {at:%H:%M:%S}" if seconds else f"{day}, {at:%H:%M}"


def plain(text: str) -> str:
    r"""Return a stored text with its line breaks kept and unprintable characters made visible.

    The result cannot move the cursor, recolour a terminal or reverse the text direction.

    >>> plain("first\r\nsecond\tx\x1b[2J\u202e")
    'first\nsecond x␛[2J⟨U+202E⟩'
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(
        line if line.isprintable() else "".join(map(_shown, line)) for line in lines
    ).strip("\n")


def _shown(char: str) -> str:
    if char.isprintable() or char in _JOINERS:
        return char
    if char == "\t" or unicodedata.category(char) == "Zs":
        return " "
    if char < " ":
        return chr(0x2400 + ord(char))  # the picture of the control character
    return f"⟨U+{ord(char):04X}⟩"
