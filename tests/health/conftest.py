"""Logs of operations as leadlog writes them, with planted changes and a fixed clock."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from leadlog.core.clock import format_us
from leadlog.monitor.health import ProbeContext, default_context

NOW = 1_795_428_000_000_000  # 2026-11-23T10:00:00Z, a Monday
MINUTE = 60_000_000
DAY = 24 * 60 * MINUTE


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., ProbeContext]:
    """Return the context of probes: a log in `tmp_path`, and a clock fixed at `NOW`."""

    def make(**options: Any) -> ProbeContext:
        options.setdefault("directory", tmp_path / "database_logs")
        options.setdefault("clock", lambda: NOW)
        return default_context(**options)

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Iterable[tuple[int, dict[str, Any]]]], None]:
    """Write events, given as (microseconds since 1970, keys), to a category's files by day."""

    def write_to(category: str, events: Iterable[tuple[int, dict[str, Any]]]) -> None:
        days: defaultdict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
        for at, more in events:
            stamp = format_us(at)
            days[stamp[:10]].append((stamp, more))
        folder = tmp_path / "database_logs" / category
        folder.mkdir(parents=True, exist_ok=True)
        for day, lines in days.items():
            lines.sort(key=lambda one: one[0])
            with (folder / f"{day}.jsonl").open("a") as stream:
                for stamp, more in lines:
                    stream.write(json.dumps({"timestamp": stamp, **more}) + "\n")

    return write_to


def operations(
    seed: int,
    since: int,
    until: int,
    *,
    every: int = 3 * MINUTE,
    failing: float = 0.01,
    slower: float = 1.0,
    quality: float = 0.85,
) -> Iterable[tuple[int, dict[str, Any]]]:
    """Return realistic operations: a quiet night, log-normal times, some failures."""
    chance = random.Random(seed)
    at = since
    while at < until:
        hour = at // (60 * MINUTE) % 24
        at += round(chance.expovariate(1 / (every * (4 if hour < 6 else 1)))) + 1
        name = chance.choice(["add_lead", "get_lead", "search_leads"])
        took = chance.lognormvariate(3.0, 0.5) * slower * (5 if name == "search_leads" else 1)
        score = min(max(chance.gauss(quality, 0.1), 0), 1)
        yield (
            at,
            {
                "log_type": "database_operation",
                "operation_details": {
                    "operation_type": name,
                    "success": chance.random() >= failing,
                    "execution_time_ms": took,
                },
                "training_labels": {
                    "data_quality_score": score if name == "add_lead" else None,
                },
            },
        )
