"""The application's own sinks, in addition to the files: each has its own queue and thread.

The drain offers lines once they are in their file. An offer never waits, so a sink can delay
neither files nor callers. A queue holds copies: a process that is killed loses them for its sinks,
while the file has them.
"""

import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence

from leadlog.core.errors import SettingsError
from leadlog.core.forks import renew_after_fork
from leadlog.core.native import Lock, RLock, sleep
from leadlog.core.threads import Background, is_current, start_thread
from leadlog.recording.sinks.contract import BatchCounts, BatchSink, SinkQueue

__all__ = ["Outlet", "Outlets", "sink_queues"]

_PIECE_BYTES = 256 * 1024
_PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6)
_STEP_SECONDS = 0.02
_GRACE_SECONDS = 0.2
"""How long `close` waits beyond its timeout for a sink that is closing."""


class Outlet:
    """One sink, with its queue and its thread.

    Args:
        queue: the sink, its name and the size of its queue.

    Attributes:
        holders: number of pipelines that write to it.
    """

    __slots__ = ("__dict__", "__weakref__", "_lock")  # see leadlog.core.native

    def __init__(self, queue: SinkQueue) -> None:
        self.queue = queue
        self.holders = 0
        self._begin()
        renew_after_fork(self)
        self.start()

    def _begin(self) -> None:
        """Set up the state that each process has of its own."""
        self._lock = RLock()
        self._alarm = Lock()
        self._alarm.acquire()
        self._batches: deque[tuple[str, bytes, int]] = deque()
        self._bytes = 0
        self._accepted = 0
        self._written = 0
        self._dropped: Counter[str] = Counter()
        self._error = ""
        self._opened = self._ever_opened = False
        self._deadline: float | None = None
        self._given_up = False
        self._thread: Background | None = None

    def after_fork(self) -> None:
        """Begin anew in a forked child; waiting lines are the parent's to write."""
        self._begin()

    def start(self) -> None:
        """Start the thread if there is none and threads can be started."""
        if self._thread is None:
            self._thread = start_thread(self._run, f"leadlog-sink-{self.queue.name}")

    def offer(self, category: str, lines: bytes, count: int) -> None:
        """Put lines into the queue, or count them as dropped; never waits and never raises.

        Args:
            category: the lines' category.
            lines: the lines, concatenated.
            count: number of lines.
        """
        with self._lock:
            self._accepted += count
            if self._deadline is not None:
                self._dropped["closed"] += count
            elif self._batches and self._bytes + len(lines) > self.queue.queue_bytes:
                self._dropped["queue_full"] += count
            else:
                self._batches.append((category, lines, count))
                self._bytes += len(lines)
        self.start()
        self._ring()

    def _ring(self) -> None:
        try:
            self._alarm.release()
        except RuntimeError:
            return  # it has been woken already

    def _run(self) -> None:
        while True:
            self._alarm.acquire()
            while self._batches and not self._given_up:
                self._deliver()
            if self._deadline is not None:
                break
        if self._ever_opened:
            try:
                self.queue.sink.close()
            except BaseException as error:  # noqa: BLE001 - a failure affects only its sink
                self._failed(error)

    def _deliver(self) -> None:
        """Pass the first batch to the sink, or drop it."""
        category, lines, count = self._batches[0]
        taken = self._attempt(category, lines)
        for pause in _PAUSES_SECONDS:
            if taken or not self._wait(pause):
                break
            taken = self._attempt(category, lines)
        with self._lock:
            if self._given_up:
                return  # all of them are counted already
            self._batches.popleft()
            self._bytes -= len(lines)
            if taken:
                self._written += count
            else:
                self._dropped["error"] += count

    def _attempt(self, category: str, lines: bytes) -> bool:
        try:
            if not self._opened:
                self.queue.sink.open()
                self._opened = self._ever_opened = True
            self.queue.sink.write(category, lines)
        except BaseException as error:  # noqa: BLE001 - not even `sys.exit` may end the thread
            self._opened = False
            self._failed(error)
            return False
        self._error = ""
        return True

    def _failed(self, error: BaseException) -> None:
        try:
            self._error = f"{type(error).__name__}: {error}"
        except Exception:  # noqa: BLE001 - an error's own code may raise anything
            self._error = type(error).__name__

    def _wait(self, seconds: float) -> bool:
        """Wait before another attempt; return whether there is time for one."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            if self._deadline is not None and min(end, self._deadline) <= now:
                return False
            sleep(_STEP_SECONDS)
        return self._deadline is None or time.monotonic() < self._deadline

    def counts(self) -> BatchCounts:
        """Return the counts of the lines so far in this process."""
        with self._lock:
            return BatchCounts(
                accepted=self._accepted,
                written=self._written,
                waiting=self._accepted - self._written - self._dropped.total(),
                dropped=dict(self._dropped),
                error=self._error,
            )

    def flush(self, timeout: float) -> bool:
        """Wait until the sink took or lost the lines offered so far.

        Args:
            timeout: maximum number of seconds to wait.

        Returns:
            True on success, False on timeout.
        """
        deadline = time.monotonic() + timeout
        goal = self._accepted
        while True:
            with self._lock:
                settled = self._written + self._dropped.total()
            if settled >= goal:
                return True
            if is_current(self._thread) or time.monotonic() >= deadline:
                return False
            time.sleep(_STEP_SECONDS / 4)  # patched for green threads, which lets others run

    def end(self, deadline: float) -> None:
        """Accept no more lines, and allow until `deadline` to write the waiting ones."""
        with self._lock:
            self._deadline = deadline
        self._ring()

    def join(self) -> None:
        """Wait for the deadline that `end` set, and drop the lines not written by then."""
        if self._thread is not None and self._deadline is not None:
            self._thread.join(max(self._deadline - time.monotonic(), 0.0) + _GRACE_SECONDS)
        with self._lock:
            self._given_up = True
            self._dropped["closed"] += sum(count for *_, count in self._batches)
            self._dropped += Counter()  # without zeros
            self._batches.clear()
            self._bytes = 0


class Outlets:
    """The sinks of one pipeline.

    Args:
        queues: the sinks.
        before: the sinks of the pipeline that is replaced; a sink that both pipelines have stays
            open.
    """

    def __init__(self, queues: Iterable[SinkQueue] = (), before: "Outlets | None" = None) -> None:
        known = {id(one.queue.sink): one for one in (before._outlets if before else ())}
        self._outlets: list[Outlet] = []
        self._closed = False
        for queue in queues:
            outlet = known.get(id(queue.sink))
            if outlet is None:
                outlet = Outlet(queue)
            outlet.queue = queue
            outlet.holders += 1
            self._outlets.append(outlet)

    def __bool__(self) -> bool:
        return bool(self._outlets)

    def start(self) -> None:
        """Start missing threads, for example in a forked child at its first event."""
        for outlet in self._outlets:
            outlet.start()

    def offer(self, category: str, lines: bytes) -> None:
        """Put whole lines into each sink's queue, in pieces of a size that a sink can take."""
        at = 0
        while at < len(lines):
            end = len(lines)
            if end - at > _PIECE_BYTES:
                end = lines.rfind(b"\n", at, at + _PIECE_BYTES) + 1
                end = end or lines.find(b"\n", at) + 1 or len(lines)
            piece = lines[at:end]
            count = piece.count(b"\n")
            for outlet in self._outlets:
                outlet.offer(category, piece, count)
            at = end

    def counts(self) -> dict[str, BatchCounts]:
        """Return the counts of each sink's lines in this process, by the sink's name."""
        return {outlet.queue.name: outlet.counts() for outlet in self._outlets}

    def flush(self, timeout: float) -> bool:
        """Wait for all sinks as `Outlet.flush` does, up to `timeout` seconds in total."""
        deadline = time.monotonic() + timeout
        done = [outlet.flush(max(deadline - time.monotonic(), 0.0)) for outlet in self._outlets]
        return all(done)

    def close(self, timeout: float) -> None:
        """Let each sink that no other pipeline uses write its waiting lines, and close it."""
        if self._closed:
            return
        self._closed = True
        deadline = time.monotonic() + timeout
        ending = []
        for outlet in self._outlets:
            outlet.holders -= 1
            if not outlet.holders:
                outlet.end(deadline)
                ending.append(outlet)
        for outlet in ending:
            outlet.join()


