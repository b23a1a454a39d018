"""Reading of one log file line by line: forwards, backwards, and up to the last newline only.

A compressed file, or a part of the archive, is read as its content; offsets are those in the
content. A file that was compressed or sealed since it was listed is read in its new place.

A line without its newline is still being written, so it is not an event yet. A line that is not an
event (torn, overwritten, not UTF-8, too long, nested too deeply, not a JSON object with a
`timestamp`) is skipped and counted in `Skipped`; it neither ends the reading nor goes unreported.
An empty line is ignored. Only `decode` decides what is an event; readers that use DuckDB arrive at
the same counts (`leadlog.reading.scan`).
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import orjson

from leadlog.core.errors import ReadError
from leadlog.core.layout import COMPRESSED, PARQUET, parse_name, part_path
from leadlog.reading.compressed import Unpacked, open_to_damage, open_unpacked, spool_unpacked

if TYPE_CHECKING:
    from leadlog.reading.part import Predicate

__all__ = [
    "LINE_LIMIT_BYTES",
    "TIMESTAMP_PATTERN",
    "Event",
    "LineReader",
    "OddEvent",
    "Skipped",
    "decode",
    "open_content",
    "read_backwards",
    "read_events",
]

LINE_LIMIT_BYTES = 16 * 1024 * 1024
"""Longer lines are damaged (writers cut at 16 KiB); they are skipped, and not held in memory."""

TIMESTAMP_PATTERN = r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?Z"
"""Pattern of a `timestamp`, for Python and for DuckDB; the date must exist as well."""

_timestamp_like = re.compile(TIMESTAMP_PATTERN, re.ASCII).fullmatch
_not_finite = re.compile(rb"NaN|Infinity|\d[eE]\+?\d{3}").search
_BLOCK_BYTES = 64 * 1024
_PLACES_KEPT = 20


class Event(NamedTuple):
    """One decoded line and its position.

    Attributes:
        data: the JSON object.
        raw: the line's bytes without the newline.
        path: the file.
        offset: offset of the line's first byte in the file's content.
    """

    data: dict[str, Any]
    raw: bytes
    path: Path
    offset: int

    @property
    def timestamp(self) -> str:
        """The end of the operation; sorts as text."""
        stamp: str = self.data["timestamp"]
        return stamp


class OddEvent(dict[str, Any]):
    """The data of a line with numbers that JSON does not allow; its bytes are not JSON."""


@dataclass(slots=True)
class Skipped:
    """Counts of skipped lines; several readers may share one object.

    Attributes:
        lines: number of complete lines that are not events, and of compressed files that end
            damaged.
        unfinished: number of files whose last line had no newline when it was read.
        places: (file, byte offset) of the first ones of both kinds.
    """

    lines: int = 0
    unfinished: int = 0
    places: list[tuple[Path, int]] = field(default_factory=list)

    def damaged(self, path: Path, offset: int) -> None:
        """Count one complete line that is not an event."""
        self.lines += 1
        self._keep(path, offset)

    def open_ended(self, path: Path, offset: int) -> None:
        """Count one last line without a newline."""
        self.unfinished += 1
        self._keep(path, offset)

    def _keep(self, path: Path, offset: int) -> None:
        if len(self.places) < _PLACES_KEPT:
            self.places.append((path, offset))


def decode(raw: bytes) -> dict[str, Any] | None:
    """Return the event of a line, or None if the line is not an event.

    NaN and infinite numbers, which leadlog never writes, are null.
    """
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError:
        data = _without_odd_numbers(raw)
    if not isinstance(data, dict):
        return None
    stamp = data.get("timestamp")
    return data if type(stamp) is str and _is_moment(stamp) else None


def _is_moment(stamp: str) -> bool:
    if not (len(stamp) == 27 and stamp[10] == "T" and stamp[19] == "." and stamp[11:13] < "24"):
        if _timestamp_like(stamp) is None:
            return False
    elif stamp[26] != "Z":
        return False
    with suppress(ValueError):
        datetime.fromisoformat(stamp)
        return True
    return False


def _without_odd_numbers(raw: bytes) -> Any:
    """Return the object of a line with numbers that JSON does not allow; None for other lines."""
    if _not_finite(raw) is None:
        return None
    with suppress(ValueError, TypeError, RecursionError):
        found = json.loads(
            raw, parse_constant=lambda _: None, parse_float=_finite, parse_int=_whole
        )
        orjson.dumps(found)  # what it cannot write, such as half a surrogate pair, is damage
        return OddEvent(found) if type(found) is dict else None
    return None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if abs(number) != float("inf") else None


def _whole(text: str) -> int | float | None:
    """Return a whole number as orjson reads it: beyond 64 bits it is a float."""
    number = int(text) if len(text) < 20 else _finite(text)
    return number if number is None or -(1 << 63) <= number < 1 << 64 else float(number)


class LineReader:
    """Reads the complete lines of an open file from an offset, as far as they are written.

    Attributes:
        offset: offset of the first byte not read yet; always a line's start.
    """

    def __init__(self, stream: BinaryIO, path: Path, offset: int, skipped: Skipped) -> None:
        self._stream = stream
        self._path = path
        self._skipped = skipped
        self.offset = offset

    def read(self, limit_bytes: int | None = None) -> Iterator[Event]:
        """Yield events up to the last newline, or until about `limit_bytes` were read."""
        readline, path, skipped = self._stream.readline, self._path, self._skipped
        self._stream.seek(self.offset)
        last = None if limit_bytes is None else self.offset + limit_bytes
        while last is None or self.offset < last:
            offset = self.offset
            line = readline(LINE_LIMIT_BYTES)
            length, data = len(line), None
            if not line.endswith(b"\n"):
                if length < LINE_LIMIT_BYTES:
                    return
                rest = self._to_newline()
                if rest is None:
                    return
                length += rest
            else:
                data = decode(line)
            self.offset = offset + length
            if data is not None:
                yield Event(data, line[:-1], path, offset)
            elif not line.isspace():
                skipped.damaged(path, offset)

    def _to_newline(self) -> int | None:
        """Return the number of further bytes in this line; None if it has no end yet."""
        passed = 0
        while piece := self._stream.readline(_BLOCK_BYTES):
            passed += len(piece)
            if piece.endswith(b"\n"):
                return passed
        return None


def read_events(
    path: Path,
    *,
    start: int = 0,
    skipped: Skipped | None = None,
    to_damage: bool = False,
    predicate: "Predicate | None" = None,
) -> Iterator[Event]:
    """Yield the events of one file, up to its last newline.

    Args:
        path: a `.jsonl` or `.jsonl.zst` file, or a part of the archive.
        start: byte offset at which to begin; must be a line's start.
        skipped: counts the skipped lines.
        to_damage: end a damaged compressed file at the damage, counted as one line, instead of
            raising.
        predicate: which events of a part are needed; their offsets are then not those in the file.
            Other files yield all events.

    Raises:
        ReadError: the file cannot be read, or is compressed and damaged; the message names the file
            and the reason.
    """
    skipped = Skipped() if skipped is None else skipped
    unpacked: list[Unpacked] = []

    def opened(path: Path) -> BinaryIO:
        if not to_damage:
            return open_unpacked(path)
        content, packed = open_to_damage(path)
        unpacked.append(packed)
        return content

    with open_content(path, opened, predicate) as stream:
        reader = LineReader(stream, path, start, skipped)
        try:
            yield from reader.read()
            end = stream.seek(0, os.SEEK_END)
            if unpacked and unpacked[0].damage is not None:
                skipped.damaged(path, reader.offset)
            elif reader.offset < end:
                skipped.open_ended(path, reader.offset)
        except OSError as error:
            raise _unreadable(path, error) from error


def read_backwards(
    path: Path, *, end: int | None = None, skipped: Skipped | None = None
) -> Iterator[Event]:
    """Yield the events of one file from last to first; reads only as much as is consumed.

    Args:
        path: a `.jsonl` or `.jsonl.zst` file, or a part of the archive. A compressed file, or a
            part with damaged lines, is unpacked as a whole; for other parts an event's offset is
            the number of its line.
        end: byte offset to begin at (a line that is not complete there is left out); by default the
            end of the file.
        skipped: counts the skipped lines.

    Raises:
        ReadError: the file cannot be read, or is compressed and damaged; the message names the file
            and the reason.
        MissingExtraError: the file is a part, and DuckDB is not installed.
    """
    if path.suffix == PARQUET and end is None:
        from leadlog.reading.part import damaged_path, lines_backwards

        if not damaged_path(path).exists():
            for number, line in lines_backwards(path):
                yield Event(orjson.loads(line), line, path, number)
            return
    skipped = Skipped() if skipped is None else skipped
    with open_content(path, spool_unpacked) as stream:
        try:
            for offset, raw in _lines_backwards(stream, end):
                data = None if raw is None else decode(raw)
                if data is not None and raw is not None:
                    yield Event(data, raw, path, offset)
                elif raw is None or raw.strip():
                    skipped.damaged(path, offset)
        except OSError as error:
            raise _unreadable(path, error) from error


def _lines_backwards(stream: BinaryIO, end: int | None) -> Iterator[tuple[int, bytes | None]]:
    """Yield (offset, line) without newlines from the last complete line back; None if too long."""
    start = stream.seek(0, os.SEEK_END)
    start = start if end is None else min(end, start)
    # The text after the last newline is not complete: the first piece is left out.
    line: bytes | None = b""
    complete = False
    while start > 0:
        size = min(_BLOCK_BYTES, start)
        start -= size
        stream.seek(start)
        head, *pieces = stream.read(size).split(b"\n")
        offset = start + size
        for piece in reversed(pieces):
            offset -= len(piece)
            if complete:
                short = line is not None and len(piece) + len(line) < LINE_LIMIT_BYTES
                yield offset, piece + line if short and line is not None else None
            complete, line = True, b""
            offset -= 1
        if complete and line is not None:
            line = head + line if len(line) < LINE_LIMIT_BYTES else None
    if complete:
        yield 0, line if line is not None and len(line) < LINE_LIMIT_BYTES else None


def open_content(
    path: Path,
    unpacked: Callable[[Path], BinaryIO] = open_unpacked,
    predicate: "Predicate | None" = None,
) -> BinaryIO:
    """Return the content of a log file in any format, from its beginning.

    Args:
        path: a `.jsonl` or `.jsonl.zst` file, or a part of the archive.
        unpacked: opens a compressed file.
        predicate: which events of a part to restore; all by default.

    Raises:
        ReadError: it cannot be opened, or is damaged.
        MissingExtraError: the file is a part, and DuckDB is not installed.
    """
    try:
        if path.suffix == PARQUET:
            from leadlog.reading.part import open_restored

            return open_restored(path, predicate)
        try:
            return unpacked(path) if path.suffix == COMPRESSED else path.open("rb")
        except FileNotFoundError:
            moved = _moved(path)
            if moved is None:
                raise
            return open_content(moved, unpacked, predicate)
    except OSError as error:
        raise _unreadable(path, error) from error


def _moved(path: Path) -> Path | None:
    """Return the path of content that was compressed or sealed since; None if there is none."""
    file = parse_name(path.name)
    if file is None:
        return None
    compressed = path.with_name(f"{file.stem}.jsonl{COMPRESSED}")
    if path != compressed and compressed.exists():
        return compressed
    part = part_path(path.parent.parent, replace(file, category=path.parent.name))
    return part if part.exists() else None


def _unreadable(path: Path, error: OSError) -> ReadError:
    return ReadError(
        f"cannot read {path}: {error.strerror or error}; "
        "check that it exists and that you may read it"
    )
