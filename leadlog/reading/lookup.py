"""Search of one record by an id in it, with related errors, transaction and session."""

import datetime as dt
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from leadlog.core.clock import utc_date
from leadlog.core.layout import LogFile, log_files
from leadlog.reading.events import Skipped, decode, open_content, read_events
from leadlog.reading.index import (
    EventLocation,
    Index,
    IndexUnavailableError,
    MovedError,
    existing_index,
    read_places,
)
from leadlog.reading.moments import shifted
from leadlog.reading.part import Predicate
from leadlog_processors.log_types import LOG_TYPES

__all__ = ["FoundRecord", "find", "records_of_session"]

_BLOCK_BYTES: Final = 1024 * 1024
_TIME_DIGITS: Final = 14
"""Hexadecimal digits at the beginning of an id that encode microseconds since 1970."""
_IDS: Final[Mapping[str, tuple[str, ...]]] = {one.category: one.ids for one in LOG_TYPES}
"""Places of ids by category, in addition to `event_id` and `session_id`."""
_OWN: Final = ("event_id", *(place for places in _IDS.values() for place in places))

Record = Mapping[str, Any]


@dataclass(slots=True)
class FoundRecord:
    """One record and its related records.

    Attributes:
        record: the record with the id; of several, the operation rather than its error.
        errors: error records of the same operation.
        transaction_id: id of its transaction; None if there is none.
        transaction: operations of its transaction, including itself, in time order.
        session_id: id of its session.
        session: records of its session on the adjacent days, in time order.
    """

    record: Record
    errors: list[Record] = field(default_factory=list)
    transaction_id: str | None = None
    transaction: list[Record] = field(default_factory=list)
    session_id: str | None = None
    session: list[Record] = field(default_factory=list)


def find(
    directory: str | os.PathLike[str], identifier: str, *, skipped: Skipped | None = None
) -> FoundRecord | None:
    """Return the record with an id, or None.

    Args:
        directory: the log directory.
        identifier: id of an event, an operation, an error, a sync, a migration, a check or a
            transaction.
        skipped: counts the skipped lines.

    Raises:
        ReadError: a file cannot be read.
    """
    skipped = Skipped() if skipped is None else skipped
    own = [
        one
        for one in _indexed(directory, lambda index: index.of_event(identifier)) or ()
        if one.get("event_id") == identifier
    ]
    record = min(own, key=lambda one: _rank(one, identifier), default=None)
    if record is not None:
        return _with_context(directory, record, skipped)
    for files in _in_turn(directory, identifier):
        having = [
            one for one in _naming(files, [identifier], skipped) if identifier in _ids_of(one, _OWN)
        ]
        record = min(having, key=lambda one: _rank(one, identifier), default=None)
        if record is not None:
            break
    if record is None:
        return None
    return _with_context(directory, record, skipped)


def records_of_session(
    directory: str | os.PathLike[str],
    session_id: str,
    *,
    since: str | None = None,
    until: str | None = None,
    skipped: Skipped | None = None,
) -> list[Record]:
    """Return the records of one session over all categories, in time order.

    Args:
        directory: the log directory.
        session_id: id of the session.
        since: only events of this time or later, as `timestamp` in the records.
        until: only events before this time.
        skipped: counts the skipped lines.

    Raises:
        ReadError: a file cannot be read.
    """
    skipped = Skipped() if skipped is None else skipped
    last = until and shifted(dt.date.fromisoformat(until[:10]), 1).isoformat()  # late lines
    files = log_files(directory, None, since and since[:10], last)
    indexed = _indexed(directory, lambda index: index.of_session(session_id))
    if indexed is not None:
        files = [file for file in files if file.archived]
    found = [
        one
        for one in chain(indexed or (), _naming(files, [session_id], skipped))
        if one.get("session_id") == session_id
        and (since is None or str(one.get("timestamp")) >= since)
        and (until is None or str(one.get("timestamp")) < until)
    ]
    return sorted(found, key=lambda one: (str(one.get("timestamp")), str(one.get("event_id"))))


