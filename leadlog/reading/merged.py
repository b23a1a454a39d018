"""All events of some categories in one pass over all files, as near to time order as they lie.

Each writer's files are read one after the other, and the writers are merged by time. Within a
file a line may stand behind later ones: threads overtake each other, and the records of a long
transaction are written when it ends. So what comes out is in order but for such lines.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from leadlog.core.layout import LogFile, log_files
from leadlog.reading.events import Event, Skipped, read_events

if TYPE_CHECKING:
    from leadlog.reading.part import Predicate

__all__ = ["read_merged"]

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
    """The events of all writers, merged by `timestamp`.

    Args:
        directory: the log directory.
        categories: folders to read; all six by default.
        since: first UTC day of the files, `2026-11-23`.
        until: last UTC day of the files.
        skipped: counts what was passed over.
        pushdown: category to which events of it are needed; a hint, by which parts of the archive
            are read faster. Others may come all the same.

    Raises:
        ReadError: a file cannot be read.
        OSError: a folder cannot be listed.
    """
    skipped = Skipped() if skipped is None else skipped
    files = sorted(log_files(directory, categories, since, until), key=_writer)
    pushdown = pushdown or {}
    streams = [_chain(list(own), skipped, pushdown) for _, own in groupby(files, key=_writer)]
    if len(streams) == 1:
        return streams[0]
    return merge(*streams, key=_timestamp)


def _chain(
    files: list[LogFile], skipped: Skipped, pushdown: "Mapping[str, Predicate]"
) -> Iterator[Event]:
    for file in sorted(files, key=lambda one: (one.date, one.segment)):
        yield from read_events(file.path, skipped=skipped, predicate=pushdown.get(file.category))


def _writer(file: LogFile) -> tuple[str, str, int]:
    return file.category, file.host, file.writer
