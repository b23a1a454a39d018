"""`leadlog doctor`."""

import json
import os
import subprocess
import sys

import pytest

from leadlog.core.clock import now_us, utc_date
from leadlog.core.layout import CATEGORIES
from leadlog.core.locks import try_lock
from leadlog.recording.sinks.strays import shared_memory

pytestmark = pytest.mark.handmade_lines


@pytest.fixture(autouse=True)
def nothing_of_others(monkeypatch, tmp_path):
    """Leave memory of other killed processes of this machine out of the findings."""

    def of_this_test():
        above = tmp_path.resolve()
        found = shared_memory()
        return [one for one in found if one.directory and one.directory.is_relative_to(above)]

    monkeypatch.setattr("leadlog.cli.maintenance.doctor.shared_memory", of_this_test)


def report(result):
    """The report as data."""
    return json.loads(result.stdout)


def test_nothing_to_find_before_the_first_event(run):
    """A directory that does not exist yet, but could, is no finding."""
    result = run("doctor", "--json")
    found = report(result)
    assert (result.exit_code, found["findings"]) == (0, [])
    assert found["directory"]["exists"] is False
    assert found["directory"]["writable"] is True
    assert [category["category"] for category in found["categories"]] == list(CATEGORIES)


def test_settings_are_shown_with_their_origin(run, monkeypatch):
    """Each setting has its value, unit and where it came from."""
    monkeypatch.setenv("LEADLOG_TIER_GOOD_MS", "400")
    rows = {row["name"]: row for row in report(run("doctor", "--json"))["settings"]}
    assert rows["tier_good_ms"]["value"] == "400.0"
    assert rows["tier_good_ms"]["unit"] == "ms"
    assert "LEADLOG_TIER_GOOD_MS" in rows["tier_good_ms"]["origin"]
    assert rows["level"]["origin"] == "default"


def test_secrets_are_not_shown(run, monkeypatch):
    """Neither the key nor a password in a URL appears."""
    monkeypatch.setenv("LEADLOG_PSEUDONYM_KEY", "very-secret-key")
    monkeypatch.setenv("LEADLOG_DATABASE", "postgresql+psycopg://ana:sesame@localhost/leads")
    for arguments in (["doctor"], ["doctor", "--json"]):
        output = run(*arguments).output
        assert "very-secret-key" not in output
        assert "sesame" not in output


def test_a_bad_setting_is_a_finding(run, monkeypatch):
    """A misspelt setting is reported as a finding instead of failing the command."""
    monkeypatch.setenv("LEADLOG_LEVL", "info")
    result = run("doctor", "--json")
    assert result.exit_code == 1
    assert "did you mean 'level'" in report(result)["findings"][0]["finding"]


def test_categories_are_counted(run, log):
    """Files, bytes, today's events and the last event are those of the files."""
    today = utc_date(now_us())
    old = log("error_logs", (1, {}), date="2020-01-01")
    new = log("error_logs", (now_us(), {}), (now_us(), {}), date=today)
    rows = {row["category"]: row for row in report(run("doctor", "--json"))["categories"]}
    last = json.loads(new.read_bytes().splitlines()[-1])["timestamp"]
    assert rows["error_logs"] == {
        "category": "error_logs",
        "files": 2,
        "bytes": old.stat().st_size + new.stat().st_size,
        "events_today": 2,
        "last_event": last,
        "damaged_lines": 0,
        "odd_events": 0,
    }
    assert rows["sync_operations"]["files"] == 0


def test_damage_is_a_finding_with_its_place(run, log):
    """Damaged lines are counted, and the remedy shows the first one."""
    log("error_logs", (1, {}), b"rubbish\n", b"more\n", (2, {}))
    result = run("doctor", "--json")
    assert result.exit_code == 1
    (finding,) = report(result)["findings"]
    assert "2 damaged lines in error_logs" in finding["finding"]
    command = finding["remedy"].partition(": ")[2]
    done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=20, check=True)
    assert done.stdout == b"rubbish\n"


def test_older_days_are_checked_with_all(run, log):
    """--all checks every file for damage; without it only the newest day's."""
    log("error_logs", b"rubbish\n", date="2020-01-01")
    log("error_logs", (1, {}))
    assert run("doctor").exit_code == 0
    result = run("doctor", "--all")
    assert result.exit_code == 1
    assert "1 damaged line " in result.stdout


def test_odd_events_are_a_finding_with_their_place(run, log):
    """The first odd event is named with its place and the odd value."""
    log("error_logs", (1, {}), (2, {"schema_version": 99}))
    result = run("doctor", "--json")
    assert result.exit_code == 1
    (finding,) = report(result)["findings"]
    assert "1 odd events in error_logs" in finding["finding"]
    assert "schema_version 99" in finding["finding"]
    command = finding["remedy"].partition(" This one: ")[2]
    done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=20, check=True)
    assert json.loads(done.stdout)["schema_version"] == 99


