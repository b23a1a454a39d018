"""The rings of one process: one per category, and further ones when one is full.

A full ring is sealed, and the next one receives further lines; it is emptied before the next, so
the order is kept. All of them are in memory that outlives the process. Only if there is no room
for a further ring do lines go to the overflow, on the heap.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from leadlog.core.layout import CATEGORIES
from leadlog.core.native import RLock
from leadlog.recording.sinks.counts import Counts
from leadlog.recording.sinks.descriptors import Descriptors
from leadlog.recording.sinks.overflow import Budget
from leadlog.recording.sinks.ring import Ring
from leadlog.recording.sinks.storage import Spool, Storage, heap

__all__ = ["RingSizes", "Rings"]

_PAGE_BYTES = 4096
_FURTHER_BYTES = 4 * 1024 * 1024
_LEAST_FURTHER_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class RingSizes:
    """The sizes of a process's rings.

    Attributes:
        usual: bytes of each category's first ring, or one size for all.
        further: maximum bytes of all further rings, and also of the lines waiting on the heap.
        stage: bytes of each stage.
    """

    usual: Mapping[str, int] | int
    further: int
    stage: int

    def of(self, category: str) -> int:
        """Return the size of a category's first ring, rounded up to whole pages."""
        size = self.usual if isinstance(self.usual, int) else self.usual.get(category, 1 << 20)
        return -(-size // _PAGE_BYTES) * _PAGE_BYTES


class Rings:
    """The rings of one process.

    Args:
        spool: the spool that holds them.
        descriptors: the descriptors they are opened with.
        sizes: their sizes.
        policy: the policy stored next to each of them.
        clock: returns microseconds since 1970.

    Attributes:
        current: category to the ring that receives new lines.
        wake: wakes the drain; must be set before rings are opened.
        account: publishes the counts of a ring in the heap; must be set before rings are
            opened.
    """

    __slots__ = ("__dict__", "_lock")  # see leadlog.core.native

    def __init__(
        self,
        spool: Spool,
        descriptors: Descriptors,
        sizes: RingSizes,
        policy: bytes,
        clock: Callable[[], int],
    ) -> None:
        self._spool = spool
        self._descriptors = descriptors
        self._sizes = sizes
        self._policy = policy
        self._clock = clock
        self._budget = Budget(sizes.further)
        self._lock = RLock()  # may be acquired while a ring's is held, not the reverse
        self._closed = False
        self._before: dict[str, tuple[Counts, tuple[Ring, ...]]] = {}
        self.current: dict[str, Ring] = {}
        self.wake: Callable[[], None] = lambda: None
        self.account: Callable[[str, Ring], None] = lambda _category, _ring: None

    def open(self, category: str) -> Ring:
        """Return the ring that receives new lines of a category, creating it if there is none.

        Raises:
            ValueError: the category does not exist.
        """
        with self._lock:
            ring = self.current.get(category)
            if ring is None:
                if category not in CATEGORIES:
                    raise ValueError(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
                size = self._sizes.of(category)
                try:
                    storage = self._storage(category, size)
                except OSError as error:
                    storage = heap(size, self._clock(), str(error), self._sizes.stage)
                ring = self._add(category, storage)
                if storage.path is None:
                    self.account(category, ring)
            return ring

    def _storage(self, category: str, capacity: int) -> Storage:
        return self._spool.create(
            category,
            capacity,
            self._descriptors,
            self._clock(),
            stage=self._sizes.stage,
            policy=self._policy,
        )

    def _add(self, category: str, storage: Storage) -> Ring:
        def grow() -> bool:
            return self._grow(category, ring)

        ring = Ring(storage, self._budget.overflow(), self.wake, grow)
        self.current[category] = ring
        return ring

    def _grow(self, category: str, full: Ring) -> bool:
        """Replace a full ring by a further one; called by the full ring's callers."""
        with self._lock:
            if self._closed or full.storage.path is None or self.current[category] is not full:
                return False
            counts, earlier = self._before.get(category, (Counts(), ()))
            limit = self._sizes.further
            room = limit - self._further(self.current)
            own = limit * 3 // 4 - self._further([category])  # the rest is left for the others
            capacity = min(_FURTHER_BYTES, room, own) // _PAGE_BYTES * _PAGE_BYTES
            if capacity < _LEAST_FURTHER_BYTES:
                return False
            try:
                storage = self._storage(category, capacity)
            except OSError:
                return False
            self._before[category] = counts, (*earlier, full)
            self._add(category, storage)
        self.wake()
        return True

    def _further(self, categories: Mapping[str, Ring] | list[str]) -> int:
        """Return the bytes of the rings added to the usual ones."""
        rings = [(category, ring) for category in categories for ring in self.of(category)]
        return sum(ring.capacity for _, ring in rings) - sum(map(self._sizes.of, categories))

    def of(self, category: str) -> tuple[Ring, ...]:
        """Return the rings of a category that may hold lines, oldest first."""
        return (*self._before.get(category, (None, ()))[1], self.current[category])

    def all(self) -> list[tuple[str, Ring]]:
        """Return the rings of all categories, oldest first within each."""
        return [(category, ring) for category in list(self.current) for ring in self.of(category)]

    def is_current(self, category: str, ring: Ring) -> bool:
        """Return whether a ring receives the new lines of its category."""
        return self.current[category] is ring

    def crowded(self, category: str) -> bool:
        """Return whether the drain lags: more than half a ring is waiting."""
        ring = self.current.get(category)
        return ring is not None and (ring.crowded or len(self.of(category)) > 1)

    def drop(self, category: str, ring: Ring) -> None:
        """Remove a ring that is finished; its counts are kept."""
        last = ring.counts()
        with self._lock:
            counts, earlier = self._before[category]
            rest = tuple(one for one in earlier if one is not ring)
            self._before[category] = counts + last, rest
            self._budget.forget(ring.overflow)

    def renew(self, category: str) -> bool:
        """Give an idle ring new storage of the usual size, after it lost or outgrew it.

        Returns:
            Whether the storage was replaced.
        """
        ring = self.current[category]
        if not ring.idle or len(self.of(category)) > 1:
            return False
        try:
            storage = self._storage(category, self._sizes.of(category))
        except OSError:
            return False
        old = ring.storage.path
        unused = storage.path if not ring.swap(storage) else old
        if unused is not None:
            unused.unlink(missing_ok=True)
        if unused is not old:
            storage.release()
        return unused is old

    def outgrown(self, category: str) -> bool:
        """Return whether the ring of a category is larger than the usual one."""
        return self.current[category].capacity > self._sizes.of(category)

    def counts(self, category: str) -> Counts:
        """Return the counts of a category's lines so far."""
        with self._lock:
            counts = self._before.get(category, (Counts(), ()))[0]
            rings = self.of(category)
        for ring in rings:  # without the lock: a thread holding a ring's lock may be waiting for it
            counts += ring.counts()
        return counts

    def seal(self) -> None:
        """Accept no more lines."""
        with self._lock:
            self._closed = True
        for _, ring in self.all():
            ring.seal()

    def abandon(self) -> None:
        """Leave the memory to the parent, in a forked child."""
        for _, ring in self.all():
            try:
                ring.abandon()
            except (BufferError, ValueError):
                continue  # another thread was using it, which does not exist in this process
