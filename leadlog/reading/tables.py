"""The tables that SQL can name, each read from the files again by every scan.

| table | content |
|---|---|
| a category, such as `database_operations` | its records with their sections |
| `operations`, `syncs`, `migrations`, `performance`, `errors`, `monitoring` | the keys of the \
sections as columns |
| `events` | every record's envelope |

Each also has `date`, the UTC day of the file.
"""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from leadlog.core.errors import ReadError
from leadlog.core.layout import CATEGORIES
from leadlog.core.records.envelope import WithContext
from leadlog.core.records.hints import all_keys_of
from leadlog.reading.duck import unreadable
from leadlog.reading.events import Skipped
from leadlog.reading.scan import Scan, scan
from leadlog.reading.washed import readable
from leadlog_processors.log_types import LOG_TYPES

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

__all__ = ["FLAT", "Tables"]

FLAT: dict[str, str] = {one.table: one.category for one in LOG_TYPES}
"""Categories by flat table."""

EVENTS = "events"
_ENVELOPE = ("date", "log_type", *all_keys_of(WithContext))
_MARK = "_damaged"


class Tables:
    """The log as Arrow, for queries that must not access files themselves.

    Args:
        connection: from `leadlog.reading.duck.connect`; used to read the files.
        directory: the log directory.
        since: start of the period, as `timestamp` in the records.
        until: end of the period; excluded.

    Attributes:
        unread: the last error of reading files; None without one. A query raises only another
            database's text of it.
    """

    def __init__(
        self,
        connection: "DuckDBPyConnection",
        directory: str | os.PathLike[str],
        since: str | None = None,
        until: str | None = None,
    ) -> None:
        self._connection = connection
        self._scan: Callable[[str], Scan] = lambda category: scan(
            directory, category, since=since, until=until
        )
        self._damaged: set[str] = set()
        self.unread: ReadError | None = None

    def make_readable(self) -> None:
        """Create the copies from which some files are read, while files can still be written.

        Raises:
            ReadError: a file cannot be read.
        """
        for category in CATEGORIES:
            readable(file.path for file in self._scan(category).files)

    @staticmethod
    def names() -> tuple[str, ...]:
        """Return the names of all tables."""
        return (*CATEGORIES, *FLAT, EVENTS)

    def schema(self, table: str) -> "pa.Schema":
        """Return the columns of a table, as Arrow types."""
        nothing = Scan(FLAT.get(table, table) if table != EVENTS else CATEGORIES[0], (), ())
        names = ", ".join(_ENVELOPE) if table == EVENTS else "*"
        with self._connection.cursor() as cursor:
            sql = nothing.select(cursor, flat=table in FLAT)
            schema: pa.Schema = cursor.sql(f"SELECT {names} FROM ({sql})").to_arrow_table().schema
        return schema

    def read(self, table: str, names: list[str] | None = None) -> "pa.RecordBatchReader":
        """Return a reader of a table's rows, as they are in the files now.

        Args:
            table: name of the table.
            names: names of columns; all by default.

        Raises:
            OSError: a folder cannot be listed.
            ReadError: a file cannot be read.
        """
        import duckdb
        import pyarrow as pa

        schema = self.schema(table)
        wanted = schema.names if names is None else names
        kept = pa.schema([schema.field(name) for name in wanted])
        categories = CATEGORIES if table == EVENTS else (FLAT.get(table, table),)

        def batches() -> Iterator["pa.RecordBatch"]:
            self.unread = None
            try:
                for category in categories:
                    yield from self._batches(category, table in FLAT, wanted, kept)
            except duckdb.OutOfMemoryException:
                raise
            except (duckdb.Error, pa.ArrowException) as error:
                self.unread = unreadable("the log", error)
                raise self.unread from error

        return pa.RecordBatchReader.from_batches(kept, batches())

    def _batches(
        self, category: str, flat: bool, names: list[str], schema: "pa.Schema"
    ) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa
        import pyarrow.compute as pc

        chosen = ", ".join(f'"{name}"' for name in names)
        # A separate cursor, since a query may scan several tables at the same time.
        with self._connection.cursor() as cursor:
            scanned = self._scan(category)
            if scanned.has_damage():
                self._damaged.add(category)
            sql = scanned.select(cursor, flat=flat, damaged=True)
            reader = cursor.sql(
                f"SELECT timestamp IS NULL AS {_MARK}, {chosen} FROM ({sql})"
            ).to_arrow_reader()
            for batch in reader:
                columns_ = batch.columns[1:]
                if batch.column(0).true_count:
                    self._damaged.add(category)
                    sound = pc.call_function("invert", [batch.column(0)])
                    columns_ = [column.filter(sound) for column in columns_]
                yield pa.RecordBatch.from_arrays(columns_, schema=schema)

    def damaged(self) -> Skipped:
        """Count the damaged lines read, and locate the first of them.

        Raises:
            ReadError: a file cannot be read.
        """
        total = Skipped()
        for category in sorted(self._damaged):
            self._scan(category).damaged(self._connection, total)
        return total
