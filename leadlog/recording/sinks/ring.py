"""The ring: accepts a line in a microsecond, and keeps it even if the process is killed.

A ring buffer in memory that outlives the process, holding whole lines one after the other.
Positions count bytes since the ring was created and never decrease. The bytes of a line are
written first, then the tail moves past them: that single store is the acknowledgement.

Any thread adds lines; one thread (the drain) removes them. Lines that do not fit are put into the
overflow, and moved from there into the ring, so the order is kept.

A signal handler may raise at any point in this code (Ctrl-C does). Anything that takes more than
one store is therefore decided first, by a single store, and then carried out in steps that can be
repeated: the next call finishes what was interrupted.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from leadlog.core.native import RLock, sleep
from leadlog.recording.sinks.body import Body
from leadlog.recording.sinks.counts import Counts
from leadlog.recording.sinks.header import (
    CAUSES,
    DEGRADED,
    DROPPED,
    HEADER_BYTES,
    IN_MEMORY,
    SEEN_US,
    TAIL,
    UNCOUNTED,
)
from leadlog.recording.sinks.overflow import Overflow, Waiting
from leadlog.recording.sinks.storage import Storage, heap

__all__ = ["Ring"]


_TURNS = 50
"""How often a thread yields to the one inside before it waits for the lock."""


class _Move(NamedTuple):
    """A decided change for one or several lines.

    Attributes:
        tail: tail of the ring afterwards.
        lines: number of lines put into the ring afterwards.
        dropped: counts by cause afterwards.
        gone: the last line that leaves the overflow.
        come: the line added to the overflow.
        beside: the entry of `_side` that is placed.
    """

    tail: int
    lines: int
    dropped: tuple[int, ...]
    gone: Waiting | None = None
    come: Waiting | None = None
    beside: tuple[bytes] | None = None


class Ring(Body):
    """A ring of lines.

    Args:
        storage: the memory, formatted; a used ring continues where it stopped.
        overflow: receives lines that do not fit.
        wake: wakes the drain; called from any thread or signal handler.
        grow: called when the ring is full; returns whether another ring receives further lines.

    Attributes:
        lock: held to add lines or to change the storage.
        overflow: receives lines that do not fit.
    """

    __slots__ = ("lock",)  # see leadlog.core.native

    def __init__(
        self,
        storage: Storage,
        overflow: Overflow,
        wake: Callable[[], None] = lambda: None,
        grow: Callable[[], bool] = lambda: False,
    ) -> None:
        self.lock = RLock()
        self._busy = False
        self._sealed = False
        self._claimed = False
        self._side: deque[tuple[bytes]] = deque()
        self._move: _Move | None = None
        self.overflow = self._overflow = overflow
        self._wake = wake
        self._grow = grow
        super().__init__(storage)
        self._lines = self._lines_before = self.progress.done
        self._dropped = tuple(self._words[DROPPED + at] for at in range(len(CAUSES)))
        self._degraded = self._words[DEGRADED]
        self._aim()

    def put(self, line: bytes) -> bool:
        """Take a line that ends with a newline.

        A nested call (by a signal handler or a finaliser) leaves its line to the outer call.

        Returns:
            False if the ring is sealed and has not taken the line, possibly just now, because it
            was full and another ring replaced it. True otherwise, even for a line that was dropped
            and counted.
        """
        if self._claimed:
            self._give_way()
        self._claimed = True
        with self.lock:
            if self._busy:
                self._side.append((line,))
                return True
            self._busy = True
            try:
                tail = self.tail
                end = tail + len(line)
                if end > self._limit:
                    if self._sealed:
                        return False
                    return self._place(line)
                shift = self._shift
                self._memory[tail + shift : end + shift] = line
                self.tail = end
                self._words[TAIL] = end
                self._lines += 1
                return True
            finally:
                try:
                    if self._side:
                        self._place_side()
                finally:
                    self._busy = self._claimed = False

    def _give_way(self) -> None:
        """Let the thread that is inside, or about to be, finish before requesting the lock.

        A thread that blocks on the lock gets it before it gets the GIL, so the next one blocks in
        turn, and from then on every line costs a thread switch: four threads then log a third of
        what one does. In a nested call this waits in vain, but not for long.
        """
        for _ in range(_TURNS):
            sleep(0)
            if not self._claimed:
                return

    def _place(self, line: bytes, beside: tuple[bytes] | None = None) -> bool:
        """Take a line on the slow path: without room for it, or near the ring's end.

        Returns:
            Whether it was taken, see `put`.
        """
        self._carry_out()
        size = len(line)
        if size > self.capacity:
            self._decide(dropped=self._dropped_more("oversize", 1), beside=beside)
            return True
        if self._overflow and self._room() >= self.capacity // 2:
            # Better here, where the lock is held already, than in the drain, which would have to
            # compete for it with all callers.
            self._refill()
        if not self._overflow and size <= self._room():
            self.storage.write(self.tail, line)
            self._decide(tail=self.tail + size, lines=self._lines + 1, beside=beside)
            return True
        if not (self._sealed or self._overflow) and self._grow():
            self._sealed = True
            self._limit = -1
            if beside is None:
                return False
        self._wake()
        come = self._overflow.admit(line)
        if come is None:
            self._decide(dropped=self._dropped_more("ring_full", 1), beside=beside)
        else:
            self._decide(come=come, beside=beside)
        return True

    def _place_side(self) -> None:
        """Take the lines of nested calls."""
        self._carry_out()
        while self._side:
            beside = self._side[0]
            self._place(beside[0], beside)

    def _refill(self) -> None:
        """Move lines from the overflow into the ring, as far as there is room."""
        fitting = self._overflow.fitting(self._room())
        if fitting:
            data = b"".join(waiting.line for waiting in fitting)
            self.storage.write(self.tail, data)
            self._decide(
                tail=self.tail + len(data), lines=self._lines + len(fitting), gone=fitting[-1]
            )

    def _dropped_more(self, cause: str, lines: int) -> tuple[int, ...]:
        at = CAUSES.index(cause)
        before = self._dropped
        return (*before[:at], before[at] + lines, *before[at + 1 :])

    def _decide(
        self,
        *,
        tail: int | None = None,
        lines: int | None = None,
        dropped: tuple[int, ...] | None = None,
        gone: Waiting | None = None,
        come: Waiting | None = None,
        beside: tuple[bytes] | None = None,
    ) -> None:
        """Record the change for a line, and carry it out; the arguments are those of `_Move`."""
        self._limit = -1  # disables the fast path until this is done
        self._move = _Move(
            self.tail if tail is None else tail,
            self._lines if lines is None else lines,
            self._dropped if dropped is None else dropped,
            gone,
            come,
            beside,
        )
        self._carry_out()

    def _carry_out(self) -> None:
        """Carry out a decided change, even if the call that decided it was interrupted."""
        move = self._move
        if move is None:
            return
        self.tail = self._words[TAIL] = move.tail
        self._lines = move.lines
        self._dropped = move.dropped
        if move.gone is not None:
            self._overflow.release(move.gone)
        if move.come is not None:
            self._overflow.append(move.come)
        if self._side and self._side[0] is move.beside:
            self._side.popleft()
        self._note()
        self._move = None
        self._aim()

    def _aim(self) -> None:
        """Set the limit of the fast path.

        The limit is the ring's end or the end of the free room; until the drain has been woken,
        it is half the ring.
        """
        lap = self.tail // self.capacity * self.capacity
        self._shift = HEADER_BYTES - lap
        head = self.progress.head
        half = head + self.capacity // 2
        free = half
        if self.tail > half:
            self._wake()
            free = head + self.capacity
        slowly = self._sealed or self._overflow
        self._limit = -1 if slowly else min(free, lap + self.capacity)

    def _note(self) -> None:
        """Publish the counts of lines that are lost, at risk, or were at risk."""
        for at, lines in enumerate(self._dropped, DROPPED):
            self._words[at] = lines
        self._words[IN_MEMORY] = len(self._overflow)
        self._words[DEGRADED] = self._degraded + self._overflow.total

    def settle(self) -> None:
        """Move lines waiting for room into the ring, as far as possible; called by the drain.

        Left to the callers while the ring still holds enough.
        """
        while self._side or self._move or (self._overflow and self._room() > self.capacity // 2):
            with self.lock:
                if self._busy:
                    return
                self._busy = True
                try:
                    before = self.tail
                    self._place_side()
                    self._refill()
                    if self.tail == before:
                        return
                finally:
                    self._busy = False

    @property
    def goal(self) -> int:
        """Position as `end`, or a little less; takes no lock; for the drain."""
        return self.tail + self._overflow.size

    @property
    def end(self) -> int:
        """Position of the tail once everything taken so far is in the ring."""
        with self.lock:
            self._carry_out()
            return self.tail + self._overflow.size + sum(len(line) for (line,) in self._side)

    @property
    def idle(self) -> bool:
        """Whether everything taken so far is in files."""
        return self.end == self.progress.head and not self.progress.ahead

    def page(self, *, last: bool) -> bytes:
        """Return the header for other processes that cannot see the ring itself.

        Args:
            last: whether no line follows; otherwise these counts may miss later lines.
        """
        counts = self.counts()
        page = bytearray(self._memory[:HEADER_BYTES])
        with memoryview(page).cast("Q") as words:
            words[SEEN_US] = 0  # changes even if nothing happened
            words[IN_MEMORY] = counts.waiting
            words[UNCOUNTED] = not last
            words[DEGRADED] = counts.degraded
        return bytes(page)

    def counts(self) -> Counts:
        """Return the counts of the lines so far."""
        with self.lock:
            self._carry_out()
            progress = self.progress
            beside = len(self._overflow) + len(self._side)
            dropped = dict(zip(CAUSES, self._dropped, strict=True))
            accepted = self._lines + beside + sum(dropped.values())
            dropped["oversize"] += progress.oversize
            return Counts(
                accepted=accepted,
                written=progress.written,
                waiting=self._lines - progress.done + beside,
                dropped={cause: lines for cause, lines in dropped.items() if lines},
                omitted=progress.omitted,
                degraded=self._degraded + self._overflow.total + self._unsafe_lines(),
            )

    def _unsafe_lines(self) -> int:
        """Return the number of lines in the current storage, if it dies with the process."""
        return self._lines - self._lines_before if self.storage.path is None else 0

    def swap(self, storage: Storage) -> bool:
        """Replace an empty storage by another one of the same size.

        Returns:
            False if the storage is not empty or a call is in progress.
        """
        with self.lock:
            if self._busy or self._move or self._side or self._overflow:
                return False
            if not self.empty:
                return False
            self._degraded += self._unsafe_lines()
            old = self.storage
            self._words.release()
            self._install(storage)
            self._lines_before = self._lines
            self._header.store(self.progress)
            self._note()
            self._words[TAIL] = self.tail
            self._aim()
        old.release()
        return True

    def seal(self) -> None:
        """Refuse further lines; accepted lines can still be read."""
        with self.lock:
            self._sealed = True
            self._limit = -1

    def finish(self, *, leave: bool) -> bool:
        """Release the storage of a sealed ring; called by the drain at the end.

        Args:
            leave: whether to release a ring that is not empty. Lines in this process's own memory
                are then dropped and counted; the rest stays for recovery.

        Returns:
            False if the ring was not released.
        """
        with self.lock:
            if self._busy or not (leave or self.idle):
                return False
            self._place_side()
            self._degraded += self._unsafe_lines()
            tail, lines, given_up = self.tail, self._lines, len(self._overflow)
            if self.storage.path is None:
                tail, lines = self.progress.head, self.progress.done
                given_up += self._lines - lines
            self._lines_before = lines
            dropped = self._dropped_more("io_error", given_up)
            self._decide(tail=tail, lines=lines, dropped=dropped, gone=self._overflow.last)
            storage = self.detach()
        storage.release()
        return True

    def abandon(self) -> None:
        """Release the parent's memory, in a forked child.

        A call interrupted by the fork continues in separate memory; the parent's copy of that call
        adds the line.
        """
        self.lock = RLock()
        self._words.release()
        old = self.storage
        self._install(heap(self.capacity, 0, "forked"))
        old.release()
