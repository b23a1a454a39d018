"""One category of a log as one SQL relation: plain lines, compressed lines and Parquet.

    from leadlog.reading.scan import connect, scan

    connection = connect()
    found = scan("database_logs", "database_operations", since="2026-11-23T00:00:00.000000Z")
    connection.sql(f"SELECT count(*) FROM ({found.select(connection)})")

Files are chosen by the day in their names; a line stands in the file of the day on which it was
written, which is that of its `timestamp` or a later one. What lies there in several forms comes
out once (`leadlog.core.layout`); the files of one day must hold different events.

A line that is no event (torn, overwritten, not UTF-8, no JSON object with a `timestamp`) comes out
of DuckDB as a row of nulls, which `select` leaves out and `damaged` counts. So does a last line
that is still being written; where it lacks nothing but its newline, it is left out by its id.
Values that have not the type of their column are null there.
"""

import datetime as dt
import os
import re
import tempfile
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from leadlog.core.errors import MissingExtraError, ReadError
from leadlog.core.layout import LogFile, log_files
from leadlog.reading.columns import columns, flat_columns, record_of
from leadlog.reading.compressed import is_cut
from leadlog.reading.damage import unfinished_line
from leadlog.reading.events import Skipped, decode, read_events
from leadlog.reading.moments import shifted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Part", "Scan", "connect", "literally", "message_of", "quoted", "scan", "unreadable"]

