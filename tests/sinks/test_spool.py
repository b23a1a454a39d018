"""The crash-proof sink, as the pipeline uses it."""

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leadlog.core.layout import CATEGORIES
from leadlog.recording.sinks.report import ring_reports
from leadlog.recording.sinks.spool import SpoolSink
from leadlog.recording.sinks.storage import state_directories

pytestmark = pytest.mark.handmade_lines

DAY_US = 86_400_000_000
NO_MEMORY = Path("/proc")


def _until(condition: Callable[[], object], seconds: float = 5.0) -> bool:
    """Wait for a condition, and return whether it became true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return bool(condition())


def test_each_category_has_its_folder_and_day(directory: Path) -> None:
    """A line is written to the file of its category and of the clock's UTC day."""
    now = [0]
    sink = SpoolSink(directory, clock=lambda: now[0])
    sink.write("error_logs", b"one\n")
    assert sink.flush(5)
    now[0] = DAY_US
    sink.write("error_logs", b"two\n")
    sink.close(5)
    assert (directory / "error_logs" / "1970-01-01.jsonl").read_bytes() == b"one\n"
    assert (directory / "error_logs" / "1970-01-02.jsonl").read_bytes() == b"two\n"
    folders = {path.name for path in directory.iterdir()} - {".slots"}
    assert folders == set(CATEGORIES)


def test_the_next_process_continues_the_file(directory: Path) -> None:
    """Successive processes are always slot 0 and continue each other's file."""
    for line in (b"one\n", b"two\n"):
        sink = SpoolSink(directory, clock=lambda: 0)
        sink.write("error_logs", line)
        sink.close(5)
    (file,) = (directory / "error_logs").iterdir()
    assert file.read_bytes() == b"one\ntwo\n"


def test_sinks_side_by_side_write_files_of_their_own(directory: Path) -> None:
    """The second one takes slot 1; when the first one ends, its slot is free again."""
    first, second = (SpoolSink(directory, clock=lambda: 0) for _ in range(2))
    for sink in (first, second):
        sink.write("error_logs", b"x\n")
        assert sink.flush(5)
    first.close(5)
    third = SpoolSink(directory, clock=lambda: 0)
    third.write("error_logs", b"y\n")
    third.close(5)
    second.close(5)
    contents = {path.name: path.read_bytes() for path in (directory / "error_logs").iterdir()}
    assert contents == {"1970-01-01.jsonl": b"x\ny\n", "1970-01-01.w1.jsonl": b"x\n"}


def test_hosts_that_share_a_directory_have_slots_of_their_own(directory: Path) -> None:
    """Each host's first process has slot 0 of that host; the file name contains the host."""
    sinks = [SpoolSink(directory, clock=lambda: 0, host=host) for host in ("alpha", "beta")]
    for sink in sinks:
        sink.write("error_logs", b"x\n")
        sink.close(5)
    names = sorted(path.name for path in (directory / "error_logs").iterdir())
    assert names == ["1970-01-01.h-alpha.jsonl", "1970-01-01.h-beta.jsonl"]


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_files_and_folders_have_their_modes(directory: Path, mode: int) -> None:
    """The log holds personal data: 0600 and 0700 unless configured otherwise; rings are 0600."""
    sink = SpoolSink(directory, file_mode=mode)
    sink.write("error_logs", b"one\n")
    assert sink.flush(5)
    folder = directory / "error_logs"
    (file,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == mode
    spool, _ = state_directories(directory)
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in spool.iterdir()} == {0o600}
    sink.close(5)


def test_a_reader_sees_a_line_at_once_after_a_long_silence(directory: Path) -> None:
    """After any silence, a line is in its file within 100 ms (with some tolerance)."""
    sink = SpoolSink(directory, clock=lambda: 0)
    file = directory / "error_logs" / "1970-01-01.jsonl"
    waits = []
    for number in range(5):
        time.sleep(0.3)
        begin = time.monotonic()
        sink.write("error_logs", b"x\n")
        size = 2 * (number + 1)
        assert _until(lambda size=size: file.exists() and file.stat().st_size == size)
        waits.append(time.monotonic() - begin)
    sink.close(5)
    assert min(waits) < 0.1


def test_lines_of_many_threads_stay_whole_and_in_order(directory: Path) -> None:
    """Eight threads, long lines, a ring that overflows: each thread's lines are in order."""
    sink = SpoolSink(directory, ring_bytes=1 << 16)

    def work(name: int) -> None:
        for number in range(300):
            sink.write("error_logs", b"%d %d %s\n" % (name, number, b"x" * 3000))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.close(10)
    (file,) = (directory / "error_logs").iterdir()
    lines = [line.split(b" ") for line in file.read_bytes().splitlines()]
    assert all(len(parts) == 3 and len(parts[2]) == 3000 for parts in lines)
    for name in range(8):
        assert [int(p[1]) for p in lines if int(p[0]) == name] == list(range(300))
    stats = sink.stats()
    assert stats.written == stats.accepted == {"error_logs": 2400}
    assert stats.in_ring == {}


