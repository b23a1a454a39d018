"""Counts by quarter of an hour, hour and day, which the index keeps beside its events.

They are added up while events are indexed and taken off again when a file is forgotten, so that a
page over months reads some thousand rows, not all events.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from leadlog.reading.analytics.durations import bucket_of

__all__ = ["LEVELS", "TABLES", "Rollup"]

LEVELS: Final = (900, 3_600, 86_400)
"""Widths of the slots that are kept, in seconds; each is a multiple of the one before."""

_FINEST_US: Final = LEVELS[0] * 1_000_000
_DAY_US: Final = 86_400 * 1_000_000
_BIN: Final = 50
"""Width of a bin of scores, in thousandths."""

Row = tuple[int, int, int | None, int | None, int | None]
"""Time in microseconds since 1970, kind, duration in microseconds, score, marks."""

TABLES: Final = """
CREATE TABLE IF NOT EXISTS counts (
    level INTEGER NOT NULL, slot INTEGER NOT NULL, kind INTEGER NOT NULL, n INTEGER NOT NULL,
    timed INTEGER NOT NULL, us INTEGER NOT NULL, PRIMARY KEY (level, slot, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS latencies (
    level INTEGER NOT NULL, slot INTEGER NOT NULL, kind INTEGER NOT NULL, bucket INTEGER NOT NULL,
    n INTEGER NOT NULL, PRIMARY KEY (level, slot, kind, bucket)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (
    slot INTEGER NOT NULL, bin INTEGER NOT NULL, marks INTEGER NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (slot, bin, marks)
) WITHOUT ROWID;
"""
"""`slot` is the number of the quarter, hour or day since 1970; `bin` the score in twentieths."""


class Rollup:
    """What some events add up to."""

    def __init__(self) -> None:
        self._n: Counter[tuple[int, int]] = Counter()
        self._timed: Counter[tuple[int, int]] = Counter()
        self._us: Counter[tuple[int, int]] = Counter()
        self._latencies: Counter[tuple[int, int, int]] = Counter()
        self._scores: Counter[tuple[int, int, int]] = Counter()

    def add(self, rows: Iterable[Row]) -> None:
        """Count some events."""
        n, timed, us, latencies, scores = (
            self._n,
            self._timed,
            self._us,
            self._latencies,
            self._scores,
        )
        for at, kind, duration, score, marks in rows:
            slot = at // _FINEST_US
            key = (slot, kind)
            n[key] += 1
            if duration is not None:
                timed[key] += 1
                us[key] += duration
                latencies[slot, kind, bucket_of(duration / 1000)] += 1
            if score is not None:
                scores[at // _DAY_US, min(score // _BIN, 19), marks or 0] += 1

    def write(self, connection: sqlite3.Connection, sign: int = 1) -> None:
        """Add all of it to the tables, or with the sign -1 take it off.

        Raises:
            sqlite3.Error: it cannot be written.
        """
        ns, timeds, totals, buckets = self._n, self._timed, self._us, self._latencies
        for place, level in enumerate(LEVELS):
            if place:
                share = level // LEVELS[place - 1]
                ns, timeds, totals = (_widened(one, share) for one in (ns, timeds, totals))
                buckets = _widened(buckets, share)
            connection.executemany(
                "INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "n = n + excluded.n, timed = timed + excluded.timed, us = us + excluded.us",
                [
                    (level, *key, sign * n, sign * timeds[key], sign * totals[key])
                    for key, n in ns.items()
                ],
            )
            connection.executemany(
                "INSERT INTO latencies VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "n = n + excluded.n",
                [(level, *key, sign * n) for key, n in buckets.items()],
            )
        connection.executemany(
            "INSERT INTO scores VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
            ((*key, sign * n) for key, n in self._scores.items()),
        )
        if sign < 0:
            for table in ("counts", "latencies", "scores"):
                connection.execute(f"DELETE FROM {table} WHERE n <= 0")  # noqa: S608 - ours


Key = TypeVar("Key", bound=tuple[int, ...])


def _widened(counts: Counter[Key], share: int) -> Counter[Key]:
    """The counts in slots that are so many times as wide."""
    found: Counter[Any] = Counter()
    for (slot, *rest), n in counts.items():
        found[(slot // share, *rest)] += n
    return found
