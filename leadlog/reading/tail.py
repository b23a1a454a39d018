"""The last events and new ones, over all categories and files, in time order.

The last events are read backwards from the ends of the files and merged, so the cost depends on the
number requested, not on the size of the log. Following checks the files repeatedly: growing ones,
new ones (a new day, segment, writer or category), and ones that were truncated, deleted or
replaced. Compressed files do not grow, so they are only read backwards. Files of one writer are in
time order except where threads overtook each other by microseconds; each returned batch is sorted.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import merge
from io import BufferedReader
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

from leadlog.core.errors import ReadError
from leadlog.core.layout import COMPRESSED, LogFile, log_files, part_path
from leadlog.reading.events import Event, LineReader, Skipped, read_backwards

__all__ = ["POLL_SECONDS", "Tail"]

POLL_SECONDS = 0.05
"""Seconds between two checks of growing files."""

_POLLS_PER_SCAN = 5  # folders are listed less often than open files are checked
_READ_BYTES = 1024 * 1024  # per file and poll, so that one busy file does not delay the others

_timestamp = attrgetter("timestamp")


def _everything(_: Mapping[str, Any]) -> bool:
    return True


class Tail:
    """The end of the log as of the object's creation, and later events.

    Args:
        directory: the log directory; it need not exist yet.
        categories: folders to read; all six by default.
        where: filter of events; all by default.
        notice: called with one line of text for the reader (a file was truncated …).

    Attributes:
        skipped: counts the damaged lines read so far.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        categories: Iterable[str] | None = None,
        where: Callable[[Mapping[str, Any]], bool] | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._directory = directory
        self._categories = None if categories is None else tuple(categories)
        self._where = _everything if where is None else where
        self._notice = notice
        self.skipped = Skipped()
        self._files: dict[Path, _Followed] = {}
        self._finished: list[LogFile] = []
        for file in log_files(directory, self._categories):
            if file.compressed or file.archived:
                self._finished.append(file)
                continue
            try:
                self._files[file.path] = _Followed(file, self.skipped, at_end=True)
            except FileNotFoundError:  # removed or compressed since it was listed
                self._finished.append(file)

    def last(self, count: int) -> list[Event]:
        """Return the last `count` matching events, oldest first.

        Raises:
            ReadError: a file cannot be read.
        """
        # Reversed at the end, so that events of the same time are ordered by category.
        ends: list[tuple[LogFile, int | None]] = [(file, None) for file in self._finished]
        ends += [(one.file, one.start_size) for one in self._files.values()]
        ends.sort(key=_writer, reverse=True)
        streams = [self._backwards(list(files)) for _, files in groupby(ends, key=_writer)]
        newest_first = merge(*streams, key=_timestamp, reverse=True)
        wanted = list(islice((one for one in newest_first if self._where(one.data)), count))
        wanted.reverse()
        wanted.sort(key=_timestamp)
        return wanted

    def _backwards(self, ends: list[tuple[LogFile, int | None]]) -> Iterator[Event]:
        ends.sort(key=lambda one: (one[0].date, one[0].segment), reverse=True)
        for file, end in ends:
            try:
                yield from read_backwards(file.path, end=end, skipped=self.skipped)
            except ReadError as error:
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise
                self._notice(f"{file.path} was deleted")

    def follow(
        self, wait: Callable[[], object] = lambda: time.sleep(POLL_SECONDS)
    ) -> Iterator[list[Event]]:
        """Yield batches of events written since the object's creation, without end.

        Events are held back for one round, so that an event that another file shows slightly later
        is still sorted in.

        Args:
            wait: called between two rounds; the iteration ends when it raises.

        Raises:
            ReadError: a file cannot be read.
        """
        held: list[Event] = []
        rounds = 0
        try:
            while True:
                until = held[-1].timestamp if held else ""
                if rounds % _POLLS_PER_SCAN == 0:
                    held += self._scan()
                rounds += 1
                behind = False
                for one in list(self._files.values()):
                    fresh, more = one.read(self._notice)
                    held += (event for event in fresh if self._where(event.data))
                    behind = behind or more
                held.sort(key=_timestamp)
                ready = [event for event in held if event.timestamp <= until]
                del held[: len(ready)]
                if ready:
                    yield ready
                if not behind:
                    wait()
        finally:
            for one in self._files.values():
                one.close()

    def _scan(self) -> list[Event]:
        """List the folders again; return the remaining events of removed files."""
        rest: list[Event] = []
        listed = {
            file.path: file
            for file in log_files(self._directory, self._categories)
            if not (file.compressed or file.archived)
        }
        newest = {file.category: file.date for file in listed.values()}  # sorted by date
        for path in [path for path in self._files if path not in listed]:
            rest += self._gone(path, "was deleted")
        for path, file in listed.items():
            try:
                known = self._files.get(path)
                if known is not None and known.replaced():
                    rest += self._gone(path, "was replaced; reading the new one from its start")
                    known = None
                if known is None:
                    known = self._files[path] = _Followed(file, self.skipped, at_end=False)
                known.keep_open(file.date == newest[file.category])
            except FileNotFoundError:  # removed since it was listed: the next scan finds out
                continue
        return [event for event in rest if self._where(event.data)]

    def _gone(self, path: Path, what: str) -> list[Event]:
        one = self._files.pop(path)
        rest: list[Event] = []
        more = True
        while more:
            fresh, more = one.read(self._notice)
            rest += fresh
        one.close()
        sealed = part_path(self._directory, one.file)
        if not path.with_name(path.name + COMPRESSED).exists() and not sealed.exists():
            self._notice(f"{path} {what}")
        return rest


