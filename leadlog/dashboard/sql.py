"""A visitor's SQL queries, in the same sandbox as `leadlog query`, with cancel and export."""

import csv
import io
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

from leadlog.core.errors import QueryError
from leadlog.reading.query import Limits, Rows, run_query
from leadlog.reading.values import json_text, plain

__all__ = ["LIMITS", "Queries"]

LIMITS: Final = Limits(seconds=30.0, memory_mb=512, threads=2)
_ROWS: Final = 1_000
_CELL: Final = 2_000
_AT_ONCE: Final = 4
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class Cancelled:
    """Cancellation flag of a query."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._kill: Callable[[], None] | None = None

    def is_set(self) -> bool:
        """Return True if the query was cancelled."""
        return self._set.is_set()

    def started(self, kill: Callable[[], None]) -> None:
        """Register the function that kills the query's process."""
        self._kill = kill
        if self._set.is_set():
            kill()

    def cancel(self) -> None:
        """Cancel the query."""
        self._set.set()
        if self._kill is not None:
            self._kill()


class Queries:
    """The running queries, each of which can be cancelled.

    Args:
        directory: the log directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: dict[str, Cancelled] = {}
        self._lock = threading.Lock()

    def cancel(self, name: str) -> bool:
        """Cancel a query; return True if it was running."""
        with self._lock:
            event = self._running.get(name)
        if event is not None:
            event.cancel()
        return event is not None

    def cancel_all(self) -> None:
        """Cancel all running queries."""
        with self._lock:
            events = [*self._running.values()]
        for event in events:
            event.cancel()

    def run(self, name: str, sql: str, since: str | None, until: str | None) -> dict[str, Any]:
        """Run a query and return its first thousand rows as plain data.

        Args:
            name: name by which it can be cancelled.
            sql: the statement.
            since: only events at this time or later, as in the records.
            until: only events before this time.

        Raises:
            QueryError: the SQL is wrong, the query was cancelled, or too many queries are running.
            QueryLimitError: the query took too much time or memory.
            ReadError: a log file cannot be read.
            MissingExtraError: `leadlog[analytics]` is not installed.
        """
        with self._named(name, sql, since, until) as (rows, cancelled):
            names = rows.reader.schema.names
            found: list[list[Any]] = []
            more = False
            for batch in rows.reader:
                _stop_if(cancelled)
                if len(found) < _ROWS:
                    columns = [column.to_pylist() for column in batch.columns]
                    found += [[_shown(cell) for cell in row] for row in zip(*columns, strict=True)]
                more = more or len(found) > _ROWS
            return {
                "columns": names,
                "types": [str(field.type) for field in rows.reader.schema],
                "rows": found[:_ROWS],
                "more": more,
                "damaged": rows.damaged_lines,
            }

    def export(
        self, name: str, sql: str, since: str | None, until: str | None, form: str
    ) -> Iterator[bytes]:
        """Yield the rows of a query as a CSV or Parquet file; arguments and errors as for `run`.

        A CSV field that a spreadsheet would interpret as a formula is prefixed with an apostrophe.
        """
        with self._named(name, sql, since, until) as (rows, cancelled):
            if form == "parquet":
                yield from _parquet(rows, cancelled)
            else:
                yield from _csv(rows, cancelled)

    def _named(self, name: str, sql: str, since: str | None, until: str | None) -> "_Running":
        return _Running(self._running, self._lock, name, self._directory, (sql, since, until))


class _Running:
    """A running query that can be cancelled."""

    def __init__(
        self,
        running: dict[str, Cancelled],
        lock: threading.Lock,
        name: str,
        directory: Path,
        asked: tuple[str, str | None, str | None],
    ) -> None:
        self._running = running
        self._lock = lock
        self._name = name
        sql, since, until = asked
        self._cancelled = Cancelled()
        self._query = run_query(
            directory,
            sql,
            since=since,
            until=until,
            limits=LIMITS,
            on_start=self._cancelled.started,
        )

    def __enter__(self) -> tuple[Rows, Cancelled]:
        with self._lock:
            if len(self._running) >= _AT_ONCE:
                raise QueryError(f"{_AT_ONCE} queries are running; wait for one, or cancel it")
            self._running[self._name] = self._cancelled
        try:
            return self._query.__enter__(), self._cancelled
        except BaseException as error:
            self._forget()
            self._explain(error)
            raise

    def __exit__(self, *failure: Any) -> Any:
        self._forget()
        try:
            return self._query.__exit__(*failure)
        except BaseException as error:
            self._explain(error)
            raise

    def _explain(self, error: BaseException) -> None:
        """Raise QueryError if the process ended because the query was cancelled."""
        if self._cancelled.is_set():
            raise QueryError("the query was cancelled") from error

    def _forget(self) -> None:
        with self._lock:
            self._running.pop(self._name, None)


def _stop_if(cancelled: Cancelled) -> None:
    if cancelled.is_set():
        raise QueryError("the query was cancelled")


def _shown(cell: Any) -> Any:
    value = plain(cell)
    if value is None or type(value) in {int, float, bool}:
        return value
    text = value if isinstance(value, str) else json_text(value).decode().strip('"')
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"


def _csv(rows: Rows, cancelled: Cancelled) -> Iterator[bytes]:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(map(_harmless, rows.reader.schema.names))
    for batch in rows.reader:
        _stop_if(cancelled)
        columns = [column.to_pylist() for column in batch.columns]
        writer.writerows([_field(cell) for cell in row] for row in zip(*columns, strict=True))
        yield out.getvalue().encode()
        out.seek(0)
        out.truncate()
    yield out.getvalue().encode()


def _field(cell: Any) -> Any:
    value = plain(cell)
    if value is None or type(value) in {int, float}:
        return value
    return _harmless(value if isinstance(value, str) else json_text(value).decode().strip('"'))


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _parquet(rows: Rows, cancelled: Cancelled) -> Iterator[bytes]:
    import pyarrow.parquet as pq

    with tempfile.TemporaryFile() as file:
        with pq.ParquetWriter(file, rows.reader.schema, compression="zstd") as writer:
            for batch in rows.reader:
                _stop_if(cancelled)
                writer.write_batch(batch)
        file.seek(0)
        yield from _pieces(file)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(1 << 18):
        yield piece
