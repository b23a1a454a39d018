"""An engine's answers as hashes, to be compared with those of another one."""

import datetime as dt
import hashlib
import os
from collections.abc import Callable
from typing import Any

import orjson

from leadlog.core.clock import format_us
from leadlog.reading.analytics.queries import BUILT_IN
from leadlog.reading.analytics.summary import Period, events_of, summary_of
from leadlog.reading.moments import microseconds
from tests.analytics.plain import COLUMNS

DAYS = ("2026-11-21", "2026-11-22", "2026-11-23")
EVENTS = 400_000 if os.environ.get("SOAK") else 400


def digest(rows: list[tuple[Any, ...]]) -> str:
    """Return a hash of the rows, independent of their order and of an engine's types."""
    return hashlib.sha256(repr(sorted(map(repr, map(plain, rows)))).encode()).hexdigest()


def plain(value: Any) -> Any:
    """Return a value without types of its engine."""
    if isinstance(value, dt.datetime):
        return format_us(microseconds(value))
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return tuple(map(plain, value))
    return value


def answers(engine: Any) -> dict[str, str]:
    """Return the hashes of an engine's results, by query."""
    found = {}
    for name, sql in BUILT_IN.items():
        rows = engine.rows(sql)
        found[name] = digest(
            [tuple(row[key] for key in COLUMNS.get(name, tuple(row))) for row in rows]
        )
    return found


def summaries(count: Callable[[str, str], Period]) -> dict[str, str]:
    """Return hashes of summaries: of the last two days together and of each day.

    They include exact percentiles and those of buckets, but not damaged lines, which Parquet does
    not have.
    """
    found = {}
    for name, days in {"summary": DAYS[1:], "summary before": DAYS[:1] * 2}.items():
        period = count(*days)
        assert period.exact
        report = {
            "days": sorted(period.days),
            "whole": summary_of(period),
            "events": {**events_of(period.tally), "lines_skipped": None},
        }
        text = orjson.dumps(report, option=orjson.OPT_SORT_KEYS)
        found[name] = hashlib.sha256(text).hexdigest()
    return found
