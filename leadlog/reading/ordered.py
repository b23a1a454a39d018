"""All events of some categories in time order, in one pass over all files.

Each writer's files are read one after the other and the writers are merged. Within a file a line
may stand behind later ones: threads overtake each other, and the records of a long transaction
are written when it ends. Such a line is put right within `WINDOW` events; one that comes later
still is given when it is met.
"""

import os
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import groupby
from operator import attrgetter

from leadlog.layout import LogFile, log_files
from leadlog.reading.events import Event, Skipped, read_events

__all__ = ["WINDOW", "read_ordered"]

WINDOW = 2048
"""How many events are held to be sorted."""

_timestamp = attrgetter("timestamp")


def read_ordered(
    directory: str | os.PathLike[str],
    categories: Iterable[str] | None = None,
    *,
    since: str | None = None,
    until: str | None = None,
    skipped: Skipped | None = None,
) -> Iterator[Event]:
    """The events in the order of `timestamp`, and of `event_id` where that is the same.

    Args:
        directory: the log directory.
        categories: folders to read; all six by default.
        since: first UTC day of the files, `2026-11-23`.
        until: last UTC day of the files.
        skipped: counts what was passed over.

    Raises:
        ReadError: a file cannot be read.
        OSError: a folder cannot be listed.
    """
    skipped = Skipped() if skipped is None else skipped
    files = sorted(log_files(directory, categories, since, until), key=_writer)
    streams = [_chain(list(own), skipped) for _, own in groupby(files, key=_writer)]
    held: list[Event] = []
    for event in merge(*streams, key=_timestamp) if len(streams) > 1 else _only(streams):
        held.append(event)
        if len(held) >= 2 * WINDOW:
            held.sort(key=_order)
            yield from held[:WINDOW]
            del held[:WINDOW]
    held.sort(key=_order)
    yield from held


def _only(streams: list[Iterator[Event]]) -> Iterator[Event]:
    return streams[0] if streams else iter(())


def _chain(files: list[LogFile], skipped: Skipped) -> Iterator[Event]:
    for file in sorted(files, key=lambda one: (one.date, one.segment)):
        yield from read_events(file.path, skipped=skipped)


def _order(event: Event) -> tuple[str, str]:
    event_id = event.data.get("event_id")
    return event.data["timestamp"], event_id if type(event_id) is str else ""


def _writer(file: LogFile) -> tuple[str, str, int]:
    return file.category, file.host, file.writer
