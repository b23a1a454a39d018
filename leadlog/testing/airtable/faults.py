"""Faults on demand: what goes wrong, at which call, before or after it was applied."""

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
    """What `FakeAirtable.fail` takes beside the kind; `Fault` says what each means."""

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
    """Something that goes wrong; made by `FakeAirtable.fail`, which says what each part means.

    Attributes:
        kind: What goes wrong.
        method: The HTTP method that it waits for, None for any.
        route: The route that it waits for (see `Request.route`), None for any.
        nth: At which matching call it begins, counted from 1 since it was set.
        times: How many matching calls it meets, None for all that follow.
        applied: Whether a request that meets `close` or `error` takes effect all the same.
        status: Of an `error`.
        error: Airtable's name of an `error`.
        retry_after: Value of the header on `throttle`, None for no header.
        penalty: Whether `throttle` starts the 30 s penalty.
        seconds: Real time that passes before a `delay` answers or a `close` closes.
        keep: Bytes that a `cut` answer has, or records that a `partial` list has.
        call: What a `hook` calls.
        seen: Matching calls so far.
        fired: Calls that it met so far.
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
        """Count the request if it matches; whether this is a call to fail."""
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
        """Set a fault."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Remove all."""
        with self._lock:
            self._faults.clear()

    def __iter__(self) -> Iterator[Fault]:
        with self._lock:
            return iter(tuple(self._faults))

    def meeting(self, request: Request) -> tuple[list[Fault], Fault | None]:
        """Return the hooks that a request calls, and the first other fault that it meets.

        A fault that another one got ahead of still counts the call, but does not fire.
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
