"""`leadlog top`, in a real pseudo-terminal."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

import pyte
import pytest

from leadlog.cli.terminal import cells
from leadlog.cli.top.frame import ErrorLine, FigureTile, LogView, OperationLine, frame, spark

pytestmark = pytest.mark.handmade_lines

SECONDS = 30
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e山田\r\n<b>\x7f"
# What top itself writes: the alternate screen, cursor, wrapping, synchronised output, home, erasing
# what follows, colours.
OWN = re.compile(rb"\x1b\[(?:\?(?:1049|25|7|2026)[hl]|2J|H|J|K|[0-9;]*m)")
# A terminal has to be the controlling one of the session, for signals to come from it.
LAUNCH = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
TOP = (sys.executable, "-m", "leadlog", "top")
# Job control belongs to the shell: without one, stopping makes no sense.
SHELL = """
set -m
"$@"
echo stopped $?
read word
fg >/dev/null
echo ended $?
"""


def call(at_us, entity="Lead", *, ms=12.0, success=True):
    """A call on the store."""
    return at_us, {
        "log_type": "database_operation",
        "event_name": "lead.update",
        "operation_details": {
            "operation_type": "update",
            "entity": entity,
            "success": success,
            "execution_time_ms": ms,
        },
    }


def error(at_us, message="UNIQUE constraint failed"):
    """A failed call's error."""
    return at_us, {
        "log_type": "error_log",
        "event_name": "error",
        "error_details": {
            "fingerprint": "0123456789abcdef",
            "error_type": "database_error",
            "exception_class": "sqlalchemy.exc.IntegrityError",
            "error_message": message,
        },
    }


