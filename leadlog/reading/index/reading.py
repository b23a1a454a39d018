"""Reading of events by their locations in the index, and those of sealed days."""

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import attrgetter

from leadlog.core.layout import log_files
from leadlog.reading.events import Event, Skipped, decode, open_content, read_events
from leadlog.reading.index.columns import microseconds_of
from leadlog.reading.index.store import EventLocation, Index
from leadlog.reading.part import Predicate

__all__ = ["MovedError", "events_of_row", "read_places"]

_ATTEMPTS = 3


class MovedError(Exception):
    """An entry of the index does not lead to its event."""


def events_of_row(
    directory: str | os.PathLike[str],
    index: Index,
    key: str,
    *,
    pushdown: Mapping[str, Predicate],
    skipped: Skipped,
) -> list[Event]:
    """Return the events that a row's history needs, in time order.

    Args:
        directory: the log directory.
        index: index of the log, up to date.
        key: the row's primary key as text.
        pushdown: which events of sealed days are needed, by category.
        skipped: counts the lines of these categories that are not events.

    Raises:
        ReadError: a file cannot be read.
        IndexUnavailableError: the index cannot be read.
    """
    found: list[Event] = []
    for attempt in range(_ATTEMPTS):
        places = index.of_row(key)
        try:
            found = list(read_places(places))
            break
        except MovedError as error:
            if attempt + 1 == _ATTEMPTS:
                raise
            (place,) = error.args
            index.forget(place.file)
            index.catch_up()
    index.count_damaged(tuple(pushdown), skipped)
    for file in log_files(directory, pushdown):
        if file.archived:
            found += read_events(file.path, skipped=skipped, predicate=pushdown[file.category])
    found.sort(key=attrgetter("timestamp"))
    return found


def read_places(places: Iterable[EventLocation]) -> Iterator[Event]:
    """Yield the events at some locations, file by file.

    Raises:
        ReadError: a file cannot be read.
        MovedError: a location has another event, or none.
    """
    in_order = sorted(places, key=lambda place: (str(place.file.path), place.offset))
    for path, own in groupby(in_order, key=lambda place: place.file.path):
        with open_content(path) as stream:
            for place in own:
                stream.seek(place.offset)
                line = stream.read(place.length)
                data = decode(line)
                if (
                    data is None
                    or microseconds_of(data["timestamp"]) != place.at
                    or line[-1:] != b"\n"
                ):
                    raise MovedError(place)
                yield Event(data, line[:-1], path, place.offset)
