"""Unsettled intents: turns the notes that dead processes left into records.

The notes of a process are read when all its rings are in files. A record that is in a file already
is not written again; the others are put into a ring, which is recovered like any other, and only
then are the notes removed. The recovering process may therefore be killed at any moment, too.
"""

import mmap
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from leadlog.core.clock import utc_date
from leadlog.core.layout import COMPRESSED, category_directory, parse_name
from leadlog.core.locks import try_lock
from leadlog.recording.sinks.channel import Channel
from leadlog.recording.sinks.contract import FinisherOf
from leadlog.recording.sinks.descriptors import TOKEN_LENGTH
from leadlog.recording.sinks.intents import Note, read_notes
from leadlog.recording.sinks.overflow import Budget
from leadlog.recording.sinks.ring import Ring
from leadlog.recording.sinks.segments import DAY_US, Files

__all__ = ["Unsettled", "lock_notes"]

_EVENT_ID = re.compile(rb'"event_id":"([^"\\]+)"')
_PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Unsettled:
    """The file of a dead process's notes, locked by this process.

    Attributes:
        path: the file.
        fd: the file, open.
        files: opens the log files.
    """

    path: Path
    fd: int
    files: Files

    @property
    def rings(self) -> list[Path]:
        """The rings of that process that are not in files yet."""
        return [
            file.path
            for file in self.files.spool.files()
            if not file.past and f".{self._owner}" in file.path.name
        ]

    @property
    def _owner(self) -> str:
        process, name, _ = self.path.name.split(".")
        return f"{process}.{name[:TOKEN_LENGTH]}"

    def settle(self, finisher_of: FinisherOf | None) -> int:
        """Write the missing records, and remove the notes.

        Returns:
            The number of records written.

        Raises:
            OSError: the records cannot be written now.
            ValueError: they cannot be finished, or the file is not one of notes.
        """
        notes, policy = read_notes(
            os.pread(self.fd, os.fstat(self.fd).st_size, 0), self.files.directory
        )
        if notes and finisher_of is None:
            raise ValueError("`leadlog recover` can finish its events")
        rings = []
        count = 0
        since_us = min((note.time_us for note in notes), default=0)
        if notes and finisher_of is not None:
            finish = finisher_of(policy)
            for category, frames in _by_category(notes).items():
                lines = {_event_id(line): line for line in finish(category, frames) if line}
                for known in _known(self.files.directory, category, since_us):
                    lines.pop(known, None)
                if lines:
                    rings.append((category, self._ring(category, list(lines.values()), since_us)))
                    count += len(lines)
        self.path.unlink()
        for category, ring in rings:
            self._write(category, ring, since_us)
        return count

    def _ring(self, category: str, lines: list[bytes], time_us: int) -> Ring:
        capacity = -(-sum(map(len, lines)) // _PAGE_BYTES) * _PAGE_BYTES
        storage = self.files.spool.create(
            category, capacity, self.files.descriptors, time_us, owner=self._owner
        )
        ring = Ring(storage, Budget(0).overflow())
        for line in lines:
            ring.put(line)
        return ring

    def _write(self, category: str, ring: Ring, time_us: int) -> None:
        channel = Channel(category, ring, self.files, lambda: time_us)
        path = ring.storage.path
        try:
            channel.transfer()
        finally:
            channel.close()
            empty = ring.empty
            ring.detach().release()
            if path is not None and empty:
                self.files.spool.retire(path)

    def release(self) -> None:
        """Close the file."""
        self.files.descriptors.close(self.fd)


def lock_notes(files: Files) -> list[Unsettled]:
    """Lock the notes of all dead processes; must be called before their rings are recovered."""
    found = []
    for path in sorted(files.spool.path.glob("*.intents")):
        try:
            fd = files.descriptors.open(path, os.O_RDWR)
        except OSError:
            continue
        if try_lock(fd) and path.exists():
            found.append(Unsettled(path, fd, files))
        else:
            files.descriptors.close(fd)
    return found


def _by_category(notes: Iterable[Note]) -> dict[str, list[bytes]]:
    frames: dict[str, list[bytes]] = {}
    for note in notes:
        for category, frame in note.frames:
            frames.setdefault(category, []).append(frame)
    return frames


def _event_id(line: bytes) -> bytes:
    return str(orjson.loads(line)["event_id"]).encode()


def _known(directory: Path, category: str, since_us: int) -> Iterator[bytes]:
    """Yield the ids of the events in the files that were written to since a time.

    Compressed files are skipped: a file is compressed a day or more after it was closed, and its
    writer's rings were recovered before.
    """
    folder = category_directory(directory, category)
    first = utc_date(since_us - DAY_US)
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names suffice
    except FileNotFoundError:
        return
    for name in names:
        file = parse_name(name)
        if file is None or file.date < first or name.endswith(COMPRESSED):
            continue
        with (folder / name).open("rb") as stream:
            if os.fstat(stream.fileno()).st_size:
                with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                    for match in _EVENT_ID.finditer(content):
                        yield match[1]
