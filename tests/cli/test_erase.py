"""`leadlog erase`."""

import json

import pytest

from leadlog.core.clock import now_us
from leadlog.core.layout import log_files
from leadlog.reading.events import read_events

DAY_US = 86_400_000_000
ANA = {"lead_identifier": {"lead_id": "lead-ana-1", "email": "ana@acme.example"}}

pytestmark = pytest.mark.handmade_lines


def events(root):
    """Everything in the log."""
    return [event.data for file in log_files(root) for event in read_events(file.path)]


def test_a_person_is_erased_and_the_record_names_no_one(run, log, tmp_path):
    """Her lines are removed, and monitoring_data records an erasure without naming her."""
    path = log("database_operations", (1_793_534_400_000_000, ANA), date="2026-11-01")
    import os

    os.utime(path, (1_793_534_400, 1_793_534_400))
    result = run("erase", "--lead", "lead-ana-1")
    assert result.exit_code == 0, result.output
    assert "Removed 1 line " in result.stdout
    (audit,) = events(tmp_path / "database_logs")
    assert audit["event_name"] == "monitoring.erasure"
    assert audit["monitoring_info"]["data_points"]["lines_removed"] == 1
    text = json.dumps(audit)
    assert "lead-ana-1" not in text
    assert "ana@acme" not in text


def test_what_remains_makes_the_exit_code_1(run, log):
    """A file of today waits, and the message says how to go on."""
    import datetime as dt

    today = dt.datetime.now(dt.UTC).date().isoformat()
    log("database_operations", (now_us(), ANA), date=today)
    result = run("erase", "--email", "ana@acme.example", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["remaining"] == {
        f"database_operations/{today}.jsonl": "its day is not over"
    }
    assert "`leadlog erase --resume` goes on" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a person with --lead or --email"),
        (["--lead", " "], "name a person with --lead or --email"),
        (["--lead", "1"], "'1' is too short"),
        (["--lead", "lead-1", "--pseudonymise"], "LEADLOG_PSEUDONYM_KEY"),
    ],
)
def test_what_cannot_be_meant_is_refused(run, log, arguments, message):
    """No person, a too short value, or a missing key exits with 2 and names the remedy."""
    log("database_operations", (now_us(), ANA))
    result = run("erase", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
