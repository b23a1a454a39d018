"""`leadlog sync` against a real server on loopback."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from leadlog.cli.sync import COMMANDS
from leadlog.leads.store import LeadDatabase
from leadlog.testing import FakeAirtable


@pytest.fixture
def airtable(monkeypatch):
    """A fake table, configured through the environment, without rate limits."""
    with FakeAirtable(per_base=None) as server:
        monkeypatch.setenv("AIRTABLE_API_KEY", server.api_key)
        monkeypatch.setenv("LEADLOG_AIRTABLE_BASE_ID", server.base_id)
        monkeypatch.setenv("LEADLOG_AIRTABLE_ENDPOINT_URL", server.endpoint_url)
        yield server


@pytest.fixture
def filled():
    """leads.db here, with three leads."""
    with LeadDatabase("leads.db", capture=False) as db:
        return db.add_leads({"name": f"Lead {n}"} for n in range(3)).ids


def answer(run, *arguments, code=0):
    result = run("sync", *arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples_and_json(run, name):
    """Each help shows examples and has --json."""
    result = run("sync", name, "--help")
    assert result.exit_code == 0
    assert f"leadlog sync {name}" in result.stdout
    assert "--json" in result.stdout


def test_push_sends_and_status_tells(run, airtable, filled):
    """Before: three to send. After: none, and one run that was ok."""
    assert answer(run, "status")["pending_leads"] == 3
    done = answer(run, "push")
    assert done["counts"]["rows_created"] == len(airtable) == 3
    assert done["wire"]["attempts"] == airtable.counters.calls
    text = run("sync", "status").stdout
    assert "to_airtable" in text
    assert "ok" in text
    assert answer(run, "status")["pending_leads"] == 0


def test_some_leads_can_be_named(run, airtable, filled):
    """Only they are sent."""
    assert answer(run, "push", filled[0])["counts"]["rows_created"] == 1
    assert len(airtable) == 1


def test_a_dry_run_shows_a_table_and_changes_nothing(run, airtable, filled):
    """A dry run lists the planned change of each lead and changes nothing."""
    result = run("sync", "both", "--dry-run")
    assert result.exit_code == 0
    assert "nothing was changed" in result.stdout
    assert "create_row" in result.stdout
    assert "Lead 2" in result.stdout
    assert len(airtable) == 0
    assert answer(run, "both", "--dry-run")["outcomes"][0]["actions"] == ["create_row"]


def test_pull_takes_a_limit(run, airtable, filled):
    """With --limit 1, one of two new rows becomes a lead, and the other is reported."""
    for name in ("Ada", "Bob"):
        airtable.create({"Full Name": name})
    done = answer(run, "pull", "--limit", "1")
    assert (done["counts"]["leads_added"], done["counts"]["skipped"]) == (1, 1)


def test_a_failed_lead_is_an_exit_code_and_can_be_retried(run, airtable, filled, monkeypatch):
    """1, the reason on the screen, and `retry` once the table takes it."""
    airtable.add_field("Stage", "singleSelect", choices=["open"])
    monkeypatch.setenv("LEADLOG_AIRTABLE_FIELDS", '{"status": "Stage"}')
    with LeadDatabase("leads.db", capture=False) as db:
        db.update_lead(filled[0], {"status": "odd \x1b[2J"})
    result = run("sync", "push")
    assert result.exit_code == 1
    assert "failed" in result.stdout
    assert "\x1b" not in result.stdout
    assert answer(run, "status")["failed_leads"] == 1
    assert "set aside" in run("sync", "status").stdout
    airtable.change_type("Stage", "singleLineText")
    assert answer(run, "retry")["counts"]["synced"] == 1


def test_a_conflict_shows_both_values(run, airtable, filled):
    """On the screen, as in the log."""
    run("sync", "push")
    record = airtable.records()[0]
    airtable.edit(record["id"], {"Job Title": "Theirs"})
    with LeadDatabase("leads.db", capture=False) as db:
        db.update_lead(record["fields"]["Lead ID"], {"title": "Ours"})
    text = run("sync", "both").stdout
    assert "here Ours, there Theirs; remote wins" in text


def test_schema_finds_and_creates_what_is_missing(run, airtable, filled, monkeypatch):
    """1 with the problem, 0 once it is created."""
    monkeypatch.setenv("LEADLOG_AIRTABLE_FIELDS", '{"created_at": "Added"}')
    result = run("sync", "schema")
    assert result.exit_code == 1
    assert "there is no field 'Added'" in result.stdout
    found = answer(run, "schema", "--create")
    assert found["created"] == ["Added"]
    assert airtable.field("Added").type == "dateTime"


@pytest.mark.parametrize(
    ("unset", "code", "said"),
    [
        ("AIRTABLE_API_KEY", 3, "there is no Airtable token"),
        ("LEADLOG_AIRTABLE_BASE_ID", 2, "airtable_base_id is not set"),
    ],
)
def test_what_is_missing_is_told(run, airtable, filled, monkeypatch, unset, code, said):  # noqa: PLR0917 - pytest fills them in by name
    """Missing configuration is reported with a remedy and without a traceback."""
    monkeypatch.delenv(unset)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    result = run("sync", "push")
    assert result.exit_code == code
    assert said in result.stderr


def test_a_store_that_is_not_there_is_not_made(run, airtable):
    """A wrong path is an error."""
    result = run("sync", "push", "--database", "sqlite:///nothing.db")
    assert result.exit_code == 3
    assert not Path("nothing.db").exists()


def test_watch_goes_on_until_it_is_interrupted(start, airtable, filled):
    """Two runs, and Ctrl-C ends it without a traceback."""
    process = start("sync", "both", "--watch", "0.01", "--json")
    runs = 0
    while runs < 2:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        runs += line.startswith(b"}")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in errors
    assert len(airtable) == 3


def test_the_demo_synchronises_without_an_account(run):
    """The demo ends with both sides equal, matching call counts, and without real waiting."""
    result = run("demo", "--airtable", "--count", "30", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["equal"]
    assert report["counts_agree"]
    assert [step["success"] for step in report["steps"]] == [True, True, True]
    assert report["steps"][1]["conflicts"] == 1
    assert "Store and table are equal" in run("demo", "--airtable", "--count", "30").stdout
    assert run("demo", "--airtable", "--leads", "x.json").exit_code == 2