class Terminal:
    """A terminal that runs `leadlog top`: its screen, its raw output, and a keyboard."""

    def __init__(self, *arguments, columns=100, lines=30, shell=False, **environment):
        self.columns, self.lines = columns, lines
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.master, self._slave = pty.openpty()
        self._set_size()
        self.before = termios.tcgetattr(self._slave)
        command = [*TOP, *arguments]
        if shell:
            command = ["bash", "--norc", "-c", SHELL, "bash", *command]
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *command],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            env={
                **{k: v for k, v in os.environ.items() if k != "NO_COLOR"},
                "TERM": "xterm-256color",
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                **environment,
            },
        )

    def _set_size(self):
        size = struct.pack("HHHH", self.lines, self.columns, 0, 0)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)

    def resize(self, columns, lines):
        self.columns, self.lines = columns, lines
        self.screen.resize(lines, columns)
        self._set_size()

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self, seconds=0.05):
        """Read the available output."""
        while select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            if not data:
                return
            self.raw += data
            # pyte knows no alternate screen, and takes the private modes for what they are not.
            self._stream.feed(re.sub(rb"\x1b\[\?[0-9]+[hl]", b"", data))
            seconds = 0.02

    @property
    def shown(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def until(self, condition, seconds=SECONDS):
        """Wait until the screen fulfils something."""
        end = time.monotonic() + seconds
        while True:
            self.read()
            if condition(self.shown):
                return self.shown
            assert time.monotonic() < end, f"{self.process.poll()}\n{self.shown}\n{self.raw[-500:]}"

    def ended(self):
        """Wait for the end; returns the exit code."""
        end = time.monotonic() + SECONDS
        while self.process.poll() is None:
            self.read()
            assert time.monotonic() < end, self.shown
        self.read()
        return self.process.returncode

    def is_restored(self):
        """Whether the terminal is as it was before."""
        assert self.raw.rstrip().endswith(b"\x1b[?7h\x1b[?25h\x1b[0m\x1b[?1049l"), self.raw[-200:]
        return termios.tcgetattr(self._slave) == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for descriptor in (self.master, self._slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@pytest.fixture
def terminal(log):
    """Start `leadlog top` in a terminal, on a log with two operations and an error."""
    now = time.time_ns() // 1000
    ago = now - 60_000_000
    log("database_operations", *(call(ago + n) for n in range(40)), call(ago, "Deal", ms=900.0))
    log("database_operations", call(ago, success=False))
    log("error_logs", error(ago))
    opened = []

    def start(*arguments, **options):
        opened.append(Terminal(*arguments, **options))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def ready(shown):
    return "q quit" in shown and "Lead.update" in shown


def test_it_shows_figures_operations_and_errors_and_follows_the_log(terminal, log):
    """It shows tiles, operations and the last errors, and new events at once."""
    top = terminal("--every", "0.2")
    shown = top.until(ready)
    assert re.search(r"operations +failed +p95 +errors\n42 +2\.38 %", shown)
    assert re.search(r"Lead\.update +41 +2\.44 % +\d", shown)
    assert re.search(r"Deal\.update +1 +0 % +\d{3} ms", shown)
    assert "IntegrityError  UNIQUE constraint failed" in shown
    log("database_operations", call(time.time_ns() // 1000, "Company"))
    top.until(lambda text: "Company.update" in text)
    top.type("q")
    assert top.ended() == 0
    assert top.is_restored()
    assert top.raw.count(b"\x1b[?1049h") == 1
    assert b"\x1b[?2026h" in top.raw


def test_keys_pause_sort_and_help(terminal, log):
    """p pauses and resumes, s cycles through the sort orders, ? shows the help until any key."""
    top = terminal("--every", "0.2")
    top.until(ready)
    assert top.shown.index("Lead.update") < top.shown.index("Deal.update")
    top.type("s")
    top.until(lambda text: "sort: calls" in text)
    top.type("s")
    top.until(lambda text: "sort: p95" in text)
    assert top.shown.index("Deal.update") < top.shown.index("Lead.update")
    top.type("?")
    top.until(lambda text: "sort operations by trouble, calls, p95 or name" in text)
    top.type("x")
    top.until(ready)
    top.type("p")
    top.until(lambda text: "paused" in text)
    log("database_operations", call(time.time_ns() // 1000, "Company"))
    top.type("\x1b[A")  # an arrow key means nothing
    top.type("s")
    top.until(lambda text: "sort: name" in text)
    assert "Company.update" not in top.shown
    top.type("p")
    top.until(lambda text: "Company.update" in text and "paused" not in text)


def test_it_follows_the_size_of_the_window(terminal):
    """Smaller and larger: no line is wider, the keys stay at the bottom."""
    top = terminal()
    top.until(ready)
    for columns, lines in ((44, 14), (160, 50), (20, 6)):
        top.resize(columns, lines)
        top.until(lambda text: "q quit" in text.splitlines()[-1], 10)
        rows = top.screen.display
        assert len(rows) == lines
        assert all(cells(row.rstrip()) <= columns for row in rows)
    top.type("q")
    assert top.ended() == 0


@pytest.mark.parametrize(
    ("how", "code"), [("\x03", 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), ("\x04", 0)]
)
def test_however_it_ends_the_terminal_is_as_it_was(terminal, how, code):
    """Ctrl-C, SIGTERM, SIGHUP and Ctrl-D: the old screen, the cursor and the keyboard are back."""
    top = terminal()
    top.until(ready)
    assert termios.tcgetattr(top.master) != top.before
    if isinstance(how, str):
        top.type(how)
    else:
        top.process.send_signal(how)
    assert top.ended() == code
    assert top.is_restored()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_ctrl_z_gives_the_terminal_back_for_a_time(terminal):
    """While it is stopped the shell has its screen back; afterwards top redraws its own."""
    top = terminal(shell=True)
    top.until(ready)
    top.type("\x1a")
    top.until(lambda text: "stopped 148" in text)
    assert top.raw.count(b"\x1b[?1049l") == 1
    top.screen.reset()
    top.type("\n")
    top.until(ready)
    assert top.raw.count(b"\x1b[?1049h") == 2
    top.type("q")
    top.until(lambda text: "ended 0" in text)
    assert top.ended() == 0
    assert top.raw.count(b"\x1b[?1049l") == 2


def test_nothing_stored_reaches_the_terminal_raw(terminal, log):
    """Escape sequences, C1 controls and marks of direction in a log are spelled out."""
    now = time.time_ns() // 1000
    log("database_operations", call(now, HOSTILE, success=False))
    log("error_logs", error(now, f"x{HOSTILE}"))
    top = terminal()
    top.until(lambda text: ready(text) and r"\x1b]0;owned" in text)
    top.type("q")
    assert top.ended() == 0
    rest = re.sub(rb"\r+\n", b"", OWN.sub(b"", top.raw)).decode()
    assert rest.isprintable(), [char for char in rest if not char.isprintable()]
    assert "\u202e" not in rest


def test_no_color_is_no_colour(terminal):
    """Under NO_COLOR a frame has no colour, bold or dim text."""
    top = terminal(NO_COLOR="1")
    top.until(ready)
    top.type("q")
    assert top.ended() == 0
    assert set(re.findall(rb"\x1b\[[0-9;]*m", top.raw)) == {b"\x1b[0m"}


def test_a_terminal_without_a_cursor_gets_one_frame(terminal):
    """TERM=dumb: one frame as plain lines, and why."""
    top = terminal(TERM="dumb")
    assert top.ended() == 0
    assert b"\x1b" not in top.raw
    assert b"this terminal cannot be drawn on" in top.raw
    assert b"Lead.update" in top.raw


def test_it_ends_when_the_terminal_is_gone(terminal):
    """No process keeps running after its terminal is closed."""
    top = terminal("--every", "0.2")
    top.until(ready)
    os.close(top.master)
    top.process.wait(SECONDS)


def test_one_frame_through_a_pipe(run, log):
    """--once, and any pipe: plain lines, unknown as a dash, and no keys."""
    now = time.time_ns() // 1000
    log("database_operations", *(call(now, ms=None) for _ in range(1500)))
    for arguments in (["--once"], []):
        result = run("top", *arguments)
        assert result.exit_code == 0, result.output
        assert "\x1b" not in result.stdout
        assert re.search(r"Lead\.update +1\.5k +0 % +– +–", result.stdout)
        assert "last errors\nnone in this time" in result.stdout
        assert "q quit" not in result.stdout
        assert result.stderr == ""


def test_a_closed_pipe_ends_it_quietly(log, start):
    """`leadlog top --once | true` says nothing."""
    log("database_operations", call(time.time_ns() // 1000))
    reading, writing = os.pipe()
    os.close(reading)
    process = start("top", "--once", stdout=writing)
    os.close(writing)
    assert process.communicate(timeout=SECONDS)[1] == b""
    assert process.returncode == 141


def test_json_and_an_empty_log(run, tmp_path):
    """--json gives the figures; an empty log is unknown, not well."""
    (tmp_path / "database_logs").mkdir()
    said = json.loads(run("top", "--json").stdout)
    assert said["state"]["word"] == "unknown"
    assert [tile["value"] for tile in said["tiles"]][1:3] == [None, None]
    result = run("top", "--once")
    assert "no events yet" in result.stdout
    assert re.search(r"operations +failed +p95 +errors\n0 +– +– +0", result.stdout)


def test_a_time_that_is_none_is_refused(run, log, tmp_path):
    """A malformed time exits with 2 and shows the format; a missing log directory has a remedy."""
    result = run("top", "--directory", "nowhere")
    assert (result.exit_code, "leadlog demo" in result.stderr) == (3, True)
    log("database_operations", call(1))
    result = run("top", "--since", "someday")
    assert result.exit_code == 2
    assert "'someday' is not a point in time; write it like" in " ".join(result.stderr.split())


@pytest.mark.parametrize("helping", [False, True])
@pytest.mark.parametrize("width", [20, 21, 40, 71, 72, 100, 250])
def test_a_frame_fits_every_size(width, helping):
    """A frame has exactly the terminal's size, whatever is stored."""
    many = tuple(
        OperationLine(f"{'Lead' * (n % 9)}{HOSTILE * (n % 3)}.update", 10.0**n, n / 40, 1.5, None)
        for n in range(40)
    )
    view = LogView(
        f"/var/{HOSTILE}",
        "last 1h",
        1_795_998_065_000_000,
        None,
        HOSTILE * 5,
        "bad",
        tuple(
            FigureTile(name, "1.23k", "+4 %", (1, None, 3))
            for name in ("operations", "failed", "p95")
        ),
        many,
        tuple(
            ErrorLine(1_795_000_000_000_000 + n, HOSTILE, HOSTILE, n, "f" * 16) for n in range(9)
        ),
        notice=HOSTILE,
    )
    for height in (4, 5, 9, 14, 24, 60):
        lines = frame(view, width, height, helping=helping)
        assert len(lines) == height
        for line in lines:
            plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
            assert cells(plain) <= width, plain
            assert plain.isprintable()


def test_a_sparkline_keeps_peaks_and_gaps():
    """A peak among many values is kept; an unknown value is a gap, never a bar."""
    assert spark([0.0] * 50 + [9.0] + [0.0] * 50, 10).count("█") == 1
    assert spark([None, None], 5) == "  "
    assert spark([0, 0], 5) == "▁▁"
    assert spark([1], 0) == ""
