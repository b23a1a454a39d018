"""Faults on demand: their kinds, the calls they apply to, and before or after which effect."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal, TypedDict, get_args

from leadlog.core.errors import FakeAirtableError
from leadlog.testing.airtable.counters import Request

__all__ = ["Fault", "FaultKind", "FaultOptions", "Faults"]

FaultKind = Literal[
    "close", "cut", "delay", "error", "hook", "iterator", "partial", "quota", "throttle"
]
_LONGEST_DELAY = 10.0


class FaultOptions(TypedDict, total=False):
    """The options of `FakeAirtable.fail`; see `Fault` for each."""

    method: str | None
    route: str | None
    nth: int
    times: int | None
    applied: bool
    status: int
    error: str
    retry_after: int | None
    penalty: bool
    seconds: float
    keep: int | None
    call: Callable[[Request], Any] | None


@dataclass(slots=True)
class Fault:
    """A fault set by `FakeAirtable.fail`, which describes the kinds.

    Attributes:
        kind: The kind of fault.
        method: The HTTP method that it applies to; None for any.
        route: The route that it applies to (see `Request.route`); None for any.
        nth: First matching call that it applies to, counted from 1 since it was set.
        times: Number of matching calls that it applies to; None for all further ones.
        applied: Whether a request that meets `close` or `error` still takes effect.
        status: Status of an `error`.
        error: Airtable's name of an `error`.
        retry_after: Value of the `Retry-After` header on `throttle`; None for no header.
        penalty: Whether `throttle` starts the 30 s penalty.
        seconds: Real time to wait before a `delay` responds or a `close` closes.
        keep: Bytes in a `cut` response, or records in a `partial` list.
        call: The function that a `hook` calls.
        seen: Number of matching calls so far.
        fired: Number of calls that it applied to so far.
    """

    kind: FaultKind
    method: str | None = None
    route: str | None = None
    nth: int = 1
    times: int | None = 1
    applied: bool = False
    status: int = 503
    error: str = "SERVICE_UNAVAILABLE"
    retry_after: int | None = None
    penalty: bool = True
    seconds: float = 0.0
    keep: int | None = None
    call: Callable[[Request], Any] | None = None
    seen: int = 0
    fired: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise FakeAirtableError(
                f"fault {self.kind!r} is unknown; there are {', '.join(get_args(FaultKind))}"
            )
        if self.nth < 1 or (self.times is not None and self.times < 1):
            raise FakeAirtableError(
                f"a fault begins at call 1 or later and meets at least one, but got "
                f"nth={self.nth}, times={self.times}"
            )
        if not 0 <= self.seconds <= _LONGEST_DELAY:
            raise FakeAirtableError(
                f"a delay is real time, at most {_LONGEST_DELAY:.0f} s, but got {self.seconds}"
            )
        if (self.kind == "hook") is not callable(self.call):
            raise FakeAirtableError(f"call= belongs to a hook and only there, not to {self.kind!r}")
        if not 400 <= self.status <= 599:
            raise FakeAirtableError(f"an error has a status of 400 to 599, but got {self.status}")
        if self.applied and self.kind not in {"close", "error"}:
            raise FakeAirtableError(f"applied= belongs to close and error, not to {self.kind!r}")

    def meets(self, request: Request) -> bool:
        """Count a matching request, and return whether the fault applies to it."""
        if self.method not in {None, request.method} or self.route not in {None, request.route}:
            return False
        self.seen += 1
        met = self.seen >= self.nth and (self.times is None or self.fired < self.times)
        self.fired += met
        return met


@dataclass(slots=True)
class Faults:
    """The faults that are set; safe to use from several threads."""

    _faults: list[Fault] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def add(self, fault: Fault) -> None:
        """Add a fault."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def __iter__(self) -> Iterator[Fault]:
        with self._lock:
            return iter(tuple(self._faults))

    def meeting(self, request: Request) -> tuple[list[Fault], Fault | None]:
        """Return the hooks to call for a request, and the first other fault that applies to it.

        A fault that a preceding one preempts still counts the call, but does not fire.
        """
        hooks, found = [], None
        with self._lock:
            for fault in self._faults:
                if fault.kind == "hook":
                    if fault.meets(request):
                        hooks.append(fault)
                elif found is None and fault.meets(request):
                    found = fault
        return hooks, found
