"""Meters: the cost of a stretch of work, counted where it arises.

A meter counts the statements, API calls and database time of the code that runs while it is
the current one, and may measure its time. Meters nest through a context variable; a closed meter
adds its counts to the enclosing one, so each counts everything inside it once.
"""

import threading
import time
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Self

from leadlog.core.native import RLock


class Meter:
    """Counts of one stretch of work. Threads and tasks that share the context may add to it.

    Args:
        owner: object that the work belongs to; by default the owner of the enclosing meter.
        timed: whether wall and CPU time are measured while it is entered.

    Attributes:
        owner: object that the work belongs to, set when the work begins.
        queries: statements sent to captured databases, excluding transaction control.
        database_ns: time inside database drivers, nanoseconds.
        api_calls: calls reported through `count_api_call`.
        wall_ns: total time while it was entered, nanoseconds; 0 if not timed.
        cpu_ns: CPU time of the thread in these spans; None if a span ended in another thread than
            it began in, or if not timed.
    """

    __slots__ = (
        "_cpu",
        "_lock",
        "_parent",
        "_thread",
        "_timed",
        "_token",
        "_wall",
        "api_calls",
        "cpu_ns",
        "database_ns",
        "owner",
        "queries",
        "wall_ns",
    )

    def __init__(self, owner: object = None, *, timed: bool = False) -> None:
        self.owner = owner
        self.queries = 0
        self.database_ns = 0
        self.api_calls = 0
        self.wall_ns = 0
        self.cpu_ns: int | None = 0 if timed else None
        self._timed = timed
        self._lock = RLock()  # a finaliser may interrupt this
        self._parent: Meter | None = None
        self._token: Token[Meter | None] | None = None

    def add(self, queries: int = 0, database_ns: int = 0, api_calls: int = 0) -> None:
        """Add to the counts."""
        with self._lock:
            self.queries += queries
            self.database_ns += database_ns
            self.api_calls += api_calls

    def __enter__(self) -> Self:
        """Make this the current meter."""
        parent = self._parent = _current.get()
        if self.owner is None and parent is not None:
            self.owner = parent.owner
        self._token = _current.set(self)
        if self._timed:
            self._thread = threading.get_ident()
            self._cpu = time.thread_time_ns()
            self._wall = time.perf_counter_ns()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """Make the enclosing meter current again; the meter can be re-entered."""
        if self._timed:
            self.wall_ns += time.perf_counter_ns() - self._wall
            if self._thread != threading.get_ident():
                self.cpu_ns = None
            elif self.cpu_ns is not None:
                self.cpu_ns += time.thread_time_ns() - self._cpu
        token, self._token = self._token, None
        if token is not None:
            try:
                _current.reset(token)
            except ValueError:  # closed in another context than the one it was opened in
                _current.set(self._parent)

    def close(self) -> None:
        """End the work: add the counts to the enclosing meter and release the owner."""
        if self._parent is not None:
            self._parent.add(self.queries, self.database_ns, self.api_calls)
            self._parent = None
        self.owner = None  # it holds the meter, which would be a reference cycle

    @property
    def wall_ms(self) -> float:
        """Wall time, milliseconds."""
        return self.wall_ns / 1e6

    @property
    def cpu_ms(self) -> float | None:
        """CPU time, milliseconds; None if it could not be measured."""
        return None if self.cpu_ns is None else self.cpu_ns / 1e6


_current: ContextVar[Meter | None] = ContextVar("leadlog_meter", default=None)


def current_meter() -> Meter | None:
    """Return the innermost meter of this context."""
    return _current.get()


def count_api_call() -> None:
    """Count one call of an external API in the current meter."""
    meter = _current.get()
    if meter is not None:
        meter.add(api_calls=1)


class Spent:
    """The cost of one statement.

    Attributes:
        wall_ns: time from its start to its result, plus every fetch, nanoseconds.
        database_ns: part of it spent inside the driver.
        queries: executions; several if SQLAlchemy sends rows in batches.
        done: whether the driver completed the last execution, even if something failed afterwards.
        cpu_ms: always None; not measured.
    """

    __slots__ = ("database_ns", "done", "queries", "started_ns", "wall_ns")

    cpu_ms: float | None = None

    def __init__(self, started_ns: int) -> None:
        self.started_ns = started_ns
        self.wall_ns = 0
        self.database_ns = 0
        self.queries = 0
        self.done = False

    def executed(self, elapsed_ns: int, *, done: bool) -> None:
        """Count an execution in the driver, which may have failed."""
        self.queries += 1
        self.done = done
        self.database_ns += elapsed_ns

    def add(self, other: "Spent") -> None:
        """Add the cost of another statement."""
        self.queries += other.queries
        self.wall_ns += other.wall_ns
        self.database_ns += other.database_ns

    def ready(self) -> None:
        """Note that the result is available, although rows may still have to be fetched."""
        self.wall_ns = time.perf_counter_ns() - self.started_ns

    def fetched(self, elapsed_ns: int) -> None:
        """Add the time of a fetch."""
        self.wall_ns += elapsed_ns
        self.database_ns += elapsed_ns

    @property
    def wall_ms(self) -> float:
        """Wall time, milliseconds."""
        return self.wall_ns / 1e6


class Internal:
    """Owner of reads that SQLAlchemy makes on behalf of a call, such as `merge`."""


INTERNAL = Internal()


def spent_on(context: Any, started_ns: int) -> Spent:
    """Return the cost of an execution so far."""
    spent: Spent | None = vars(context).get("_leadlog_spent")
    if spent is None:
        spent = vars(context)["_leadlog_spent"] = Spent(started_ns)
    return spent
