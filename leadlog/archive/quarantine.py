"""Takes lines that are no events out of files that nobody writes to any more.

    quarantine/error_logs/2026-11-23.jsonl     {"line_number": 7, "offset": 512, "base64": "…"}

What is taken out is on the disk there before the file is replaced, so a kill at any moment loses
nothing; when it is run again, nothing is there twice.
"""

import base64
import datetime as dt
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

from leadlog.archive.folders import (
    Folder,
    LeftAloneError,
    draft_name,
    open_folders,
)
from leadlog.archive.lock import sole_janitor
from leadlog.archive.plan import Found
from leadlog.clock import now_us, utc_date
from leadlog.reading.damage import DamagedLine, damaged_lines_of
from leadlog.sinks.storage import Spool

__all__ = ["Taken", "quarantine", "quarantine_directory"]

_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one file with damaged lines.

    Attributes:
        path: the file.
        lines: damaged lines in it.
        kept: why they are still there; None where they were taken out.
    """

    path: Path
    lines: int
    kept: str | None = None


def quarantine_directory(root: str | os.PathLike[str]) -> Path:
    """Where the lines go."""
    return Path(root) / "quarantine"


def quarantine(root: str | os.PathLike[str], *, today: str | None = None) -> list[Taken]:
    """Takes the damaged lines out of all plain files of past days.

    Args:
        root: the log directory.
        today: the UTC day; the clock's by default.

    Returns:
        One for each file that has damaged lines. Compressed files and files that may be written
        to keep theirs.

    Raises:
        LogDirectoryError: the directory cannot be used, or a janitor is at work there.
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
    root: Path, folder: Folder, found: Found, lines: list[DamagedLine], today: str
) -> str | None:
    """Does it; returns why not."""
    if found.file.compressed:
        return "it is compressed; its damaged lines go aside when its day is sealed to Parquet"
    if found.file.date >= today or _modified(found) >= today:
        return "its day is not over, or it was written to today"
    if found.hindrance is not None:
        return found.hindrance.reason
    name = found.file.path.name
    draft = draft_name(name)
    try:
        with folder.claimed(found) as source:
            _put_aside(root, found, lines)
            fd = folder.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                _copy_without(source, fd, lines)
            finally:
                os.close(fd)
            folder.check(found, source)
            folder.rename(draft, name)
            folder.sync()
    except LeftAloneError as error:
        return error.hindrance.reason
    except OSError as error:
        with suppress(OSError):
            folder.remove(draft)
        return error.strerror or str(error)
    return None


def _modified(found: Found) -> str:
    return dt.datetime.fromtimestamp(found.modified_ns // 1_000_000_000, dt.UTC).date().isoformat()


def _put_aside(root: Path, found: Found, lines: Iterable[DamagedLine]) -> None:
    folder = quarantine_directory(root) / found.file.category
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / found.file.path.name
    with suppress(FileNotFoundError):
        # What a killed run has put there, of lines that are still in the file.
        known = set(path.read_bytes().splitlines())
        lines = [one for one in lines if _line(one) not in known]
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
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


def _copy_without(source: int, target: int, lines: Iterable[DamagedLine]) -> None:
    """The file's bytes but those of the lines and their newlines."""
    with os.fdopen(os.dup(source), "rb") as content, os.fdopen(os.dup(target), "wb") as draft:
        content.seek(0)
        for one in lines:
            _copy(content, draft, (one.offset or 0) - content.tell())
            content.seek(len(one.content) + (not one.unfinished), os.SEEK_CUR)
        _copy(content, draft, None)
        draft.flush()
        os.fsync(draft.fileno())


def _copy(content: BinaryIO, draft: BinaryIO, count: int | None) -> None:
    """Copies so many bytes, or all that are left."""
    while count is None or count > 0:
        piece = content.read(_BLOCK_BYTES if count is None else min(count, _BLOCK_BYTES))
        if not piece:
            return
        draft.write(piece)
        count = None if count is None else count - len(piece)
