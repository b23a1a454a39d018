"""What of a ring lies in its memory, and the drain's way of reading it."""

from leadlog.recording.sinks.header import SEEN_US, TAIL, Header, Progress
from leadlog.recording.sinks.storage import NOWHERE, Storage

__all__ = ["Body"]


class Body:
    """The bytes of a ring, and how far they are in files.

    Args:
        storage: the memory, formatted; one that was used goes on where it stood.

    Attributes:
        storage: the memory.
        tail: position behind the last line.
        progress: how far it is in files.
        reason: why it lies in the heap, or ""; kept beyond the end, for the last look.
        capacity: bytes that it holds.
    """

    def __init__(self, storage: Storage) -> None:
        self._install(storage)
        self.tail: int = self._words[TAIL]
        self.progress = self._header.progress()

    def _install(self, storage: Storage) -> None:
        self.storage = storage
        self.reason = storage.reason
        self._memory = storage.memory
        self._header = Header(storage.memory)
        self._words = self._header.words
        self.capacity = storage.capacity

    def _room(self) -> int:
        return self.capacity - (self.tail - self.progress.head)

    def read(self, position: int, most: int) -> bytes:
        """The bytes from `position` on, up to the tail and at most `most`; by the drain."""
        return self.storage.read(position, min(self.tail - position, most))

    def advance(self, progress: Progress) -> None:
        """Notes how far the lines are in files, which makes room; by the drain."""
        self._header.store(progress)
        self.progress = progress

    def seen(self, now_us: int) -> None:
        """Notes that the drain looked; what comes later is of this day or the next."""
        self._words[SEEN_US] = now_us

    @property
    def finished(self) -> bool:
        """Whether `finish` let go of the storage."""
        return self.storage is NOWHERE

    def detach(self) -> Storage:
        """Leaves the storage as it is, to be released; the counts stay."""
        self._words.release()
        storage, self.storage = self.storage, NOWHERE
        return storage
