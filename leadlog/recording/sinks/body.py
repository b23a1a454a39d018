"""The part of a ring that is in shared memory, and how the drain reads it.

A frame is what was put into the ring: a finished line, or facts that have yet to become one,
which begin with `FACTS`. Facts leave the ring through the stage, a part of the same memory: the
drain finishes a batch of frames and writes the lines into the stage; a single store then makes
the stage valid and removes the frames. So a finished line never changes, even if another process
continues, and none is made twice.
"""

from dataclasses import replace
from pathlib import Path

from leadlog.recording.sinks.header import SEEN_US, TAIL, Header, RingProgress
from leadlog.recording.sinks.storage import NOWHERE, Storage

__all__ = ["FACTS", "Body"]

FACTS = b"\x01"
"""What a frame begins with that is not a finished line yet."""

_NEXT_FACTS = b"\n" + FACTS


class Body:
    """The bytes of a ring, and how far they are in files.

    Args:
        storage: the memory, formatted; one that was used goes on where it stood.

    Attributes:
        storage: the memory.
        tail: position behind the last frame.
        progress: how far it is in files.
        reason: why it lies in the heap, or ""; kept beyond the end, for the last look.
        capacity: bytes that it holds.
        stage: bytes that the stage holds; 0 where every frame is a finished line.
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
        """Return whether facts are among the next frames; by the drain."""
        data = self.frames(self.progress.head, self.stage)
        return data.startswith(FACTS) or _NEXT_FACTS in data

    def frames(self, position: int, most: int) -> bytes:
        """Return the ring's bytes from `position` on, up to the tail and at most `most`.

        By the drain.
        """
        return self.storage.read(position, min(self.tail - position, most))

    def read(self, position: int, most: int) -> bytes:
        """Return at most `most` bytes of output from a position on; called by the drain.

        That is the rest of the stage, or else finished lines up to the next facts.
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
        """Put what frames became in their place, at once and as a whole; by the drain.

        Only where the stage is empty.

        Args:
            lines: they, as one.
            head: position behind these frames.
            omitted: how many of them were left out on purpose.
            oversize: how many of them became too large a line.
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
        """Note that further bytes of the output are in files; called by the drain.

        Args:
            count: bytes, up to the end of a line.
            lines: how many they are.
        """
        old = self.progress
        written = old.written + lines
        if old.ahead:
            self.advance(replace(old, ahead=old.ahead - count, written=written))
        else:
            self.advance(replace(old, head=old.head + count, written=written))

    def settle(self) -> None:
        """Have everything that was taken so far in the ring, as far as there is room."""

    @property
    def goal(self) -> int:
        """Position behind what was taken so far, or a little less; takes no lock."""
        return self.tail

    @property
    def crowded(self) -> bool:
        """Whether more than half of it is taken; takes no lock."""
        return self.tail - self.progress.head > self.capacity // 2

    def refresh(self) -> bool:
        """Note how far another process got, which empties this ring.

        Returns:
            Whether it got any further.
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
        """Whether nothing is left in it, nor in the stage."""
        progress = self.progress
        return self.tail == progress.head and not progress.ahead

    def advance(self, progress: RingProgress) -> None:
        """Note how far the frames are on their way, which makes room; by the drain."""
        self._header.store(progress)
        self.progress = progress

    def belong(self, directory: Path) -> None:
        """Note which log directory the lines are for; by the drain."""
        self._header.belong(directory)

    def seen(self, now_us: int) -> None:
        """Note that the drain looked; what comes later is of this day or the next."""
        self._words[SEEN_US] = now_us

    @property
    def finished(self) -> bool:
        """Whether `finish` let go of the storage."""
        return self.storage is NOWHERE

    def detach(self) -> Storage:
        """Leave the storage as it is, to be released; the counts stay."""
        self._words.release()
        storage, self.storage = self.storage, NOWHERE
        return storage
