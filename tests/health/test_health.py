"""`check` runs all checks concurrently, each with a timeout, and never raises."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time

import pytest

from leadlog.monitor import health as monitoring
from leadlog.monitor.health import (
    Check,
    check,
    check_async,
    judge,
    register,
    registered,
    unregister,
)

pytestmark = pytest.mark.handmade_lines


@pytest.fixture
def own():
    """Register checks for one test."""
    names = []

    def add(name, function, **options):
        names.append(name)
        register(name, function, **options)

    yield add
    for name in names:
        unregister(name)


def test_a_new_project_is_well(tmp_path):
    """Before the first event and without a store nothing is wrong; missing parts are unknown."""
    health = check()
    assert health.ok
    assert health["database"].state == "unknown"
    assert health["log_writable"].state == "ok"
    assert not (tmp_path / "leads.db").exists()
    assert not (tmp_path / "database_logs").exists()


def test_a_health_is_plain_data_with_the_worst_state(own):
    """A readiness endpoint can send it unchanged."""
    own("fine", lambda: True)
    own("bad", lambda: judge("bad", 12, warning=10, critical=20, unit="jobs", remedy="wait"))
    found = check(["fine", "bad"]).as_dict()
    assert found["state"] == "warning"
    assert found["checks"][1] == {
        "name": "bad",
        "state": "warning",
        "value": 12,
        "unit": "jobs",
        "threshold": 10,
        "message": "12 jobs",
        "remedy": "wait",
        "checked_at": found["checks"][1]["checked_at"],
        "latency_ms": None,
    }


@pytest.mark.parametrize(
    ("said", "state"), [(True, "ok"), (False, "critical"), (Check("own", "warning"), "warning")]
)
def test_a_check_of_ones_own_says_so_in_a_word(own, said, state):
    """A function may return True, False or a Check."""
    own("own", lambda: said)
    assert check(["own"])["own"].state == state


def test_what_raises_is_a_finding_and_no_exception(own):
    """The message names the exception; the other checks are run."""

    def broken():
        raise RuntimeError("no such queue")

    own("broken", broken)
    own("fine", lambda: True)
    health = check(["broken", "fine"])
    assert health["broken"].state == "critical"
    assert "RuntimeError: no such queue" in health["broken"].message
    assert health["fine"].state == "ok"


def test_what_returns_something_else_is_told(own):
    """A check that returns None by mistake is not considered ok."""
    own("forgetful", lambda: None)
    found = check(["forgetful"])["forgetful"]
    assert found.state == "critical"
    assert "returned NoneType" in found.message


def test_what_hangs_is_left_behind(own):
    """The result is returned at the timeout, with the other checks."""
    never = threading.Event()
    own("hanging", never.wait, late="warning")
    own("fine", lambda: True)
    began = time.monotonic()
    health = check(["hanging", "fine"], timeout_seconds=0.2)
    took = time.monotonic() - began
    never.set()
    assert took < 3
    assert health["hanging"].state == "warning"
    assert "no answer within 0.2 s" in health["hanging"].message
    assert health["fine"].state == "ok"


@pytest.mark.asyncio
async def test_the_event_loop_goes_on(own):
    """`check_async` does not block the event loop."""
    turn = threading.Event()
    own("slow", lambda: turn.wait(10))
    waiting = asyncio.create_task(check_async(["slow"], timeout_seconds=10))
    await asyncio.sleep(0)
    turn.set()  # impossible if the loop were blocked
    assert (await waiting).state == "ok"


def test_a_bad_setting_is_a_finding(monkeypatch):
    """A readiness endpoint gets a result that names the setting."""
    monkeypatch.setenv("LEADLOG_HEALTH_DISK_MB", "-1")
    health = check()
    assert health.state == "critical"
    assert "health_disk_mb" in health["settings"].message


def test_an_unknown_name_is_told_with_the_closest():
    """A misspelt check name is not considered ok; the error suggests the closest one."""
    health = check(["databse"])
    assert not health.ok
    assert "did you mean 'database'" in health.checks[0].message


@pytest.mark.parametrize("options", [{"interval_seconds": 0}, {"late": "bad"}])
def test_registering_refuses_what_cannot_be(options):
    """The error names the value."""
    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        register("own", lambda: True, **options)


def test_a_monitor_learns_when_each_is_due(own):
    """The intervals of built-in and registered checks are available."""
    own("mine", lambda: True, interval_seconds=7)
    due = {one.name: one.interval_seconds for one in registered()}
    assert due["mine"] == 7
    assert due["database"] > 0


def test_nothing_heavy_is_imported_for_the_names():
    """`import leadlog.monitor.health` is cheap; checks of the log need no SQLAlchemy."""
    code = (
        "import sys; from leadlog.monitor import health;"
        "print(health.check(['log', 'operations']).state,"
        "sorted({'sqlalchemy', 'structlog'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    assert done.stdout.split() == ["ok", "[]"]


def test_the_names_are_those_exported():
    """Every name of `__all__` exists, and no other."""
    for name in monitoring.__all__:
        assert getattr(monitoring, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        monitoring.nothing  # noqa: B018 - asking is the test


@pytest.mark.parametrize(
    ("value", "below", "state", "threshold"),
    [
        (None, False, "unknown", 10),
        (9.9, False, "ok", 10),
        (10, False, "warning", 10),
        (20, False, "critical", 20),
        (30, True, "ok", 10),
        (10, True, "critical", 20),
    ],
)
def test_a_value_is_judged_by_its_limits(value, below, state, threshold):
    """A value at its limit counts as beyond it; of two limits the critical one wins."""
    found = judge("x", value, warning=10, critical=20, below=below)
    assert (found.state, found.threshold) == (state, threshold)
