"""The period that a page shows, and the slots of its charts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from leadlog.core.clock import format_us, now_us
from leadlog.core.errors import LeadlogError
from leadlog.reading.moments import MomentError, moment

__all__ = ["WEEK_US", "TimeWindow", "WindowError", "window"]

_US: Final = 1_000_000
WEEK_US: Final = 7 * 86_400 * _US
_STEPS: Final = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800),
)
_MOST_SLOTS: Final = 120
_DEFAULT: Final = "1h"


class WindowError(LeadlogError, ValueError):
    """The period is malformed; the message says how to write it."""


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """A period of time, divided into slots.

    Attributes:
        since: start, microseconds since 1970.
        until: end (exclusive), microseconds since 1970.
        step: width of a chart's slots in seconds.
        now: current time, microseconds since 1970.
        live: whether the period ends now and moves with the clock.
    """

    since: int
    until: int
    step: int
    now: int
    live: bool

    @property
    def seconds(self) -> float:
        """Length of the period in seconds."""
        return (self.until - self.since) / _US

    @property
    def since_text(self) -> str:
        """The start, as `timestamp` in the records."""
        return format_us(self.since)

    @property
    def until_text(self) -> str:
        """The end, as `timestamp` in the records."""
        return format_us(self.until)

    def slots(self) -> range:
        """Return the slot numbers; a slot begins at its number times `step` seconds."""
        width = self.step * _US
        return range(self.since // width, (self.until - 1) // width + 1)

    def times(self) -> Iterator[int]:
        """Yield the start of each slot, seconds since 1970."""
        for slot in self.slots():
            yield slot * self.step

    def shifted(self, us: int) -> "TimeWindow":
        """Return the period shifted back by a number of microseconds."""
        return TimeWindow(self.since - us, self.until - us, self.step, self.now, live=False)


def window(
    since: str | None = None,
    until: str | None = None,
    *,
    extent: tuple[int, int] | None = None,
    now: int | None = None,
) -> TimeWindow:
    """Return the requested period.

    Args:
        since: start, as on the command line (`1h`, `2026-11-23`), or `all`; an hour ago by
            default.
        until: end; the current time by default.
        extent: times of the first and the last event, for `all`.
        now: current time, microseconds since 1970.

    Raises:
        WindowError: a time is malformed, or the end is not after the start.
    """
    now = now_us() if now is None else now
    try:
        end = now if until in (None, "", "now") else moment(str(until), now)
        if since == "all":
            begin = extent[0] if extent is not None else end - 3_600 * _US
            end = max(end, extent[1] + 1) if extent is not None and until in (None, "") else end
        else:
            begin = moment(since or _DEFAULT, now)
    except MomentError as error:
        raise WindowError(str(error)) from error
    if end <= begin:
        raise WindowError(
            f"the period ends at {format_us(end)}, which is not after its beginning "
            f"{format_us(begin)}; swap the two"
        )
    return TimeWindow(begin, end, _step(end - begin), now, live=until in (None, "", "now"))


def _step(us: int) -> int:
    for step in _STEPS:
        if us <= step * _US * _MOST_SLOTS:
            return step
    weeks = -(-us // (_STEPS[-1] * _US * _MOST_SLOTS))
    return weeks * _STEPS[-1]
