"""Intents: notes of what a transaction is about to do, in memory that survives a kill.

A process killed after it sent COMMIT and before it wrote its records would leave rows that the log
does not know of. The records are therefore noted here first, as frames, and the note is cleared
once they are in the rings. Recovery turns the notes it finds into records, see
`leadlog.recording.sinks.recover`.

    /dev/shm/leadlog-<uid>/<hash of the log directory>/
        <process id>.<token>.intents    notes; locked while their process lives

A note occupies a slot. The length of a slot's content is one word: storing it makes the note
valid, and clearing it removes the note. A note that is too large for a slot gets its own file.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path

from leadlog.recording.sinks.belonging import KEPT_SECONDS, WORDS, belonging, belongs, other
from leadlog.recording.sinks.descriptors import Descriptors, unmap
from leadlog.recording.sinks.header import HEADER_BYTES
from leadlog.recording.sinks.storage import Spool

__all__ = ["Frames", "Intents", "Note", "Token", "read_notes"]

Frames = Sequence[tuple[str, bytes]]
"""Frames, each with its category."""

_MAGIC = int.from_bytes(b"leadlogI", sys.byteorder)
_IDENTITY, _SLOTS, _SLOT_BYTES, _POLICY_BYTES, _BELONGING = range(5)
_LENGTHS = 8
_TIMES = 256
_MOST_SLOTS = _TIMES - _LENGTHS
_USUAL_SLOTS = 64
_USUAL_BYTES = 4096
_LEAST_LARGE_BYTES = 64 * 1024


class _Area:
    """The slots in one file.

    Args:
        memory: the file's bytes, formatted.
        path: the file.
        fd: the file, open and locked.

    Attributes:
        free: numbers of the slots without a note.
        slot_bytes: size of a slot.
        words: the first page as native words; None once it belongs to another process.
    """

    def __init__(self, memory: mmap, path: Path, fd: int) -> None:
        self._memory = memory
        self.path = path
        self.fd = fd
        self.words: memoryview | None = memoryview(memory)[:HEADER_BYTES].cast("Q")
        self.slot_bytes: int = self.words[_SLOT_BYTES]
        self.count: int = self.words[_SLOTS]
        self.free = deque(range(self.count))

    @staticmethod
    def format(memory: mmap, slots: int, slot_bytes: int, policy: bytes, directory: Path) -> None:
        """Format a file of zeros as one without notes."""
        at = HEADER_BYTES + slots * slot_bytes
        memory[at : at + len(policy)] = policy
        with memoryview(memory)[:HEADER_BYTES].cast("Q") as words:
            words[_SLOTS] = slots
            words[_SLOT_BYTES] = slot_bytes
            words[_POLICY_BYTES] = len(policy)
            for at, word in enumerate(belonging(directory), _BELONGING):
                words[at] = word
            words[_IDENTITY] = _MAGIC

    def belong(self, directory: Path) -> None:
        """Store which log directory the notes are for."""
        words, known = self.words, belonging(directory)
        if words is not None and any(known):
            for at, word in enumerate(known, _BELONGING):
                words[at] = word

    def note(self, slot: int, data: bytes) -> None:
        """Write a note into a free slot; the last store makes it valid."""
        words = self.words
        if words is not None:
            at = HEADER_BYTES + slot * self.slot_bytes
            self._memory[at : at + len(data)] = data
            words[_TIMES + slot] = time.time_ns() // 1000
            words[_LENGTHS + slot] = len(data)

    def strike(self, slot: int) -> None:
        """Remove a note."""
        words = self.words
        if words is not None and words[_LENGTHS + slot]:
            words[_LENGTHS + slot] = 0
            self.free.append(slot)

    @property
    def unused(self) -> bool:
        """Whether the area has no notes."""
        return len(self.free) == self.count

    def abandon(self) -> None:
        """Release the memory; the file is not changed."""
        words, self.words = self.words, None
        if words is not None:
            words.release()
            unmap(self._memory)


Token = tuple[_Area, int]
"""Identifies a note."""


class Intents:
    """The notes of one process.

    No call raises: if something cannot be noted, it is counted, and a kill at that moment loses the
    record of a committed row, as it would without notes.

    Args:
        spool: the spool that holds the files.
        descriptors: the descriptors they are opened with.
        policy: the policy by which others finish the frames.
        limit: maximum number of bytes for notes that do not fit into the usual slots.

    Attributes:
        unguarded: number of transactions that could not be noted.
    """

    def __init__(
        self, spool: Spool, descriptors: Descriptors, policy: bytes = b"", limit: int = 1 << 24
    ) -> None:
        self._spool = spool
        self._descriptors = descriptors
        self._policy = policy
        self._limit = limit
        self._usual: _Area | None = None
        self._large: list[_Area] = []
        self._retry_at = 0.0
        self._closed = False
        self.unguarded = 0

    def intend(self, frames: Frames, brief: Callable[[], Frames] | None = None) -> Token | None:
        """Note frames before the COMMIT that makes them true is sent.

        Args:
            frames: the frames.
            brief: returns shorter frames (counts and keys, no values) to note if the others are too
                large.

        Returns:
            The token for `settle`; None if the frames could not be noted.
        """
        try:
            token = self._noted(_encoded(frames))
            if token is None and brief is not None:
                token = self._noted(_encoded(brief()))
        except Exception:  # noqa: BLE001 - the caller is about to commit, and must
            token = None
        if token is None:
            self.unguarded += 1
        return token

    def settle(self, token: Token | None) -> None:
        """Remove a note, once its frames are in the rings or can no longer become true."""
        if token is None:
            return
        area, slot = token
        try:
            area.strike(slot)
            if area is not self._usual or self._closed:
                self._give_back(area)
        except Exception:  # noqa: BLE001 - the caller's COMMIT must not fail
            return

    def belong(self) -> None:
        """Store which log directory the notes are for, since it may have been created again."""
        for area in (self._usual, *self._large):
            if area is not None:
                area.belong(self._spool.directory)

    def _noted(self, data: bytes) -> Token | None:
        if self._closed:
            return None
        area = self._usual
        if area is None:
            area = self._usual = self._made(_USUAL_SLOTS, _USUAL_BYTES)
        if area is not None and len(data) <= area.slot_bytes:
            try:
                slot = area.free.popleft()
            except IndexError:
                pass
            else:
                area.note(slot, data)
                return area, slot
        return self._noted_apart(data)

    def _noted_apart(self, data: bytes) -> Token | None:
        """Write a note into a file of its own, either a new or a kept one."""
        for area in list(self._large):
            if len(data) <= area.slot_bytes:
                try:
                    slot = area.free.popleft()
                except IndexError:
                    continue
                area.note(slot, data)
                return area, slot
        size = max(1 << (len(data) - 1).bit_length(), _LEAST_LARGE_BYTES)
        if size + sum(area.slot_bytes for area in self._large) > self._limit:
            return None
        made = self._made(1, size)
        if made is None:
            return None
        slot = made.free.popleft()
        made.note(slot, data)
        self._large.append(made)
        return made, slot

    def _made(self, slots: int, slot_bytes: int) -> _Area | None:
        """Return a new area; None if there is no room, which is retried after a second."""
        now = time.monotonic()
        if now < self._retry_at:
            return None
        size = HEADER_BYTES + slots * slot_bytes + len(self._policy)
        try:
            memory, path, fd = self._spool.make(
                f"{os.getpid()}.{self._descriptors.name()}.intents",
                size,
                self._descriptors,
                lambda memory: _Area.format(
                    memory, slots, slot_bytes, self._policy, self._spool.directory
                ),
            )
        except OSError:
            self._retry_at = now + 1.0
            return None
        return _Area(memory, path, fd)

    def _give_back(self, area: _Area) -> None:
        """Remove a file without notes that is no longer needed; one large file is kept."""
        if not area.unused or (not self._closed and area in self._large[:1]):
            return
        try:
            self._large.remove(area)
        except ValueError:
            if area is not self._usual or not self._closed:
                return
        area.path.unlink(missing_ok=True)
        area.abandon()
        self._descriptors.close(area.fd)

    def close(self) -> None:
        """Remove the files; those with notes stay until these are removed or recovered."""
        self._closed = True
        for area in (self._usual, *self._large):
            if area is not None:
                self._give_back(area)

    def abandon(self) -> None:
        """Leave everything to the parent, in a forked child."""
        for area in (self._usual, *self._large):
            if area is not None:
                area.abandon()


def _encoded(frames: Frames) -> bytes:
    return b"".join([category.encode() + b"\t" + frame for category, frame in frames])


@dataclass(frozen=True, slots=True)
class Note:
    """A note of a dead process.

    Attributes:
        frames: the noted frames, with their categories.
        time_us: time of the note, microseconds since 1970.
    """

    frames: list[tuple[str, bytes]]
    time_us: int


def read_notes(content: bytes, directory: Path) -> tuple[list[Note], bytes | None]:
    """Return the valid notes in a dead process's file, and the policy stored with them.

    Notes for another directory are ignored once they are more than a week old.

    Raises:
        ValueError: the file is not one of notes, or its notes are for another directory.
    """
    if len(content) < HEADER_BYTES:
        raise ValueError("no intents: too short for a header")
    words = memoryview(content)[:HEADER_BYTES].cast("Q")
    slots, size, policy = words[_SLOTS], words[_SLOT_BYTES], words[_POLICY_BYTES]
    end = HEADER_BYTES + slots * size
    if words[_IDENTITY] != _MAGIC or slots > _MOST_SLOTS or end + policy > len(content):
        raise ValueError("no intents of this version")
    notes = []
    for slot in range(slots):
        at = HEADER_BYTES + slot * size
        data = content[at : at + words[_LENGTHS + slot]]
        if data:
            notes.append(Note(_decoded(data.split(b"\n")[:-1]), words[_TIMES + slot]))
    if notes and not belongs(words[_BELONGING : _BELONGING + WORDS].tolist(), directory):
        if time.time() - max(note.time_us for note in notes) / 1e6 <= KEPT_SECONDS:
            raise ValueError(f"it holds transactions without an outcome for {other(directory)}")
        return [], None
    return notes, content[end : end + policy] or None


def _decoded(entries: Iterable[bytes]) -> list[tuple[str, bytes]]:
    parts = (entry.partition(b"\t") for entry in entries)
    return [(category.decode(), frame + b"\n") for category, _, frame in parts]