def test_a_file_in_the_directory_s_place_is_a_finding(run, tmp_path):
    """A file in the directory's place is a finding with a remedy."""
    (tmp_path / "database_logs").write_text("in the way")
    result = run("doctor", "--json")
    assert result.exit_code == 1
    assert "is not a directory" in report(result)["findings"][0]["finding"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_a_finding(run, tmp_path):
    """A directory without write permission is a finding with a remedy."""
    directory = tmp_path / "database_logs"
    directory.mkdir(mode=0o500)
    result = run("doctor")
    assert result.exit_code == 1
    assert "not writable" in result.stdout
    assert "chmod" in result.stdout


def test_dropped_events_are_a_finding(run, tmp_path):
    """Lines that a process lost are shown, by process, category and cause, also after its end."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "error_logs").write_text("in the way")
    code = """
import sys, leadlog
leadlog.configure(directory=sys.argv[1], overflow_bytes=0, ring_bytes=65536)
for _ in range(200):
    leadlog.get_logger().error("lost", text="x" * 2000)
leadlog.shutdown(0.1)
"""
    subprocess.run([sys.executable, "-c", code, logs], check=True, capture_output=True)
    done = run("doctor", "--json", "--directory", logs)
    found = json.loads(done.stdout)
    assert done.exit_code == 1
    (ring,) = [ring for ring in found["rings"] if ring["category"] == "error_logs"]
    assert ring["accepted"] == 200
    assert sum(ring["dropped"].values()) + ring["in_ring"] + ring["written"] == 200
    assert ring["dropped"]["ring_full"] > 100
    assert any("events were dropped (ring_full" in one["finding"] for one in found["findings"])
    assert any("leadlog recover" in one["remedy"] for one in found["findings"])
    (logs / "error_logs").unlink()
    recovered = run("recover", "--json", "--directory", logs)
    assert json.loads(recovered.stdout)["lines"] == ring["in_ring"]
    assert recovered.exit_code == 0
    lines = b"".join(path.read_bytes() for path in (logs / "error_logs").glob("*.jsonl"))
    assert lines.count(b"\n") == ring["in_ring"]
    assert run("recover", "--directory", logs).stdout.startswith("0 events recovered")


def test_shared_memory_is_shown_and_brought_home(run, tmp_path):
    """Events of another directory's dead process are a finding until `recover --all`."""
    elsewhere = tmp_path / "elsewhere"
    code = """
import os, sys, leadlog
leadlog.configure(directory=sys.argv[1], poll_seconds=3600)
leadlog.get_logger().error("left behind")
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code, elsewhere], check=True)
    elsewhere.mkdir(exist_ok=True)
    found = json.loads(run("doctor", "--json").stdout)
    (left,) = [one for one in found["shared_memory"] if one["directory"] == str(elsewhere)]
    assert (left["exists"], left["in_use"], left["waiting"]) == (True, False, 1)
    assert left["bytes"] > 1_000_000
    assert any("recover --all" in one["remedy"] for one in found["findings"])
    assert str(elsewhere) in run("doctor").stdout.replace("\n", "")
    done = json.loads(run("recover", "--all", "--json").stdout)
    assert done["others"][str(elsewhere)]["lines"] == 1
    assert len(list(elsewhere.glob("error_logs/*.jsonl"))) == 1


def test_versions_are_shown(run):
    """Python and the libraries in use are named with their versions."""
    import structlog

    versions = report(run("doctor", "--json"))["versions"]
    assert versions["structlog"] == structlog.__version__
    assert {"Python", "leadlog", "orjson", "SQLAlchemy", "SQLite"} <= versions.keys()


def test_the_readable_report_says_the_same(run, log):
    """People see settings, categories, versions and findings with remedies."""
    log("error_logs", b"rubbish\n")
    output = run("doctor").stdout
    for word in ("Settings", "Log directory", "error_logs", "Versions", "Finding 1:", "Remedy:"):
        assert word in output
    assert "No findings" in run("doctor", "--directory", "fresh").stdout


def test_what_is_not_leadlog_s_is_listed_and_what_is_unfinished_is_a_finding(run, log, tmp_path):
    """Drafts of killed processes, and an erasure that has something left to do."""
    log("error_logs", (1, {}))
    root = tmp_path / "database_logs"
    (root / "notes.txt").write_text("mine")
    found = json.loads(run("doctor", "--json").stdout)
    assert found["not_leadlog"] == ["notes.txt"]
    assert not [one for one in found["findings"] if "draft" in one["finding"]]
    draft = root / "error_logs" / ".2026-11-22.jsonl.zst.0123abcd.tmp"
    draft.write_bytes(b"half")
    (root / ".erasure.json").write_bytes(b"{}")
    result = run("doctor")
    assert "notes.txt" in result.stdout
    assert f"left 1 draft, the first is {draft}" in result.stdout
    assert "`leadlog erase --resume`" in result.stdout
    with draft.open("r+b") as stream:  # somebody is writing it
        assert try_lock(stream.fileno())
        assert "draft" not in run("doctor").stdout
