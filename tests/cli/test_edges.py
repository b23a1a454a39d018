"""Edges of the calendar, of limits and of terminals: an answer or one line, never a traceback."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import unicodedata

import pytest

from leadlog.cli.terminal import cells

pytestmark = pytest.mark.handmade_lines

US = 1_795_428_000_000_000
NAME = "Eve \x1b[2J\x1b[31mRot"


@pytest.fixture
def one_lead(log):
    """A log about one lead whose name steers terminals, with an event of the application's own."""
    log(
        "database_operations",
        (
            US,
            {
                "level": "info",
                "log_type": "database_operation",
                "event_name": "lead.update",
                "session_id": "k3v9x0ab",
                "event_id": "0661",
                "operation_details": {
                    "operation_type": "update_lead",
                    "operation_id": "0661",
                    "success": True,
                    "outcome": "committed",
                    "records_affected": 1,
                    "execution_time_ms": 3.0,
                    "entity": "Lead",
                    "bulk": False,
                },
                "lead_identifier": {"lead_id": "1", "name": NAME, "company": "株式会社アクメ" * 9},
                "data_details": {
                    "fields_changed": {"title": {"old": None, "new": "CTO " * 60}},
                    "change": "update",
                },
                "training_labels": {"performance_tier": "excellent"},
                "context": {"user": "ana"},
            },
        ),
    )
    return log(
        "monitoring_data",
        (
            US + 1,
            {
                "level": "info",
                "log_type": "monitoring_data",
                "event_name": "import.finished",
                "session_id": "k3v9x0ab",
                "event_id": "0662",
                "monitoring_info": {"data_points": {"file": "leads.json", "rows": 3}},
            },
        ),
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["errors", "--until", "9999-12-31"], 0),
        (["errors", "--since", "0001-01-01"], 0),
        (["slow", "--since", "0001-01-01", "--until", "9999-12-31"], 0),
        (["query", "FROM operations", "--until", "9999-12-31"], 0),
        (["query", "FROM operations", "--timeout", "1e300"], 2),
        (["query", "FROM operations", "--memory", "9" * 20], 2),
        (["session", "k3v9x0ab", "--since", "0001-01-01", "--until", "9999-12-31"], 0),
        (["history", "1", "--since", "0001-01-01", "--until", "9999-12-31"], 0),
        (["replay", "--at", "9999-12-31T23:59:59.999999Z"], 0),
        (["summary", "--date", "9999-12-31"], 0),
        (["summary", "--date", "0001-01-01"], 2),
        (["summary", "--week", "9999-W52"], 0),
        (["summary", "--week", "0001-W01"], 2),
        (["summary", "--from", "0001-01-01", "--to", "9999-12-31"], 2),
        (["summary", "--date", "2026-02-29"], 2),
        (["tail", "-n", "9" * 20], 2),
        (["tail", "-n", str(sys.maxsize)], 0),
        (["slow", "--since", "99999999d"], 2),
        (["show", "0661"], 0),
        (["show", "0663"], 1),
        (["show", "\x1b[2J"], 1),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else None,
)
def test_each_edge_has_an_answer_or_one_clear_line(run, one_lead, arguments, code):
    """Each edge case gives an answer or one clear line, with the documented exit code."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "\x1b" not in result.output


@pytest.fixture
def on_terminal(tmp_path):
    """Run a command on a terminal of so many columns; gives all that it was sent."""

    def shown(*arguments, columns=80, **variables):
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "TERM": "xterm",
            "LANG": "C.UTF-8",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "leadlog", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=follower,
            stderr=subprocess.PIPE,
            env=environment | variables,
            cwd=tmp_path,
        )
        os.close(follower)
        content = b""
        try:
            while data := os.read(leader, 65536):
                content += data
        except OSError:  # the process has ended
            pass
        os.close(leader)
        process.communicate(timeout=60)
        return content.decode().replace("\r\n", "\n")

    return shown


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
@pytest.mark.parametrize("command", [["tail"], ["session", "k3v9x0ab"], ["slow"]], ids=" ".join)
def test_lines_fit_the_terminal(one_lead, on_terminal, command, columns):
    """Cells are counted, so a name in Chinese does not break a line."""
    text = on_terminal(*command, columns=columns)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert plain.count("\n") >= 2
    assert "\x1b" not in plain
    if not (command == ["slow"] and columns == 40):  # numbers are never cut
        assert max(map(cells, plain.splitlines())) <= columns


def test_tail_says_who_what_and_the_outcome_in_80_columns(one_lead, on_terminal):
    """An own event shows its own fields."""
    update, own = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal("tail")).splitlines()
    for word in ("lead.update", "committed", "ana", "Eve"):
        assert word in update
    assert "file=leads.json  rows=3" in own


@pytest.mark.parametrize(
    "variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "TERM=dumb"]
)
@pytest.mark.parametrize(
    "command",
    [["tail"], ["show", "0661"], ["session", "k3v9x0ab"], ["history", "1"], ["slow"], ["doctor"]],
    ids=" ".join,
)
def test_no_colours_where_they_are_not_wanted(one_lead, on_terminal, command, variables):
    """No command prints an escape sequence when colours are off."""
    text = on_terminal(*command, **variables)
    assert text.strip()
    assert "\x1b" not in text


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_query_sends_a_terminal_nothing_that_it_obeys(one_lead, on_terminal, form):
    """Escapes in column names and values are spelled out in every format; a pipe gets them raw."""
    sql = 'SELECT name, name AS "a\x1b[2J" FROM operations'
    text = on_terminal("query", sql, "--format", form)
    assert "Rot" in text
    assert {char for char in text if unicodedata.category(char) == "Cc"} <= {"\n"}


def test_csv_in_a_pipe_has_the_values_as_they_are(run, one_lead):
    """CSV in a pipe has the raw values, since a program reads it."""
    result = run("query", "SELECT name FROM operations", "--format", "csv")
    assert result.stdout == f"name\n{NAME}\n"


@pytest.mark.parametrize(
    "command",
    [
        ["tail"],
        ["doctor"],
        ["summary", "--date", "2026-11-23"],
        ["slow", "--json"],
        ["show", "0661"],
    ],
    ids=" ".join,
)
def test_a_closed_standard_output_is_no_defect(one_lead, tmp_path, command):
    """`leadlog tail >&-`: nothing is said, and nothing breaks."""
    script = 'exec "$0" -m leadlog "$@" >&-'
    done = subprocess.run(
        ["bash", "-c", script, sys.executable, *command],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(filter(None, sys.path))},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in {0, 1}


def test_show_prints_the_whole_record_with_what_belongs_to_it(run, log, one_lead):
    """A record is shown with its error's stack trace, transaction and session, as JSON too."""
    error = {
        "level": "error",
        "log_type": "error_log",
        "event_name": "error.database",
        "session_id": "k3v9x0ab",
        "event_id": "0663",
        "error_details": {"error_message": "no", "stack_trace": "Traceback\n  at work"},
        "context": {"operation_id": "0661", "user": "ana"},
    }
    log("error_logs", (US + 2, error))
    text = run("show", "0661").stdout
    assert "fields_changed:" in text
    assert "CTO " * 59 in text
    assert "Traceback\n" in text
    assert "session k3v9x0ab: 3 events" in text
    assert "user=ana" in text
    found = json.loads(run("show", "0661", "--json").stdout)
    assert found["record"]["lead_identifier"]["name"] == NAME
    assert [one["event_id"] for one in found["errors"]] == ["0663"]
    assert found["session"]["events"] == 3


def test_session_says_what_was_bound_once(run, one_lead):
    """Common context is shown once, a line has only what differs, and an own event its fields."""
    first, bound, *lines = run("session", "k3v9x0ab").stdout.splitlines()
    assert first == "session k3v9x0ab: 2 events in 0.000 s, 0 errors"
    assert bound.strip() == "user=ana"
    assert "ana" not in lines[0].split("Eve")[0]
    assert "rows=3" in lines[1]
