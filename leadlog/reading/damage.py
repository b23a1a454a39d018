"""The lines of a log that are not events, with their content."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from leadlog.core.errors import ReadError
from leadlog.core.layout import LogFile, log_files
from leadlog.reading.compressed import open_to_damage
from leadlog.reading.events import LINE_LIMIT_BYTES, decode
from leadlog.reading.part import damaged_path, read_damaged

__all__ = ["DamagedLine", "damaged_lines", "damaged_lines_of", "unfinished_line"]

_BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class DamagedLine:
    """A line that is not an event.

    Attributes:
        file: the file that contains it, or did before it was sealed.
        line_number: number of the line in it, from 0.
        offset: of its first byte in the file's content; None in a part of the archive.
        content: its bytes without the newline.
        unfinished: whether it is the last line and has no newline; it may be being written.
        cut: the damage of a compressed file that cannot be read from this line on.
    """

    file: LogFile
    line_number: int
    offset: int | None
    content: bytes
    unfinished: bool = False
    cut: str | None = None


def damaged_lines(
    directory: str | os.PathLike[str],
    categories: Iterable[str] | None = None,
    *,
    since: str | None = None,
    until: str | None = None,
) -> Iterator[DamagedLine]:
    """Yield all lines that are not events.

    Args:
        directory: the log directory.
        categories: folders to read; all six by default.
        since: first UTC day of the files, `2026-11-23`.
        until: last UTC day of the files.

    Raises:
        ReadError: a file cannot be read.
    """
    for file in log_files(directory, categories, since, until):
        yield from damaged_lines_of(file)


def damaged_lines_of(file: LogFile) -> Iterator[DamagedLine]:
    """Yield the lines of one file that are not events.

    Raises:
        ReadError: the file cannot be read.
    """
    if file.archived:
        for one in read_damaged(damaged_path(file.path)):
            yield DamagedLine(file, one.line_number, None, one.content, one.unfinished)
        return
    try:
        unpacked = None
        if file.compressed:
            stream, unpacked = open_to_damage(file.path)
        else:
            stream = file.path.open("rb")
        with stream:
            number = offset = 0
            rest = b""
            while line := stream.readline(LINE_LIMIT_BYTES):
                if not line.endswith(b"\n") and unpacked is not None and unpacked.damage:
                    rest = line
                    break
                length = len(line)
                whole = line.endswith(b"\n")
                while not whole and (more := stream.readline(_BLOCK_BYTES)):
                    length += len(more)  # only the beginning of a line above the limit is kept
                    whole = more.endswith(b"\n")
                if not whole or (decode(line) is None and not line.isspace()):
                    yield DamagedLine(
                        file, number, offset, line.removesuffix(b"\n"), unfinished=not whole
                    )
                offset += length
                number += 1
            if unpacked is not None and unpacked.damage is not None:
                yield DamagedLine(file, number, offset, rest, cut=str(unpacked.damage))
    except OSError as error:
        raise ReadError(f"cannot read {file.path}: {error.strerror or error}") from error


def unfinished_line(path: Path) -> bytes:
    """Return the bytes after the last newline of a plain file; empty if the file is gone.

    Raises:
        ReadError: the file cannot be read.
    """
    rest = b""
    try:
        with path.open("rb") as stream:
            start = stream.seek(0, os.SEEK_END)
            while start > 0 and b"\n" not in rest and len(rest) < LINE_LIMIT_BYTES:
                size = min(_BLOCK_BYTES if rest else 1, start)
                start = stream.seek(start - size)
                rest = stream.read(size) + rest
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ReadError(f"cannot read {path}: {error.strerror or error}") from error
    return rest.rpartition(b"\n")[2]
