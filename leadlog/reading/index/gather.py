"""The rows that the index has of a piece of a file, gathered as fast as Python can.

What a line says is decided by `leadlog.reading.events.decode`, and what an event is by the
functions of `columns`. What is usual is done without them: a time of a minute that was met before,
and a call on the store of a kind that was met before.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple
from zlib import crc32

import orjson

from leadlog.reading.analytics.durations import MOST_MS
from leadlog.reading.change import addresses_of
from leadlog.reading.events import LineReader, Skipped, decode
from leadlog.reading.index.columns import (
    duration_of,
    microseconds_of,
    rows_of,
    score_of,
    user_of,
)
from leadlog.reading.index.numbers import Numbers, address_number, event_number

__all__ = ["COLUMNS", "IndexSource", "Piece"]

COLUMNS: Final = (
    *("file", "offset", "length", "at", "kind", "duration", "score", "marks"),
    *("user", "event", "session", "key", "unnamed"),
)
_BLOCK_BYTES: Final = 4 * 1024 * 1024
_STAMP_LENGTH: Final = 27
_MOST_MINUTES: Final = 10_000

Row = tuple[Any, ...]


class IndexSource(NamedTuple):
    """A file that is read.

    Attributes:
        number: of the file.
        category: its folder.
        path: of the file.
        stream: its content.
    """

    number: int
    category: str
    path: Path
    stream: BinaryIO


class Piece:
    """What one piece of a file adds to the index.

    Attributes:
        rows: the columns of its events, as `COLUMNS` names them.
        mentions: keys of the rows that an event lists, by its place in `rows`.
        addresses: number of an e-mail address and key of a row that had it.
        end: offset behind its last line.
        skipped: its lines that are not events.
    """

    def __init__(self, numbers: Numbers, minutes: dict[str, int]) -> None:
        self._numbers = numbers
        self._minutes = minutes
        self._addresses: set[tuple[str, str]] = set()
        self.rows: list[Row] = []
        self.mentions: list[tuple[int, tuple[str, ...]]] = []
        self.end = 0
        self.skipped = Skipped()

    @property
    def addresses(self) -> set[tuple[int, str]]:
        """Number of an e-mail address and key of a row that had it."""
        return {(address_number(address), key) for address, key in self._addresses}

    def read(self, source: IndexSource, start: int, most: int) -> None:
        """Read the complete lines of a file from an offset on.

        Args:
            source: the file.
            start: the offset.
            most: about how many bytes to read.
        """
        stream = source.stream
        loads, rows, row, minutes = orjson.loads, self.rows, self._row, self._minutes
        self.end = start
        stream.seek(start)
        rest = b""
        while self.end < start + most and (read := stream.read(_BLOCK_BYTES)):
            block, newline, rest = (rest + read).rpartition(b"\n")
            if not newline:
                if not self._long_line(source):
                    return
                stream.seek(self.end)
                rest = b""
                continue
            offset = self.end
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
                    rows.append(row(source, offset, length, at, data))
                elif line and not line.isspace():
                    self.skipped.damaged(source.path, offset)
                offset += length
            self.end = offset

    def _long_line(self, source: IndexSource) -> bool:
        """Read one line that is longer than a block; False where it has no end yet."""
        reader = LineReader(source.stream, source.path, self.end, self.skipped)
        for event in reader.read(1):
            at, length = microseconds_of(event.timestamp), len(event.raw) + 1
            self.rows.append(self._row(source, event.offset, length, at, event.data))
        moved = reader.offset > self.end
        self.end = reader.offset
        return moved

    def _new_moment(self, stamp: str) -> int:
        at = microseconds_of(stamp)
        if len(stamp) == _STAMP_LENGTH and stamp[19] == ".":
            if len(self._minutes) >= _MOST_MINUTES:
                self._minutes.clear()
            self._minutes[stamp[:17]] = microseconds_of(f"{stamp[:17]}00.000000Z")
        return at

    def _row(
        self, source: IndexSource, offset: int, length: int, at: int, data: Mapping[str, Any]
    ) -> Row:
        """Return the columns of an event: those of an ordinary call on one row at once."""
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
            return self._any_row(source, offset, length, at, data)
        detail = details.get
        key, duration, user = who.get("lead_id"), detail("execution_time_ms"), None
        if type(key) is not str or detail("bulk") is True or detail("records_cut"):
            return self._any_row(source, offset, length, at, data)
        # fmt: off
        signature = (  # as `signature_of`
            source.category, get("event_name"), detail("operation_type"), detail("entity"),
            detail("outcome"), get("level"), detail("success"), labels.get("performance_tier"),
            labels.get("data_quality"), get("sample_rate"),
        )
        # fmt: on
        numbers = self._numbers
        try:
            kind = numbers.signatures.get(signature)
        except TypeError:  # a list or an object where a text belongs
            kind = None
        event_id, session_id = get("event_id"), get("session_id")
        session = numbers.sessions.get(session_id) if type(session_id) is str else None
        if session is None and type(session_id) is str:
            session = numbers.session(session_id)
        if get("context") is not None:
            name = user_of(data)
            user = None if name is None else numbers.name(name)
        address = who.get("email")
        if type(address) is str:
            self._addresses.add((address, key))
        if type(duration) is float and 0 <= duration <= MOST_MS:
            us: int | None = round(duration * 1000)
        else:
            us = duration_of(data)
        return (
            source.number,
            offset,
            length,
            at,
            numbers.kind(source.category, data) if kind is None else kind,
            us,
            None,
            None,
            user,
            crc32(event_id.encode()) if type(event_id) is str else None,  # as `event_number`
            session,
            key,
            False,
        )

    def _any_row(
        self, source: IndexSource, offset: int, length: int, at: int, data: Mapping[str, Any]
    ) -> Row:
        numbers = self._numbers
        key, listed, unnamed = rows_of(data)
        if listed:
            self.mentions.append((len(self.rows), listed))
        if key is not None:
            for address in addresses_of(data):
                self._addresses.add((address, key))
        score, user = score_of(data), user_of(data)
        event_id, session_id = data.get("event_id"), data.get("session_id")
        return (
            source.number,
            offset,
            length,
            at,
            numbers.kind(source.category, data),
            duration_of(data),
            None if score is None else score[0],
            None if score is None else numbers.name(orjson.dumps(score[1]).decode()),
            None if user is None else numbers.name(user),
            event_number(event_id) if type(event_id) is str else None,
            numbers.session(session_id) if type(session_id) is str else None,
            key,
            unnamed,
        )


def _moment(minute: int, stamp: str) -> int | None:
    """Return a time of a minute that was met before; None where `decode` has to look at it."""
    digits = stamp[17:19] + stamp[20:26]
    if stamp[19] == "." and stamp[26] == "Z" and digits < "60" and digits.isdecimal():
        return minute + int(digits) if digits.isascii() else None
    return None
