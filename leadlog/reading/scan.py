"""One category of a log as one SQL relation: plain lines, compressed lines and Parquet.

    from leadlog.reading.duck import connect
    from leadlog.reading.scan import scan

    connection = connect()
    found = scan("database_logs", "database_operations", since="2026-11-23T00:00:00.000000Z")
    connection.sql(f"SELECT count(*) FROM ({found.select(connection)})")

Files are chosen by the day in their names; a line is in the file of the day on which it was
written, which is the day of its `timestamp` or a later one. Content that exists in several forms is
read once (`leadlog.core.layout`); the files of one day must contain different events.

DuckDB returns a line that is not an event (`leadlog.reading.events.decode`) as a row without a
timestamp, which `select` excludes and `damaged` counts. The same applies to a last line that is
still being written; if it lacks only its newline, it is excluded by its id. DuckDB refuses a whole
file for one line that is too long, so such a file is read from a copy without it (`washed`). Values
that do not have their column's type are null.
"""

import datetime as dt
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from leadlog.core.errors import ReadError
from leadlog.core.layout import LogFile, log_files
from leadlog.reading.columns import columns, flat_columns, record_of
from leadlog.reading.compressed import is_cut
from leadlog.reading.damage import unfinished_line
from leadlog.reading.duck import literally, parquet, path_list, quoted
from leadlog.reading.events import TIMESTAMP_PATTERN, Skipped, decode, read_events
from leadlog.reading.moments import shifted
from leadlog.reading.washed import readable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Copied", "Part", "Scan", "scan"]

_ALWAYS_READ = {"timestamp", "event_id"}
_MOMENT = (
    f"CASE WHEN regexp_full_match(timestamp, {quoted(TIMESTAMP_PATTERN)}) "
    "THEN TRY_CAST(timestamp AS TIMESTAMP) END"
)


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
class Copied:
    """A file that is read from columns (`leadlog.reading.columnar`).

    Attributes:
        file: file with lines.
        parts: Parquet files with its lines, damaged ones as rows of nulls.
        rest: a copy of its complete lines that are in none of the parts; None if there are none.
    """

    file: LogFile
    parts: tuple[Path, ...]
    rest: Path | None


