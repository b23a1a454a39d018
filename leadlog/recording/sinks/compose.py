"""Sinks built from other sinks, and one that keeps the lines in memory."""

from collections import Counter
from collections.abc import Callable

from leadlog.core.native import RLock
from leadlog.recording.sinks.contract import Sink, SinkStats


class Tee:
    """Sink that passes every line to several sinks; stats and answers are the first one's.

    If one of the others raises, only that sink loses the line. They are called in the caller's
    thread, so a slow sink delays the caller.

    Args:
        first: the main sink.
        others: sinks that get a copy.

    Attributes:
        errors: number of exceptions of each of the others, in order.
    """

    def __init__(self, first: Sink, *others: Sink) -> None:
        self._first = first
        self._others = others
        self.errors = [0] * len(others)

    def _each(self, call: Callable[[Sink], object]) -> bool:
        """Call each of the others despite exceptions; return whether all succeeded."""
        every = True
        for number, sink in enumerate(self._others):
            try:
                every &= call(sink) is not False
            except Exception:  # noqa: BLE001 - a failure affects only its sink
                self.errors[number] += 1
                every = False
        return every

    def write(self, category: str, line: bytes) -> bool:
        """See `Sink.write`."""
        taken = self._first.write(category, line)
        if taken:
            self._each(lambda sink: sink.write(category, line))
        return taken

    def flush(self, timeout: float) -> bool:
        """See `Sink.flush`."""
        done = self._first.flush(timeout)
        return self._each(lambda sink: sink.flush(timeout)) and done

    def close(self, timeout: float) -> None:
        """See `Sink.close`."""
        self._first.close(timeout)
        self._each(lambda sink: sink.close(timeout))

    def stats(self) -> SinkStats:
        """See `Sink.stats`."""
        return self._first.stats()


class Filter:
    """Sink that passes on the lines matching a condition; other lines count as taken.

    Args:
        sink: the sink to pass them to.
        condition: called with category and line; returns whether to pass the line on.
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
    """Sink that keeps every line in memory, for tests and notebooks.

    Attributes:
        lines: `(category, line)` in order of arrival.
    """

    __slots__ = ("__dict__", "__weakref__", "_lock")  # see leadlog.core.native

    def __init__(self) -> None:
        self.lines: list[tuple[str, bytes]] = []
        self._closed = False
        self._lock = RLock()  # a finaliser that logs may come in between

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
