"""The overflow: a bounded buffer in the heap, for lines that find their ring full.

It bridges a disk that stands still for longer than a ring lasts. What lies here is lost if the
process is killed, so lines move on into the ring as soon as it has room.
"""

from collections import deque

__all__ = ["Budget", "Overflow"]

_OVERHEAD_BYTES = 64
"""What a line costs beside its own bytes: the object and its place in the queue."""

_SHARE = 16


class Budget:
    """Bytes that the overflows of all categories may take together.

    Each category has a sixteenth to itself; the rest is for whoever comes first. So a flood
    in one never takes the room of another.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._overflows: list[Overflow] = []

    def overflow(self) -> "Overflow":
        """A new overflow that takes part."""
        overflow = Overflow(self)
        self._overflows.append(overflow)
        return overflow

    def allows(self, overflow: "Overflow", cost: int) -> bool:
        """Whether `overflow` may take `cost` bytes more.

        The others may grow meanwhile, since each has its own lock: the limit can be exceeded
        by one line per category.
        """
        reserve = self._limit // _SHARE
        if overflow.cost + cost <= reserve:
            return True
        members = self._overflows
        beyond = sum(member.cost - reserve for member in members if member.cost > reserve)
        if overflow.cost < reserve:
            beyond -= reserve - overflow.cost
        return beyond + cost <= self._limit - reserve * max(len(members), 1)


class Overflow:
    """The lines of one category that wait for room in the ring, oldest first.

    Used under the lock of the ring.

    Attributes:
        size: bytes of the lines.
        cost: bytes they take of the budget.
    """

    __slots__ = ("_budget", "_lines", "cost", "size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._lines: deque[bytes] = deque()
        self.size = 0
        self.cost = 0

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: bytes) -> bool:
        """Takes a line.

        Returns:
            False when there is no room for it.
        """
        cost = len(line) + _OVERHEAD_BYTES
        if not self._budget.allows(self, cost):
            return False
        self._lines.append(line)
        self.size += len(line)
        self.cost += cost
        return True

    def take(self, room: int) -> list[bytes]:
        """Gives back the oldest lines that fit into `room` bytes."""
        lines = self._lines
        taken = []
        while lines and len(lines[0]) <= room:
            line = lines.popleft()
            room -= len(line)
            self.size -= len(line)
            self.cost -= len(line) + _OVERHEAD_BYTES
            taken.append(line)
        return taken

    def clear(self) -> int:
        """Gives up all lines.

        Returns:
            How many.
        """
        count = len(self._lines)
        self._lines.clear()
        self.size = self.cost = 0
        return count
