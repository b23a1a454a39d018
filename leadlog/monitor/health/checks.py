"""What a health check says: a state, the value that it rests on, and what to do about it."""

from collections.abc import Iterable
from typing import Any, Literal

import attrs

from leadlog.core.clock import format_us, now_us

__all__ = ["Check", "Health", "State", "judge", "worst"]

State = Literal["ok", "warning", "critical", "unknown"]

_ORDER: tuple[State, ...] = ("critical", "warning", "ok", "unknown")


def _now() -> str:
    return format_us(now_us())


@attrs.frozen
class Check:
    """What one check found.

    Attributes:
        name: which check.
        state: `unknown` where there was nothing to measure, or no way to.
        value: what was measured; None where nothing was.
        unit: of value and threshold.
        threshold: what the value is held against: the limit that it passed, or the nearest one.
        message: what was found, for people.
        remedy: what to do; None where nothing is to be done.
        checked_at: when, as in the records.
        latency_ms: how long the checked thing took to answer, milliseconds; None where
            nothing had to answer.
    """

    name: str
    state: State
    value: float | None = None
    unit: str | None = None
    threshold: float | None = None
    message: str = ""
    remedy: str | None = None
    checked_at: str = attrs.field(factory=_now)
    latency_ms: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return attrs.asdict(self)


@attrs.frozen
class Health:
    """What all checks found.

    Attributes:
        checks: in the order in which they are registered.
        checked_at: when they began, as in the records.
    """

    checks: tuple[Check, ...]
    checked_at: str = attrs.field(factory=_now)

    @property
    def state(self) -> State:
        """The worst state of any check; what is unknown counts only where all is."""
        return worst(check.state for check in self.checks)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong: neither a warning nor anything critical."""
        return self.state not in ("critical", "warning")

    def __getitem__(self, name: str) -> Check:
        """Return the check of a name.

        Raises:
            KeyError: no such check was made.
        """
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {
            "state": self.state,
            "checked_at": self.checked_at,
            "checks": [check.as_dict() for check in self.checks],
        }


def worst(states: Iterable[State]) -> State:
    """Return the worst of some states; `unknown` where there is no other."""
    found = set(states)
    for state in _ORDER:
        if state in found:
            return state
    return "unknown"


def judge(
    name: str,
    value: float | None,
    *,
    warning: float | None = None,
    critical: float | None = None,
    unit: str | None = None,
    below: bool = False,
    message: str = "",
    remedy: str | None = None,
    latency_ms: float | None = None,
) -> Check:
    """Hold a value against its limits.

    Args:
        name: of the check.
        value: what was measured; None gives `unknown`.
        warning: limit from which it is a warning.
        critical: limit from which it is critical.
        unit: of the value and the limits.
        below: whether values at or below a limit are bad, instead of at or above.
        message: what was found; made from value and unit where empty.
        remedy: what to do about it; left out while it is ok.
        latency_ms: how long the answer took.
    """
    state: State = "unknown"
    threshold = critical if warning is None else warning
    if value is not None:
        state = "ok"
        if _passes(value, critical, below):
            state, threshold = "critical", critical
        elif _passes(value, warning, below):
            state, threshold = "warning", warning
    if not message:
        message = "not measured" if value is None else f"{value:g} {unit or ''}".rstrip()
    return Check(
        name,
        state,
        value,
        unit,
        threshold,
        message,
        remedy if state in ("warning", "critical") else None,
        latency_ms=latency_ms,
    )


def _passes(value: float, limit: float | None, below: bool) -> bool:
    if limit is None:
        return False
    return value <= limit if below else value >= limit
