"""Latency and resource use over days, read from the log files."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from leadlog.core.clock import format_us
from leadlog.reading.analytics.trends import trends

DAY = 86_400_000_000
LAST = "2026-11-22"
FIRST_US = 1_792_972_800_000_000  # 2026-10-26T00:00:00Z, a Monday; 27 days before


def write_month(
    directory: Path, *, slower_from: int = 99, leads: Any = lambda _: 1000, seed: int = 1
) -> None:
    """Write 28 days of operations, one of which takes three times as long from a day on."""
    chance = random.Random(seed)
    for day in range(28):
        start = FIRST_US + day * DAY
        operations, looks = [], []
        for number in range(100):
            name = ("get_lead", "search_leads")[number % 2]
            took = chance.lognormvariate(2, 0.3) * (leads(day) / 1000 if number % 2 else 1)
            took *= 3 if number % 2 and day >= slower_from else 1
            operations.append(
                {
                    "timestamp": format_us(start + number * DAY // 101),
                    "operation_details": {"operation_type": name, "execution_time_ms": took},
                    "performance_metrics": {"memory_usage_mb": 80.0, "cpu_time_ms": took / 2},
                }
            )
        looks.append(
            {
                "timestamp": format_us(start + DAY // 2),
                "system_info": {"total_leads": leads(day), "database_size_mb": 1.5},
            }
        )
        for category, events in (("database_operations", operations), ("monitoring_data", looks)):
            path = directory / category / f"{format_us(start)[:10]}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(event) + "\n" for event in events))


@pytest.mark.parametrize("seed", range(3))
def test_a_month_without_a_change_flags_nothing(tmp_path, seed):
    """Each day has its figures, and no change is reported."""
    write_month(tmp_path, seed=seed)
    found = trends(tmp_path, until=LAST)
    assert (found["since"], found["until"]) == ("2026-10-26", LAST)
    assert found["changes"] == []
    assert found["growth"] == []
    day = found["days"][-1]
    assert day["events"] == 100
    assert day["total_leads"] == 1000
    assert day["database_size_mb"] == 1.5
    assert day["memory_mb"] == 80
    assert day["operations"]["get_lead"]["n"] == 50
    assert 0 < day["operations"]["get_lead"]["p50_ms"] < day["operations"]["get_lead"]["p95_ms"]


def test_a_planted_change_is_told_with_its_day_and_size(tmp_path):
    """The changed operation is named, and the unchanged one is not."""
    write_month(tmp_path, slower_from=18)
    found = {one["series"]: one for one in trends(tmp_path, until=LAST)["changes"]}
    change = found["search_leads p95_ms"]
    assert change["date"] == format_us(FIRST_US + 18 * DAY)[:10]
    assert change["percent"] == pytest.approx(200, rel=0.2)
    assert change["after"] > change["before"]
    assert not any(name.startswith("get_lead") for name in found)


def test_growth_with_the_table_is_told_as_such(tmp_path):
    """A search whose time is proportional to the table has exponent one and no change point."""
    write_month(tmp_path, leads=lambda day: 1000 + 200 * day)
    found = trends(tmp_path, until=LAST)
    growth = {one["series"]: one for one in found["growth"]}
    assert growth["search_leads p50_ms"]["exponent"] == pytest.approx(1, abs=0.15)
    assert growth["get_lead p50_ms"]["exponent"] == pytest.approx(0, abs=0.15)
    assert growth["search_leads p50_ms"]["leads_to"] == 6400
    assert found["changes"] == []


def test_a_large_day_is_read_in_part(tmp_path):
    """The lines read are limited in number, and spread over the whole day."""
    write_month(tmp_path)
    found = trends(tmp_path, until=LAST, days=1, lines_a_day=40)
    (day,) = found["days"]
    assert 30 <= day["events"] <= 40


def test_compressed_days_count_too(tmp_path):
    """A day that was compressed has the same figures."""
    write_month(tmp_path)
    plain = trends(tmp_path, until=LAST, days=3)
    for path in tmp_path.rglob("*.jsonl"):
        compress(path)
    assert trends(tmp_path, until=LAST, days=3)["days"] == plain["days"]


def compress(path: Path) -> None:
    """Compress a file as the archive does."""
    import zstandard

    path.with_name(path.name + ".zst").write_bytes(zstandard.compress(path.read_bytes()))
    path.unlink()


def test_without_operations_nothing_is_known(tmp_path):
    """An empty log has no days and no changes."""
    found = trends(tmp_path, until=LAST)
    assert (found["days"], found["changes"], found["growth"]) == ([], [], [])


@pytest.mark.parametrize("options", [{"until": "yesterday"}, {"until": LAST, "days": 0}])
def test_what_is_no_day_is_refused(tmp_path, options):
    """The error names the value."""
    with pytest.raises(ValueError, match=r"yesterday|days = 0"):
        trends(tmp_path, **options)
