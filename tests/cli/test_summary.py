"""`leadlog summary`."""

import json
import os
import re
import sys

import pytest

from leadlog.cli.reading.summary import change, sparkline
from leadlog.reading import archive
from leadlog.reading.archive import Policy
from tests.bench.made_events import write

pytestmark = pytest.mark.handmade_lines

DAY = "2026-11-18"


@pytest.fixture
def logged(tmp_path):
    """Two days of events, the second with more."""
    root = tmp_path / "database_logs"
    write(root, "2026-11-17", 200)
    write(root, DAY, 400)
    return root


def test_a_day_beside_the_day_before(run, logged):
    """A summary has counts with the day before, operations with percentiles, slowest and errors."""
    result = run("summary", "--date", DAY)
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert text.startswith(f"Summary of {DAY} (UTC)\n  400 events\n")
    assert "Beside 2026-11-17" in text
    assert re.search(r"operations +372 +186 +\+100\.0 %", text)
    assert re.search(r"add_lead +\d+ +\d+ +\d+ +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+\n", text)
    for title in ("Tiers", "Most common errors", "Slowest operations"):
        assert f"\n{title}\n" in text
    assert "≈" not in text


def test_a_week_as_json_adds_its_days_up(run, logged):
    """--json has every section, a line per day, and the week before."""
    data = json.loads(run("summary", "--week", "2026-W47", "--json").stdout)
    assert (data["summary_info"]["first_day"], data["summary_info"]["last_day"]) == (
        "2026-11-16",
        "2026-11-22",
    )
    assert data["summary_info"]["events_read"] == 600
    assert [day["events"] for day in data["days"]] == [0, 200, 400, 0, 0, 0, 0]
    assert data["previous"]["events_read"] == 0
    assert data["operation_summary"]["total_database_operations"] == 558
    same = json.loads(run("summary", "--week", DAY, "--json").stdout)
    assert same == data
    ranged = run("summary", "--from", "2026-11-16", "--to", "2026-11-22", "--json").stdout
    assert json.loads(ranged) == data


def test_a_sealed_day_is_marked_as_near_and_exact_on_request(run, logged):
    """Percentiles of buckets are never shown as measured ones."""
    exact = json.loads(run("summary", "--date", DAY, "--json").stdout)
    for path in logged.rglob("*.jsonl"):
        os.utime(path, (1_793_534_400, 1_793_534_400))
    archive.run(logged, Policy(0, parquet_after_days=1), today="2026-11-23")
    text = run("summary", "--date", DAY).stdout
    assert re.search(r"add_lead +\d+ +\d+ +\d+ +[\d.]+ +≈[\d.]+ +≈", text)
    assert "at most 1 % off; --exact reads the events instead" in text
    data = json.loads(run("summary", "--date", DAY, "--json").stdout)
    assert data["summary_info"]["percentiles"] == "buckets"
    assert data["operation_summary"]["operations"]["add_lead"]["p50_ms"] is None
    again = json.loads(run("summary", "--date", DAY, "--exact", "--json").stdout)
    assert again == exact


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--date", "someday"], "not a point in time"),
        (["--week", "2026-W60"], "write it like 2026-W48"),
        (["--date", DAY, "--week", DAY], "give one of --date, --week"),
        (["--to", DAY], "--to needs --from"),
        (["--from", DAY, "--to", "2026-11-17"], "swap them"),
    ],
)
def test_what_is_no_period_is_refused(run, logged, arguments, message):
    """Exit code 2, and how to say it."""
    result = run("summary", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_spark_without_what_it_needs_is_refused_with_the_remedy(run, logged, monkeypatch):
    """Spark's options without Spark, a missing archive and a missing PySpark each name a remedy."""
    result = run("summary", "--source", "s3a://logs/archive")
    assert (result.exit_code, "--engine spark" in result.stderr) == (2, True)
    result = run("summary", "--engine", "spark")
    assert result.exit_code == 3
    assert "leadlog archive --parquet-after-days 1" in result.stderr
    monkeypatch.setitem(sys.modules, "pyspark", None)
    result = run("summary", "--engine", "spark", "--source", "s3a://logs/archive")
    assert result.exit_code == 3
    assert "install leadlog[spark]" in result.stderr


def test_bars_and_changes():
    """Bars are relative to the highest; a change from nothing is new, from unknown unknown."""
    assert sparkline([0, 4, 8]) == "▁▄█"
    assert sparkline([0, 0]) == "▁▁"
    assert [change(3, 2), change(2, 2), change(1, 0), change(0, 0), change(1, None)] == [
        "+50.0 %",
        "same",
        "new",
        "same",
        "-",
    ]
