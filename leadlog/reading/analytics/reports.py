"""Reports from the built-in queries: errors by cause, slow operations, best batch size."""

import os
from collections import defaultdict
from typing import Any

import orjson

from leadlog.reading.analytics.durations import middle_of
from leadlog.reading.analytics.engine import Engine
from leadlog.reading.analytics.marks import read_marks, state_of
from leadlog.reading.analytics.queries import (
    BATCHES,
    DURATIONS,
    ERROR_GROUPS,
    LAZY_LOADS,
    REPEATED,
    SHAPES,
    SLOW,
    SLOW_STATEMENTS,
)
from leadlog.reading.analytics.sections import at_ranks
from leadlog.reading.moments import stamp

__all__ = ["batches_report", "error_report", "slow_report"]

Row = dict[str, Any]

MANY_QUERIES = 10
"""Statements per run from which a monitored operation is suspected of N+1."""

_LEAST_RUNS = 3
"""Least number of runs of a batch size for its throughput to count."""


def error_report(engine: Engine, directory: str | os.PathLike[str]) -> list[Row]:
    """Return errors by fingerprint, latest first, each with its mark.

    `operation` and `called_from` are those of the last occurrence, null if unknown.

    Args:
        engine: runs the query.
        directory: the log directory, for the marks.

    Raises:
        ReadError: the log or the marks cannot be read.
    """
    marks = read_marks(directory)
    found = []
    for row in engine.rows(ERROR_GROUPS):
        mark = marks.get(row["fingerprint"])
        state = state_of(mark, row["last_seen"])
        row["first_seen"], row["last_seen"] = map(stamp, (row["first_seen"], row["last_seen"]))
        marked = None if mark is None else mark.at
        row["events"] = round(row["events"])
        context = _object(row.pop("last_context"))
        row["operation"] = context.get("operation_in_progress")
        row["called_from"] = context.get("called_from")
        found.append({"state": state, "marked_at": marked, **row})
    return found


def _object(text: str | None) -> Row:
    """Return the JSON object in a text column; an empty one if it contains none."""
    try:
        value = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def slow_report(engine: Engine, most: int = 20) -> Row:
    """Return where time was spent.

    Args:
        engine: runs the queries.
        most: number of operations and shapes to list.

    Returns:
        `operations`, `shapes`, `statements` and `hints`. Percentiles are computed from buckets, at
        most 1 % off. Sampled events are weighted, as in the summary; statements and hints cover
        only what is in the log.

    Raises:
        ReadError: the log cannot be read.
    """
    buckets: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in engine.rows(DURATIONS):
        buckets[row["operation"]].append((middle_of(row["bucket"]), row["n"]))
    operations = [_operation(row, buckets[row["operation"]]) for row in engine.rows(SLOW)]
    shapes = [_shape(row) for row in engine.rows(SHAPES)[:most]]
    repeated = engine.rows(REPEATED)
    return {
        "operations": operations[:most],
        "shapes": shapes,
        "statements": [_statement(row) for row in engine.rows(SLOW_STATEMENTS)[:most]],
        "hints": [
            *map(_lazily_loaded, engine.rows(LAZY_LOADS)),
            *map(_repeated, repeated),
            *_many_queries(operations),
        ],
    }


def batches_report(engine: Engine) -> Row:
    """Return sync throughput by batch size.

    Returns:
        `sizes`, and `best`: the size with the most leads per second among those that ran at least
        three times, or among all if none did. Null if nothing was synchronised.

    Raises:
        ReadError: the log cannot be read.
    """
    sizes = []
    for row in engine.rows(BATCHES):
        synced, us = row["leads_synced"], row["total_us"]
        sizes.append(
            {
                **{key: value for key, value in row.items() if key != "total_us"},
                "leads_per_second": round(synced * 1e6 / us, 3) if synced and us else None,
                "ms_per_lead": round(us / 1000 / synced, 3) if synced and us else None,
            }
        )
    rated = [one for one in sizes if one["leads_per_second"] is not None]
    often = [one for one in rated if one["runs"] >= _LEAST_RUNS] or rated
    best = max(often, key=lambda one: one["leads_per_second"], default=None)
    return {"sizes": sizes, "best": None if best is None else best["batch_size"]}


def _operation(row: Row, buckets: list[tuple[float, float]]) -> Row:
    n = row["n"]
    p50, p95, _ = (round(value or 0.0, 3) for value in at_ranks(sorted(buckets)))
    return {
        "operation": row["operation"],
        "n": round(n),
        "failed": round(row["failed"]),
        "total_ms": row["total_us"] / 1000,
        "mean_ms": round(row["total_us"] / 1000 / n, 3),
        # The middle of a bucket may lie above its highest value.
        "p50_ms": min(row["most_ms"], p50),
        "p95_ms": min(row["most_ms"], p95),
        "max_ms": row["most_ms"],
        "queries_per_run": None if row["queries"] is None else round(row["queries"] / n, 2),
        "slowest_event_id": row["slowest_event_id"],
    }


def _shape(row: Row) -> Row:
    return {
        "operation": row["operation_type"],
        "entity": row["entity"],
        "bulk": row["bulk"],
        "fields": row["fields_processed"],
        "n": round(row["n"]),
        "total_ms": row["total_us"] / 1000,
        "mean_ms": round(row["total_us"] / 1000 / row["n"], 3),
        "max_ms": row["most_ms"],
        "database_ms": None if row["database_us"] is None else row["database_us"] / 1000,
        "queries": row["queries"],
    }


def _statement(row: Row) -> Row:
    return {
        "statement": row["statement"],
        "fingerprint": row["statement_fingerprint"],
        "n": row["n"],
        "total_ms": None if row["total_us"] is None else float(row["total_us"]) / 1000,
        "max_ms": row["most_ms"],
        "session_id": row["session_id"],
        "event_id": row["slowest_event_id"],
    }


def _repeated(row: Row) -> Row:
    what = row["operation_type"] + (f" {row['entity']}" if row["entity"] else "")
    return {
        "kind": "repeated",
        "operation": row["operation_type"],
        "entity": row["entity"],
        "calls": row["calls"],
        "total_ms": None if row["total_us"] is None else row["total_us"] / 1000,
        "event_id": row["last_event_id"],
        "hint": f"{what} ran for one row at a time, up to {row['most_calls']} times in one "
        f"transaction ({_such(row['transactions'])}); fetch or write them together",
    }


def _lazily_loaded(row: Row) -> Row:
    entity = row["entity"] or "rows"
    return {
        "kind": "lazy_loads",
        "operation": "read",
        "entity": row["entity"],
        "calls": row["calls"],
        "total_ms": None if row["total_us"] is None else row["total_us"] / 1000,
        "event_id": row["last_event_id"],
        "hint": f"{entity} was lazily loaded up to {row['most_calls']} times in one transaction "
        f"({_such(row['transactions'])}); load it with the query, as selectinload does",
    }


def _such(transactions: int) -> str:
    """Return the number of transactions that repeat an operation, for a hint."""
    return "1 such transaction" if transactions == 1 else f"{transactions} such transactions"


def _many_queries(operations: list[Row]) -> list[Row]:
    return [
        {
            "kind": "many_queries",
            "operation": one["operation"],
            "entity": None,
            "calls": one["n"],
            "total_ms": one["total_ms"],
            "event_id": one["slowest_event_id"],
            "hint": f"{one['operation']} sends {one['queries_per_run']:g} statements per run; "
            "look for a loop that asks row by row",
        }
        for one in operations
        if (one["queries_per_run"] or 0) >= MANY_QUERIES
    ]
