"""One pass over all events of some categories, in approximate time order.

Each writer's files are read one after the other, and the writers are merged by time. Within a file
a line may follow later ones: threads overtake each other, and the records of a long transaction are
written when it ends. So the result is in order except for such lines.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from leadlog.core.layout import LogFile, log_files
from leadlog.reading.events import Event, LineReader, Skipped, open_content, read_events

if TYPE_CHECKING:
    from leadlog.reading.part import Predicate

__all__ = ["read_merged"]

_MANY = 64
"""Number of writers above which only some files are kept open."""
_PIECE_BYTES = 64 * 1024

_timestamp = attrgetter("timestamp")


def read_merged(
    directory: str | os.PathLike[str],
    categories: Iterable[str] | None = None,
    *,
    since: str | None = None,
    until: str | None = None,
    skipped: Skipped | None = None,
    pushdown: "Mapping[str, Predicate] | None" = None,
) -> Iterator[Event]:
    """Return the events of all writers, merged by `timestamp`.

    Args:
        directory: the log directory.
        categories: folders to read; all six by default.
        since: first UTC day of the files, `2026-11-23`.
        until: last UTC day of the files.
        skipped: counts the skipped lines.
        pushdown: which events are needed, by category; a hint that speeds up reading of the
            archive. Other events may be returned nevertheless.

    Raises:
        ReadError: a file cannot be read.
        OSError: a folder cannot be listed.
    """
    skipped = Skipped() if skipped is None else skipped
    files = sorted(log_files(directory, categories, since, until), key=_writer)
    pushdown = pushdown or {}
    writers = [list(own) for _, own in groupby(files, key=_writer)]
    many = len(writers) > _MANY
    streams = [_chain(own, skipped, pushdown, many) for own in writers]
    if len(streams) == 1:
        return streams[0]
    return merge(*streams, key=_timestamp)


def _chain(
    files: list[LogFile], skipped: Skipped, pushdown: "Mapping[str, Predicate]", many: bool
) -> Iterator[Event]:
    for file in sorted(files, key=lambda one: (one.date, one.segment)):
        if many and not (file.compressed or file.archived):
            yield from _in_pieces(file.path, skipped)
        else:
            predicate = pushdown.get(file.category)
            yield from read_events(file.path, skipped=skipped, predicate=predicate)


def _in_pieces(path: Path, skipped: Skipped) -> Iterator[Event]:
    """Yield the events of a plain file, which is open only during each piece."""
    offset = 0
    while True:
        with open_content(path) as stream:
            reader = LineReader(stream, path, offset, skipped)
            found = list(reader.read(_PIECE_BYTES))
            if reader.offset == offset:
                if offset < stream.seek(0, os.SEEK_END):
                    skipped.open_ended(path, offset)
                return
            offset = reader.offset
        yield from found


def _writer(file: LogFile) -> tuple[str, str, int]:
    return file.category, file.host, file.writer
