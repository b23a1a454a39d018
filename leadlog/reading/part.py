"""A part of the archive (Parquet), read as its original file, byte for byte.

    archive/category=error_logs/date=2026-11-23/part-2026-11-23.w1.parquet     the events
    archive/category=error_logs/date=2026-11-23/_damaged-2026-11-23.w1.jsonl   what was not an event

The second file exists only if lines were damaged, or the last one had no end. Its lines are
`{"line_number": 7, "base64": "…"}`, with `"unfinished": true` if no newline follows. Readers of
Hive folders ignore names that begin with `_`.
"""

import base64
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

import orjson

from leadlog.core.errors import ReadError
from leadlog.core.layout import parse_name
from leadlog.reading.duck import connect, literally, parquet, unreadable
from leadlog.reading.lines import LINE_NUMBER, RAW, line_of_columns, with_all_columns

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = [
    "Damaged",
    "Predicate",
    "damaged_path",
    "distinct_values",
    "lines_backwards",
    "open_restored",
    "read_damaged",
    "restored",
    "spread_lines",
]

_FETCHED_ROWS = 4096
_FIRST_ROWS = 256
_MOST_ROWS = 65_536
_SPOOL_BYTES = 64 * 1024 * 1024


class Damaged(NamedTuple):
    """A line that is not an event, or a last one without a line end.

    Attributes:
        line_number: the line's number in its file, from 0.
        content: its bytes, without the newline.
        unfinished: whether no newline follows.
    """

    line_number: int
    content: bytes
    unfinished: bool = False


class Predicate(NamedTuple):
    """A filter for the events of a part, so that other events need not be restored.

    Attributes:
        condition: SQL over the columns of the category. Lines that the columns do not reproduce are
            always returned.
        parameters: texts, or lists of texts, by their `$name` in the condition.
    """

    condition: str
    parameters: Mapping[str, str | list[str]] = {}


def damaged_path(part: Path) -> Path:
    """Return the path of a part's lines that are not events."""
    file = parse_name(part.name)
    stem = part.stem if file is None else file.stem
    return part.with_name(f"_damaged-{stem}.jsonl")


def read_damaged(path: Path) -> Iterator[Damaged]:
    """Yield the lines that are not events, in order.

    Args:
        path: path from `damaged_path`; yields nothing if the file does not exist.

    Raises:
        ReadError: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            for line in stream:
                data = orjson.loads(line)
                content = base64.b64decode(data["base64"], validate=True)
                yield Damaged(data["line_number"], content, data.get("unfinished", False))
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReadError(
            f"cannot read {path}: {error}; put a copy from a backup in its place, or move it and "
            "its part out of the log directory"
        ) from error


def restored(
    part: Path, category: str, *, damaged: Path | None = None, predicate: Predicate | None = None
) -> Iterator[bytes]:
    """Yield the content of a part's original file, in blocks of lines.

    Args:
        part: the Parquet file.
        category: category of the lines.
        damaged: path of its damaged lines; by default next to it.
        predicate: which events to restore; all by default. Damaged lines are always included.

    Raises:
        ReadError: the part cannot be read.
        MissingExtraError: DuckDB is not installed.
    """
    others = read_damaged(damaged_path(part) if damaged is None else damaged)
    other = next(others, None)
    where = ""
    parameters: dict[str, str | list[str]] = {"path": literally(part)}
    if predicate is not None:
        where = f"WHERE {RAW} IS NOT NULL OR ({predicate.condition})"
        parameters |= predicate.parameters
    with _opened(part) as connection:
        found = connection.execute(f"{_lines(category)} {where} ORDER BY {LINE_NUMBER}", parameters)
        while rows := found.fetchmany(_FETCHED_ROWS):
            block = bytearray()
            for number, line in rows:
                while other is not None and other.line_number < number:
                    block += other.content + b"\n"
                    other = next(others, None)
                block += line.encode() + b"\n"
            yield bytes(block)
    while other is not None:
        yield other.content + (b"" if other.unfinished else b"\n")
        other = next(others, None)


@contextmanager
def _opened(part: Path) -> "Iterator[DuckDBPyConnection]":
    """Yield a connection for reading a part; raise DuckDB's read errors as ReadError."""
    with connect() as connection:
        import duckdb

        try:
            yield connection
        except duckdb.Error as error:
            raise unreadable(str(part), error) from error