MEMORY_MB = 512
_ALWAYS_READ = {"timestamp", "event_id"}
_PATTERN_SIGN = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A Parquet file of the archive.

    Attributes:
        date: UTC calendar day, `2026-11-23`.
        path: the file.
    """

    date: str
    path: Path


@dataclass(frozen=True, slots=True)
class Scan:
    """The files of one category at one moment, and how to read them all.

    Attributes:
        category: the folder.
        files: with lines, plain or compressed.
        parts: Parquet files.
        since: the first moment wanted, as `timestamp`; None for no such limit.
        until: the first moment not wanted any more, as `timestamp`.
    """

    category: str
    files: tuple[LogFile, ...]
    parts: tuple[Part, ...]
    since: str | None = None
    until: str | None = None

    def select(
        self,
        connection: "DuckDBPyConnection",
        *,
        flat: bool = False,
        only: Container[str] | None = None,
        damaged: bool = False,
    ) -> str:
        """A SELECT of all events: `date`, the file's UTC day, then the columns of the category.

        Args:
            connection: of `connect`; reads the schema of one Parquet file, where there is one.
            flat: gives the keys of the sections as columns (`columns.flat_columns`). A query
                that needs few of them is then faster, since no whole section is read.
            only: the columns that are wanted; by default all of them, of which each costs
                some time in planning even where it is not read.
            damaged: keeps the rows of nulls that stand for lines that are no events.
        """
        kinds = columns(self.category)
        chosen = {"date": "date"}
        chosen |= flat_columns(self.category) if flat else {key: _name(key) for key in kinds}
        if only is not None:
            chosen = {name: path for name, path in chosen.items() if name in only}
            read = {path.partition(".")[0].strip('"') for path in chosen.values()} | _ALWAYS_READ
            kinds = {key: kind for key, kind in kinds.items() if key in read}
        names = ", ".join(f"{path} AS {_name(name)}" for name, path in chosen.items())
        where = " AND ".join(
            f"timestamp {sign} CAST({quoted(limit)} AS TIMESTAMP)"
            for limit, sign in ((self.since, ">="), (self.until, "<"))
            if limit is not None
        )
        where = where or "true"
        where = (
            f"({where}) OR timestamp IS NULL" if damaged else f"{where} AND timestamp IS NOT NULL"
        )
        return " UNION ALL ".join(
            f"SELECT {names} FROM ({source}) WHERE {where}"
            for source in self._sources(connection, kinds)
        )

    def _sources(self, connection: "DuckDBPyConnection", kinds: Mapping[str, str]) -> Iterator[str]:
        """Lines and Parquet; a row of nulls for each line that is no event."""
        if self.files:
            yield self._lines(kinds)
        if self.parts:
            yield self._whole(connection, kinds)
        if not self.files and not self.parts:
            yield _nothing(kinds)

    def _whole(self, connection: "DuckDBPyConnection", kinds: Mapping[str, str]) -> str:
        """The Parquet files with every column, whatever the contract was when they were made."""
        found = connection.execute(
            "SELECT name FROM parquet_schema(?)", [literally(self.parts[-1].path)]
        ).fetchall()
        parquet = self._parquet(self.parts)
        if not kinds.keys() <= {name for (name,) in found}:
            parquet = f"{_nothing(kinds)} UNION ALL BY NAME {parquet}"
        # No cast at all where the type is that of the file.
        casts = (f"CAST({_name(key)} AS {kind}) AS {_name(key)}" for key, kind in kinds.items())
        return f"SELECT date, {', '.join(casts)} FROM ({parquet})"

    def _lines(self, kinds: Mapping[str, str]) -> str:
        wanted = ", ".join(f"{_name(key)}: {quoted(kind)}" for key, kind in kinds.items())
        return (
            "SELECT CAST(parse_filename(filename)[:10] AS DATE) AS date, * EXCLUDE (filename) "
            f"FROM read_ndjson({_paths(file.path for file in self.files)}, columns = {{{wanted}}}, "
            f"ignore_errors = true, filename = true){self._without_rests()}"
        )

    def _without_rests(self) -> str:
        """Leaves out last lines that are whole events but for their newline."""
        said = []
        for file in self.files:
            event = None if file.compressed else decode(unfinished_line(file.path))
            if event is not None:
                stamp, event_id = event["timestamp"], event.get("event_id")
                same = quoted(event_id) if isinstance(event_id, str) else "NULL"
                said.append(
                    f"(filename = {quoted(str(file.path))} "
                    f"AND event_id IS NOT DISTINCT FROM {same} AND timestamp "
                    f"IS NOT DISTINCT FROM TRY_CAST({quoted(stamp)} AS TIMESTAMP))"
                )
        return f" WHERE NOT ({' OR '.join(said)})" if said else ""

    def _parquet(self, parts: tuple[Part, ...]) -> str:
        return (
            f"SELECT * EXCLUDE (category) FROM read_parquet({_paths(part.path for part in parts)}, "
            "union_by_name = true, hive_partitioning = true, "
            "hive_types = {'category': 'VARCHAR', 'date': 'DATE'})"
        )

    def damaged(self, connection: "DuckDBPyConnection", skipped: Skipped | None = None) -> Skipped:
        """Counts the lines that are no events, and finds the first of them.

        Only files with such lines are read a second time, to tell lines that are damaged from
        one that is still being written. A compressed file that is cut off counts as one line.

        Args:
            connection: of `connect`.
            skipped: to add to; a new one by default.

        Raises:
            ReadError: a file cannot be read.
        """
        skipped = Skipped() if skipped is None else skipped
        if not self.files:
            return skipped
        rows = connection.execute(
            "SELECT filename FROM read_ndjson("
            f"{_paths(file.path for file in self.files)}, columns = {{timestamp: 'TIMESTAMP'}}, "
            "ignore_errors = true, filename = true) WHERE timestamp IS NULL GROUP BY filename"
        ).fetchall()
        paths = {Path(path) for (path,) in rows} | set(self.cut_files())
        plain = [file.path for file in self.files if not file.compressed]
        paths |= {path for path in plain if unfinished_line(path)}
        for path in sorted(paths):
            for _ in read_events(path, skipped=skipped, to_damage=True):
                pass
        return skipped

    def cut_files(self) -> list[Path]:
        """Compressed files that end before their content does, of which the rest is missing.

        Raises:
            ReadError: one cannot be read.
        """
        packed = [file.path for file in self.files if file.compressed]
        try:
            return [path for path in packed if is_cut(path)]
        except OSError as error:
            raise ReadError(f"cannot read a compressed file: {error}") from error


def scan(
    directory: str | os.PathLike[str],
    category: str,
    *,
    since: str | None = None,
    until: str | None = None,
) -> Scan:
    """Lists the files of a category, for one relation over all of them.

    Args:
        directory: the log directory; one that does not exist has no files.
        category: the folder, such as `database_operations`.
        since: the first moment wanted, as `timestamp` in the records, or a UTC day.
        until: the first moment not wanted any more; the same.

    Raises:
        ValueError: there is no such category, or a moment is no date.
        OSError: a folder cannot be listed.
    """
    record_of(category)
    first = None if since is None else _day(since)
    last = None if until is None else shifted(_day(until), 1)  # some lines come late
    days = str(first) if first else None, str(last) if last else None
    found = log_files(directory, [category], *days)
    files = tuple(file for file in found if not file.archived)
    parts = tuple(Part(file.date, file.path) for file in found if file.archived)
    return Scan(category, files, parts, since, until)


def connect(*, threads: int | None = None, memory_mb: int = MEMORY_MB) -> "DuckDBPyConnection":
    """An empty DuckDB database in memory, set up for reading logs.

    Args:
        threads: how many may work at a time; one per processor by default.
        memory_mb: 10^6 bytes that it may take; what needs more goes to temporary files.

    Raises:
        MissingExtraError: DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtraError(
            "this needs DuckDB, which is not installed; install leadlog[analytics]"
        ) from error
    # A table is what the SQL says it is, never a variable of the caller's.
    connection = duckdb.connect(config={"python_enable_replacements": False})
    connection.execute(f"SET memory_limit = '{memory_mb}MB'")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = false")
    connection.execute("SET autoinstall_known_extensions = false")
    # It would be drawn on standard output, where results belong, once a query takes a while.
    connection.execute("SET enable_progress_bar = false")
    # Not the working directory, which may be anybody's.
    spill = Path(tempfile.gettempdir()) / f"leadlog-spill-{os.getuid()}-{os.getpid()}"
    connection.execute(f"SET temp_directory = {quoted(str(spill))}")
    if threads is not None:
        connection.execute(f"SET threads = {threads:d}")
    return connection


