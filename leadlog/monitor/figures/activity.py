"""Minutes with any event at all, to distinguish an outage from a quiet night."""

from itertools import pairwise
from sqlite3 import Connection
from typing import Final

__all__ = ["Activity"]

_MINUTES_KEPT: Final = 16 * 1440
_ENOUGH: Final = 14 * 1440

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS activity (kind TEXT NOT NULL, minute INTEGER NOT NULL, "
    "PRIMARY KEY (kind, minute)) WITHOUT ROWID"
)


class Activity:
    """The active minutes of one kind of event over sixteen days.

    Args:
        kind: its name in the database.

    Attributes:
        last: the newest active minute up to the clock; 0 for none.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.last = 0
        self._minutes: set[int] = set()
        self._dirty: set[int] = set()
        self._usual: tuple[int, int] = (-1, 0)

    def mark(self, minute: int) -> None:
        """Something came in this minute."""
        if minute not in self._minutes:
            self._minutes.add(minute)
            self._dirty.add(minute)
            self.last = max(self.last, minute)

    def known_minutes(self, now_minute: int) -> int:
        """Return how long ago the oldest known minute is; 0 for none."""
        return now_minute - min(self._minutes) if self._minutes else 0

    def usual_gap(self, now_minute: int) -> int:
        """Minutes of the longest pause that is usual, the present one left out.

        With two weeks known it is the second longest, so that one failure does not become what
        is usual, and closed weekends, of which there are two, do. Found once an hour.
        """
        hour = now_minute // 60
        if self._usual[0] != hour:
            old = now_minute - _MINUTES_KEPT
            self._minutes = {minute for minute in self._minutes if minute >= old}
            gaps = sorted(later - earlier for earlier, later in pairwise(sorted(self._minutes)))
            second = len(gaps) > 1 and self.known_minutes(now_minute) >= _ENOUGH
            self._usual = hour, (gaps[-2] if second else gaps[-1]) if gaps else 0
        return self._usual[1]

    def load(self, connection: Connection) -> None:
        """Make the table where it is missing, and reads it."""
        connection.execute(_SCHEMA)
        rows = connection.execute("SELECT minute FROM activity WHERE kind = ?", (self.kind,))
        self._minutes = {minute for (minute,) in rows}
        self.last = max(self._minutes, default=0)

    def save(self, connection: Connection, now_minute: int) -> None:
        """Write what changed; `saved` says that it was committed."""
        connection.executemany(
            "INSERT OR IGNORE INTO activity VALUES (?, ?)",
            [(self.kind, minute) for minute in self._dirty],
        )
        if self._dirty:
            connection.execute(
                "DELETE FROM activity WHERE kind = ? AND minute < ?",
                (self.kind, now_minute - _MINUTES_KEPT),
            )

    def saved(self) -> None:
        """Forget what was to be written."""
        self._dirty.clear()
