"""Durations by operation: by minute for two hours, by hour for a week.

A minute that becomes too old is merged into its hour, which is kept in SQLite only, so memory does
not depend on the number of events.
"""

from collections.abc import Iterable
from sqlite3 import Connection
from typing import Final

from leadlog.monitor.figures.sketch import Sketch

__all__ = ["BASELINE_HOURS", "Latencies"]

BASELINE_HOURS: Final = 7 * 24
_MINUTES_KEPT: Final = 120
_MOST_SERIES: Final = 200

_SCHEMA: Final = tuple(
    f"CREATE TABLE IF NOT EXISTS {table} (series TEXT NOT NULL, {unit} INTEGER NOT NULL, "
    f"sketch BLOB NOT NULL, PRIMARY KEY (series, {unit})) WITHOUT ROWID"
    for table, unit in (("minute_sketches", "minute"), ("hour_sketches", "hour"))
)


class Latencies:
    """The sketches of all series.

    Attributes:
        oldest: the first minute that is kept separately; set by `advance`.
    """

    def __init__(self) -> None:
        self.oldest = 0
        self._minutes: dict[str, dict[int, Sketch]] = {}
        self._closed: dict[str, dict[int, bytes]] = {}
        self._hours: dict[tuple[str, int], Sketch] = {}
        self._dirty: set[tuple[str, int]] = set()
        self._expired: set[tuple[str, int]] = set()
        self._baselines: dict[str, tuple[int, Sketch]] = {}
        self._connection: Connection | None = None

    def add(self, series: str, minute: int, ms: float, weight: float) -> None:
        """Add a duration."""
        if minute < self.oldest:
            self._hour(series, minute // 60).add(ms, weight)
            return
        minutes = self._minutes.get(series)
        if minutes is None:
            if len(self._minutes) >= _MOST_SERIES:
                return
            minutes = self._minutes[series] = {}
        sketch = minutes.get(minute)
        if sketch is None:
            sketch = minutes[minute] = self._opened(series, minute)
        self._dirty.add((series, minute))
        sketch.add(ms, weight)

    def _opened(self, series: str, minute: int) -> Sketch:
        closed = self._closed.get(series, {}).pop(minute, None)
        return Sketch() if closed is None else Sketch.from_bytes(closed)

    def _hour(self, series: str, hour: int) -> Sketch:
        return self._hours.setdefault((series, hour), Sketch())

    def names(self) -> list[str]:
        """Return the names of all series with durations in the last two hours."""
        return sorted({*self._minutes, *self._closed})

    def advance(self, now_minute: int) -> None:
        """Merge minutes that became too old into their hours."""
        if now_minute - _MINUTES_KEPT <= self.oldest:
            return
        self.oldest = now_minute - _MINUTES_KEPT
        for held in (self._minutes, self._closed):
            for series, minutes in held.items():
                for minute in [one for one in minutes if one < self.oldest]:
                    found: Sketch | bytes = minutes.pop(minute)
                    sketch = Sketch.from_bytes(found) if isinstance(found, bytes) else found
                    self._hour(series, minute // 60).merge(sketch)
                    self._dirty.discard((series, minute))
                    self._expired.add((series, minute))
            for series in [name for name, minutes in held.items() if not minutes]:
                del held[series]

    def window(self, series: str, first: int, last: int) -> Sketch:
        """Return the durations from minute `first` to minute `last`, both included."""
        found = Sketch()
        for minute, sketch in self._minutes.get(series, {}).items():
            if first <= minute <= last:
                found.merge(sketch)
        for minute, data in self._closed.get(series, {}).items():
            if first <= minute <= last:
                found.merge(Sketch.from_bytes(data))
        return found

    def baseline(self, series: str, now_minute: int) -> Sketch:
        """Return the durations of the week that ended two hours ago; queried once an hour."""
        hour = now_minute // 60
        known = self._baselines.get(series)
        if known is None or known[0] != hour:
            parts = self._stored(series, hour - BASELINE_HOURS, hour)
            known = self._baselines[series] = hour, Sketch.merged(parts)
        return known[1]

    def _stored(self, series: str, first: int, last: int) -> Iterable[Sketch]:
        if self._connection is not None:
            rows = self._connection.execute(
                "SELECT sketch FROM hour_sketches WHERE series = ? AND hour BETWEEN ? AND ?",
                (series, first, last),
            )
            for (data,) in rows:
                yield Sketch.from_bytes(data)
        for (name, hour), sketch in self._hours.items():
            if name == series and first <= hour <= last:
                yield sketch

    def load(self, connection: Connection) -> None:
        """Create the tables if they are missing, and read the minutes."""
        for statement in _SCHEMA:
            connection.execute(statement)
        self._connection = connection
        for series, minute, data in connection.execute("SELECT * FROM minute_sketches"):
            self._closed.setdefault(series, {})[minute] = data

    def save(self, connection: Connection, now_minute: int) -> None:
        """Write pending changes; call `saved` once they are committed."""
        connection.executemany(
            "INSERT OR REPLACE INTO minute_sketches VALUES (?, ?, ?)",
            [(name, at, self._minutes[name][at].to_bytes()) for name, at in self._dirty],
        )
        connection.executemany(
            "DELETE FROM minute_sketches WHERE series = ? AND minute = ?", list(self._expired)
        )
        for (series, hour), sketch in self._hours.items():
            row = connection.execute(
                "SELECT sketch FROM hour_sketches WHERE series = ? AND hour = ?", (series, hour)
            ).fetchone()
            merged = Sketch.merged([sketch] if row is None else [sketch, Sketch.from_bytes(row[0])])
            connection.execute(
                "INSERT OR REPLACE INTO hour_sketches VALUES (?, ?, ?)",
                (series, hour, merged.to_bytes()),
            )
        if self._expired:
            oldest = now_minute // 60 - BASELINE_HOURS
            connection.execute("DELETE FROM hour_sketches WHERE hour < ?", (oldest,))

    def saved(self) -> None:
        """Discard the pending changes after the commit, and pack all but the newest minutes."""
        self._dirty.clear()
        self._expired.clear()
        self._hours.clear()
        for series, minutes in self._minutes.items():
            if len(minutes) > 2:
                newest = max(minutes)
                packed = self._closed.setdefault(series, {})
                for minute in [one for one in minutes if one < newest - 1]:
                    packed[minute] = minutes.pop(minute).to_bytes()