class _Followed:
    """One followed file, open only while it may grow.

    Attributes:
        file: what the file's name says.
        start_size: its size in bytes when it was first seen.
    """

    def __init__(self, file: LogFile, skipped: Skipped, *, at_end: bool) -> None:
        found = file.path.stat()
        self.file = file
        self.start_size = found.st_size
        self._identity = (found.st_dev, found.st_ino)
        self._size = self._offset = self.start_size if at_end else 0
        self._at_line_start = not at_end
        self._skipped = skipped
        self._stream: BufferedReader | None = None

    def replaced(self) -> bool:
        """Return whether another file has its name now."""
        found = self.file.path.stat()
        return (found.st_dev, found.st_ino) != self._identity

    def keep_open(self, newest: bool) -> None:
        """Open the file if it is its category's newest or has changed; close it otherwise."""
        changed = self.file.path.stat().st_size != self._size
        if newest or changed:
            self._open()
        else:
            self.close()

    def _open(self) -> None:
        if self._stream is None:
            self._stream = self.file.path.open("rb")
            if not self._at_line_start:
                self._offset = _line_start(self._stream, self._offset)
                self._at_line_start = True

    def read(self, notice: Callable[[str], None]) -> tuple[list[Event], bool]:
        """Return the new events, and whether more can be read right now."""
        stream = self._stream
        if stream is None:
            return [], False
        self._size = os.fstat(stream.fileno()).st_size
        if self._size < self._offset:
            notice(f"{self.file.path} was truncated; reading it from its start")
            self._offset = 0
            # The buffer no longer matches the file's content.
            stream = self._stream = BufferedReader(stream.detach())
        if self._size == self._offset:
            return [], False
        reader = LineReader(stream, self.file.path, self._offset, self._skipped)
        events = list(reader.read(_READ_BYTES))
        more = reader.offset - self._offset >= _READ_BYTES
        self._offset = reader.offset
        return events, more

    def close(self) -> None:
        """Close the file; it can be opened again."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _writer(one: tuple[LogFile, int | None]) -> tuple[str, str, int]:
    return one[0].category, one[0].host, one[0].writer


def _line_start(stream: BinaryIO, offset: int) -> int:
    """Return the offset at which the line that contains `offset` begins."""
    while offset > 0:
        size = min(64 * 1024, offset)
        stream.seek(offset - size)
        newline = stream.read(size).rfind(b"\n")
        if newline >= 0:
            return offset - size + newline + 1
        offset -= size
    return 0
