"""Samples of the log that represent the whole, at a cost that does not grow with it.

The newest events are read from the ends of the files backwards; of the days before, events are
taken at places spread evenly over the bytes of their files. So busy hours have proportional weight,
and a log of any size costs the same.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Any

import orjson

from leadlog.core.clock import format_us, utc_date
from leadlog.core.layout import LogFile, log_files
from leadlog.reading.events import Event, read_backwards, read_events

__all__ = ["newest_events", "spread_events"]

_PLACES = 40
_timestamp = attrgetter("timestamp")

Where = Callable[[Mapping[str, Any]], bool]


def newest_events(
    directory: str | os.PathLike[str],
    categories: Iterable[str],
    *,
    oldest_us: int,
    most: int,
    where: Where,
) -> Iterator[Event]:
    """Yield the newest events, newest first.

    Args:
        directory: the log directory.
        categories: folders to read.
        oldest_us: start of the period, microseconds since 1970.
        most: largest number of lines to read.
        where: filter of the events to yield.

    Raises:
        ReadError: a file cannot be read.
        OSError: a folder cannot be listed.
    """
    oldest = format_us(oldest_us)
    files = log_files(directory, categories, since=oldest[:10])
    writers: dict[tuple[str, str, int], list[LogFile]] = {}
    for file in files:
        writers.setdefault((file.category, file.host, file.writer), []).append(file)
    streams = [_backwards(own) for own in writers.values()]
    for event in islice(merge(*streams, key=_timestamp, reverse=True), most):
        if event.timestamp < oldest:
            return
        if where(event.data):
            yield event


def _backwards(files: list[LogFile]) -> Iterator[Event]:
    for file in sorted(files, key=lambda one: (one.date, one.segment), reverse=True):
        yield from read_backwards(file.path)


def spread_events(
    directory: str | os.PathLike[str],
    categories: Iterable[str],
    *,
    since_us: int,
    until_us: int,
    most: int,
    where: Where,
) -> list[Event]:
    """Return events that are spread evenly over a period, each once.

    Compressed files cannot be sought in, so they are read as a whole and thinned out. Of a part of
    the archive only the selected rows are read; their offset is the line's number.

    Args:
        directory: the log directory.
        categories: folders to read.
        since_us: start of the period, microseconds since 1970.
        until_us: end of the period; excluded.
        most: approximate largest number of lines to read, and at least one of each file.
        where: filter of the events to return.

    Raises:
        ReadError: a file cannot be read.
        MissingExtraError: the archive has a part, and DuckDB is not installed.
        OSError: a folder cannot be listed.
    """
    since, until = format_us(since_us), format_us(until_us)
    listed = log_files(directory, categories, since[:10], utc_date(until_us - 1))
    packed = [file for file in listed if file.compressed or file.archived]
    files = [
        (file, file.path.stat().st_size)
        for file in listed
        if not (file.compressed or file.archived)
    ]
    total = sum(size for _, size in files)
    found: dict[tuple[str, int], Event] = {}
    for file, size in files:
        places = max(round(_PLACES * size / total), 1) if size else 0
        for place in range(1, places + 1):
            here = read_backwards(file.path, end=size * place // places)
            for event in islice(here, max(most // _PLACES, 1)):
                key = str(file.path), event.offset
                if key in found:
                    break  # reached the lines read at the previous place
                if since <= event.timestamp < until and where(event.data):
                    found[key] = event
    for file in packed:
        thinned = _thinned_part if file.archived else _thinned
        for event in thinned(file, max(most // len(packed), 1)):
            if since <= event.timestamp < until and where(event.data):
                found[str(file.path), event.offset] = event
    return list(found.values())


def _thinned(file: LogFile, most: int) -> list[Event]:
    """Return at most `most` events of a file at even distances, halving them whenever exceeded."""
    kept: list[Event] = []
    step = 1
    for number, event in enumerate(read_events(file.path)):
        if number % step == 0:
            kept.append(event)
            if len(kept) > most:
                del kept[1::2]
                step *= 2
    return kept


def _thinned_part(file: LogFile, most: int) -> Iterator[Event]:
    """Yield events of a part of the archive at even distances."""
    from leadlog.reading.part import spread_lines  # DuckDB is slow to import

    for number, line in spread_lines(file.path, file.category, most):
        yield Event(orjson.loads(line), line, file.path, number)
