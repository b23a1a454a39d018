"""From findings to alerts: pending, firing, resolved; a pure function.

Time is measured between two evaluations, not by the clock: it is never negative, and a pause (the
monitor was down, the clock was set) counts as `LONGEST_STEP` at most. So setting the clock neither
fires nor resolves an alert.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import attrs

from leadlog.monitor.rules.base import SEVERITIES, RuleFinding

__all__ = ["LONGEST_STEP", "AlertState", "Key", "RuleTiming", "Transition", "step"]

LONGEST_STEP: Final = 300.0
"""Largest time in seconds that a pause between two evaluations counts as."""

Key = tuple[str, str]
"""Rule and label."""


class RuleTiming(NamedTuple):
    """How long a rule's condition must last.

    Attributes:
        hold: seconds that the condition must hold before the alert fires.
        keep: seconds that it must be clear before the alert is resolved.
    """

    hold: float
    keep: float


@attrs.frozen
class AlertState:
    """One alert.

    Attributes:
        rule: name of the rule.
        label: the subject of the alert, or "".
        state: `pending` or `firing`; `resolved` only in the transition that ends it.
        severity: of the newest finding; while it fires, the worst so far.
        message: message of the newest finding.
        value: value of the newest finding.
        threshold: threshold of the newest finding.
        remedy: remedy of the newest finding.
        since_us: time of the first finding, microseconds since 1970.
        fired_us: when it started to fire; None before.
        held: seconds for which the condition has held.
        clear: seconds for which it has been clear; None while it holds.
    """

    rule: str
    label: str
    state: str
    severity: str
    message: str
    value: float | None
    threshold: float | None
    remedy: str
    since_us: int
    fired_us: int | None = None
    held: float = 0.0
    clear: float | None = None

    @property
    def key(self) -> Key:
        """Rule and label."""
        return self.rule, self.label


@attrs.frozen
class Transition:
    """A change of an alert's state.

    Attributes:
        before: the previous state: `inactive`, `pending` or `firing`.
        alert: the alert after the change.
        at_us: time of the change, microseconds since 1970.
    """

    before: str
    alert: AlertState
    at_us: int


def worse(first: str, second: str) -> str:
    """Return the worse of two severities."""
    return max(first, second, key=SEVERITIES.index)


def step(
    alerts: Mapping[Key, AlertState],
    findings: Iterable[RuleFinding],
    timing: Callable[[str], RuleTiming],
    elapsed: float,
    now_us: int,
) -> tuple[dict[Key, AlertState], list[Transition]]:
    """Return the next states of the alerts.

    Args:
        alerts: alerts as of the last evaluation.
        findings: the current findings.
        timing: returns the timing of a rule by its name.
        elapsed: seconds since the last evaluation.
        now_us: the current time, for display only; no decision depends on it.

    Returns:
        The current alerts, and the transitions. A pending alert that is no longer found is dropped
        silently; a resolved alert appears in the transitions only.
    """
    elapsed = min(max(elapsed, 0.0), LONGEST_STEP)
    found: dict[Key, RuleFinding] = {}
    for finding in findings:
        known = found.get(finding.key)
        if known is None or worse(known.severity, finding.severity) != known.severity:
            found[finding.key] = finding
    after: dict[Key, AlertState] = {}
    changes: list[Transition] = []
    for key, finding in sorted(found.items()):
        old = alerts.get(key)
        alert = _held(old, finding, timing(finding.rule).hold, elapsed, now_us)
        after[key] = alert
        before = "inactive" if old is None else old.state
        if alert.state != before:
            changes.append(Transition(before, alert, now_us))
    for key, old in alerts.items():
        if key in found or old.state != "firing":
            continue
        clear = 0.0 if old.clear is None else old.clear + elapsed
        if clear >= timing(old.rule).keep:
            resolved = attrs.evolve(old, state="resolved", clear=clear)
            changes.append(Transition("firing", resolved, now_us))
        else:
            after[key] = attrs.evolve(old, clear=clear)
    return after, changes


def _held(
    old: AlertState | None, finding: RuleFinding, hold: float, elapsed: float, now_us: int
) -> AlertState:
    held = 0.0 if old is None else old.held + elapsed
    state = "firing" if held >= hold or (old is not None and old.state == "firing") else "pending"
    severity = finding.severity
    if old is not None and old.state == "firing":
        severity = worse(old.severity, severity)
    fired_us = old.fired_us if old is not None else None
    return AlertState(
        rule=finding.rule,
        label=finding.label,
        state=state,
        severity=severity,
        message=finding.message,
        value=finding.value,
        threshold=finding.threshold,
        remedy=finding.remedy,
        since_us=now_us if old is None else old.since_us,
        fired_us=now_us if state == "firing" and fired_us is None else fired_us,
        held=held,
    )
