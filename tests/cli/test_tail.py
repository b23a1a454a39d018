"""`leadlog tail`."""

import json
import os
import pty
import select
import time

import pytest

pytestmark = pytest.mark.handmade_lines


def read_until(descriptor, wanted, seconds=20):
    """Return the terminal's output up to the point where it contains `wanted`."""
    shown = b""
    end = time.monotonic() + seconds
    while wanted not in shown and time.monotonic() < end:
        if select.select([descriptor], [], [], 0.1)[0]:
            shown += os.read(descriptor, 65536)
    return shown


def lines(result):
    """The events of a result's standard output."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_last_events_of_all_categories_in_time_order(run, log):
    """Without options, the last ten events come as JSON lines, oldest first."""
    log("error_logs", *((i, {"n": i}) for i in range(0, 40, 2)))
    log("sync_operations", *((i, {"n": i}) for i in range(1, 40, 2)))
    result = run("tail")
    assert result.exit_code == 0
    assert [event["n"] for event in lines(result)] == list(range(30, 40))


def test_a_line_is_the_log_s_own(run, log):
    """JSON lines are handed on byte for byte."""
    path = log("error_logs", (1, {"name": "Müller 李", "x": 1.50}))
    assert run("tail").stdout.encode() == path.read_bytes()


def test_categories_conditions_and_number(run, log):
    """--category may be repeated, all conditions must match, and -n counts the matching events."""
    for category in ("error_logs", "sync_operations", "monitoring_data"):
        log(category, *((i, {"n": i, "c": category}) for i in range(6)))
    result = run(
        *("tail", "--category", "error_logs", "--category", "sync_operations"),
        *("--where", "n>=2", "--where", "n!=4", "-n", "4"),
    )
    assert [(event["n"], event["c"]) for event in lines(result)] == [
        (3, "error_logs"),
        (3, "sync_operations"),
        (5, "error_logs"),
        (5, "sync_operations"),
    ]


def test_output_goes_through_jq(run, log, jq):
    """The output is valid JSON for jq, whatever is stored."""
    log("error_logs", (1, {"name": "\x1b[2J\u202e\x7f", "n": 1}), b"rubbish\n")
    result = run("tail")
    assert jq(".name", stdin=result.stdout) == ["\x1b[2J\u202e\x7f"]
    assert not {"\x1b", "\u202e", "\x7f"} & set(result.stdout)
    assert "skipped 1 damaged line," in result.stderr


def test_a_missing_directory_is_an_error(run):
    """A mistyped directory is an error, not an empty result."""
    result = run("tail", "--directory", "nowhere")
    assert result.exit_code == 3
    assert "no log directory 'nowhere'" in result.stderr
    assert "--directory" in result.stderr


def test_an_empty_directory_is_no_error(run, tmp_path):
    """An empty log is reported and is not an error."""
    (tmp_path / "database_logs").mkdir()
    result = run("tail")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no events yet" in result.stderr


def test_the_directory_of_the_settings_is_read(run, log, monkeypatch, tmp_path):
    """LEADLOG_DIRECTORY names the log where no option does."""
    log("error_logs", (1, {"n": 1}))
    (tmp_path / "database_logs").rename(tmp_path / "elsewhere")
    monkeypatch.setenv("LEADLOG_DIRECTORY", str(tmp_path / "elsewhere"))
    assert lines(run("tail"))[0]["n"] == 1


def test_an_unknown_setting_is_a_usage_error(run, monkeypatch):
    """A misspelt environment variable is reported with the closest name."""
    monkeypatch.setenv("LEADLOG_DIRECTROY", "x")
    result = run("tail")
    assert result.exit_code == 2
    assert "did you mean 'directory'" in result.stderr


@pytest.mark.parametrize("expression", ["level", "level==error", "success>true"])
def test_a_bad_condition_is_a_usage_error(run, expression):
    """The remedy is in the message."""
    result = run("tail", "--where", expression)
    assert result.exit_code == 2
    assert "--where" in result.stderr
    assert "=" in result.stderr.partition("Error")[2]


def test_a_path_that_no_event_has_is_told_with_the_closest(run, log):
    """A misspelt path in a condition is reported with the closest one."""
    log("error_logs", (1, {"error_details": {"severity": "low"}}))
    result = run("tail", "--where", "error_detail.severity=low")
    assert "did you mean error_details.severity?" in result.stderr
    result = run("tail", "--where", "error_details.severity=high")
    assert "no event matches" in result.stderr


def test_pretty_lines(run, log):
    """--pretty shows one readable line per event, without colours in a pipe."""
    log(
        "error_logs",
        (0, {"level": "error", "error_details": {"error_message": "a\x1b[31m\nb"}}),
    )
    result = run("tail", "--pretty")
    assert result.stdout.splitlines() == [result.stdout.rstrip("\n")]
    assert r"a\x1b[31m\nb" in result.stdout
    assert "\x1b" not in result.stdout


def test_following_shows_what_comes(start, log):
    """-f shows new events, including those of a category that did not exist before."""
    log("error_logs", (1, {"n": 1}))
    process = start("tail", "-f", "-n", "1")
    assert json.loads(process.stdout.readline())["n"] == 1
    log("error_logs", (2, {"n": 2}))
    assert json.loads(process.stdout.readline())["n"] == 2
    log("sync_operations", (3, {"n": 3}))
    assert json.loads(process.stdout.readline())["n"] == 3


def test_following_waits_for_the_directory(start, log):
    """-f may be started before the application."""
    process = start("tail", "-f")
    assert b"waiting for" in process.stderr.readline()
    log("error_logs", (1, {"n": 1}))
    assert json.loads(process.stdout.readline())["n"] == 1


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_a_terminal_gets_readable_lines(start, log, environment, coloured):
    """A terminal gets readable lines, without colours under NO_COLOR or if it is dumb."""
    log("error_logs", (0, {"level": "error", "event_name": "error.database", "note": "\x1b[2J"}))
    ours, theirs = pty.openpty()
    try:
        process = start("tail", stdout=theirs, env=environment)
        shown = read_until(ours, b"\n")
        assert process.wait(timeout=20) == 0
    finally:
        os.close(ours)
        os.close(theirs)
    assert b"error.database" in shown
    assert b"{" not in shown
    assert (b"\x1b[" in shown) is coloured
    assert b"\x1b[2J" not in shown


def test_output_that_cannot_be_encoded_is_spelled_out(start, log):
    """A narrow encoding does not end the command."""
    log("error_logs", (0, {"event_name": "Müller 李"}))
    process = start("tail", "--pretty", env={"PYTHONIOENCODING": "latin-1"})
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, b"")
    assert "Müller ".encode("latin-1") + rb"\u674e" in out
