"""What a sink promises, and what a pipeline may expect of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

Finish = Callable[[str, list[bytes]], list[bytes]]
"""Makes lines of facts: takes a category and frames that begin with `\\x01`, and returns for each
the finished line, which begins with `{` and ends with a newline, or `b""` for an event that is left
out on purpose. Called in the drain's thread, with a few frames at a time. Does not raise."""

FinisherOf = Callable[[bytes | None], Finish]
"""Makes a `Finish` of the policy that lies beside the ring of a dead process; None where it has
none. The policy is a JSON object without secrets."""

Offer = Callable[[str, bytes], None]
"""Is given a category and whole lines of it that are in their file; neither waits nor raises."""


@dataclass(frozen=True, slots=True)
class SinkStats:
    """Counts of the lines passed to a sink since it was opened.

    Attributes:
        accepted: lines taken, by category.
        written: lines that reached their destination, by category.
        dropped: lines lost, by category and cause.
        in_ring: lines taken that are still on their way, by category.
        degraded: lines that for a while lay where a kill would have lost them, by category.
        omitted: events left out on purpose when they were finished, by category.
    """

    accepted: Mapping[str, int] = field(default_factory=dict)
    written: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    in_ring: Mapping[str, int] = field(default_factory=dict)
    degraded: Mapping[str, int] = field(default_factory=dict)
    omitted: Mapping[str, int] = field(default_factory=dict)


class BatchSink(Protocol):
    """Takes finished lines beside the files: what `configure(sinks=[…])` is given.

    leadlog calls all three in one thread, which this sink has for itself, one after the other. Any
    of them may raise, and may take as long as it likes: a sink delays neither the files, nor the
    application, nor the other sinks. Lines wait for it in a queue of bounded size
    (`SinkQueue.queue_bytes`); what finds that full is dropped for this sink and counted.

    A sink does not log to leadlog, nor does a library in its name: what it logged would come back
    to it.
    """

    def open(self) -> None:
        """Connect.

        Called before the first `write` in each process, in a forked child too, and again after a
        call that raised. What is left of an earlier connection is the sink's to give up; in a
        forked child it is the parent's, and what is buffered there would be written twice.
        """
        ...

    def write(self, category: str, lines: bytes) -> None:
        """Take lines of one category, in the order of their files.

        Where it raises, it is called again with the same lines, after `open` and a pause: five
        times more within about three seconds; then they are dropped for this sink, and counted as
        `error`. So a line may come twice; its `event_id` says so.

        Args:
            category: the folder that they are in, `error_logs` for one.
            lines: masked, labelled and rendered, as they are in the file: each is a JSON object
                and ends with a newline; 256 KiB at most, or one line.
        """
        ...

    def close(self) -> None:
        """Write what was kept, and disconnect. Called once, at the end, if `open` succeeded."""
        ...


@dataclass(frozen=True, slots=True)
class SinkQueue:
    """A sink of `configure(sinks=[…])`, and how it is called and waited for.

    Attributes:
        sink: the sink.
        name: what `leadlog.stats()`, `leadlog doctor` and `log_health` records call it; the name
            of its class by default.
        queue_bytes: most that waits for it in this process's own memory.
    """

    sink: BatchSink
    name: str = ""
    queue_bytes: int = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """Counts of the lines for one sink of `configure(sinks=[…])`.

    Attributes:
        accepted: lines that were for it.
        written: lines that its `write` took.
        waiting: lines in its queue.
        dropped: lines that it did not get, by cause: `queue_full`, `error` (its `write` raised
            again and again), `closed` (the process ended first).
        error: what it raised last; "" since it last took lines.
    """

    accepted: int = 0
    written: int = 0
    waiting: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


class Sink(Protocol):
    """Takes rendered lines.

    The pipeline calls `write` from any thread, task or signal handler, `flush` and
    `stats` at any time, and `close` once or more, at the end. None of them raises. A line
    that cannot be written is counted, by cause, and reported on another path than the
    sink's own.
    """

    def write(self, category: str, line: bytes) -> bool:
        """Take one line that ends with a newline.

        Returns:
            False when the sink is closed and has not taken the line; the caller hands it
            to the sink that came in its place. True otherwise, also for a dropped line.
        """
        ...

    def flush(self, timeout: float) -> bool:
        """Wait until every line taken so far is written, at most `timeout` seconds.

        Returns:
            Whether all of them are.
        """
        ...

    def close(self, timeout: float) -> None:
        """Write what was taken, for at most `timeout` seconds, and release everything."""
        ...

    def stats(self) -> SinkStats:
        """Return the counts of the lines so far."""
        ...
