"""The part of a ring that is in shared memory, and how the drain reads it.

A frame is one entry of the ring: a finished line, or facts that are yet to become one, which begin
with `FACTS`. Facts leave the ring through the stage, a part of the same memory: the drain finishes
a batch of frames and writes the lines into the stage; a single store then makes the stage valid
and removes the frames. A finished line therefore never changes, even if another process continues,
and none is made twice.
"""

from dataclasses import replace
from pathlib import Path

from leadlog.recording.sinks.header import SEEN_US, TAIL, Header, RingProgress
from leadlog.recording.sinks.storage import NOWHERE, Storage

__all__ = ["FACTS", "Body"]

FACTS = b"\x01"
"""Prefix of a frame that is not yet a finished line."""

_NEXT_FACTS = b"\n" + FACTS


class Body:
    """The bytes of a ring, and the progress of writing them to files.

    Args:
        storage: the memory, formatted; a used one continues where it stopped.

    Attributes:
        storage: the memory.
        tail: position after the last frame.
        progress: progress of writing it to files.
        reason: why it is in the heap, or ""; kept after the end, for the last health check.
        capacity: bytes it can hold.
        stage: bytes the stage can hold; 0 if every frame is a finished line.
    """

    def __init__(self, storage: Storage) -> None:
        self._install(storage)
        self.tail: int = self._words[TAIL]
        self.progress = self._header.progress()
        self._staged_from = self.progress.head if not self.progress.ahead else 0

    def _install(self, storage: Storage) -> None:
        self.storage = storage
        self.reason = storage.reason
        self._memory = storage.memory
        self._header = Header(storage.memory)
        self._words = self._header.words
        self.capacity = storage.capacity
        self.stage = storage.stage

    def _room(self) -> int:
        return self.capacity - (self.tail - self.progress.head)

    def holds_facts(self) -> bool:
        """Return whether the next frames include facts; called by the drain."""
        data = self.frames(self.progress.head, self.stage)
        return data.startswith(FACTS) or _NEXT_FACTS in data

    def frames(self, position: int, most: int) -> bytes:
        """Return up to `most` bytes of the ring from a position on; called by the drain."""
        return self.storage.read(position, min(self.tail - position, most))

    def read(self, position: int, most: int) -> bytes:
        """Return up to `most` bytes of output from a position on; called by the drain.

        That is the rest of the stage, or otherwise finished lines up to the next facts.
        """
        progress = self.progress
        if progress.ahead:
            at = position - progress.out + progress.staged - progress.ahead
            return self.storage.read_stage(at, min(progress.staged - at, most))
        data = self.frames(position - progress.shift, most)
        if not self.stage:
            return data
        return data[: data.find(_NEXT_FACTS) + 1 or len(data)]

    def put_on_stage(self, lines: bytes, head: int, *, omitted: int, oversize: int) -> None:
        """Replace frames by their finished lines, in one step; called by the drain.

        The stage must be empty.

        Args:
            lines: the lines, concatenated.
            head: position after these frames.
            omitted: number of the frames that were dropped deliberately.
            oversize: number of the frames whose line is too large.
        """
        old = self.progress
        self._staged_from = old.head
        self.storage.write_stage(lines)
        self.advance(
            replace(
                old,
                head=head,
                shift=old.out + len(lines) - head,
                staged=len(lines),
                ahead=len(lines),
                omitted=old.omitted + omitted,
                oversize=old.oversize + oversize,
            )
        )

    def wrote(self, count: int, lines: int) -> None:
        """Note that more bytes of the output are in files; called by the drain.

        Args:
            count: number of bytes, up to the end of a line.
            lines: number of lines in them.
        """
        old = self.progress
        written = old.written + lines
        if old.ahead:
            self.advance(replace(old, ahead=old.ahead - count, written=written))
        else:
            self.advance(replace(old, head=old.head + count, written=written))

    def settle(self) -> None:
        """Move every line taken so far into the ring, as far as there is room."""

    @property
    def goal(self) -> int:
        """Position after the lines taken so far, or a little less; takes no lock."""
        return self.tail

    @property
    def crowded(self) -> bool:
        """Whether more than half of the ring is used; takes no lock."""
        return self.tail - self.progress.head > self.capacity // 2

    def refresh(self) -> bool:
        """Read the progress of another process that empties this ring.

        Returns:
            Whether it has made progress.
        """
        old, new = self.progress, self._header.steady_progress()
        if new == old:
            return False
        if not new.ahead:
            self._staged_from = new.head
        self.progress = new
        return True

    @property
    def filed(self) -> int:
        """Position up to which everything is in files, or a little less."""
        progress = self.progress
        return self._staged_from if progress.ahead else progress.head

    @property
    def empty(self) -> bool:
        """Whether ring and stage are empty."""
        progress = self.progress
        return self.tail == progress.head and not progress.ahead

    def advance(self, progress: RingProgress) -> None:
        """Store the progress of the frames, which frees their room; called by the drain."""
        self._header.store(progress)
        self.progress = progress

    def belong(self, directory: Path) -> None:
        """Store which log directory the lines are for; called by the drain."""
        self._header.belong(directory)

    def seen(self, now_us: int) -> None:
        """Store the time of the drain's last pass; later lines are of this day or the next."""
        self._words[SEEN_US] = now_us

    @property
    def finished(self) -> bool:
        """Whether `finish` released the storage."""
        return self.storage is NOWHERE

    def detach(self) -> Storage:
        """Detach and return the storage unchanged, to be released; the counts stay."""
        self._words.release()
        storage, self.storage = self.storage, NOWHERE
        return storage
