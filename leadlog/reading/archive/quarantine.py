"""The quarantine: lines that are not events are moved out of closed files.

    quarantine/error_logs/2026-11-23.jsonl      {"line_number": 7, "offset": 512, "base64": "…"}
    quarantine/error_logs/2026-11-23.jsonl.zst  a compressed file that cannot be read to its end

Lines are stored there before the file is replaced, so a kill at any moment loses nothing; a
repeated run stores nothing twice.
"""

import base64
import datetime as dt
import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

from leadlog.core.clock import now_us, utc_date
from leadlog.core.files import make_folder, open_file
from leadlog.core.places import modes_of
from leadlog.reading.archive.directory import open_folders, sole_janitor
from leadlog.reading.archive.folders import Folder, LeftAloneError
from leadlog.reading.archive.plan import FoundFile
from leadlog.reading.archive.rewrite import rewrite
from leadlog.reading.compressed import Unpacked
from leadlog.reading.damage import DamagedLine, damaged_lines_of
from leadlog.recording.sinks.storage import Spool

__all__ = ["Taken", "quarantine", "quarantine_directory"]

_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Taken:
    """The result for one file with damaged lines.

    Attributes:
        path: the file.
        lines: number of damaged lines in it.
        kept: why they were not moved; None if they were.
    """

    path: Path
    lines: int
    kept: str | None = None


def quarantine_directory(root: str | os.PathLike[str]) -> Path:
    """Return the path of the quarantine."""
    return Path(root) / "quarantine"


def quarantine(root: str | os.PathLike[str], *, today: str | None = None) -> list[Taken]:
    """Move the damaged lines of all files of past days, plain or compressed, to the quarantine.

    Of a compressed file that cannot be read to its end, the readable part stays; the original file
    is moved to the quarantine.

    Args:
        root: the log directory.
        today: the UTC day; the clock's by default.

    Returns:
        One result for each file with damaged lines. Files that may still be written to keep theirs.

    Raises:
        LogDirectoryError: the directory cannot be used, or a janitor is running there.
        ReadError: a file cannot be read.
    """
    directory = Path(root)
    today = utc_date(now_us()) if today is None else today
    taken: list[Taken] = []
    spool = Spool(directory)
    with sole_janitor(directory):
        folders, _ = open_folders(directory, spool.names_in_use)
        for folder in folders:
            try:
                for found in folder.scan()[0]:
                    lines = list(damaged_lines_of(found.file))
                    if lines:
                        kept = _take(directory, folder, found, lines, today)
                        taken.append(Taken(found.file.path, len(lines), kept))
            finally:
                folder.close()
    return taken


def _take(
    root: Path, folder: Folder, found: FoundFile, lines: list[DamagedLine], today: str
) -> str | None:
    """Move the lines of one file; return the reason if they stay, else None."""
    if found.file.date >= today or _modified(found) >= today:
        return "its day is not over, or it was written to today"
    if found.hindrance is not None:
        return found.hindrance.reason
    try:
        with folder.claimed(found) as source:
            _put_aside(root, found, lines)
            content = _without(source, found, lines)
            rewrite(folder, found, source, content)
    except LeftAloneError as error:
        return error.hindrance.reason
    except OSError as error:
        return error.strerror or str(error)
    return None


def _modified(found: FoundFile) -> str:
    return dt.datetime.fromtimestamp(found.modified_ns // 1_000_000_000, dt.UTC).date().isoformat()


def _put_aside(root: Path, found: FoundFile, lines: Iterable[DamagedLine]) -> None:
    folder = quarantine_directory(root) / found.file.category
    files, folders = modes_of(root)
    make_folder(folder, folders)
    if any(one.cut is not None for one in lines):
        # Content that cannot be read now may be repairable.
        with suppress(FileExistsError):
            os.link(found.file.path, folder / found.file.path.name, follow_symlinks=False)
    path = folder / f"{found.file.stem}.jsonl"
    with suppress(FileNotFoundError):
        # Lines that a killed run stored, and that are still in the file.
        known = set(path.read_bytes().splitlines())
        lines = [one for one in lines if _line(one) not in known]
    fd = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, files)
    with os.fdopen(fd, "ab") as stream:
        stream.writelines(_line(one) + b"\n" for one in lines)
        stream.flush()
        os.fsync(fd)
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _line(one: DamagedLine) -> bytes:
    return orjson.dumps(
        {
            "line_number": one.line_number,
            "offset": one.offset,
            "base64": base64.b64encode(one.content).decode(),
        }
    )


def _without(source: int, found: FoundFile, lines: Iterable[DamagedLine]) -> Iterator[bytes]:
    """Yield the file's content without the lines and their newlines."""
    os.lseek(source, 0, os.SEEK_SET)
    stream: BinaryIO = os.fdopen(os.dup(source), "rb")
    if found.file.compressed:
        stream = io.BufferedReader(Unpacked(stream, found.file.path, to_damage=True))
    with stream:
        position = 0
        for one in lines:
            start = one.offset or 0
            yield from _pieces(stream, start - position)
            passed = len(one.content) + (not one.unfinished)
            for _ in _pieces(stream, passed):
                pass
            position = start + passed
        yield from _pieces(stream, sys.maxsize)


def _pieces(stream: BinaryIO, count: int) -> Iterator[bytes]:
    """Yield the next `count` bytes, or fewer at the end."""
    while count > 0 and (piece := stream.read(min(count, _BLOCK_BYTES))):
        count -= len(piece)
        yield piece
