"""A plain-Python reference for features and labels, computed run by run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from leadlog.core.clock import parse


@dataclass
class Run:
    """A run, parsed from its record."""

    event_id: str
    name: str
    session: str
    started: int
    ended: int
    ms: float
    weight: float
    failed: bool
    label: float | None


def read(records: Iterable[dict[str, Any]]) -> list[Run]:
    """Return the runs of records, labelled for the target `failed`."""
    found = []
    for one in records:
        ended = parse(one["timestamp"])
        if one["log_type"] == "database_operation":
            details = one["operation_details"]
            verb, entity = details["operation_type"], details["entity"]
            name = verb if "_" in verb else f"{entity}.{verb}"
            ms, started = details["execution_time_ms"], parse(details["started_at"])
            failed, label = not details["success"], float(not details["success"])
        elif one["log_type"] == "sync_operation":
            name, ms = (
                f"sync.{one['sync_details']['sync_type']}",
                one["sync_results"]["execution_time_ms"],
            )
            started, failed, label = ended - round(ms * 1000), False, None
        else:
            info = one["operation_info"]
            name, ms, started = (
                info["operation_name"],
                info["total_duration_ms"],
                parse(info["start_time"]),
            )
            failed, label = False, 0.0
        weight = 1 / one.get("sample_rate", 1)
        found.append(
            Run(one["event_id"], name, one["session_id"], started, ended, ms, weight, failed, label)
        )
    return sorted(found, key=lambda run: (run.ended, run.event_id))


def _mean(pairs: Sequence[tuple[float | None, float]]) -> float | None:
    pairs = [(value, weight) for value, weight in pairs if value is not None]
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if pairs else None  # type: ignore[operator]


def features(run: Run, log: Sequence[Run]) -> dict[str, Any]:
    """Return the features of a run from a log in the order of its ends."""
    past = [one for one in log if one.ended < run.started]
    same = [one for one in past if one.name == run.name]
    mine = [one for one in past if one.session == run.session]
    began = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=run.started)
    since = [(run.started - ones[-1].ended) / 1e6 if ones else None for ones in (same, mine, past)]
    last = past[-200:]
    return {
        "operation": run.name,
        "hour": began.hour + began.minute / 60 + began.second / 3600,
        "weekday": float(began.isoweekday()),
        "operation_last_ms": same[-1].ms if same else None,
        "operation_last_label": same[-1].label if same else None,
        "operation_since_s": since[0],
        "operation_mean_ms_20": _mean([(one.ms, one.weight) for one in same[-20:]]),
        "operation_mean_ms_200": _mean([(one.ms, one.weight) for one in same[-200:]]),
        "operation_label_20": _mean([(one.label, one.weight) for one in same[-20:]]),
        "operation_label_200": _mean([(one.label, one.weight) for one in same[-200:]]),
        "session_runs": sum(one.weight for one in mine),
        "session_last_label": mine[-1].label if mine else None,
        "session_label": _mean([(one.label, one.weight) for one in mine]),
        "session_since_s": since[1],
        "all_since_s": since[2],
        "all_span_s": (past[-1].ended - past[-200].ended) / 1e6 if len(past) >= 200 else None,
        "all_label_200": _mean([(one.label, one.weight) for one in last]),
        "all_failed_200": _mean([(float(one.failed), one.weight) for one in last]),
    }
