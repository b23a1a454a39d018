"""Roll-ups: counts by quarter of an hour, hour and day, stored in the index next to its events.

They are increased while events are indexed and decreased when a file is forgotten, so that a page
over months reads some thousand rows, not all events. Durations are counted by bucket, packed into
one value per slot and kind; and, for charts of all calls together, per slot and lot (the kinds of
one category and rate), under the lot's negated number.
"""

import math
import sqlite3
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

from leadlog.reading.analytics.durations import BUCKET_WIDTH, NO_TIME

__all__ = ["LEVELS", "TABLES", "Rollup", "fine_and_coarse", "pieces", "unpacked"]

LEVELS: Final = (900, 3_600, 86_400)
"""Widths of the slots in seconds; each is a multiple of the one before."""

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
    level INTEGER NOT NULL, slot INTEGER NOT NULL, kind INTEGER NOT NULL, buckets BLOB NOT NULL,
    PRIMARY KEY (level, slot, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (
    slot INTEGER NOT NULL, bin INTEGER NOT NULL, marks INTEGER NOT NULL, n INTEGER NOT NULL,
    thousandths INTEGER NOT NULL, PRIMARY KEY (slot, bin, marks)
) WITHOUT ROWID;
"""
"""`slot` is the number of the quarter, hour or day since 1970; `bin` the score in twentieths,
`thousandths` what the scores add up to."""


def unpacked(buckets: bytes) -> Iterator[tuple[int, int]]:
    """Yield (bucket, count) from a packed value of `latencies`."""
    numbers = array("i", buckets)
    return zip(numbers[::2], numbers[1::2], strict=True)


class _Cell:
    """Totals of the events of one slot and kind."""

    __slots__ = ("buckets", "n", "timed", "us")

    def __init__(self) -> None:
        self.n = self.timed = self.us = 0
        self.buckets: dict[int, int] = {}

    def add(self, other: "_Cell") -> None:
        self.n += other.n
        self.timed += other.timed
        self.us += other.us
        _add(self.buckets, other.buckets)


_Cells = defaultdict[tuple[int, int], _Cell]


class Rollup:
    """Roll-up of some events.

    Args:
        lot: returns the number of a kind's lot by the kind's number.
    """

    def __init__(self, lot: Callable[[int], int]) -> None:
        self._lot = lot
        self._durations: defaultdict[tuple[int, int], list[int | None]] = defaultdict(list)
        self._scores: Counter[tuple[int, int, int]] = Counter()
        self._thousandths: Counter[tuple[int, int, int]] = Counter()

    def add(self, rows: Iterable[Row]) -> None:
        """Add some events."""
        durations, scores, thousandths = self._durations, self._scores, self._thousandths
        for at, kind, duration, score, marks in rows:
            durations[at // _FINEST_US, kind].append(duration)
            if score is not None:
                cell = at // _DAY_US, min(score // _BIN, 19), marks or 0
                scores[cell] += 1
                thousandths[cell] += score

    def _cells(self) -> _Cells:
        cells: _Cells = defaultdict(_Cell)
        log, ceil, width = math.log, math.ceil, BUCKET_WIDTH
        for key, durations in self._durations.items():
            cell = cells[key]
            timed = [one for one in durations if one is not None]
            cell.n, cell.timed, cell.us = len(durations), len(timed), sum(timed)
            own = cell.buckets
            for us in timed:
                bucket = ceil(log(us / 1000) / width) if us else NO_TIME  # as `bucket_of`
                own[bucket] = own.get(bucket, 0) + 1
        return cells

    def write(self, connection: sqlite3.Connection, sign: int = 1) -> None:
        """Add the totals to the tables, or subtract them with the sign -1.

        Raises:
            sqlite3.Error: the database cannot be written.
        """
        cells = self._cells()
        for place, level in enumerate(LEVELS):
            if place:
                share = level // LEVELS[place - 1]
                wider: _Cells = defaultdict(_Cell)
                for (slot, kind), cell in cells.items():
                    wider[slot // share, kind].add(cell)
                cells = wider
            connection.executemany(
                "INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "n = n + excluded.n, timed = timed + excluded.timed, us = us + excluded.us",
                [
                    (level, *key, sign * cell.n, sign * cell.timed, sign * cell.us)
                    for key, cell in cells.items()
                ],
            )
            self._write_latencies(connection, level, cells, sign)
        connection.executemany(
            "INSERT INTO scores VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "n = n + excluded.n, thousandths = thousandths + excluded.thousandths",
            ((*key, sign * n, sign * self._thousandths[key]) for key, n in self._scores.items()),
        )
        if sign < 0:
            for table in ("counts", "scores"):
                connection.execute(f"DELETE FROM {table} WHERE n <= 0")  # noqa: S608 - ours

    def _write_latencies(
        self, connection: sqlite3.Connection, level: int, cells: _Cells, sign: int
    ) -> None:
        added: dict[tuple[int, int], dict[int, int]] = {}
        for (slot, kind), cell in cells.items():
            if cell.timed:
                added[slot, kind] = cell.buckets
                _add(added.setdefault((slot, -self._lot(kind)), {}), cell.buckets)
        if not added:
            return
        slots = [slot for slot, _ in added]
        there = {
            (slot, kind): buckets
            for slot, kind, buckets in connection.execute(
                "SELECT slot, kind, buckets FROM latencies "
                "WHERE level = ? AND slot BETWEEN ? AND ?",
                (level, min(slots), max(slots)),
            )
        }
        rows, gone = [], []
        for key, buckets in added.items():
            counts = buckets
            if sign < 0 or key in there:
                counts = dict(unpacked(there.get(key, b"")))
                _add(counts, buckets, sign)
                counts = {bucket: n for bucket, n in counts.items() if n > 0}
            if counts:
                packed = array("i", chain.from_iterable(counts.items())).tobytes()
                rows.append((level, *key, packed))
            else:
                gone.append((level, *key))
        connection.executemany("INSERT OR REPLACE INTO latencies VALUES (?, ?, ?, ?)", rows)
        connection.executemany(
            "DELETE FROM latencies WHERE level = ? AND slot = ? AND kind = ?", gone
        )


def _add(counts: dict[int, int], more: Mapping[int, int], sign: int = 1) -> None:
    get = counts.get
    for bucket, n in more.items():
        counts[bucket] = get(bucket, 0) + sign * n


def fine_and_coarse(
    since: int, until: int, step: int | None
) -> tuple[list[tuple[int, int]], tuple[int, int] | None]:
    """Return the parts of a period that roll-ups do not have, and the one part that they have.

    Args:
        since: first moment, microseconds since 1970.
        until: the moment at which the period has ended.
        step: of slots, in seconds, that must not be split; None for none.
    """
    parts = [*pieces(since, until, step)]
    fine = [(start, end) for level, start, end in parts if not level]
    coarse = [(start, end) for level, start, end in parts if level]
    return fine, (coarse[0][0], coarse[-1][1]) if coarse else None


def pieces(since: int, until: int, step: int | None = None) -> Iterator[tuple[int, int, int]]:
    """Yield parts of a period: width of their slots in seconds (0: single events), start, end.

    With a step, only slots that lie whole in one of the steps are taken.
    """
    widths = [width for width in reversed(LEVELS) if step is None or step % width == 0]
    yield from _split(since, until, widths)


def _split(since: int, until: int, widths: list[int]) -> Iterator[tuple[int, int, int]]:
    if since >= until:
        return
    if not widths:
        yield 0, since, until
        return
    width = widths[0] * 1_000_000
    first, last = -(-since // width) * width, until // width * width
    if first >= last:
        yield from _split(since, until, widths[1:])
        return
    yield from _split(since, first, widths[1:])
    yield widths[0], first, last
    yield from _split(last, until, widths[1:])
