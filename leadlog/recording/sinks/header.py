"""The first page of a ring: its fields for other processes, and how it is kept consistent.

The owner may be killed between any two machine instructions. Everything that must change at once
is therefore one aligned 8-byte store: the tail, which acknowledges a line, and `WHICH`, which
selects the valid one of two copies of the drain's `RingProgress`. `struct` with a fixed byte order
would write a number byte by byte; a memoryview of native words does not.
"""

import os
import struct
import sys
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path

from leadlog.recording.sinks.belonging import WORDS, belonging, belongs

__all__ = ["CAUSES", "HEADER_BYTES", "Header", "Memory", "RingProgress"]

HEADER_BYTES = 4096

CAUSES = ("ring_full", "oversize", "io_error")
"""Causes for which a running sink drops lines, see `leadlog.recording.sinks.spool`."""

Memory = mmap | bytearray
"""A ring's bytes, beginning with the header: in a file that outlives the process, or its heap."""

MAGIC = int.from_bytes(b"leadlog2", sys.byteorder)
(IDENTITY, TAIL, IN_MEMORY, DEGRADED, CAPACITY, PROCESS, CREATED_US, SEEN_US, WHICH) = range(9)
DROPPED = 9
STAGE = DROPPED + len(CAUSES)
POLICY = STAGE + 1
BELONGING = POLICY + 1
UNCOUNTED = BELONGING + WORDS
LENT = UNCOUNTED + 1
_RECORD = struct.Struct("=4Q5qQ")
_RECORDS_AT = (512, 2304)
_NAME_BYTES = 1024


@dataclass(frozen=True, slots=True)
class RingProgress:
    """The progress of writing a ring to files.

    The *output* is the stream of bytes written to files: frames that are finished lines, as they
    are in the ring, and the lines that other frames became, by way of the stage. If all frames are
    finished lines, positions in the output equal those in the ring.

    Attributes:
        head: bytes of the ring that are in files or in the stage, always up to the end of a
            frame.
        written: lines in files.
        name: the file being written, relative to the log directory; "" if there is none yet.
        position: a position in the output, and
        offset: its position in that file. The file's length then shows exactly how much of the
            output is in it, whatever the writer managed to store.
        shift: number to add to `head` to get its position in the output.
        staged: bytes put into the stage the last time.
        ahead: bytes of them that are not in files yet, always from the start of a line.
        omitted: frames that were dropped deliberately.
        oversize: frames whose lines were larger than the stage, and dropped.
    """

    head: int = 0
    written: int = 0
    name: str = ""
    position: int = 0
    offset: int = 0
    shift: int = 0
    staged: int = 0
    ahead: int = 0
    omitted: int = 0
    oversize: int = 0

    @property
    def out(self) -> int:
        """Bytes of the output that are in files, up to the end of a line."""
        return self.head + self.shift - self.ahead

    @property
    def done(self) -> int:
        """Frames that are completely processed."""
        return self.written + self.omitted + self.oversize


class Header:
    """Access to the header of a ring.

    Args:
        memory: the ring's bytes; only the first page is used.

    Attributes:
        words: the first page as native 8-byte words, for the constants of this module.

    Raises:
        ValueError: the page is not a valid header.
    """

    def __init__(self, memory: Memory | bytes) -> None:
        if len(memory) < HEADER_BYTES:
            raise ValueError("no ring: too short for a header")
        self._memory = memory
        self.words = memoryview(memory)[:HEADER_BYTES].cast("Q")
        if self.words[IDENTITY] != MAGIC or self.words[WHICH] > 1:
            self.words.release()
            raise ValueError("no ring of this version")

    @classmethod
    def format(
        cls, memory: Memory, capacity: int, now_us: int, stage: int = 0, policy: int = 0
    ) -> None:
        """Write a header into a first page of zeros; this process becomes the owner.

        Args:
            memory: the ring's bytes.
            capacity: bytes of the ring, which follow the header.
            now_us: microseconds since 1970.
            stage: bytes of the stage, which follow the ring; 0 if all frames are lines.
            policy: bytes of the policy, which follow the stage.
        """
        with memoryview(memory)[:HEADER_BYTES].cast("Q") as words:
            words[CAPACITY] = capacity
            words[STAGE] = stage
            words[POLICY] = policy
            words[PROCESS] = os.getpid()
            words[CREATED_US] = words[SEEN_US] = now_us
            words[IDENTITY] = MAGIC

    def steady_progress(self) -> RingProgress:
        """Return the current progress even while another process is changing it."""
        before = None
        while True:
            which = self.words[WHICH]
            start = _RECORDS_AT[which]
            page = bytes(self._memory[start : start + _RECORD.size + _NAME_BYTES])
            if before == (which, page) and self.words[WHICH] == which:
                return self._read(page)
            before = which, page

    def progress(self) -> RingProgress:
        """Return the current progress."""
        start = _RECORDS_AT[self.words[WHICH]]
        return self._read(bytes(self._memory[start : start + _RECORD.size + _NAME_BYTES]))

    @staticmethod
    def _read(page: bytes) -> RingProgress:
        head, written, position, offset, *others, length = _RECORD.unpack_from(page)
        name = page[_RECORD.size : _RECORD.size + length]
        return RingProgress(head, written, os.fsdecode(name), position, offset, *others)

    def store(self, progress: RingProgress) -> None:
        """Store `progress` atomically as the current one.

        Raises:
            ValueError: the file's name is too long.
        """
        memory = self._memory
        assert not isinstance(memory, bytes)  # noqa: S101 - a copy is for reading
        name = os.fsencode(progress.name)
        if len(name) > _NAME_BYTES:
            raise ValueError(f"the file name {progress.name!r} is longer than {_NAME_BYTES} bytes")
        which = 1 - self.words[WHICH]
        record = (
            _RECORD.pack(
                progress.head,
                progress.written,
                progress.position,
                progress.offset,
                progress.shift,
                progress.staged,
                progress.ahead,
                progress.omitted,
                progress.oversize,
                len(name),
            )
            + name
        )
        start = _RECORDS_AT[which]
        memory[start : start + len(record)] = record
        self.words[WHICH] = which

    def belong(self, directory: Path) -> None:
        """Store the identity of the log directory of the lines; a path would not be unique."""
        words = belonging(directory)
        if any(words):
            for at, word in enumerate(words, BELONGING):
                self.words[at] = word

    def belongs(self, directory: Path) -> bool:
        """Return whether the lines are for this log directory, as far as that is known."""
        return belongs(self.words[BELONGING : BELONGING + WORDS].tolist(), directory)

    @property
    def unused(self) -> bool:
        """Whether no line was ever taken."""
        return not any(
            (
                self.words[TAIL],
                self.words[IN_MEMORY],
                self.words[UNCOUNTED],
                *self.dropped().values(),
            )
        )

    @property
    def uneventful(self) -> bool:
        """Whether every line is in its file and was never at risk."""
        words = self.words
        return not (words[IN_MEMORY] or words[DEGRADED] or words[UNCOUNTED] or self.dropped())

    def dropped(self) -> dict[str, int]:
        """Return the number of lines dropped by cause; only causes that occurred."""
        counts = {cause: self.words[DROPPED + at] for at, cause in enumerate(CAUSES)}
        counts["oversize"] += self.progress().oversize
        return {cause: count for cause, count in counts.items() if count}
