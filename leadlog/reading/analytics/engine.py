"""Engines of the built-in queries: DuckDB in this process, over the files in place."""

import os
from decimal import Decimal
from types import TracebackType
from typing import Any, Protocol, Self

from leadlog.reading.columnar import with_columns
from leadlog.reading.duck import MEMORY_MB, connect, unreadable
from leadlog.reading.events import Skipped
from leadlog.reading.scan import Scan, scan
from leadlog.reading.tables import FLAT

__all__ = ["DuckDBEngine", "Engine", "whole"]

_ATTEMPTS = 3


def whole(value: Any) -> Any:
    """Return a decimal as an int; the built-in queries have only whole ones."""
    return int(value) if isinstance(value, Decimal) else value


class Engine(Protocol):
    """Runs SQL over the flat tables of a log."""

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of a built-in query; whole numbers are ints.

        Raises:
            ReadError: a file cannot be read.
        """
        ...


class DuckDBEngine:
    """The embedded engine; a context manager.

    Args:
        directory: the log directory.
        since: only events of this time or later, as `timestamp` in the records.
        until: only events before this time.
        memory_mb: memory limit of DuckDB in 10^6 bytes.
        columns: read large files from the index's columns, which are created where they are
            missing; the answers do not depend on it.

    Attributes:
        connection: the connection to DuckDB; callers may create tables in it.

    Raises:
        MissingExtraError: DuckDB is not installed.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        since: str | None = None,
        until: str | None = None,
        *,
        memory_mb: int = MEMORY_MB,
        columns: bool = True,
    ) -> None:
        self._columns = columns
        self._directory = directory
        self._window = since, until
        self._scans: list[Scan] = []
        self.connection = connect(memory_mb=memory_mb)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.connection.close()

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of one of leadlog's own SQL texts; `parameters` are its `$name`.

        Raises:
            ReadError: a file cannot be read.
        """
        import duckdb

        for attempt in range(_ATTEMPTS):
            try:
                self._make_views(sql)
                cursor = self.connection.execute(sql, parameters)
                names = [column[0] for column in cursor.description or ()]
                return [dict(zip(names, map(whole, row), strict=True)) for row in cursor.fetchall()]
            except duckdb.IOException as error:
                # A file was compressed or removed after it was listed; list them again.
                if attempt + 1 == _ATTEMPTS:
                    raise unreadable("the log", error) from error
            except duckdb.Error as error:
                raise unreadable("the log", error) from error
        raise AssertionError

    def _make_views(self, sql: str) -> None:
        self._scans = []
        since, until = self._window
        for name, category in FLAT.items():
            if name in sql:
                found = scan(self._directory, category, since=since, until=until)
                if self._columns:
                    found = with_columns(found, self._directory, self.connection)
                self._scans.append(found)
                select = found.select(self.connection, flat=True)
                self.connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {select}")

    def damaged(self) -> Skipped:
        """Count the damaged lines of the tables that the last query read.

        Raises:
            ReadError: a file cannot be read.
        """
        skipped = Skipped()
        for one in self._scans:
            one.damaged(self.connection, skipped)
        return skipped