def sink_queues(sinks: Sequence[BatchSink | SinkQueue]) -> tuple[SinkQueue, ...]:
    """Return the queues of the sinks given to `configure`, each with a unique name.

    Raises:
        SettingsError: an object is not a sink, or is given twice.
    """
    queues: list[SinkQueue] = []
    names: Counter[str] = Counter()
    for given in sinks:
        queue = given if isinstance(given, SinkQueue) else SinkQueue(given)
        missing = [
            name
            for name in ("open", "write", "close")
            if not callable(getattr(queue.sink, name, None))
        ]
        if isinstance(queue.sink, type) or missing:
            raise SettingsError(
                f"sinks: {queue.sink!r} is not a sink; give an object with the methods open(), "
                "write(category, lines) and close(), see leadlog.sinks.BatchSink"
            )
        if any(one.sink is queue.sink for one in queues):
            raise SettingsError(f"sinks: {queue.sink!r} is given twice; give it once")
        if queue.queue_bytes < 1:
            raise SettingsError(f"sinks: queue_bytes is {queue.queue_bytes}; give 1 or more")
        name = queue.name or type(queue.sink).__name__
        names[name] += 1
        name = f"{name}-{names[name]}" if names[name] > 1 else name
        queues.append(SinkQueue(queue.sink, name, queue.queue_bytes))
    return tuple(queues)
