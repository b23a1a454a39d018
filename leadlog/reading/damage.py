"""The lines of a log that are no events, one by one, with what is in them."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from leadlog.errors import ReadError
from leadlog.layout import LogFile, log_files
from leadlog.reading.compressed import open_unpacked
from leadlog.reading.events import LINE_LIMIT_BYTES, decode
from leadlog.reading.part import damaged_path, read_damaged

__all__ = ["DamagedLine", "damaged_lines", "damaged_lines_of"]


@dataclass(frozen=True, slots=True)
class DamagedLine:
    """A line that is no event.

    Attributes:
        file: in which it stands, or stood when the file was sealed.
        line_number: which line of it, from 0.
        offset: of its first byte in the file's content; None in a part of the archive.
        content: its bytes without the newline.
        unfinished: whether it is the last one and has no newline; it may be being written.
    """

    file: LogFile
    line_number: int
    offset: int | None
    content: bytes
    unfinished: bool = False


def damaged_lines(
    directory: str | os.PathLike[str],
    categories: Iterable[str] | None = None,
    *,
    since: str | None = None,
    until: str | None = None,
) -> Iterator[DamagedLine]:
    """All lines that are no events.

    Args:
        directory: the log directory.
        categories: folders to look into; all six by default.
        since: first UTC day of the files, `2026-11-23`.
        until: last UTC day of the files.

    Raises:
        ReadError: a file cannot be read.
    """
    for file in log_files(directory, categories, since, until):
        yield from damaged_lines_of(file)


def damaged_lines_of(file: LogFile) -> Iterator[DamagedLine]:
    """The lines of one file that are no events.

    Raises:
        ReadError: it cannot be read.
    """
    if file.archived:
        for one in read_damaged(damaged_path(file.path)):
            yield DamagedLine(file, one.line_number, None, one.content, one.unfinished)
        return
    try:
        with open_unpacked(file.path) if file.compressed else file.path.open("rb") as stream:
            number = offset = 0
            while line := stream.readline(LINE_LIMIT_BYTES):
                whole = line.endswith(b"\n")
                if not whole or decode(line) is None:
                    yield DamagedLine(
                        file, number, offset, line.removesuffix(b"\n"), unfinished=not whole
                    )
                offset += len(line)
                number += 1
    except OSError as error:
        raise ReadError(f"cannot read {file.path}: {error.strerror or error}") from error
