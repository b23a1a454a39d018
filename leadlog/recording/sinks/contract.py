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


@dataclass(frozen=True, slots=True)
class SinkStats:
    """What became of the lines handed to a sink, since it was opened.

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


class Sink(Protocol):
    """Takes rendered lines.

    The pipeline calls `write` from any thread, task or signal handler, `flush` and
    `stats` at any time, and `close` once or more, at the end. None of them raises. A line
    that cannot be written is counted, by cause, and reported on another path than the
    sink's own.
    """

    def write(self, category: str, line: bytes) -> bool:
        """Takes one line that ends with a newline.

        Returns:
            False when the sink is closed and has not taken the line; the caller hands it
            to the sink that came in its place. True otherwise, also for a dropped line.
        """
        ...

    def flush(self, timeout: float) -> bool:
        """Waits until every line taken so far is written, at most `timeout` seconds.

        Returns:
            Whether all of them are.
        """
        ...

    def close(self, timeout: float) -> None:
        """Writes what was taken, for at most `timeout` seconds, and releases everything."""
        ...

    def stats(self) -> SinkStats:
        """What became of the lines so far."""
        ...
