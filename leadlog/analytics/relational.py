"""Counts the events of days in DuckDB: the same tally as event by event, many times faster.

Each category of a day is read once, into a narrow table; what is counted is counted there.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from leadlog.analytics.sections import Exact
from leadlog.analytics.tally import Tally
from leadlog.analytics.tally_queries import TIMED, TallyQueries, columns_of
from leadlog.layout import LogFile
from leadlog.reading.part import damaged_path, read_damaged
from leadlog.reading.scan import Part, Scan, connect, literally

__all__ = ["TableCounter"]

_BLOCK_BYTES = 1024 * 1024


class TableCounter:
    """Counts in DuckDB.

    Args:
        exact: whether the single durations are kept, for exact percentiles.
        memory_mb: 10^6 bytes that DuckDB may take; what needs more goes to temporary files.

    Raises:
        MissingExtraError: DuckDB is not installed.
    """

    def __init__(self, *, exact: bool = False, memory_mb: int = 256) -> None:
        self._connection = connect(memory_mb=memory_mb)
        self._queries = TallyQueries(self._rows)
        self._exact = exact
        self._connection.execute(
            "CREATE TABLE durations (operation VARCHAR, rate DOUBLE, ms DOUBLE, bucket INTEGER)"
        )

    def close(self) -> None:
        """Gives the memory back."""
        self._connection.close()

    def _rows(self, sql: str, parameters: Mapping[str, str]) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, dict(parameters)).fetchall()

    def count(self, files: Iterable[LogFile], *, over: bool) -> Tally:
        """The tally of some files.

        Args:
            files: of one day, all of them.
            over: whether the day is over: then the last line of a file that has no end will
                never have one, and counts as skipped.

        Raises:
            ReadError: a file cannot be read.
        """
        by_category: defaultdict[str, list[LogFile]] = defaultdict(list)
        for file in files:
            by_category[file.category].append(file)
        tally = Tally()
        counted = lost = 0
        for category, own in by_category.items():
            tally = self._queries.days[own[0].date]
            scan = Scan(
                category,
                tuple(file for file in own if not file.archived),
                tuple(Part(file.date, file.path) for file in own if file.archived),
            )
            self._count(category, scan.select(self._connection, flat=True))
            before, counted = counted, sum(count for _, count in tally.counts())
            # Only where something is missing are the lines looked at again, one by one.
            if scan.files and _lines_of(scan.files) != counted - before - self._sealed(scan.parts):
                skipped = scan.damaged(self._connection)
                lost += skipped.lines + (skipped.unfinished if over else 0)
            for part in scan.parts:
                others = read_damaged(damaged_path(part.path))
                lost += sum(1 for one in others if over or not one.unfinished)
        tally.lines_skipped = lost
        return tally

    def _count(self, category: str, source: str) -> None:
        self._connection.execute(
            f"CREATE TEMP TABLE counted AS SELECT {columns_of(category)} FROM ({source})"
        )
        self._queries.count(category, "counted")
        if self._exact and category == TIMED:
            self._connection.execute(
                "INSERT INTO durations SELECT operation, rate, ms, bucket FROM counted "
                "WHERE ms IS NOT NULL"
            )
        self._connection.execute("DROP TABLE counted")

    def _sealed(self, parts: Sequence[Part]) -> int:
        """How many events some parts hold."""
        if not parts:
            return 0
        paths = [literally(part.path) for part in parts]
        found = self._connection.execute(
            "SELECT coalesce(sum(num_rows), 0) FROM parquet_file_metadata(?)", [paths]
        ).fetchone()
        return int(found[0]) if found else 0

    def exact(self) -> Exact:
        """The percentiles of all that was counted, by operation; none unless asked for."""
        return self._queries.exact("durations") if self._exact else {}


def _lines_of(files: Iterable[LogFile]) -> float:
    """How many lines some files have, the ones without an end included."""
    lines = 0
    for file in files:
        if file.compressed:
            return math.nan  # not to be had without unpacking it, which the other way does faster
        last = b"\n"
        with file.path.open("rb") as stream:
            while data := stream.read(_BLOCK_BYTES):
                lines += data.count(b"\n")
                last = data[-1:]
        lines += last != b"\n"
    return lines
