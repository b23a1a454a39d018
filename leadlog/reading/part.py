"""A part of the archive (Parquet), read as the file that it was made of, byte for byte.

    archive/category=error_logs/date=2026-11-23/part-2026-11-23.w1.parquet     the events
    archive/category=error_logs/date=2026-11-23/_damaged-2026-11-23.w1.jsonl   what was not an event

The second file is there only where lines were damaged, or the last one had no end. Its lines are
`{"line_number": 7, "base64": "…"}`, with `"unfinished": true` where no newline follows. Names that
begin with `_` are passed over by what reads Hive folders.
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
    """A line that is not an event, or the last one without its end.

    Attributes:
        line_number: which line of its file, from 0.
        content: its bytes, without the newline.
        unfinished: whether no newline follows.
    """

    line_number: int
    content: bytes
    unfinished: bool = False


class Predicate(NamedTuple):
    """Which events of a part are asked for, so that the others need not be made lines again.

    Attributes:
        condition: SQL over the columns of the category. Lines that the columns do not give back
            as they were come in any case.
        parameters: texts, or lists of them, by their `$name` in the condition.
    """

    condition: str
    parameters: Mapping[str, str | list[str]] = {}


def damaged_path(part: Path) -> Path:
    """Where the lines of a part that are not events lie."""
    file = parse_name(part.name)
    stem = part.stem if file is None else file.stem
    return part.with_name(f"_damaged-{stem}.jsonl")


def read_damaged(path: Path) -> Iterator[Damaged]:
    """Yield the lines that are not events, in order.

    Args:
        path: of `damaged_path`; nothing where there is no such file.

    Raises:
        ReadError: it cannot be read.
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
    """Yield the content of the file that a part was made of, in blocks of lines.

    Args:
        part: the Parquet file.
        category: whose lines.
        damaged: where its other lines lie; beside it by default.
        predicate: which events to restore; all by default. Lines that are not events come anyway.

    Raises:
        ReadError: it cannot be read.
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
    """Open a connection to read a part; raise a ReadError where DuckDB cannot read it."""
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

    Where its text is not kept, of its columns.
    """
    return (
        f"SELECT {LINE_NUMBER}, coalesce({RAW}, {line_of_columns(category)}) "
        f"FROM {with_all_columns(category, parquet('$path', 'file_row_number = true'))}"
    )


def lines_backwards(part: Path) -> Iterator[tuple[int, bytes]]:
    """Yield a part's events from the last to the first; reads only as much as is asked for.

    Args:
        part: the Parquet file, in the folder of its category.

    Returns:
        (line number, line without its newline).

    Raises:
        ReadError: it cannot be read.
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
    """Return some of a part's events, spread evenly over all of them.

    Args:
        part: the Parquet file.
        category: whose lines.
        most: how many at most.

    Returns:
        (line number, line without its newline), in order.

    Raises:
        ReadError: it cannot be read.
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
    """Return some of the values that a part has in a column of texts.

    Args:
        part: the Parquet file.
        column: SQL that names it, such as `lead_identifier.lead_id`.
        most: how many at most.

    Raises:
        ReadError: it cannot be read.
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
    """Return the content of the file that a part was made of, in memory or in a temporary file.

    Args:
        path: the Parquet file.
        predicate: which events to restore; all by default.

    Raises:
        ReadError: it cannot be read, or lies in no folder of a category.
        MissingExtraError: DuckDB is not installed.
    """
    copy = cast(BinaryIO, tempfile.SpooledTemporaryFile(_SPOOL_BYTES))  # noqa: SIM115 - handed on
    try:
        for block in restored(path, _category_of(path), predicate=predicate):
            copy.write(block)
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return copy
