"""`leadlog monitor` and `leadlog alerts`."""

import json
import signal
from pathlib import Path
from urllib.request import urlopen

import pytest

from leadlog.core.clock import format_us, now_us
from leadlog.core.records import shape
from tests.receivers import webhook

__all__ = ["webhook"]

pytestmark = pytest.mark.handmade_lines


@pytest.fixture
def failing(log):
    """A log in which everything fails now."""
    now = now_us()
    for _ in range(100):
        event = shape.blank("database_operation")
        event["operation_details"].update(
            operation_type="add_lead", success=False, execution_time_ms=5.0
        )
        del event["timestamp"]
        path = log("database_operations", (now, event), date=format_us(now)[:10])
    return path


def test_once_says_what_is_wrong_and_exits_with_one(run, failing):
    """--once exits with 1 if an alert fires, and with 0 otherwise."""
    result = run("monitor", "--once", "--no-checks", "--json")
    assert result.exit_code == 1, result.output
    report = json.loads(result.stdout)
    assert report["events"] == 100
    assert [one["name"] for one in report["alerts"]] == ["burn_rate:fast", "burn_rate:slow"]
    people = run("monitor", "--once", "--no-checks")
    assert people.exit_code == 1
    assert "critical" in people.stdout


def test_an_absurd_duration_stops_no_monitor(run, log):
    """An absurd duration that another program wrote is counted as ignored at every start."""
    now = now_us()
    for ms in (12.5, 1e308):
        event = shape.blank("database_operation")
        event["operation_details"].update(operation_type="import", execution_time_ms=ms)
        del event["timestamp"]
        log("database_operations", (now, event), date=format_us(now)[:10])
    for _ in range(2):
        result = run("monitor", "--once", "--no-checks", "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["ignored"] == 1


@pytest.mark.parametrize(
    ("asked", "covers"),
    [
        (("burn_rate:fast",), 1),
        (("burn_rate", "--label", "fast"), 1),
        (("burn_rate:f?st",), 1),
        (("burn_*",), 2),
        (("burn_rate:[f]ast",), 0),
        (("burn_rate", "--label", "fas"), 0),
        (("disk",), 0),
    ],
)
def test_a_silence_says_how_many_alerts_it_covers(run, failing, asked, covers):
    """`*` and `?` alone are special, in both ways to write a label."""
    run("monitor", "--once", "--no-checks")
    made = run("alerts", "silence", *asked, "--for", "2h", "--comment", "x", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["alerts"] == covers
    assert ("no alert matches it" in made.stderr) is (covers == 0)
    alerts = json.loads(run("alerts", "list", "--json").stdout)["alerts"]
    assert sum(one["suppressed"] == "silenced" for one in alerts) == covers


def test_a_label_is_given_once(run, failing):
    """Behind the rule, or as an option."""
    result = run("alerts", "silence", "disk:a", "--label", "b", "--for", "1h", "--comment", "x")
    assert result.exit_code == 2
    assert "RULE has a label" in result.stderr


def test_once_on_a_quiet_log(run, tmp_path):
    """`--once` on an empty log finds nothing wrong."""
    result = run("monitor", "--once", "--no-checks")
    assert (result.exit_code, result.stdout) == (0, "Nothing is wrong (0 new events).\n")


def test_alerts_lists_shows_and_silences(run, failing):
    """An alert is listed, shown as silenced, and no longer silenced after unsilence."""
    assert run("alerts", "list").exit_code == 3  # nothing has watched yet
    run("monitor", "--once", "--no-checks")
    listed = run("alerts", "list", "--all", "--json")
    assert listed.exit_code == 1
    report = json.loads(listed.stdout)
    assert {one["name"] for one in report["alerts"]} == {"burn_rate:fast", "burn_rate:slow"}
    assert {one["suppressed"] for one in report["alerts"]} == {"", "consequence"}
    assert len(report["changes"]) == 2

    made = run("alerts", "silence", "burn*", "--for", "2h", "--comment", "known \x1b[2J", "--json")
    number = json.loads(made.stdout)["number"]
    text = run("alerts", "list").stdout
    assert "silenced" in text
    assert "\x1b[2J" not in text
    shown = json.loads(run("alerts", "show", "burn_rate", "--json").stdout)
    assert shown["settings"]["objective_percent"] == 99.0
    assert len(shown["alerts"]) == 2
    assert "burn_rate:fast" in run("alerts", "show", "burn_rate").stdout

    assert run("alerts", "unsilence", str(number)).exit_code == 0
    assert run("alerts", "unsilence", str(number)).exit_code == 1
    assert json.loads(run("alerts", "list", "--json").stdout)["silences"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("alerts", "silence", "disk", "--for", "soon", "--comment", "x"), "not a duration"),
        (("alerts", "silence", "disk", "--for", "1h", "--comment", " "), "say why"),
        (("alerts", "silence", "disk", "--for", "9999d", "--comment", "x"), "a year at most"),
        (("alerts", "silence", "disk", "--for", "1h"), "--comment"),
        (("alerts", "show", "latncy"), "did you mean 'latency'"),
        (("alerts", "test"), "LEADLOG_ALERTS_URLS"),
        (("monitor", "--summary", "someday"), "not a point in time"),
    ],
)
def test_mistakes_are_told_with_the_remedy(run, failing, arguments, said):
    """Usage errors, exit code 2."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert said in result.stderr


def test_a_bad_rule_is_told_by_the_monitor(run, tmp_path):
    """Before it begins."""
    (tmp_path / "leadlog.toml").write_text("[alerts.rules.latency]\ntreshold_ms = 5\n")
    result = run("monitor", "--once")
    assert result.exit_code == 2
    assert "did you mean 'threshold_ms'?" in result.stderr
    findings = json.loads(run("doctor", "--json").stdout)["findings"]
    assert any("threshold_ms" in one["finding"] for one in findings)


def test_a_test_message_arrives_and_a_refusal_is_told(run, webhook, monkeypatch):
    """Exit code 0 and 1; the secret part of the URL is shown in neither."""
    monkeypatch.setenv("LEADLOG_ALERTS_URLS", webhook.url)
    result = run("alerts", "test")
    assert result.exit_code == 0, result.output
    assert webhook.titles == ["[leadlog] test"]
    webhook.refusing = True
    refused = run("alerts", "test", "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["channels"][0]["taken"] is False
    assert "s3cr3t" not in result.output + refused.output


def test_checks_of_ones_own_are_imported(start, tmp_path):
    """Checks are imported from the working directory; a missing module is reported."""
    (tmp_path / "own_checks.py").write_text(
        "from leadlog.monitor.health import register\nregister('exports', lambda: False)\n"
    )
    process = start("monitor", "--once", "--json", "--import", "own_checks")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "health_check:exports" in [one["name"] for one in json.loads(said)["alerts"]]
    process = start("monitor", "--once", "--import", "no_such_module")
    assert b"no_such_module" in process.communicate(timeout=60)[1]
    assert process.returncode == 2


def test_the_summary_on_demand(run, failing):
    """--summary writes the summary of a day given in words."""
    result = run("monitor", "--summary", "today", "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(Path(json.loads(result.stdout)["summary"]).read_text())
    assert summary["operation_summary"]["failed_operations"] == 100


def test_prometheus_is_answered_on_request(start, failing):
    """The metrics endpoint serves the counted events and the alerts."""
    process = start("monitor", "--no-checks", "--metrics-port", "0")
    assert process.stderr is not None
    address = process.stderr.readline().decode().split()[-1]
    wanted = 'leadlog_operations_total{entity="",operation="add_lead",success="false"} 100.0'
    page = ""
    while wanted not in page or 'leadlog_alerts{name="burn_rate:fast"' not in page:
        with urlopen(address, timeout=20) as answer:  # the test's own timeout ends this
            page = answer.read().decode()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_process_watches_until_it_is_told_to_end(start, run, failing):
    """A concurrent --once reports the running monitor's state; SIGTERM ends the monitor cleanly."""
    process = start("monitor", "--no-checks")
    assert process.stderr is not None
    assert b"watching" in process.stderr.readline()
    # It holds the lock from its first cycle on; until then this is the first look.
    beside = run("monitor", "--once", "--no-checks", "--json")
    while "another" not in beside.stderr and "watches" not in beside.stderr:
        beside = run("monitor", "--once", "--no-checks", "--json")
    assert beside.exit_code in (0, 1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"ended" in said
    assert run("monitor", "--once", "--no-checks").exit_code == 1
