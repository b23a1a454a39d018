"""The contract between a pipeline and its sinks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

Finish = Callable[[str, list[bytes]], list[bytes]]
"""Function that turns facts into lines: takes a category and frames that begin with `\\x01`, and
returns for each the finished line, which begins with `{` and ends with a newline, or `b""` for an
event dropped deliberately. Called in the drain's thread with a few frames at a time; must not
raise."""

FinisherOf = Callable[[bytes | None], Finish]
"""Function that returns the `Finish` for the policy stored next to a dead process's ring; None if
there is none. The policy is a JSON object without secrets."""

Offer = Callable[[str, bytes], None]
"""Function that takes a category and whole lines of it that are in files; never waits or raises."""


@dataclass(frozen=True, slots=True)
class SinkStats:
    """Counts of the lines passed to a sink since it was opened.

    Attributes:
        accepted: lines taken, by category.
        written: lines that reached their destination, by category.
        dropped: lines lost, by category and cause.
        in_ring: lines taken but not yet written, by category.
        degraded: lines that were temporarily stored where a kill would have lost them, by category.
        omitted: events dropped deliberately when they were finished, by category.
    """

    accepted: Mapping[str, int] = field(default_factory=dict)
    written: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    in_ring: Mapping[str, int] = field(default_factory=dict)
    degraded: Mapping[str, int] = field(default_factory=dict)
    omitted: Mapping[str, int] = field(default_factory=dict)


class BatchSink(Protocol):
    """Sink for finished lines in addition to the files, for `configure(sinks=[…])`.

    leadlog calls all three methods in one thread, which serves only this sink, one after the other.
    They may raise, and may take as long as they like: a sink delays neither the files, nor the
    application, nor other sinks. Lines wait for it in a queue of bounded size
    (`SinkQueue.queue_bytes`); lines that find it full are dropped for this sink and counted.

    A sink must not log to leadlog, nor must a library it calls: the logged lines would be passed to
    the sink again.
    """

    def open(self) -> None:
        """Connect.

        Called before the first `write` in each process, including forked children, and again after
        a call that raised. The sink must discard what is left of an earlier connection; in a forked
        child the connection is the parent's, and its buffered data would be written twice.
        """
        ...

    def write(self, category: str, lines: bytes) -> None:
        """Write lines of one category, in the order of their files.

        If it raises, it is called again with the same lines, after `open` and a pause: up to five
        times within about three seconds; then the lines are dropped for this sink and counted as
        `error`. A line may therefore arrive twice; its `event_id` identifies it.

        Args:
            category: the folder of the lines' file, such as `error_logs`.
            lines: masked, labelled and rendered, as in the file: each is a JSON object and ends
                with a newline; at most 256 KiB, or one line.
        """
        ...

    def close(self) -> None:
        """Write buffered lines and disconnect. Called once, at the end, if `open` succeeded."""
        ...


@dataclass(frozen=True, slots=True)
class SinkQueue:
    """A sink of `configure(sinks=[…])` with its name and the size of its queue.

    Attributes:
        sink: the sink.
        name: its name in `leadlog.stats()`, `leadlog doctor` and `log_health` records; by default
            the name of its class.
        queue_bytes: maximum number of bytes waiting for it in this process's memory.
    """

    sink: BatchSink
    name: str = ""
    queue_bytes: int = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """Counts of the lines for one sink of `configure(sinks=[…])`.

    Attributes:
        accepted: lines offered to it.
        written: lines that its `write` took.
        waiting: lines in its queue.
        dropped: lines that it did not get, by cause: `queue_full`, `error` (every attempt to
            `write` raised), `closed` (the process ended first).
        error: its last exception; "" once it has taken lines again.
    """

    accepted: int = 0
    written: int = 0
    waiting: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


class Sink(Protocol):
    """A destination of rendered lines.

    The pipeline calls `write` from any thread, task or signal handler, `flush` and `stats` at
    any time, and `close` at least once, at the end. None of them raises. A line that cannot be
    written is counted by cause and reported by other means than the sink itself.
    """

    def write(self, category: str, line: bytes) -> bool:
        """Take one line, which ends with a newline.

        Returns:
            False if the sink is closed and has not taken the line; the caller passes it to the sink
            that replaced it. True otherwise, even for a dropped line.
        """
        ...

    def flush(self, timeout: float) -> bool:
        """Wait until every line taken so far is written, up to `timeout` seconds.

        Returns:
            Whether all of them are written.
        """
        ...

    def close(self, timeout: float) -> None:
        """Write the remaining lines within `timeout` seconds, and release all resources."""
        ...

    def stats(self) -> SinkStats:
        """Return the counts of the lines so far."""
        ...
