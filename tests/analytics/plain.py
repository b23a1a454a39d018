"""The built-in queries done in plain Python over the log's lines, without any engine.

For comparison only: each function takes the events by category and returns the rows that the query
of its name must return.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

Event = dict[str, Any]
Log = dict[str, list[tuple[str, Event]]]
Row = tuple[Any, ...]

WIDTH = math.log(1.01 / 0.99)


def half_up(value: float) -> int:
    """Return the nearest whole number; ties are rounded away from zero."""
    return math.floor(value + 0.5)


def total(values: Iterable[Any]) -> Any:
    """Return a sum as in SQL: null without values."""
    found = [value for value in values if value is not None]
    return sum(found) if found else None


def highest(values: Iterable[Any]) -> Any:
    """Return a maximum as in SQL."""
    return max((value for value in values if value is not None), default=None)


def section(event: Event, name: str, key: str) -> Any:
    """Return a key of a section, or null."""
    return (event.get(name) or {}).get(key)


def rate_of(event: Event) -> float:
    """Return the fraction of such events that was kept."""
    rate = event.get("sample_rate")
    return rate if rate is not None and 0 < rate < 1 else 1.0


def meant(pairs: Iterable[tuple[float, Any]], unit: int = 1_000_000) -> Any:
    """Return the weighted sum of (rate, number); null without values."""
    by_rate: defaultdict[float, int] = defaultdict(int)
    for rate, number in pairs:
        if number is not None:
            by_rate[rate] += number
    found = sum(half_up(number / rate * unit) for rate, number in by_rate.items())
    return None if not by_rate else found if unit == 1 else found / unit


def runs(log: Log) -> list[tuple[str, Any, Any, float, Any, float]]:
    """Return (event_id, operation, success, ms, statements, rate) of everything timed."""
    found = []
    for category, part, name, ms, counts in (
        (
            "database_operations",
            "operation_details",
            "operation_type",
            "execution_time_ms",
            "performance_metrics",
        ),
        (
            "performance_metrics",
            "operation_info",
            "operation_name",
            "total_duration_ms",
            "performance_data",
        ),
        ("sync_operations", "sync_results", None, "execution_time_ms", None),
        ("migration_operations", "migration_results", None, "execution_time_ms", None),
    ):
        for _, event in log[category]:
            took = section(event, part, ms)
            if took is not None and 0 <= took < 1e12:
                operation = event["event_name"] if name is None else section(event, part, name)
                queries = section(event, counts, "database_queries") if counts else None
                success = section(event, part, "success")
                rate = rate_of(event)
                found.append((event["event_id"], operation, success, took, queries, rate))
    return found


def volume(log: Log) -> list[Row]:
    """Return the number of events by day and category."""
    counts = Counter((date, category) for category, events in log.items() for date, _ in events)
    return [(*key, count) for key, count in counts.items()]


def errors(log: Log) -> list[Row]:
    """Return errors by fingerprint, with the last one's session."""
    groups: defaultdict[str, list[Event]] = defaultdict(list)
    for _, event in log["error_logs"]:
        details = event["error_details"]
        groups[details["fingerprint"] or details["error_type"]].append(event)
    rows = []
    for key, group in groups.items():
        last = max(group, key=lambda one: one["event_id"])
        stamps = [one["timestamp"] for one in group]
        sessions = len({one["session_id"] for one in group})
        rows.append(
            (
                *(
                    key,
                    meant((rate_of(one), 1) for one in group),
                    sessions,
                    min(stamps),
                    max(stamps),
                    last["event_id"],
                ),
                *(last["error_details"]["error_message"], last["session_id"]),
            )
        )
    return rows


def slow(log: Log) -> list[Row]:
    """Return operations with counts, times and statements."""
    groups = defaultdict(list)
    for run in runs(log):
        groups[run[1]].append(run)
    rows = []
    for operation, group in groups.items():
        most = max(run[3] for run in group)
        rows.append(
            (
                operation,
                meant((run[5], 1) for run in group),
                meant((run[5], run[2] is False) for run in group),
                meant(((run[5], half_up(run[3] * 1000)) for run in group), 1),
                most,
                meant(((run[5], run[4]) for run in group), 1),
                highest(run[4] for run in group),
                max(run[0] for run in group if run[3] == most),
            )
        )
    return rows


def durations(log: Log) -> list[Row]:
    """Return runs by operation and bucket."""
    groups = defaultdict(list)
    for run in runs(log):
        bucket = -1000 if run[3] < 1e-6 else math.ceil(math.log(run[3]) / WIDTH)
        groups[run[1], bucket].append((run[5], 1))
    return [(*key, meant(pairs)) for key, pairs in groups.items()]