def test_a_category_that_cannot_be_written_leaves_the_others_alone(directory: Path) -> None:
    """A file in place of a folder: one warning, its lines wait, the others are written."""
    directory.mkdir()
    directory.joinpath("error_logs").write_text("in the way")
    warnings: list[str] = []
    events: list[dict[str, Any]] = []
    sink = SpoolSink(directory, warn=warnings.append, notify=events.append)
    for _ in range(5):
        assert sink.write("error_logs", b"waits\n")
        assert sink.write("sync_operations", b"written\n")
    assert not sink.flush(0.3)
    stats = sink.stats()
    assert stats.in_ring == {"error_logs": 5}
    assert stats.written["sync_operations"] == 5
    directory.joinpath("error_logs").unlink()
    assert sink.flush(5)
    assert _until(lambda: events and events[-1]["state"] == "ended")
    sink.close(5)
    assert sink.stats().written["error_logs"] == 5
    (warning,) = warnings
    assert str(directory) in warning
    assert [(one["category"], one["condition"], one["state"]) for one in events] == [
        ("error_logs", "failing", "began"),
        ("error_logs", "failing", "ended"),
    ]


def test_a_log_that_cannot_be_written_holds_nobody_up_at_the_end(directory: Path) -> None:
    """Lines that are safe in the rings stay there; the next process writes them to files."""
    directory.mkdir()
    directory.joinpath("error_logs").write_text("in the way")
    sink = SpoolSink(directory, warn=lambda _: None)
    sink.write("error_logs", b"kept\n")
    begin = time.monotonic()
    sink.close(5)
    assert time.monotonic() - begin < 3
    assert sink.stats().in_ring == {"error_logs": 1}
    (account,) = ring_reports(directory)
    assert (account.alive, account.in_ring) == (False, 1)
    directory.joinpath("error_logs").unlink()
    SpoolSink(directory).close(5)
    (file,) = (directory / "error_logs").iterdir()
    assert file.read_bytes() == b"kept\n"


def test_a_closed_sink_says_so(directory: Path) -> None:
    """After `close` a line is refused, so the caller can pass it to the next sink."""
    sink = SpoolSink(directory)
    sink.write("error_logs", b"one\n")
    sink.close(5)
    sink.close(5)
    assert sink.write("error_logs", b"late\n") is False
    assert sink.flush(1)
    assert sink.stats().written == {"error_logs": 1}


def test_a_plain_exit_leaves_nothing_and_a_loss_its_account(directory: Path) -> None:
    """While running: all counts; after a clean end: no file; after a loss: its counts."""
    sink = SpoolSink(directory, clock=lambda: 7, ring_bytes=1 << 16)
    sink.write("error_logs", b"one\n")
    assert sink.flush(5)
    (living,) = ring_reports(directory)
    assert (living.process_id, living.category, living.alive) == (os.getpid(), "error_logs", True)
    assert living.file == "error_logs/1970-01-01.jsonl"
    sink.close(5)
    assert [folder for folder in state_directories(directory) if folder.exists()] == []
    sink = SpoolSink(directory, clock=lambda: 7, ring_bytes=1 << 16)
    sink.write("error_logs", b"x" * 70_000 + b"\n")
    sink.close(5)
    (ended,) = ring_reports(directory)
    assert not ended.alive
    assert (ended.accepted, ended.written, ended.dropped) == (1, 0, {"oversize": 1})
    assert ended.since_us == 7


def test_without_a_memory_file_system_lines_are_written_and_counted(directory: Path) -> None:
    """The rings are in the heap; doctor can still read the counts, even afterwards."""
    events: list[dict[str, Any]] = []
    sink = SpoolSink(directory, memory=NO_MEMORY, notify=events.append)
    sink.write("error_logs", b"one\n")
    assert sink.flush(5)
    assert _until(lambda: ring_reports(directory, NO_MEMORY))
    (living,) = ring_reports(directory, NO_MEMORY)
    assert living.alive
    sink.close(5)
    assert sink.stats().degraded == {"error_logs": 1}
    assert sink.stats().written == {"error_logs": 1}
    (ended,) = ring_reports(directory, NO_MEMORY)
    assert (ended.alive, ended.written, ended.degraded) == (False, 1, 1)
    (event,) = (one for one in events if one["state"] == "began")
    assert event["condition"] == "degraded"
    assert "not a memory file system" in event["detail"]


