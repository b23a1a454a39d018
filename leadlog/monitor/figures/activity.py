"""Minutes with any event, to distinguish an outage from a quiet night."""

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
    """The active minutes of one kind of event during sixteen days.

    Args:
        kind: the kind's name in the database.

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
        """Record that an event occurred in this minute."""
        if minute not in self._minutes:
            self._minutes.add(minute)
            self._dirty.add(minute)
            self.last = max(self.last, minute)

    def known_minutes(self, now_minute: int) -> int:
        """Return the age of the oldest known minute in minutes; 0 if none is known."""
        return now_minute - min(self._minutes) if self._minutes else 0

    def usual_gap(self, now_minute: int) -> int:
        """Return the longest usual pause in minutes, not counting the current one.

        With two weeks of history it is the second longest, so that one outage does not become
        usual, but closed weekends, of which there are two, do. Computed once an hour.
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
        """Create the table if it is missing, and read it."""
        connection.execute(_SCHEMA)
        rows = connection.execute("SELECT minute FROM activity WHERE kind = ?", (self.kind,))
        self._minutes = {minute for (minute,) in rows}
        self.last = max(self._minutes, default=0)

    def save(self, connection: Connection, now_minute: int) -> None:
        """Write pending changes; call `saved` once they are committed."""
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
        """Discard the pending changes after the commit."""
        self._dirty.clear()
