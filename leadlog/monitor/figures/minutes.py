"""Sums by minute over the last days, in rings of fixed size."""

from array import array
from sqlite3 import Connection
from typing import Final

__all__ = ["DAYS", "MINUTES_AHEAD", "MinuteTally", "Tallies"]

DAYS: Final = 3
"""Longest window in days."""

MINUTES_AHEAD: Final = 1440
"""Largest number of minutes that an event may be ahead: a clock may be wrong or have been set."""

_SLOTS: Final = DAYS * 1440 + MINUTES_AHEAD + 10
_MOST_SERIES: Final = 200
OTHERS: Final = "(others)"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS tallies (
    series TEXT NOT NULL, minute INTEGER NOT NULL, total REAL NOT NULL, bad REAL NOT NULL,
    slow REAL NOT NULL, score REAL NOT NULL, scored REAL NOT NULL, ms REAL NOT NULL,
    timed REAL NOT NULL, PRIMARY KEY (series, minute)
) WITHOUT ROWID
"""
_COLUMNS: Final = ("total", "bad", "slow", "score", "scored", "ms", "timed")


class MinuteTally:
    """One series: weights of all, bad, slow, scored and timed events, and sums.

    Minutes are counted since 1970 and may arrive late, in any order; a minute that lies a
    ring's length or more before the newest is ignored.
    """

    __slots__ = ("_newest", "bad", "dirty", "ms", "score", "scored", "slow", "timed", "total")

    def __init__(self) -> None:
        self._newest = 0
        self.total, self.bad, self.slow, self.score, self.scored, self.ms, self.timed = (
            array("d", bytes(8 * _SLOTS)) for _ in _COLUMNS
        )
        self.dirty: set[int] = set()

    def slot(self, minute: int) -> int:
        """Return the index of a minute's sums; -1 if the minute is too old."""
        if minute > self._newest:
            self._clear(minute)
        elif minute <= self._newest - _SLOTS:
            return -1
        self.dirty.add(minute)
        return minute % _SLOTS

    def _clear(self, newest: int) -> None:
        """Clear the slots up to a new newest minute, which held older minutes."""
        for minute in range(max(self._newest + 1, newest - _SLOTS + 1), newest + 1):
            at = minute % _SLOTS
            self.total[at] = self.bad[at] = self.slow[at] = 0.0
            self.score[at] = self.scored[at] = self.ms[at] = self.timed[at] = 0.0
        self._newest = newest

    def sum(self, column: "array[float]", first: int, last: int) -> float:
        """Return the sum of a column from minute `first` to minute `last`, both included."""
        first, last = max(first, self._newest - _SLOTS + 1), min(last, self._newest)
        if first > last:
            return 0.0
        start, end = first % _SLOTS, last % _SLOTS
        if start <= end:
            return sum(column[start : end + 1])
        return sum(column[start:]) + sum(column[: end + 1])


class Tallies:
    """The tallies of all series; beyond 200 series, the rest share one."""

    def __init__(self) -> None:
        self.series: dict[str, MinuteTally] = {}

    def get(self, name: str) -> MinuteTally:
        """Return the tally of a series; create it if it is missing."""
        found = self.series.get(name)
        if found is None:
            if len(self.series) >= _MOST_SERIES:
                name = OTHERS
            found = self.series.setdefault(name, MinuteTally())
        return found

    def operations(self) -> dict[str, MinuteTally]:
        """Return the tallies of `Class.operation`s, without totals of several and other runs."""
        return {
            name: tally
            for name, tally in self.series.items()
            if not name.startswith(("(", "performance.", "sync.", "migration."))
        }

    def load(self, connection: Connection) -> None:
        """Create the table if it is missing, and read it."""
        connection.execute(_SCHEMA)
        for name, minute, *sums in connection.execute("SELECT * FROM tallies ORDER BY minute"):
            tally = self.get(name)
            at = tally.slot(minute)
            for column, value in zip(_COLUMNS, sums, strict=True):
                getattr(tally, column)[at] = value
        self.saved()

    def save(self, connection: Connection, now_minute: int) -> None:
        """Write pending changes; call `saved` once they are committed."""
        rows = []
        for name, tally in self.series.items():
            columns = [getattr(tally, column) for column in _COLUMNS]
            for minute in tally.dirty:
                at = tally.slot(minute)
                rows.append((name, minute, *(column[at] for column in columns)))
        connection.executemany(
            "INSERT OR REPLACE INTO tallies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
        )
        if rows and now_minute % 60 == 0:
            oldest = now_minute - DAYS * 1440
            connection.execute("DELETE FROM tallies WHERE minute < ?", (oldest,))

    def saved(self) -> None:
        """Discard the pending changes after the commit."""
        for tally in self.series.values():
            tally.dirty.clear()
