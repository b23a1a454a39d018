"""`leadlog trends`."""

import json

import pytest

from tests.analytics.test_trends import LAST, write_month

pytestmark = pytest.mark.handmade_lines


def test_what_became_worse_exits_with_one(run, tmp_path):
    """A slowdown exits with 1 and is shown with its day, as text and as JSON."""
    write_month(tmp_path / "database_logs", slower_from=18)
    shown = run("trends", "--until", LAST)
    assert shown.exit_code == 1
    assert "search_leads p95_ms changed by +" in shown.stdout
    assert "highest p95" in shown.stdout
    found = json.loads(run("trends", "--until", LAST, "--json").stdout)
    assert len(found["days"]) == 28
    assert found["changes"][0]["percent"] > 50


def test_an_ordinary_month_exits_with_zero(run, tmp_path):
    """It says that nothing changed."""
    write_month(tmp_path / "database_logs")
    shown = run("trends", "--until", LAST)
    assert (shown.exit_code, shown.stdout.splitlines()[-1]) == (0, "Nothing changed.")


def test_a_quiet_month_is_told(run, tmp_path):
    """No operations is no change."""
    (tmp_path / "database_logs").mkdir()
    shown = run("trends")
    assert shown.exit_code == 0
    assert "There are no operations" in shown.stdout


def test_what_cannot_be_asked_is_usage(run, tmp_path):
    """A bad date is a usage error; a missing log cannot be read."""
    assert run("trends").exit_code == 3
    (tmp_path / "database_logs").mkdir()
    result = run("trends", "--until", "yesterday")
    assert result.exit_code == 2
    assert "yesterday" in result.stderr
