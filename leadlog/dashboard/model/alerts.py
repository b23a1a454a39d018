"""The state of the monitor: alerts that are firing, pending or silenced, and their changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from leadlog.core.clock import format_us, now_us
from leadlog.core.errors import LeadlogError, ReadError
from leadlog.dashboard.log import Log

__all__ = ["AlertRow", "Alerts", "alerts", "firing"]

_CHANGES: Final = 50


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One alert.

    Attributes:
        name: `rule:label`.
        rule: name of the rule.
        label: subject of the alert.
        state: pending or firing.
        severity: info, warning or critical.
        message: description of the problem.
        value: the measured value.
        threshold: the value that it is compared with.
        since: when the condition was first met, as in the records.
        fired: when it began to fire; None if it has not.
        suppressed: `silenced`, `consequence`, or "".
        remedy: how to fix it.
    """

    name: str
    rule: str
    label: str
    state: str
    severity: str
    message: str
    value: float | None
    threshold: float | None
    since: str
    fired: str | None
    suppressed: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Alerts:
    """The alerts, silences and changes that a monitor recorded.

    Attributes:
        watched: whether a monitor has ever watched this log.
        why: why there is no information, with a remedy; None if there is.
        alerts: the alerts, firing ones first.
        silences: the active silences, as plain data.
        changes: the last changes of state, newest first, as plain data.
    """

    watched: bool
    why: str | None
    alerts: tuple[AlertRow, ...]
    silences: tuple[Mapping[str, Any], ...]
    changes: tuple[Mapping[str, Any], ...]


def alerts(log: Log, now: int | None = None) -> Alerts:
    """Return the state of the log's monitor.

    Args:
        log: the log.
        now: the current time, microseconds since 1970.
    """
    from leadlog.monitor.state import database_path, read_state
    from leadlog.monitor.storage import history, load_alerts, load_silences

    now = now_us() if now is None else now
    if not database_path(log.directory).is_file():
        return Alerts(
            False,
            "No monitor has watched this log yet; run `leadlog monitor`.",
            (),
            (),
            (),
        )
    try:
        with read_state(log.directory) as connection:
            found = load_alerts(connection)
            silences = load_silences(connection)
            changes = history(connection, limit=_CHANGES)
    except ReadError as error:
        return Alerts(True, str(error), (), (), ())
    rows = [_row(alert, why) for alert, why in _suppressed(found, silences, now)]
    rows.sort(key=lambda one: (one.state != "firing", one.severity != "critical", one.name))
    return Alerts(
        True,
        None,
        tuple(rows),
        tuple(
            {
                "number": one.number,
                "rule": one.rule,
                "label": one.label,
                "comment": one.comment,
                "by": one.by,
                "ends": format_us(one.ends_us),
            }
            for one in silences
            if one.is_active(now)
        ),
        tuple(
            {
                "at": format_us(one.transition.at_us),
                "before": one.transition.before,
                "name": _name(one.transition.alert),
                "state": one.transition.alert.state,
                "severity": one.transition.alert.severity,
                "message": one.transition.alert.message,
            }
            for one in changes
        ),
    )


def firing(log: Log, now: int | None = None) -> tuple[str, ...]:
    """Return the names of the alerts that are firing and not suppressed."""
    return tuple(
        one.name for one in alerts(log, now).alerts if one.state == "firing" and not one.suppressed
    )


def _suppressed(found: Any, silences: Any, now: int) -> list[tuple[Any, str]]:
    from leadlog.core.settings import load
    from leadlog.monitor.configuration import configure
    from leadlog.monitor.silences import inhibited, silenced

    quiet = silenced(found, silences, now)
    try:
        inhibitions = configure(load().settings.alerts).inhibitions
    except LeadlogError:  # reported by `leadlog doctor`; show the alerts anyway
        inhibitions = ()
    consequences = inhibited(found, found, inhibitions)
    return [
        (
            alert,
            "silenced" if key in quiet else "consequence" if key in consequences else "",
        )
        for key, alert in found.items()
    ]


def _name(alert: Any) -> str:
    return f"{alert.rule}:{alert.label}" if alert.label else str(alert.rule)


def _row(alert: Any, suppressed: str) -> AlertRow:
    return AlertRow(
        _name(alert),
        alert.rule,
        alert.label,
        alert.state,
        alert.severity,
        alert.message,
        alert.value,
        alert.threshold,
        format_us(alert.since_us),
        None if alert.fired_us is None else format_us(alert.fired_us),
        suppressed,
        alert.remedy,
    )