def message_of(error: Exception) -> str:
    """What DuckDB says went wrong, on one line and without the copy of the SQL that follows."""
    return " ".join(str(error).partition("\n\nLINE ")[0].split())


def unreadable(what: str, error: Exception) -> ReadError:
    """The error to raise where DuckDB could not read files of the log.

    Args:
        what: was to be read.
        error: of DuckDB or of Arrow; names the file, where that is to blame.
    """
    import duckdb

    remedy = ""
    if not isinstance(error, duckdb.OutOfMemoryException):
        remedy = "; put a copy of the file from a backup in its place, or move it out of the log"
    return ReadError(f"cannot read {what}: {message_of(error)}{remedy}")


def _nothing(kinds: Mapping[str, str]) -> str:
    """No row, and every column."""
    empty = (f"CAST(NULL AS {kind}) AS {_name(key)}" for key, kind in kinds.items())
    return f"SELECT CAST(NULL AS DATE) AS date, {', '.join(empty)} WHERE false"


def quoted(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _name(key: str) -> str:
    return f'"{key}"'


def _paths(paths: Iterator[Path]) -> str:
    """Paths as a list of SQL literals."""
    return "[" + ", ".join(quoted(literally(path)) for path in paths) + "]"


def literally(path: Path) -> str:
    """A path in which DuckDB finds no pattern; it looks for one in parameters, too."""
    return _PATTERN_SIGN.sub(r"[\g<0>]", str(path))


def _day(moment: str) -> dt.date:
    try:
        return dt.date.fromisoformat(moment[:10])
    except ValueError:
        raise ValueError(
            f"{moment!r} is no moment; write it like 2026-11-23T10:00:00.000000Z"
        ) from None