def _category_of(part: Path) -> str:
    return part.parent.parent.name.removeprefix("category=")


def _lines(category: str) -> str:
    """Return a SELECT of (line number, line) of a part.

    A line whose text is not kept is rebuilt from its columns.
    """
    return (
        f"SELECT {LINE_NUMBER}, coalesce({RAW}, {line_of_columns(category)}) "
        f"FROM {with_all_columns(category, parquet('$path', 'file_row_number = true'))}"
    )


def lines_backwards(part: Path) -> Iterator[tuple[int, bytes]]:
    """Yield a part's events from last to first; reads only as much as is consumed.

    Args:
        part: the Parquet file, in the folder of its category.

    Returns:
        (line number, line without its newline).

    Raises:
        ReadError: the part cannot be read.
        MissingExtraError: DuckDB is not installed.
    """
    path, size = literally(part), _FIRST_ROWS
    with _opened(part) as connection:
        (last,) = connection.execute(
            f"SELECT max({LINE_NUMBER}) FROM {parquet('?')}", [path]
        ).fetchall()[0]
        high = -1 if last is None else last + 1
        while high > 0:
            found = connection.execute(
                f"{_lines(_category_of(part))} WHERE {LINE_NUMBER} >= {high - size} "
                f"AND {LINE_NUMBER} < {high} ORDER BY {LINE_NUMBER} DESC",
                {"path": path},
            )
            yield from ((number, line.encode()) for number, line in found.fetchall())
            high, size = high - size, min(4 * size, _MOST_ROWS)


def spread_lines(part: Path, category: str, most: int) -> list[tuple[int, bytes]]:
    """Return some of a part's events, spread evenly over it.

    Args:
        part: the Parquet file.
        category: category of the lines.
        most: largest number of events.

    Returns:
        (line number, line without its newline), in order.

    Raises:
        ReadError: the part cannot be read.
        MissingExtraError: DuckDB is not installed.
    """
    path = literally(part)
    with _opened(part) as connection:
        (rows,) = connection.execute(
            "SELECT sum(num_rows) FROM parquet_file_metadata(?)", [path]
        ).fetchall()[0]
        found = connection.execute(
            f"{_lines(category)} WHERE file_row_number % {max(-(-int(rows) // most), 1)} = 0 "
            f"ORDER BY {LINE_NUMBER}",
            {"path": path},
        )
        return [(number, line.encode()) for number, line in found.fetchall()]


def distinct_values(part: Path, column: str, most: int) -> list[str]:
    """Return some of the values of a part's text column.

    Args:
        part: the Parquet file.
        column: SQL for the column, such as `lead_identifier.lead_id`.
        most: largest number of values.

    Raises:
        ReadError: the part cannot be read.
        MissingExtraError: DuckDB is not installed.
    """
    with _opened(part) as connection:
        found = connection.execute(
            f"SELECT DISTINCT {column} FROM {parquet('?')} "
            f"WHERE {column} IS NOT NULL LIMIT {most:d}",
            [literally(part)],
        )
        return [text for (text,) in found.fetchall()]


def open_restored(path: Path, predicate: Predicate | None = None) -> BinaryIO:
    """Return the content of a part's original file, in memory or in a temporary file.

    Args:
        path: the Parquet file.
        predicate: which events to restore; all by default.

    Raises:
        ReadError: the part cannot be read, or is not in a category's folder.
        MissingExtraError: DuckDB is not installed.
    """
    copy = cast(BinaryIO, tempfile.SpooledTemporaryFile(_SPOOL_BYTES))  # noqa: SIM115 - returned
    try:
        for block in restored(path, _category_of(path), predicate=predicate):
            copy.write(block)
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return copy
