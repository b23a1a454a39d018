"""Errors, latency and data quality of the newest operations against the week before."""

from __future__ import annotations

import os

import pytest

from leadlog.monitor.health import check
from tests.health.conftest import DAY, MINUTE, NOW, operations

pytestmark = pytest.mark.handmade_lines

WEEK = NOW - 7 * DAY
RECENT = NOW - 15 * MINUTE


def look(context):
    return check(["operations"], context=context())


def test_without_a_log_nothing_is_known(context):
    """Without operations neither failure nor health is concluded."""
    found = look(context)
    assert {one.state for one in found.checks} == {"unknown"}
    assert found.ok


@pytest.mark.parametrize("seed", range(100 if os.environ.get("SOAK") else 3))
def test_a_week_as_any_other_is_no_finding(context, write, seed):
    """Quiet nights, slow calls and an occasional failure cause no finding."""
    write("database_operations", operations(seed, WEEK, NOW))
    found = look(context)
    assert [(one.name, one.state) for one in found.checks] == [
        ("error_rate", "ok"),
        ("latency", "ok"),
        ("data_quality", "ok"),
    ]


@pytest.mark.parametrize(("failing", "state"), [(0.12, "warning"), (0.5, "critical")])
def test_a_burst_of_errors_is_found(context, write, failing, state):
    """The failed percentage is reported with its limit and last week's percentage."""
    write("database_operations", operations(1, WEEK, RECENT))
    write("database_operations", operations(2, RECENT, NOW, every=MINUTE // 30, failing=failing))
    found = look(context)["error_rate"]
    assert found.state == state
    assert found.value == pytest.approx(100 * failing, rel=0.35)
    assert found.threshold == (5.0 if state == "warning" else 20.0)
    assert "in the week before" in found.message
    assert "error" in found.remedy


def test_errors_as_frequent_as_ever_are_not_news(context, write):
    """A store whose callers always make errors is not reported every minute."""
    write("database_operations", operations(1, WEEK, NOW, failing=0.15))
    found = look(context)["error_rate"]
    assert (found.state, found.value > 5) == ("ok", True)


def test_a_slow_database_is_found(context, write):
    """The operation that slowed down most is named, with both percentiles."""
    write("database_operations", operations(1, WEEK, RECENT))
    write("database_operations", operations(2, RECENT, NOW, every=MINUTE // 30, slower=6))
    found = look(context)["latency"]
    assert found.state == "warning"
    assert found.value == pytest.approx(6, rel=0.4)
    assert "p95 of" in found.message


def test_what_is_still_excellent_is_not_slow(context, write):
    """A rise from 2 to 14 ms is sevenfold, but not worth an alert."""
    write("database_operations", operations(1, WEEK, RECENT, slower=0.05))
    write("database_operations", operations(2, RECENT, NOW, every=MINUTE // 30, slower=0.35))
    assert look(context)["latency"].state == "ok"


def test_worse_leads_are_found(context, write):
    """The drop of the mean score is reported."""
    write("database_operations", operations(1, WEEK, NOW - 60 * MINUTE))
    write(
        "database_operations",
        operations(2, NOW - 60 * MINUTE, NOW, every=MINUTE // 15, quality=0.6),
    )
    found = look(context)["data_quality"]
    assert (found.state, found.unit) == ("warning", "points")
    assert found.value == pytest.approx(0.25, abs=0.05)


def test_sampled_events_count_for_those_they_stand_for(context, write):
    """If one success in ten and every failure are kept, the percentage is that of all."""
    write("database_operations", operations(1, WEEK, RECENT))
    many = []
    for number, (at, event) in enumerate(
        operations(2, RECENT, NOW, every=MINUTE // 60, failing=0.0)
    ):
        failed = number % 10 == 0
        event["operation_details"]["success"] = not failed
        many.append((at, event if failed else {**event, "sample_rate": 0.1}))
    write("database_operations", many)
    found = look(context)["error_rate"]
    assert found.value == pytest.approx(100 / 91, rel=0.1)
    assert found.state == "ok"