def test_lines_in_the_heap_that_cannot_be_written_are_dropped_at_the_end(directory: Path) -> None:
    """They cannot be recovered, so they are counted as dropped."""
    directory.mkdir()
    directory.joinpath("error_logs").write_text("in the way")
    sink = SpoolSink(directory, memory=NO_MEMORY, warn=lambda _: None)
    sink.write("error_logs", b"gone\n")
    sink.close(0.2)
    stats = sink.stats()
    assert stats.dropped == {"error_logs": {"io_error": 1}}
    assert stats.in_ring == {}
    (account,) = ring_reports(directory, NO_MEMORY)
    assert account.dropped == {"io_error": 1}


def test_a_ring_whose_file_was_removed_gets_a_new_one(directory: Path) -> None:
    """If /dev/shm is cleaned, logging continues, and lines soon survive a kill again."""
    sink = SpoolSink(directory, recover_seconds=0.05)
    sink.write("error_logs", b"one\n")
    assert sink.flush(5)
    spool, _ = state_directories(directory)
    for path in spool.iterdir():
        path.unlink()
    assert _until(lambda: len(list(spool.glob("*.ring"))) == len(CATEGORIES))
    sink.write("error_logs", b"two\n")
    assert sink.flush(5)
    assert [one.written for one in ring_reports(directory)] == [2]
    sink.close(5)


def test_fsync_is_awaited_by_flush(directory: Path) -> None:
    """With durability fsync, flush returns after the files were synced, not just written."""
    sink = SpoolSink(directory, durability="fsync")
    sink.write("error_logs", b"one\n")
    assert sink.flush(5)
    sink.close(5)
    (file,) = (directory / "error_logs").iterdir()
    assert file.read_bytes() == b"one\n"
    with pytest.raises(ValueError, match="process, fsync"):
        SpoolSink(directory, durability="fsinc")


def test_ring_sizes_by_category(directory: Path) -> None:
    """Some are set, the others have the default; sizes are rounded up to whole pages."""
    sink = SpoolSink(directory, ring_bytes={"error_logs": 5_000})
    spool, _ = state_directories(directory)
    sizes = {path.name.partition(".")[0]: path.stat().st_size for path in spool.glob("*.ring")}
    sink.close(5)
    assert sizes["error_logs"] == 4096 + 8192
    assert sizes["sync_operations"] == 4096 + (1 << 20)


def test_a_category_that_does_not_exist(directory: Path) -> None:
    """It is a programming error, and raises."""
    sink = SpoolSink(directory)
    with pytest.raises(ValueError, match="error_logs"):
        sink.write("no_such_category", b"x\n")
    sink.close(5)


def test_whoever_is_told_of_the_health_may_log_and_may_fail(directory: Path) -> None:
    """The callback runs in the drain, outside its locks; its exceptions have no effect."""
    told: list[str] = []

    def notify(event: dict[str, Any]) -> None:
        told.append(event["condition"])
        assert sink.write("monitoring_data", b"health\n")
        raise RuntimeError("on purpose")

    sink = SpoolSink(directory, ring_bytes=1 << 12, overflow_bytes=200_000, notify=notify)
    for _ in range(3):
        for _ in range(20):
            sink.write("error_logs", b"x" * 3000 + b"\n")
        assert sink.flush(5)
    assert _until(lambda: told)
    assert sink.flush(5)
    sink.close(5)
    assert sink.stats().written["error_logs"] == 60
    assert sink.stats().written["monitoring_data"] >= 1


WINDOWS = """
import sys, types
from pathlib import Path
import leadlog.core.layout  # what is imported before sees the real platform
import leadlog.recording.sinks.contract, leadlog.recording.sinks.console
import multiprocessing, subprocess, tempfile, threading, hashlib, secrets, mmap
sys.modules["fcntl"] = None
sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, locking=lambda *_: None)
sys.platform = "win32"
for name in [name for name in sys.modules if name.startswith("leadlog.recording.sinks")]:
    del sys.modules[name]
from leadlog.recording.sinks.spool import SpoolSink
sink = SpoolSink(Path(sys.argv[1]), clock=lambda: 0)
sink.write("error_logs", b"one\\n")
assert sink.flush(5)
assert sink.stats().degraded == {"error_logs": 1}
sink.close(5)
"""


def test_it_imports_and_logs_where_there_is_no_fcntl(directory: Path) -> None:
    """As on Windows, rings are in the heap, and files are plain."""
    path = os.pathsep.join(path for path in sys.path if path)
    subprocess.run(
        [sys.executable, "-c", WINDOWS, directory],
        check=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (directory / "error_logs" / "1970-01-01.jsonl").read_bytes() == b"one\n"
