"""Daily summaries of past days, written in a separate thread."""

import datetime as dt
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from leadlog.core.clock import utc_date
from leadlog.core.errors import LeadlogError
from leadlog.reading.analytics.summary import write_daily_summary

__all__ = ["Summaries"]

_GRACE_US: Final = 300 * 1_000_000  # for yesterday's transactions to end and drains to write
_MOST_DAYS: Final = 7  # caught up after a pause


class Summaries:
    """Keeps track of the days whose summaries were written.

    Args:
        directory: the log directory.
        notice: called with one line of text when a summary cannot be written.

    Attributes:
        done: the last UTC day whose summary is written, or was not needed; "" before `poll`.
    """

    def __init__(self, directory: Path, notice: Callable[[str], None]) -> None:
        self._directory = directory
        self._notice = notice
        self._thread: threading.Thread | None = None
        self.done = ""

    def poll(self, now_us: int, *, wait: bool) -> None:
        """Write missing summaries, from five minutes past midnight UTC.

        Args:
            now_us: the current time in microseconds since 1970.
            wait: wait for them; otherwise a thread writes them.
        """
        yesterday = _before(utc_date(now_us - _GRACE_US), 1)
        if not self.done:
            self.done = _before(yesterday, 1)  # the first monitor starts with yesterday
        if self.done >= yesterday or (self._thread is not None and self._thread.is_alive()):
            return
        day = max(_before(self.done, -1), _before(yesterday, _MOST_DAYS - 1))
        days = [day]
        while days[-1] < yesterday:
            days.append(_before(days[-1], -1))
        if not wait:
            self._thread = threading.Thread(
                target=self._write, args=(days, now_us), name="leadlog-summary", daemon=True
            )
            self._thread.start()
        else:
            self._write(days, now_us)

    def _write(self, days: list[str], now_us: int) -> None:
        for day in days:
            try:
                write_daily_summary(self._directory, day, created_us=now_us)
            except (LeadlogError, OSError) as error:
                # Continue with the other days; this one can be written by hand.
                self._notice(f"no summary of {day}: {error}")
            self.done = day


def _before(day: str, days: int) -> str:
    return (dt.date.fromisoformat(day) - dt.timedelta(days)).isoformat()
