"""The overflow: a bounded buffer in the heap, for lines that find their ring full.

It bridges a disk that stalls for longer than a ring lasts. Its lines are lost if the process is
killed, so they are moved into the ring as soon as it has room.
"""

from collections import deque
from itertools import takewhile
from typing import NamedTuple

__all__ = ["Budget", "Overflow", "Waiting"]

_OVERHEAD_BYTES = 64
"""Cost of a line beyond its own bytes: the object and its place in the queue."""

_SHARE = 16


class Budget:
    """Limit on the bytes of all categories' overflows together.

    Each category has a sixteenth to itself and the rest is shared, first come, first served, so a
    flood in one category never takes all the room of another.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._overflows: list[Overflow] = []

    def overflow(self) -> "Overflow":
        """Return a new overflow that shares the budget."""
        overflow = Overflow(self)
        self._overflows.append(overflow)
        return overflow

    def forget(self, overflow: "Overflow") -> None:
        """Exclude an empty overflow from the budget."""
        self._overflows = [one for one in self._overflows if one is not overflow]

    def allows(self, overflow: "Overflow", cost: int) -> bool:
        """Return whether `overflow` may take `cost` more bytes.

        The others may grow at the same time, since each has its own lock: the limit can be exceeded
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


class Waiting(NamedTuple):
    """A line in the overflow.

    Attributes:
        line: its bytes.
        end: total bytes of all lines ever added, including this one.
        number: number of all lines ever added, including this one.
    """

    line: bytes
    end: int
    number: int


class Overflow:
    """The lines of one category waiting for room in the ring, oldest first.

    Used under the lock of the ring, in steps that can be interrupted and repeated; the
    properties are correct at any moment.
    """

    __slots__ = ("_budget", "_gone", "_lines")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._lines: deque[Waiting] = deque()
        self._gone = Waiting(b"", 0, 0)

    @property
    def last(self) -> Waiting:
        """The line added last."""
        try:
            return self._lines[-1]
        except IndexError:
            return self._gone

    def __len__(self) -> int:
        return self.last.number - self._gone.number

    @property
    def size(self) -> int:
        """Bytes of the lines."""
        return self.last.end - self._gone.end

    @property
    def cost(self) -> int:
        """Bytes of the budget that the lines use."""
        last, gone = self.last, self._gone
        return last.end - gone.end + _OVERHEAD_BYTES * (last.number - gone.number)

    @property
    def total(self) -> int:
        """Number of lines ever added."""
        return self.last.number

    def admit(self, line: bytes) -> Waiting | None:
        """Return the entry to `append` for a line; None if there is no room for it."""
        if not self._budget.allows(self, len(line) + _OVERHEAD_BYTES):
            return None
        last = self.last
        return Waiting(line, last.end + len(line), last.number + 1)

    def append(self, waiting: Waiting) -> None:
        """Add an entry returned by `admit`; a second time does nothing."""
        if self.last.number < waiting.number:
            self._lines.append(waiting)

    def fitting(self, room: int) -> list[Waiting]:
        """Return the oldest lines that fit into `room` bytes."""
        limit = self._gone.end + room
        return list(takewhile(lambda waiting: waiting.end <= limit, self._lines))

    def release(self, gone: Waiting) -> None:
        """Remove the lines up to this one."""
        self._gone = gone._replace(line=b"")
        while self._lines and self._lines[0].number <= gone.number:
            self._lines.popleft()
