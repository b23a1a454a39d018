"""Latency and resource use over days, relative to the size of the store, and their changes.

Each day is read in part: some thousand lines, spread evenly over its files, so a month costs
seconds however large the log is. Only a compressed day is read as a whole.
"""

import datetime as dt
import math
import os
from collections import defaultdict
from collections.abc import Mapping
from statistics import median
from typing import Any, TypeGuard

from leadlog.core.clock import parse, utc_date
from leadlog.reading.analytics.changes import ChangePoint, changes, slope
from leadlog.reading.analytics.sections import at_ranks
from leadlog.reading.sampled import spread_events

__all__ = ["trends"]

LINES_A_DAY = 4_000
_LEAST_EVENTS = 20
_LEAST_DAYS = 7
_LEAST_GROWTH = 1.5
_OPERATIONS = ("database_operations",)
_MEASURED = ("performance_metrics", "monitoring_data")
_DAY_US = 86_400_000_000

_PARTS = ("p50_ms", "p95_ms")

Data = Mapping[str, Any]

_Values = list[tuple[float, float]]
"""Measured numbers, each with its weight in events."""


def trends(
    directory: str | os.PathLike[str],
    *,
    until: str | dt.date,
    days: int = 28,
    least_percent: float = 25.0,
    lines_a_day: int = LINES_A_DAY,
) -> dict[str, Any]:
    """Return the changes of latency and resource use.

    Args:
        directory: the log directory.
        until: last UTC day to read, which should be over, `2026-11-23`.
        days: number of days.
        least_percent: smaller changes are left out.
        lines_a_day: number of lines to read of each day.

    Returns:
        `since`, `until`; `days`, a row for each day with events; `growth`, the exponent by which a
        series rises with the number of leads; `changes`, oldest first, each with `series`, `date`
        (its first day), `before`, `after`, `percent` and `sureness`.

    Raises:
        ValueError: `until` is not a date, or `days` is below 1.
        ReadError: a file cannot be read.
    """
    if days < 1:
        raise ValueError(f"days = {days!r} is below 1")
    last = _start(until)
    rows = []
    for number in range(days - 1, -1, -1):
        row = _day(directory, last - number * _DAY_US, lines_a_day)
        if row["events"]:
            rows.append(row)
    series = _series(rows)
    least = 1 + least_percent / 100
    return {
        "since": utc_date(last - (days - 1) * _DAY_US),
        "until": utc_date(last),
        "days": rows,
        "growth": _growth(series, rows),
        "changes": sorted(
            (
                {
                    "series": name,
                    "date": found[change.at][0],
                    "before": round(change.before, 3),
                    "after": round(change.after, 3),
                    "percent": round(100 * (change.ratio - 1), 1),
                    "sureness": change.sureness,
                }
                for name, found in series.items()
                for change in _changes(found, least)
            ),
            key=lambda one: (one["date"], one["series"]),
        ),
    }


def _start(day: str | dt.date) -> int:
    """Return the first microsecond of a UTC day."""
    text = day if isinstance(day, str) else day.strftime("%Y-%m-%d")
    try:
        dt.date.fromisoformat(text)
        return parse(f"{text}T00:00:00Z")
    except ValueError:
        raise ValueError(f"{day!r} is not a date; write a UTC day such as 2026-11-23") from None


def _day(directory: str | os.PathLike[str], start: int, most: int) -> dict[str, Any]:
    """Return the figures of one day, each null if it was not measured."""
    until = start + _DAY_US
    events = spread_events(
        directory, _OPERATIONS, since_us=start, until_us=until, most=most, where=lambda _: True
    )
    took: defaultdict[str, _Values] = defaultdict(list)
    memory: _Values = []
    cpu: _Values = []
    for event in events:
        details = _section(event.data, "operation_details")
        metrics = _section(event.data, "performance_metrics")
        rate = event.data.get("sample_rate")
        weight = 1 / rate if isinstance(rate, float) and 0 < rate < 1 else 1.0
        for values, value in (
            (took[str(details.get("operation_type"))], details.get("execution_time_ms")),
            (memory, metrics.get("memory_usage_mb")),
            (cpu, metrics.get("cpu_time_ms")),
        ):
            if _is_measured(value):
                values.append((value, weight))
    leads: list[float] = []
    sizes: list[float] = []
    for event in spread_events(
        directory, _MEASURED, since_us=start, until_us=until, most=most, where=lambda _: True
    ):
        for name in ("system_info", "statistics"):
            section = _section(event.data, name)
            for found, value in (
                (leads, section.get("total_leads")),
                (sizes, section.get("database_size_mb")),
            ):
                if _is_measured(value):
                    found.append(value)
    return {
        "date": utc_date(start),
        "events": len(events),
        "total_leads": round(max(leads)) if leads else None,
        "database_size_mb": max(sizes, default=None),
        "memory_mb": at_ranks(sorted(memory))[0],
        "cpu_ms": _mean(cpu),
        "operations": {
            name: {"n": len(values), **dict(zip(_PARTS, at_ranks(sorted(values)), strict=False))}
            for name, values in sorted(took.items())
            if len(values) >= _LEAST_EVENTS
        },
    }


def _is_measured(value: object) -> TypeGuard[float]:
    return type(value) is float or type(value) is int


def _mean(values: _Values) -> float | None:
    if not values:
        return None
    total = math.fsum(weight for _, weight in values)
    return round(math.fsum(value * weight for value, weight in values) / total, 3)


def _series(rows: list[dict[str, Any]]) -> dict[str, list[tuple[str, float]]]:
    """Return the daily values of everything that may change, where measured and above 0."""
    found: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    for row in rows:
        values = {"memory_mb": row["memory_mb"], "cpu_ms": row["cpu_ms"]}
        for name, figures in row["operations"].items():
            values |= {f"{name} {part}": figures[part] for part in _PARTS}
        for name, value in values.items():
            if _is_measured(value) and value > 0:
                found[name].append((row["date"], float(value)))
    return dict(sorted(found.items()))


def _changes(found: list[tuple[str, float]], least: float) -> list[ChangePoint]:
    days = [dt.date.fromisoformat(date).toordinal() for date, _ in found]
    return changes([value for _, value in found], days, least)


def _growth(
    series: Mapping[str, list[tuple[str, float]]], rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the growth of each series with the number of leads, where these grew enough."""
    leads = {row["date"]: row["total_leads"] for row in rows if row["total_leads"]}
    found = []
    for name, values in series.items():
        points = [(leads[date], value) for date, value in values if date in leads]
        sizes = [size for size, _ in points]
        if len(points) < _LEAST_DAYS or max(sizes) < _LEAST_GROWTH * min(sizes):
            continue
        exponent = slope(
            [math.log(size) for size in sizes], [math.log(value) for _, value in points]
        )
        if exponent is not None:
            found.append(
                {
                    "series": name,
                    "exponent": round(exponent, 3),
                    "leads_from": min(sizes),
                    "leads_to": max(sizes),
                    "median": round(median(value for _, value in points), 3),
                }
            )
    return sorted(found, key=lambda one: -one["exponent"])


def _section(event: Data, name: str) -> Data:
    section = event.get(name)
    return section if isinstance(section, dict) else {}
