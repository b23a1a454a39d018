"""Gathering of the index's rows from pieces of files, as fast as Python can.

`leadlog.reading.events.decode` decides what is an event, and the functions of `columns` what is
stored of it. Frequent cases bypass them: a time within a known minute, and a call on the store of a
known kind.

This module does not use the database, so that other processes than the writer can gather, too.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple
from zlib import crc32

import orjson

from leadlog.reading.analytics.durations import MOST_MS
from leadlog.reading.change import addresses_of
from leadlog.reading.events import LineReader, Skipped, decode
from leadlog.reading.index.columns import (
    Kind,
    duration_of,
    kind_of,
    microseconds_of,
    rows_of,
    score_of,
    signature_of,
    user_of,
)
from leadlog.reading.index.numbers import address_number, event_number, session_number

__all__ = ["COLUMNS", "Gatherer", "IndexSource", "Piece"]

COLUMNS: Final = (
    *("offset", "length", "at", "kind", "duration", "score", "marks", "user", "event"),
    *("session", "key", "unnamed"),
)
"""Names of the columns of an event in a `Piece`."""
_BLOCK_BYTES: Final = 4 * 1024 * 1024
_TAIL_BYTES: Final = 64
_STAMP_LENGTH: Final = 27
_MOST_MINUTES: Final = 10_000
_MOST_SESSIONS: Final = 20_000

_Row = tuple[Any, ...]


class IndexSource(NamedTuple):
    """A file to read.

    Attributes:
        category: its folder.
        path: path of the file.
        stream: its content.
    """

    category: str
    path: Path
    stream: BinaryIO


class Piece(NamedTuple):
    """The rows that one piece of a file adds to the index; plain values only.

    Attributes:
        end: offset after its last line.
        tail: the bytes before this offset.
        columns: columns of its events, in the order of `COLUMNS`. `kind` is an index into `kinds`,
            `marks` and `user` are indexes into `names`, -1 for none.
        kinds: fields of the kinds of these events.
        names: texts that the events share.
        mentions: keys of the rows that an event lists, with the event's index in the columns.
        addresses: number of an e-mail address and key of a row that had it.
        damaged: number of lines that are not events.
        first_damaged: offset of the first of them.
    """

    end: int
    tail: bytes
    columns: list[tuple[Any, ...]]
    kinds: list[tuple[Any, ...]]
    names: list[str]
    mentions: list[tuple[int, tuple[str, ...]]]
    addresses: set[tuple[int, str]]
    damaged: int
    first_damaged: int | None


class Gatherer:
    """Gathers one piece after another, and caches what the next one is likely to need."""

    def __init__(self) -> None:
        self._minutes: dict[str, int] = {}
        self._sessions: dict[str, int] = {}
        self._begin()

    def _begin(self) -> None:
        self._rows: list[_Row] = []
        self._mentions: list[tuple[int, tuple[str, ...]]] = []
        self._addresses: set[tuple[str, str]] = set()
        self._signatures: dict[tuple[Any, ...], int] = {}
        self._kinds: dict[Kind, int] = {}
        self._names: dict[str, int] = {}
        self._skipped = Skipped()
        self._end = 0
        self._tail = b""

    def gather(self, source: IndexSource, start: int, most: int, stop: int | None = None) -> Piece:
        """Read the complete lines of a file from an offset.

        Args:
            source: the file.
            start: offset of the first line.
            most: approximate number of bytes to read.
            stop: offset after the last byte to read; the end of a line.
        """
        self._begin()
        source.stream.seek(max(start - _TAIL_BYTES, 0))
        self._tail = source.stream.read(min(start, _TAIL_BYTES))
        self._end = start
        self._read(source, start, most, stop)
        rows, skipped = self._rows, self._skipped
        return Piece(
            self._end,
            self._tail,
            [*zip(*rows, strict=True)] if rows else [() for _ in COLUMNS],
            [tuple(kind) for kind in self._kinds],
            [*self._names],
            self._mentions,
            {(address_number(address), key) for address, key in self._addresses},
            skipped.lines,
            skipped.places[0][1] if skipped.lines else None,
        )

    def _read(self, source: IndexSource, start: int, most: int, stop: int | None) -> None:
        stream = source.stream
        loads, rows, row, minutes = orjson.loads, self._rows, self._row, self._minutes
        while self._end < start + most:
            size = _BLOCK_BYTES if stop is None else max(min(_BLOCK_BYTES, stop - self._end), 0)
            read = stream.read(size)
            if not read:
                return
            if not read.endswith(b"\n"):  # to the end of the line, so that nothing is read twice
                read += stream.readline(_BLOCK_BYTES)
            block, newline, rest = read.rpartition(b"\n")
            if not newline:
                if not self._long_line(source):
                    return
                stream.seek(self._end)
                continue
            if rest:
                stream.seek(-len(rest), os.SEEK_CUR)
            offset = self._end
            for line in block.split(b"\n"):
                length = len(line) + 1
                data: Any
                at: int | None
                try:
                    data = loads(line)
                    stamp = data["timestamp"]
                    minute = minutes.get(stamp[:17]) if len(stamp) == _STAMP_LENGTH else None
                    at = None if minute is None else _moment(minute, stamp)
                except (orjson.JSONDecodeError, TypeError, KeyError):
                    data = at = None
                if at is None:
                    data = decode(line)
                    at = None if data is None else self._new_moment(data["timestamp"])
                if at is not None and data is not None:
                    rows.append(row(source.category, offset, length, at, data))
                elif line and not line.isspace():
                    self._skipped.damaged(source.path, offset)
                offset += length
            self._end = offset
            self._tail = (self._tail + block[-_TAIL_BYTES:] + b"\n")[-_TAIL_BYTES:]

    def _long_line(self, source: IndexSource) -> bool:
        """Read one line that is longer than a block; return False if it has no end yet."""
        reader = LineReader(source.stream, source.path, self._end, self._skipped)
        for event in reader.read(1):
            at, length = microseconds_of(event.timestamp), len(event.raw) + 1
            self._rows.append(self._row(source.category, event.offset, length, at, event.data))
        if reader.offset == self._end:
            return False
        self._end = reader.offset
        source.stream.seek(max(self._end - _TAIL_BYTES, 0))
        self._tail = source.stream.read(min(self._end, _TAIL_BYTES))
        return True

    def _new_moment(self, stamp: str) -> int:
        at = microseconds_of(stamp)
        if len(stamp) == _STAMP_LENGTH and stamp[19] == ".":
            if len(self._minutes) >= _MOST_MINUTES:
                self._minutes.clear()
            self._minutes[stamp[:17]] = microseconds_of(f"{stamp[:17]}00.000000Z")
        return at

    def _kind(self, category: str, data: Mapping[str, Any]) -> int:
        """Return the index of an event's kind."""
        kind = kind_of(category, data)
        found = self._kinds.setdefault(kind, len(self._kinds))
        signature = signature_of(category, data)
        if signature is not None:
            with suppress(TypeError):  # a list or an object instead of a text
                self._signatures[signature] = found
        return found

    def _name(self, name: str) -> int:
        return self._names.setdefault(name, len(self._names))

    def _session(self, session_id: str) -> int:
        if len(self._sessions) >= _MOST_SESSIONS:
            self._sessions.clear()
        found = self._sessions[session_id] = session_number(session_id)
        return found

    def _row(
        self, category: str, offset: int, length: int, at: int, data: Mapping[str, Any]
    ) -> _Row:
        """Return the columns of an event, with a shortcut for ordinary calls on one row."""
        get = data.get
        details, who, what = get("operation_details"), get("lead_identifier"), get("data_details")
        labels = get("training_labels")
        if (
            type(details) is not dict
            or type(who) is not dict
            or type(what) is not dict
            or type(labels) is not dict
            or what.get("fields_changed")
            or labels.get("data_quality_score") is not None
            or get("truncated")
            or get("log_type") != "database_operation"
        ):
            return self._any_row(category, offset, length, at, data)
        detail = details.get
        key, duration, user = who.get("lead_id"), detail("execution_time_ms"), -1
        if type(key) is not str or detail("bulk") is True or detail("records_cut"):
            return self._any_row(category, offset, length, at, data)
        # fmt: off
        signature = (  # as `signature_of`
            category, get("event_name"), detail("operation_type"), detail("entity"),
            detail("outcome"), get("level"), detail("success"), labels.get("performance_tier"),
            labels.get("data_quality"), get("sample_rate"),
        )
        # fmt: on
        try:
            kind = self._signatures.get(signature)
        except TypeError:  # a list or an object instead of a text
            kind = None
        event_id, session_id = get("event_id"), get("session_id")
        session = self._sessions.get(session_id) if type(session_id) is str else None
        if session is None and type(session_id) is str:
            session = self._session(session_id)
        if get("context") is not None:
            name = user_of(data)
            user = -1 if name is None else self._name(name)
        address = who.get("email")
        if type(address) is str:
            self._addresses.add((address, key))
        if type(duration) is float and 0 <= duration <= MOST_MS:
            us: int | None = round(duration * 1000)
        else:
            us = duration_of(data)
        return (
            offset,
            length,
            at,
            self._kind(category, data) if kind is None else kind,
            us,
            None,
            -1,
            user,
            crc32(event_id.encode()) if type(event_id) is str else None,  # as `event_number`
            session,
            key,
            False,
        )

    def _any_row(
        self, category: str, offset: int, length: int, at: int, data: Mapping[str, Any]
    ) -> _Row:
        key, listed, unnamed = rows_of(data)
        if listed:
            self._mentions.append((len(self._rows), listed))
        if key is not None:
            for address in addresses_of(data):
                self._addresses.add((address, key))
        score, user = score_of(data), user_of(data)
        event_id, session_id = data.get("event_id"), data.get("session_id")
        return (
            offset,
            length,
            at,
            self._kind(category, data),
            duration_of(data),
            None if score is None else score[0],
            -1 if score is None else self._name(orjson.dumps(score[1]).decode()),
            -1 if user is None else self._name(user),
            event_number(event_id) if type(event_id) is str else None,
            self._session(session_id) if type(session_id) is str else None,
            key,
            unnamed,
        )


def _moment(minute: int, stamp: str) -> int | None:
    """Return a time within a known minute; None if `decode` has to check it."""
    digits = stamp[17:19] + stamp[20:26]
    if stamp[19] == "." and stamp[26] == "Z" and digits < "60" and digits.isdecimal():
        return minute + int(digits) if digits.isascii() else None
    return None
