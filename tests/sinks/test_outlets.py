"""An application's additional sinks: their input, and their isolation."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import leadlog
from leadlog.cli import root
from leadlog.recording.sinks.board import sink_reports
from leadlog.sinks import MemorySink, SinkQueue
from tests.sinks.conftest import until as wait_until

Logged = Callable[..., list[dict[str, Any]]]
LOG = Path("database_logs")
until = partial(wait_until, seconds=30)  # a loaded machine is slow


class Kept:
    """A sink that keeps its input, after calling a function."""

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        self.before = before
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self.got: dict[str, bytes] = {}

    def open(self) -> None:
        """Note the call."""
        self.threads.add(threading.get_ident())
        self.calls.append("open")

    def write(self, category: str, lines: bytes) -> None:
        """Keep the lines."""
        self.threads.add(threading.get_ident())
        self.before()
        self.calls.append("write")
        self.got[category] = self.got.get(category, b"") + lines

    def close(self) -> None:
        """Note the call."""
        self.threads.add(threading.get_ident())
        self.calls.append("close")


def fail() -> None:
    """Raise."""
    raise ConnectionError("nobody listens")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """An event that a stalled sink waits for; set at the end."""
    event = threading.Event()
    yield event
    event.set()


def log(count: int, text: str = "x", start: int = 0) -> None:
    """Log numbered events."""
    for number in range(start, start + count):
        leadlog.get_logger().info("one", number=number, text=text)


def files(category: str) -> bytes:
    """Return all lines of a category, in order."""
    return b"".join(path.read_bytes() for path in sorted((LOG / category).glob("*.jsonl")))


def test_a_sink_gets_what_is_in_the_files_byte_by_byte_in_a_thread_of_its_own() -> None:
    """Whole lines, masked, in the order of the files; `open` comes first and `close` last."""
    sink = Kept()
    leadlog.configure(sinks=[sink])
    log(300, text="password=hunter2")
    leadlog.get_logger().error("two")
    assert leadlog.flush(30, sinks=True)
    count = leadlog.stats().sinks["Kept"]
    assert (count.accepted, count.written, count.waiting) == (301, 301, 0)
    leadlog.shutdown()
    assert sink.got == {name: files(name) for name in ("monitoring_data", "error_logs")}
    assert b"hunter2" not in sink.got["monitoring_data"]
    assert (sink.calls[0], sink.calls[-1]) == ("open", "close")
    assert sink.calls.count("open") == sink.calls.count("close") == 1
    assert len(sink.threads) == 1
    assert threading.get_ident() not in sink.threads


def test_large_batches_come_in_pieces_of_whole_lines() -> None:
    """No piece exceeds 256 KiB, unless it is a single line, and none ends inside a line."""
    pieces: list[bytes] = []

    class Pieces(Kept):
        def write(self, category: str, lines: bytes) -> None:
            pieces.append(lines)

    leadlog.configure(sinks=[Pieces()], line_limit_bytes=400_000, poll_seconds=0.2)
    log(100, text="y" * 9_000)
    log(1, text="z" * 300_000)
    assert leadlog.flush(30, sinks=True)
    assert b"".join(pieces) == files("monitoring_data")
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert all(len(piece) <= 256 * 1024 or piece.count(b"\n") == 1 for piece in pieces)
    assert max(map(len, pieces)) > 256 * 1024
    assert len(pieces) >= 4


def test_a_sink_that_raises_is_opened_again_and_gets_the_same_lines() -> None:
    """This happens after a pause, so a receiver that recovers has missed nothing."""
    attempts = iter([fail, fail])
    sink = Kept(lambda: next(attempts, lambda: None)())
    leadlog.configure(sinks=[sink])
    log(3)
    assert leadlog.flush(30, sinks=True)
    assert sink.calls[:4] == ["open", "open", "open", "write"]
    assert sink.got["monitoring_data"].startswith(files("monitoring_data")[:500])
    assert leadlog.stats().sinks["Kept"].error == ""


def test_sinks_that_raise_stall_and_fill_cost_files_and_the_others_nothing(
    gate: threading.Event, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines each did not get are counted by cause, logged, and shown by doctor."""
    monkeypatch.setattr("leadlog.recording.sinks.outlets._PAUSES_SECONDS", (0.01,))
    good = Kept()
    leadlog.configure(
        sinks=[
            SinkQueue(Kept(fail), "raises"),
            SinkQueue(Kept(gate.wait), "stalls", queue_bytes=40_000),
            SinkQueue(Kept(lambda: sys.exit(1)), "exits"),
            good,
        ]
    )
    # In batches, so that the queue of the stalled sink is full.
    for start in range(0, 200, 20):
        log(20, text="y" * 500, start=start)
        assert leadlog.flush(30)
    assert len(logged("monitoring_data")) >= 200
    stats = leadlog.stats()
    assert until(lambda: leadlog.stats().sinks["Kept"].written >= 200)
    assert leadlog.stats().dropped == {}
    stalls = stats.sinks["stalls"]
    assert stalls.dropped["queue_full"] > 100
    assert stalls.accepted == stalls.waiting + stalls.dropped["queue_full"]
    assert until(lambda: leadlog.stats().sinks["raises"].dropped.get("error", 0) >= 200)
    assert until(lambda: leadlog.stats().sinks["exits"].dropped.get("error", 0) >= 200)
    assert leadlog.stats().sinks["raises"].error == "ConnectionError: nobody listens"

    def told() -> set[tuple[str, str]]:
        points = [one["monitoring_info"]["data_points"] for one in logged("monitoring_data")]
        return {(one["sink"], one["condition"]) for one in points if "sink" in one}

    wanted = {
        ("raises", "sink_dropping"),
        ("raises", "sink_failing"),
        ("stalls", "sink_dropping"),
        ("exits", "sink_dropping"),
    }
    assert until(lambda: leadlog.flush() and wanted <= told())
    assert until(lambda: any(one.dropped for one in sink_reports(LOG.absolute())))
    found = json.loads(CliRunner().invoke(root, ["doctor", "--json"]).stdout)
    assert {one["sink"] for one in found["sinks"]} == {"raises", "stalls", "exits", "Kept"}
    said = " ".join(one["finding"] for one in found["findings"])
    assert "did not reach additional sinks" in said
    assert "fails: ConnectionError: nobody listens" in said or "fails: SystemExit: 1" in said
    shown = CliRunner().invoke(root, ["doctor"]).stdout
    assert "Sinks beside the files" in shown
    begin = time.monotonic()
    leadlog.shutdown(0.2)
    assert time.monotonic() - begin < 20
    assert good.got["monitoring_data"] == files("monitoring_data")
    (left,) = (one for one in sink_reports(LOG.absolute()) if one.sink == "stalls")
    assert (left.alive, left.waiting) == (False, 0)
    assert left.dropped["closed"] >= 1


