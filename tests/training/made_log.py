"""Generates logs with runs of every kind from a seed, with or without a learnable rule."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from leadlog.core.clock import format_us, parse
from leadlog.core.records import shape
from leadlog_processors.fields import CATEGORIES

START = parse("2026-09-01T00:00:00Z")
OPERATIONS = ("add_lead", "get_lead", "update_lead", "search_leads", "Deal.update")


def record(log_type: str, ended_us: int, event_id: str, session: str) -> dict[str, Any]:
    """Return a record of a log type with its envelope."""
    return {
        **shape.blank(log_type),
        "timestamp": format_us(ended_us),
        "level": "info",
        "log_type": log_type,
        "event_name": log_type.replace("_", "."),
        "session_id": session,
        "event_id": event_id,
        "schema_version": 1,
        "process_id": 4711,
        "thread_name": "MainThread",
    }


def operation(
    number: int,
    started_us: int,
    ms: float,
    name: str,
    *,
    session: str,
    failed: bool = False,
    lead: str | None = None,
    rate: float | None = None,
    extra: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a database_operation record."""
    one = record("database_operation", started_us + round(ms * 1000), f"{number:030x}", session)
    entity, _, verb = name.rpartition(".")
    one["operation_details"] |= {
        "operation_type": verb,
        "operation_id": one["event_id"],
        "entity": entity or "Lead",
        "success": not failed,
        "outcome": "failed" if failed else "committed",
        "execution_time_ms": ms,
        "started_at": format_us(started_us),
        "transaction_id": None if failed else f"t{number}",
        "bulk": False,
    }
    one["lead_identifier"]["lead_id"] = None if failed else lead
    one["performance_metrics"]["execution_time_ms"] = ms
    if rate is not None:
        one["sample_rate"] = rate
    if extra is not None:
        one["extra"] = extra
    return one


def runs(
    count: int,
    *,
    seed: int = 0,
    step_us: int = 20_000_000,
    failing: Callable[[int, random.Random], float] = lambda _number, _chance: 0.1,
    session_length: int = 12,
    label_in_extra: bool = False,
) -> Iterator[dict[str, Any]]:
    """Yield overlapping runs, in the order of their start.

    Args:
        count: Number of operations.
        seed: Seed of the generator.
        step_us: Mean time between two starts, in microseconds.
        failing: Returns the probability that the run with a number fails.
        session_length: Number of operations per session.
        label_in_extra: Whether to copy the outcome of a run into `extra`.
    """
    chance = random.Random(seed)
    at = START
    for number in range(count):
        at += 1 + round(chance.expovariate(1 / step_us))
        name = OPERATIONS[chance.randrange(len(OPERATIONS))]
        failed = chance.random() < failing(number, chance)
        slow = chance.random() < 0.05
        ms = round(chance.lognormvariate(3 + 3 * slow, 1.0), 3)
        if chance.random() < 0.02:
            ms = round(chance.uniform(20_000, 90_000), 3)  # still going when others begin and end
        session = f"s{number // session_length:07x}"
        yield operation(
            number,
            at,
            ms,
            name,
            session=session,
            failed=failed,
            lead=f"lead-{number}",
            extra={"label": int(failed), "failed": failed} if label_in_extra else None,
        )
        if number % 40 == 7:
            kind = record("sync_operation", at + 3_000_000, f"5{number:029x}", session)
            kind["sync_details"] |= {"sync_type": "to_airtable", "sync_id": kind["event_id"]}
            kind["sync_details"]["total_leads"] = size = chance.randrange(5, 400)
            kind["sync_results"] |= {
                "success": True,
                "execution_time_ms": round(size * chance.uniform(18, 22), 3),
                "airtable_rate_limited": chance.random() < 0.2,
            }
            yield kind
        if number % 40 == 23:
            kind = record("performance_metrics", at + 9_000_000, f"6{number:029x}", session)
            kind["operation_info"] |= {
                "operation_name": "lead.import",
                "operation_id": kind["event_id"],
                "start_time": format_us(at),
                "total_duration_ms": 9000.0,
                "success": True,
            }
            yield kind


def write(root: Path, records: Iterator[dict[str, Any]]) -> Path:
    """Write records to the log's files, in the order of their ends."""
    files: dict[Path, list[tuple[str, bytes]]] = {}
    for one in records:
        path = root / CATEGORIES[one["log_type"]] / f"{one['timestamp'][:10]}.jsonl"
        files.setdefault(path, []).append((one["timestamp"], orjson.dumps(one) + b"\n"))
    for path, lines in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(line for _, line in sorted(lines)))
        ended = parse(f"{path.name[:10]}T23:59:59Z") // 1_000_000
        os.utime(path, (ended, ended))  # the janitor leaves a file of today alone
    return root
