"""Sinks made of sinks, and one that keeps the lines in memory."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence

from leadlog.recording.sinks.contract import Sink, SinkStats


class Tee:
    """Hands every line to several sinks; the first one's stats and answers count.

    Args:
        first: the sink that matters.
        others: sinks that get a copy.
    """

    def __init__(self, first: Sink, *others: Sink) -> None:
        self._first = first
        self._all: Sequence[Sink] = (first, *others)

    def write(self, category: str, line: bytes) -> bool:
        """See `Sink.write`."""
        taken = self._first.write(category, line)
        if taken:
            for sink in self._all[1:]:
                sink.write(category, line)
        return taken

    def flush(self, timeout: float) -> bool:
        """See `Sink.flush`."""
        done = [sink.flush(timeout) for sink in self._all]
        return all(done)

    def close(self, timeout: float) -> None:
        """See `Sink.close`."""
        for sink in self._all:
            sink.close(timeout)

    def stats(self) -> SinkStats:
        """See `Sink.stats`."""
        return self._first.stats()


class Filter:
    """Hands on the lines that a condition lets through; the others count as taken.

    Args:
        sink: where they go.
        condition: called with category and line.
    """

    def __init__(self, sink: Sink, condition: Callable[[str, bytes], bool]) -> None:
        self._sink = sink
        self._condition = condition

    def write(self, category: str, line: bytes) -> bool:
        """See `Sink.write`."""
        return not self._condition(category, line) or self._sink.write(category, line)

    def flush(self, timeout: float) -> bool:
        """See `Sink.flush`."""
        return self._sink.flush(timeout)

    def close(self, timeout: float) -> None:
        """See `Sink.close`."""
        self._sink.close(timeout)

    def stats(self) -> SinkStats:
        """See `Sink.stats`."""
        return self._sink.stats()


class MemorySink:
    """Keeps every line in memory, for tests and notebooks.

    Attributes:
        lines: `(category, line)` in the order they came.
    """

    def __init__(self) -> None:
        self.lines: list[tuple[str, bytes]] = []
        self._closed = False
        self._lock = threading.Lock()

    def write(self, category: str, line: bytes) -> bool:
        """See `Sink.write`."""
        with self._lock:
            if not self._closed:
                self.lines.append((category, line))
            return not self._closed

    def flush(self, timeout: float) -> bool:  # noqa: ARG002 - memory needs no time
        """See `Sink.flush`."""
        return True

    def close(self, timeout: float) -> None:  # noqa: ARG002 - memory needs no time
        """See `Sink.close`; the lines stay readable."""
        with self._lock:
            self._closed = True

    def stats(self) -> SinkStats:
        """See `Sink.stats`."""
        counts = Counter(category for category, _ in self.lines)
        return SinkStats(accepted=counts, written=counts)