def test_the_counts_of_sinks_that_missed_nothing_do_not_stay() -> None:
    """They are removed like the rings of a process that ended in order."""
    leadlog.configure(sinks=[Kept()])
    log(1)
    leadlog.flush(sinks=True)
    assert until(lambda: [one.written for one in sink_reports(LOG.absolute())] == [1])
    leadlog.shutdown()
    assert sink_reports(LOG.absolute()) == []


def test_a_sink_that_two_configurations_share_goes_on() -> None:
    """It is neither closed nor reopened, and gets the remaining lines of the old one."""
    sink = Kept()
    one = leadlog.configure(sinks=[sink])
    assert leadlog.configure(sinks=[sink]) is one
    log(5)
    leadlog.configure(sinks=[sink], directory="other")
    log(5)
    leadlog.configure(directory="other")
    assert sink.calls[-1] == "close"
    assert sink.calls.count("open") == sink.calls.count("close") == 1
    assert sink.got["monitoring_data"].count(b"\n") == 10


def test_a_process_that_ends_writes_to_its_sinks_first(tmp_path: Path) -> None:
    """There is no output; a forked child reopens the sink and writes only its own lines."""
    script = tmp_path / "app.py"
    script.write_text(
        "import os, sys, leadlog\n"
        "class Lines:\n"
        "    def open(self):\n"
        "        self.fd = os.open(f'got-{os.getpid()}', os.O_CREAT | os.O_WRONLY)\n"
        "    def write(self, category, lines):\n"
        "        os.write(self.fd, lines)\n"
        "    def close(self):\n"
        "        os.close(self.fd)\n"
        "leadlog.configure(sinks=[Lines()])\n"
        "leadlog.get_logger().info('parent')\n"
        "assert leadlog.flush(sinks=True)\n"
        "child = os.fork()\n"
        "leadlog.get_logger().info('late', child=not child)\n"
        "if child:\n"
        "    os.waitpid(child, 0)\n"
    )
    subprocess.run([sys.executable, "-W", "error", script], check=True, timeout=100)
    got = sorted(path.read_text() for path in tmp_path.glob("got-*"))
    names = [[json.loads(line)["event_name"] for line in text.splitlines()] for text in got]
    assert sorted(names) == [["late"], ["parent", "late"]]


def test_lines_of_a_killed_process_come_to_the_sinks_of_the_one_that_recovers_them(
    tmp_path: Path,
) -> None:
    """These lines had not been in a file before."""
    script = (
        "import os, leadlog\n"
        "leadlog.configure(poll_seconds=5)\n"
        "leadlog.get_logger().info('left')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=False, timeout=30)
    sink = Kept()
    leadlog.configure(sinks=[sink])
    assert until(lambda: b'"left"' in sink.got.get("monitoring_data", b""))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([MemorySink()], "is not a sink; give an object with the methods open()"),
        ([Kept], "is not a sink"),
        (["syslog://"], "'syslog://' is not a sink"),
        ([SinkQueue(Kept(), queue_bytes=0)], "queue_bytes is 0; give 1 or more"),
        ([sink := Kept(), sink], "is given twice"),
    ],
)
def test_what_is_no_sink_is_refused(given: list[Any], said: str) -> None:
    """The error is raised by `configure`, not at the first line."""
    with pytest.raises(leadlog.SettingsError, match=r"sinks: .*") as error:
        leadlog.configure(sinks=given)
    assert said in str(error.value)
    assert not os.path.exists(LOG)  # noqa: PTH110 - a relative path of this test's folder


def test_a_sink_in_place_of_the_files_has_none_beside_them() -> None:
    """There are no files whose lines they could get."""
    with pytest.raises(leadlog.SettingsError, match="add to the files, which sink= replaces"):
        leadlog.configure(sink=MemorySink(), sinks=[Kept()])
