"""The monitor's own records: transitions of alerts, and summaries of health."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from leadlog.core.clock import format_us
from leadlog.core.records import shape
from leadlog.monitor.figures.rolling import OPERATIONS
from leadlog.monitor.rules.base import RuleView
from leadlog.monitor.states import AlertState
from leadlog.monitor.storage import RecordedTransition

__all__ = ["Emit", "alert_record", "entry", "health_record"]

Emit = Callable[[str, str, dict[str, Any]], None]
"""Function that writes a record (level, event name, event); never raises."""

_LEVELS = {"info": "info", "warning": "warning", "critical": "critical"}
_LATELY_MINUTES = 5


def entry(alert: AlertState) -> dict[str, Any]:
    """Return an alert in the form of the records' `alerts`."""
    name = f"{alert.rule}:{alert.label}" if alert.label else alert.rule
    return {
        "name": name,
        "severity": alert.severity,
        "state": alert.state,
        "message": alert.message,
        "value": alert.value,
        "threshold": alert.threshold,
        "since": format_us(alert.since_us),
    }


def alert_record(emit: Emit, one: RecordedTransition) -> None:
    """Write one transition, with the time at which it happened."""
    alert = one.transition.alert
    event = shape.monitoring_data(
        "alert",
        {"monitoring_id": one.id, "metrics": {"state_before": one.transition.before}},
        [entry(alert)],
    )
    event["timestamp"] = one.transition.at_us
    level = _LEVELS[alert.severity] if alert.state == "firing" else "info"
    emit(level, "monitoring.alert", event)


def health_record(
    emit: Emit, view: RuleView, alerts: Iterable[AlertState], every_seconds: float, now_us: int
) -> None:
    """Write the current results of checks, figures, and firing alerts."""
    event = shape.monitoring_data(
        "health_check",
        {
            "collection_interval": every_seconds,
            "metrics": {one.name: _check(one) for one in view.checks} or None,
            **_system(view),
            **_statistics(view),
        },
        [entry(alert) for alert in alerts if alert.state == "firing"],
    )
    event["timestamp"] = now_us
    emit("info", "monitoring.health_check", event)


def _check(one: Any) -> dict[str, Any]:
    return {"state": one.state, "value": one.value, "unit": one.unit}


def _system(view: RuleView) -> Mapping[str, Any]:
    states = {one.name: one.state for one in view.checks}
    tally, now = view.figures.tallies.get(OPERATIONS), view.minute
    first = now - _LATELY_MINUTES + 1
    total, bad, ms, timed = (
        tally.sum(column, first, now) for column in (tally.total, tally.bad, tally.ms, tally.timed)
    )
    pending = view.gauge("pending_syncs", 60)
    return {
        "database_responsive": _reached(states.get("database")),
        "airtable_accessible": _reached(states.get("airtable")),
        "sync_queue_size": None if pending is None else round(pending.value),
        "error_rate": round(100 * max(bad, 0.0) / total, 3) if total else None,
        "avg_response_time": round(ms / timed, 3) if timed else None,
    }


def _reached(state: str | None) -> bool | None:
    return None if state in (None, "unknown") else state != "critical"


def _statistics(view: RuleView) -> Mapping[str, Any]:
    checks: Sequence[Any] = view.checks
    sizes = [one.value for one in checks if one.name == "database_size"]
    midnight = view.minute - view.minute % 1440
    runs = view.figures.syncs.since(midnight, view.minute)
    return {
        "successful_syncs_today": sum(run.success is True for run in runs),
        "failed_syncs_today": sum(run.success is False for run in runs),
        "database_size_mb": sizes[0] if sizes else None,
    }
