"""`leadlog health`."""

import json

import pytest

from leadlog.leads.store import LeadDatabase


def test_all_is_well_in_a_new_project(run):
    """Nothing is wrong before the first event."""
    result = run("health")
    assert result.exit_code == 0, result.output
    assert "log_writable" in result.stdout
    assert result.stdout.rstrip().endswith("ok")


def test_something_wrong_exits_with_one_and_says_what_to_do(run, tmp_path):
    """A fault gives exit code 1, for cron and probes, and a remedy, for people."""
    missing = tmp_path / "nowhere.db"
    result = run("health", "--only", "database", "--database", str(missing))
    assert result.exit_code == 1
    assert "Remedy: create it: leadlog db init" in result.stdout


def test_as_json(run, tmp_path):
    """The same as the library's answer."""
    with LeadDatabase(tmp_path / "leads.db", capture=False):
        result = run("health", "--json", "--only", "database", "--deep")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["state"]) == (0, "ok")
    assert {one["name"] for one in found["checks"]} >= {"database", "database_integrity"}


@pytest.mark.parametrize("arguments", [["--only", "databse"], ["--timeout", "0"]])
def test_what_cannot_be_asked_is_usage(run, arguments):
    """A misspelt check is a usage error, not a healthy result."""
    assert run("health", *arguments).exit_code == 2