def shapes(log: Log) -> list[Row]:
    """Return operations by operation type, class and columns."""
    groups = defaultdict(list)
    for _, event in log["database_operations"]:
        details = event["operation_details"]
        if details["execution_time_ms"] is None or details["execution_time_ms"] < 0:
            continue
        fields = event["data_details"]["fields_processed"]
        key = (details["operation_type"], details["entity"], details["bulk"])
        groups[*key, None if fields is None else tuple(fields)].append(event)
    rows = []
    for key, group in groups.items():
        times = [one["operation_details"]["execution_time_ms"] for one in group]
        metrics = [one["performance_metrics"] for one in group]
        database = [one["database_time_ms"] for one in metrics]
        rates = [rate_of(one) for one in group]
        rows.append(
            (
                *key,
                meant((rate, 1) for rate in rates),
                meant(zip(rates, (half_up(ms * 1000) for ms in times), strict=True), 1),
                max(times),
                meant(
                    (
                        (rate, None if ms is None else half_up(ms * 1000))
                        for rate, ms in zip(rates, database, strict=True)
                    ),
                    1,
                ),
                meant(
                    zip(rates, (one["database_queries"] for one in metrics), strict=True),
                    1,
                ),
                highest(one["operation_details"]["records_affected"] for one in group),
            )
        )
    return rows


def repeated(log: Log) -> list[Row]:
    """Return calls for single rows, at least ten in one transaction."""
    groups = defaultdict(list)
    for _, event in log["database_operations"]:
        details = event["operation_details"]
        affected = details["records_affected"]
        if details["transaction_id"] is not None and affected is not None and affected <= 1:
            groups[details["transaction_id"], details["operation_type"], details["entity"]].append(
                event
            )
    outer = defaultdict(list)
    for (_, operation, entity), group in groups.items():
        if len(group) >= 10:
            outer[operation, entity].append(group)
    return [
        (
            *key,
            len(many),
            sum(map(len, many)),
            max(map(len, many)),
            total(
                half_up(one["operation_details"]["execution_time_ms"] * 1000)
                for group in many
                for one in group
                if one["operation_details"]["execution_time_ms"] is not None
            ),
            max(one["event_id"] for group in many for one in group),
        )
        for key, many in outer.items()
    ]


def lazy_loads(log: Log) -> list[Row]:
    """Return at least ten lazy loads of a class in one transaction."""
    groups = defaultdict(list)
    for _, event in log["database_operations"]:
        details = event["operation_details"]
        queries = event["performance_metrics"]["database_queries"]
        if details.get("load") == "lazy" and queries is not None and queries >= 10:
            groups[details["entity"]].append(event)
    return [
        (
            entity,
            len(group),
            sum(one["performance_metrics"]["database_queries"] for one in group),
            max(one["performance_metrics"]["database_queries"] for one in group),
            total(
                half_up(one["operation_details"]["execution_time_ms"] * 1000)
                for one in group
                if one["operation_details"]["execution_time_ms"] is not None
            ),
            max(one["event_id"] for one in group),
        )
        for entity, group in groups.items()
    ]


def batches(log: Log) -> list[Row]:
    """Return syncs by batch size."""
    groups = defaultdict(list)
    for _, event in log["sync_operations"]:
        if event["sync_details"]["batch_size"] is not None:
            groups[event["sync_details"]["batch_size"]].append(event)
    rows = []
    for size, group in groups.items():
        results = [one["sync_results"] for one in group]
        times = [one["execution_time_ms"] for one in results]
        rows.append(
            (
                size,
                len(group),
                sum(one["success"] is True for one in results),
                total(one["leads_synced"] for one in results),
                total(one["leads_failed"] for one in results),
                total(one["performance_metrics"]["api_calls_made"] for one in group),
                total(one["sync_details"]["retry_attempts"] for one in group),
                sum(one["airtable_rate_limited"] is True for one in results),
                total(None if ms is None else half_up(ms * 1000) for ms in times),
            )
        )
    return rows


PLAIN: dict[str, Callable[[Log], list[Row]]] = {
    "volume": volume,
    "errors": errors,
    "slow": slow,
    "durations": durations,
    "shapes": shapes,
    "repeated": repeated,
    "lazy_loads": lazy_loads,
    "batches": batches,
}
"""Built-in query to its function."""

COLUMNS = {
    "errors": (
        "fingerprint",
        "events",
        "sessions",
        "first_seen",
        "last_seen",
        "last_event_id",
        "error_message",
        "last_session_id",
    )
}
"""Columns that are compared where the query has more than the function."""