def _indexed(
    directory: str | os.PathLike[str], find_places: Callable[[Index], list[EventLocation]]
) -> list[Record] | None:
    """Return the records at some locations of the index.

    None if there is no index, or it is far behind.
    """
    index = existing_index(directory)
    if index is None:
        return None
    with index, suppress(IndexUnavailableError, MovedError):
        return [event.data for event in read_places(find_places(index))]
    return None


def _with_context(
    directory: str | os.PathLike[str], record: Record, skipped: Skipped
) -> FoundRecord:
    operation = _value(record, "operation_details.operation_id") or _value(
        record, "context.operation_id"
    )
    found = FoundRecord(
        record,
        transaction_id=_value(record, "operation_details.transaction_id"),
        session_id=_value(record, "session_id"),
    )
    sought = [one for one in (operation, found.transaction_id, found.session_id) if one]
    if not sought:
        return found
    near = log_files(directory, None, *_days_around(str(record.get("timestamp"))[:10]))
    for one in sorted(_naming(near, sought, skipped), key=lambda one: str(one.get("timestamp"))):
        error = one.get("log_type") == "error_log"
        if error and operation and _value(one, "context.operation_id") == operation:
            found.errors.append(one)
        transaction = _value(one, "operation_details.transaction_id")
        if transaction and transaction == found.transaction_id:
            found.transaction.append(one)
        if found.session_id and one.get("session_id") == found.session_id:
            found.session.append(one)
    return found


def _in_turn(directory: str | os.PathLike[str], identifier: str) -> Iterator[list[LogFile]]:
    """Yield the files of the days around the id's time, then all others."""
    near: list[LogFile] = []
    try:
        day = utc_date(int(identifier[:_TIME_DIGITS], 16))
        near = log_files(directory, None, *_days_around(day))
    except (ValueError, OverflowError, OSError):
        pass  # an id of another form
    yield near
    seen = {file.path for file in near}
    yield [file for file in log_files(directory) if file.path not in seen]


def _days_around(day: str) -> tuple[str | None, str | None]:
    try:
        middle = dt.date.fromisoformat(day)
        return shifted(middle, -1).isoformat(), shifted(middle, 1).isoformat()
    except ValueError:
        return None, None


def _naming(files: Iterable[LogFile], texts: list[str], skipped: Skipped) -> Iterator[Record]:
    """Yield the records of some files that contain one of the texts."""
    sought = [text.encode() for text in texts]
    for file in files:
        if file.archived:
            places = ("event_id", "session_id", *_IDS[file.category])
            condition = " OR ".join(f"list_contains($texts, {_column(place)})" for place in places)
            parameters: Any = {"texts": texts}
            read = read_events(
                file.path, skipped=skipped, predicate=Predicate(condition, parameters)
            )
            yield from (event.data for event in read)
            continue
        for block in _blocks(file):
            if any(text in block for text in sought):
                for line in block.split(b"\n"):
                    if any(text in line for text in sought):
                        data = decode(line)
                        if data is not None:
                            yield data


def _column(place: str) -> str:
    section, _, key = place.partition(".")
    # A context contains any bound values, so its column is JSON.
    return f"json_extract_string(context, '$.{key}')" if section == "context" else place


def _blocks(file: LogFile) -> Iterator[bytes]:
    """Yield a file's content up to its last newline, in blocks of whole lines."""
    rest = b""
    with open_content(file.path) as stream:
        while data := stream.read(_BLOCK_BYTES):
            whole, newline, rest = (rest + data).rpartition(b"\n")
            if newline:
                yield whole


def _ids_of(record: Record, places: Iterable[str]) -> set[str]:
    return {found for place in places if (found := _value(record, place)) is not None}


def _value(record: Record, place: str) -> str | None:
    value: Any = record
    for key in place.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else None


def _rank(record: Record, identifier: str) -> tuple[int, str]:
    """Return the rank of a match: the event or operation, then its error, then its transaction."""
    own = _ids_of(record, ("event_id", "operation_details.operation_id"))
    if identifier in own:
        rank = 0
    elif _value(record, "operation_details.transaction_id") == identifier:
        rank = 2
    else:
        rank = 1
    return rank, str(record.get("timestamp"))
