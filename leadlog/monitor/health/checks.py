"""Results of health checks: a state, the measured value, and a remedy."""

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
    """The result of one check.

    Attributes:
        name: name of the check.
        state: `unknown` if nothing could be measured.
        value: the measured value; None if there is none.
        unit: unit of value and threshold.
        threshold: the limit that the value passed, or the nearest one.
        message: the finding as text.
        remedy: what to do about it; None if nothing needs to be done.
        checked_at: time of the check, as in the records.
        latency_ms: how long the checked service took to answer, milliseconds; None if the
            check needs no answer.
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
        """Return all attributes as plain data."""
        return attrs.asdict(self)


@attrs.frozen
class Health:
    """The results of all checks.

    Attributes:
        checks: in the order of registration.
        checked_at: start of the checks, as in the records.
    """

    checks: tuple[Check, ...]
    checked_at: str = attrs.field(factory=_now)

    @property
    def state(self) -> State:
        """The worst state of any check; `unknown` only if all are."""
        return worst(check.state for check in self.checks)

    @property
    def ok(self) -> bool:
        """Whether no check is at warning or critical."""
        return self.state not in ("critical", "warning")

    def __getitem__(self, name: str) -> Check:
        """Return the check of the given name.

        Raises:
            KeyError: no such check was run.
        """
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def as_dict(self) -> dict[str, Any]:
        """Return all attributes as plain data."""
        return {
            "state": self.state,
            "checked_at": self.checked_at,
            "checks": [check.as_dict() for check in self.checks],
        }


def worst(states: Iterable[State]) -> State:
    """Return the worst of some states; `unknown` only if there is no other."""
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
    """Return a check that compares a value with its limits.

    Args:
        name: name of the check.
        value: the measured value; None gives `unknown`.
        warning: limit from which the state is warning.
        critical: limit from which the state is critical.
        unit: unit of the value and the limits.
        below: values at or below a limit are bad, instead of at or above.
        message: the finding as text; made from value and unit if empty.
        remedy: what to do about it; omitted while the state is ok.
        latency_ms: how long the answer took, milliseconds.
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
