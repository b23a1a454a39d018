"""Rows counted as they are fetched.

A result's cursor strategy is where SQLAlchemy takes rows from the driver, for ORM and Core,
buffered and streamed, sync and async. It is semi-private: tests pin how it behaves.
"""

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NoReturn

from sqlalchemy.engine import CursorResult

from leadlog.recording.capture import seam
from leadlog.recording.capture.operation import IDS_LISTED
from leadlog.recording.pipeline import report_failure


class FetchTally:
    """What was fetched of one result.

    Args:
        end: called once, when no more rows will come.
        keep: what to keep of the first rows, as the driver gives them.

    Attributes:
        rows: rows fetched.
        fetch_ns: time that it took, nanoseconds.
        exhausted: whether these are all that there were.
        error: what a fetch raised.
        kept: what was kept, of 100 rows at most.
    """

    __slots__ = (
        "__weakref__",
        "_busy",
        "_closed",
        "_end",
        "_keep",
        "error",
        "exhausted",
        "fetch_ns",
        "kept",
        "rows",
    )

    def __init__(
        self, end: "Callable[[FetchTally], None]", keep: Callable[[Any], Any] | None = None
    ) -> None:
        self._keep = keep
        self.kept: list[Any] = []
        self.rows = 0
        self.fetch_ns = 0
        self.exhausted = False
        self.error: BaseException | None = None
        self._end: Callable[[FetchTally], None] | None = end
        self._busy = 0
        self._closed = False

    def fetched(self, fetch: Callable[[], Any], rows_of: Callable[[Any], Sequence[Any]]) -> Any:
        """Fetches, counts and times; rows are counted before a fetch that ends the result is."""
        self._busy += 1
        started = time.perf_counter_ns()
        try:
            found = fetch()
            rows = rows_of(found)
            self.rows += len(rows)
            if self._keep is not None:
                self.kept += map(self._keep, islice(rows, max(0, IDS_LISTED - len(self.kept))))
            self.exhausted = self._closed
            return found
        finally:
            self.fetch_ns += time.perf_counter_ns() - started
            self._busy -= 1
            if self._closed:
                self.close()

    def close(self) -> None:
        """Ends it, once the fetch under way has been counted."""
        self._closed = True
        if not self._busy and self._end is not None:
            end, self._end = self._end, None
            try:
                end(self)
            except Exception as error:  # noqa: BLE001 - the application has its rows
                report_failure(error)
            self.error = None  # whose frames hold this tally


def _one(row: Any) -> Sequence[Any]:
    return () if row is None else (row,)


def _all(rows: Sequence[Any]) -> Sequence[Any]:
    return rows


class Counting(seam.CursorFetchStrategy):
    """Wraps a result's strategy and counts what it fetches.

    Args:
        inner: the strategy.
        tally: what counts.
    """

    __slots__ = ("_inner", "_tally", "alternate_cursor_description")

    def __init__(self, inner: seam.ResultFetchStrategy, tally: FetchTally) -> None:
        self._inner = inner
        self._tally = tally
        self.alternate_cursor_description = inner.alternate_cursor_description

    def fetchone(self, result: Any, dbapi_cursor: Any, hard_close: bool = False) -> Any:
        """One row, or None."""
        return self._tally.fetched(
            lambda: self._inner.fetchone(result, dbapi_cursor, hard_close), _one
        )

    def fetchmany(self, result: Any, dbapi_cursor: Any, size: int | None = None) -> Any:
        """Some rows."""
        return self._tally.fetched(lambda: self._inner.fetchmany(result, dbapi_cursor, size), _all)

    def fetchall(self, result: Any, dbapi_cursor: Any) -> Any:
        """The rest of the rows."""
        return self._tally.fetched(lambda: self._inner.fetchall(result, dbapi_cursor), _all)

    def soft_close(self, result: Any, dbapi_cursor: Any) -> None:
        """Rows are at their end."""
        self._inner.soft_close(result, dbapi_cursor)
        self._tally.close()

    def hard_close(self, result: Any, dbapi_cursor: Any) -> None:
        """The result is closed."""
        self._inner.hard_close(result, dbapi_cursor)
        self._tally.close()

    def yield_per(self, result: Any, dbapi_cursor: Any, num: int) -> None:
        """Takes up the strategy that streams, and goes on counting."""
        self._inner.yield_per(result, dbapi_cursor, num)
        if result.cursor_strategy is not self:
            self._inner = result.cursor_strategy
            result.cursor_strategy = self

    def handle_exception(self, result: Any, dbapi_cursor: Any, err: BaseException) -> NoReturn:
        """A fetch failed."""
        self._tally.error = err
        self._tally.close()
        self._inner.handle_exception(result, dbapi_cursor, err)
        raise err

    def __del__(self) -> None:
        """Ends the count of a result that was dropped with rows left."""
        self._tally.close()


def count(
    result: CursorResult[Any],
    end: Callable[[FetchTally], None],
    keep: Callable[[Any], Any] | None = None,
) -> FetchTally | None:
    """Counts the rows that will be fetched of a result; one that has none ends at once.

    Args:
        result: a result whose rows are still to come.
        end: told once, with what was fetched.
        keep: what to keep of the first rows.

    Returns:
        What counts, where there are rows to come; it lives as long as the result.
    """
    tally = FetchTally(end, keep)
    if seam.is_soft_closed(result):
        tally.close()
        return None
    result.cursor_strategy = Counting(result.cursor_strategy, tally)
    return tally