@dataclass(frozen=True, slots=True)
class Scan:
    """The files of one category at one time, and SQL to read them.

    Attributes:
        category: the folder.
        files: files with lines, plain or compressed.
        parts: Parquet files of the archive.
        since: start of the period, as `timestamp`; None for no limit.
        until: end of the period, as `timestamp`; excluded.
        copies: those of the files that are read from columns.
    """

    category: str
    files: tuple[LogFile, ...]
    parts: tuple[Part, ...]
    since: str | None = None
    until: str | None = None
    copies: tuple[Copied, ...] = ()

    def select(
        self,
        connection: "DuckDBPyConnection",
        *,
        flat: bool = False,
        only: Container[str] | None = None,
        damaged: bool = False,
    ) -> str:
        """Return a SELECT of all events: `date` (the file's UTC day) and the category's columns.

        Args:
            connection: from `connect`; used to read the schema of one Parquet file, if there is
                one.
            flat: return the keys of the sections as columns (`columns.flat_columns`). A query that
                needs few of them is then faster, since no whole section is read.
            only: names of columns to include; by default all, each of which costs some planning
                time even if it is not read.
            damaged: keep the rows of nulls that represent lines that are not events.
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
        """Yield SELECTs of lines and Parquet; a line that is not an event is a row of nulls."""
        if self.files:
            yield self._lines(kinds)
        if self.parts:
            yield self._whole(connection, kinds)
        if not self.files and not self.parts:
            yield _nothing(kinds)

    def _whole(self, connection: "DuckDBPyConnection", kinds: Mapping[str, str]) -> str:
        """Return SQL for Parquet files of any age, with every column of the contract."""
        found = connection.execute(
            "SELECT name FROM parquet_schema(?)", [literally(self.parts[-1].path)]
        ).fetchall()
        parquet = self._parquet(self.parts)
        if not kinds.keys() <= {name for (name,) in found}:
            parquet = f"{_nothing(kinds)} UNION ALL BY NAME {parquet}"
        # A cast to the file's own type would still cost time.
        casts = (f"CAST({_name(key)} AS {kind}) AS {_name(key)}" for key, kind in kinds.items())
        return f"SELECT date, {', '.join(casts)} FROM ({parquet})"

    def _lines(self, kinds: Mapping[str, str]) -> str:
        return (
            "SELECT CAST(parse_filename(filename)[:10] AS DATE) AS date, * EXCLUDE (filename) "
            f"FROM ({self._all_lines(kinds)}){self._without_rests()}"
        )

    def _all_lines(self, kinds: Mapping[str, str]) -> str:
        """Return SQL for every line of the files, as `plain_lines`, from columns if possible."""
        paths = readable(file.path for file in self._as_they_are()).paths
        paths += [one.rest for one in self.copies if one.rest is not None]
        selects = [self.plain_lines(kinds, paths)] if paths else []
        parts = [part for one in self.copies for part in one.parts]
        if parts:
            names = ", ".join(_name(key) for key in kinds)
            read = parquet(path_list(parts), "filename = true")
            selects.append(f"SELECT {names}, filename FROM {read}")
        return " UNION ALL ".join(selects)

    def _as_they_are(self) -> list[LogFile]:
        copied = {one.file.path for one in self.copies}
        return [file for file in self.files if file.path not in copied]

    @staticmethod
    def plain_lines(kinds: Mapping[str, str], paths: Iterable[Path]) -> str:
        """Return a SELECT of every line of some files; lines that are not events have no timestamp.

        Args:
            kinds: types by column.
            paths: paths of files with lines, plain or compressed.

        Returns:
            SQL with the columns, and `filename`.
        """
        # As text, since DuckDB accepts more formats of time than a record may have.
        read = {**kinds, "timestamp": "VARCHAR"}
        wanted = ", ".join(f"{_name(key)}: {quoted(kind)}" for key, kind in read.items())
        names = ", ".join(
            f"{_MOMENT} AS timestamp" if key == "timestamp" else _name(key) for key in read
        )
        return (
            f"SELECT {names}, filename FROM read_ndjson({path_list(paths)}, "
            f"columns = {{{wanted}}}, ignore_errors = true, filename = true, "
            "hive_partitioning = false)"
        )

    def _without_rests(self) -> str:
        """Return a condition that excludes last lines that are events except for their newline."""
        said = []
        files = self._as_they_are()
        direct = readable(file.path for file in files).direct
        for file in files:
            if file.compressed or file.path not in direct:
                continue
            event = decode(unfinished_line(file.path))
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
        paths = path_list(part.path for part in parts)
        read = parquet(paths, "union_by_name = true", "filename = true")
        return (
            "SELECT CAST(regexp_extract(parse_filename(filename), '[0-9]{4}-[0-9]{2}-[0-9]{2}') "
            f"AS DATE) AS date, * EXCLUDE (filename) FROM {read}"
        )

    def damaged(self, connection: "DuckDBPyConnection", skipped: Skipped | None = None) -> Skipped:
        """Count the lines that are not events, and locate the first of them.

        Only files with such lines are read a second time, to distinguish damaged lines from one
        that is still being written. A truncated compressed file counts as one line.

        Args:
            connection: from `connect`.
            skipped: the object to add to; a new one by default.

        Raises:
            ReadError: a file cannot be read.
        """
        skipped = Skipped() if skipped is None else skipped
        if not self.files:
            return skipped
        # Two columns, since with a single one DuckDB parses whole lines.
        lines = self._all_lines({"timestamp": "VARCHAR", "event_id": "VARCHAR"})
        rows = connection.execute(
            f"SELECT filename FROM ({lines}) WHERE timestamp IS NULL GROUP BY filename"
        ).fetchall()
        listed = {file.path for file in self.files}
        direct = readable(listed).direct
        copied = {
            path: one.file.path for one in self.copies for path in (*one.parts, one.rest) if path
        }
        found = {copied.get(Path(path), Path(path)) for (path,) in rows}
        paths = found & listed | set(self.cut_files())
        plain = [file.path for file in self.files if not file.compressed]
        paths |= {path for path in plain if path not in direct or unfinished_line(path)}
        for path in sorted(paths):
            for _ in read_events(path, skipped=skipped, to_damage=True):
                pass
        return skipped

    def has_damage(self) -> bool:
        """Return whether there may be damaged lines that DuckDB does not see.

        Raises:
            ReadError: a file cannot be read.
        """
        direct = readable(file.path for file in self.files).direct
        return bool(self.cut_files()) or len(direct) < len(self.files)

    def cut_files(self) -> list[Path]:
        """Return the compressed files that are truncated.

        Raises:
            ReadError: a file cannot be read.
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
    """Return a scan of the files of a category, for one relation over all of them.

    Args:
        directory: the log directory; one that does not exist has no files.
        category: the folder, such as `database_operations`.
        since: start of the period, as `timestamp` in the records, or a UTC day.
        until: end of the period; excluded.

    Raises:
        ValueError: the category does not exist, or a time is not a date.
        OSError: a folder cannot be listed.
    """
    record_of(category)
    first = None if since is None else _day(since)
    last = None if until is None else shifted(_day(until), 1)  # some lines are late
    days = str(first) if first else None, str(last) if last else None
    found = log_files(directory, [category], *days)
    files = tuple(file for file in found if not file.archived)
    parts = tuple(Part(file.date, file.path) for file in found if file.archived)
    return Scan(category, files, parts, since, until)


def _nothing(kinds: Mapping[str, str]) -> str:
    """Return a SELECT without rows that has every column."""
    empty = (f"CAST(NULL AS {kind}) AS {_name(key)}" for key, kind in kinds.items())
    return f"SELECT CAST(NULL AS DATE) AS date, {', '.join(empty)} WHERE false"


def _name(key: str) -> str:
    return f'"{key}"'


def _day(moment: str) -> dt.date:
    try:
        return dt.date.fromisoformat(moment[:10])
    except ValueError:
        raise ValueError(
            f"{moment!r} is not a moment; write it like 2026-11-23T10:00:00.000000Z"
        ) from None
