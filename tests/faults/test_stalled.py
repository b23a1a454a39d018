"""With a stalled disk, callers do not notice, other threads run, and the counts are exact."""

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from leadlog.recording.sinks.spool import SpoolSink

SECONDS = 5 if os.environ.get("SOAK") else 3

pytestmark = pytest.mark.handmade_lines


def _image(path: Path) -> bool:
    """Create a file with a file system in it; return whether it can be mounted and frozen."""
    programs = ("mkfs.ext4", "fsfreeze", "unshare")
    if os.geteuid() != 0 or not all(map(shutil.which, programs)):
        return False
    with path.open("wb") as stream:
        stream.truncate(64 << 20)
    probe = 'mkfs.ext4 -q "$0" && mkdir "$0.d" && mount -o loop "$0" "$0.d" && umount "$0.d"'
    command = ["unshare", "-m", "sh", "-c", probe, path]
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0


def _check(told: dict[str, Any]) -> None:
    assert told["in_ring"] > 1_000
    assert told["flushed"] == [False, True]
    assert told["dropped"] == {}
    assert told["accepted"] == told["written"] == told["calls"]
    # Generous, since tests share the machine; tests/bench measures.
    assert told["p999_us"] < 20_000
    assert told["longest_gap_ms"] < 500


def test_a_pipe_that_nobody_reads(log: Any) -> None:
    """The drain's write hangs for seconds; callers and other threads continue."""
    _check(json.loads(log.run("stalled", log.notes, "fifo", SECONDS)))
    assert log.balanced()


def test_a_frozen_file_system(log: Any) -> None:
    """The kernel holds back every write to the disk; callers and other threads continue."""
    if not _image(log.path.with_name("image")):
        pytest.skip("no file system can be mounted and frozen here; the pipe stands in for it")
    process = log.start("stalled", log.notes, "freeze", SECONDS, prefix=["unshare", "-m"])
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    _check(json.loads(out))
    assert log.balanced(logged_to=log.disk)


def test_a_stall_that_outlasts_ring_and_overflow_drops_the_newest(log: Any) -> None:
    """Exactly the dropped lines are missing; they are reported and counted by cause."""
    goes_on = threading.Event()
    events: list[dict[str, Any]] = []
    warnings: list[str] = []

    def write(fd: int, data: bytes) -> int:
        goes_on.wait()
        return os.write(fd, data)

    sink = SpoolSink(
        log.path,
        ring_bytes={"error_logs": 1 << 16, "sync_operations": 1 << 16},
        overflow_bytes=1 << 18,
        write=write,
        notify=events.append,
        warn=warnings.append,
    )
    lines = [b"%06d %s\n" % (number, b"x" * 500) for number in range(1_000)]
    for line in lines:
        assert sink.write("error_logs", line)
    assert sink.write("sync_operations", b"not pushed out by the others\n")
    stats = sink.stats()
    dropped = stats.dropped["error_logs"]["ring_full"]
    assert stats.accepted["error_logs"] == 1_000
    assert stats.in_ring["error_logs"] == 1_000 - dropped
    assert 0 < dropped < 900
    goes_on.set()
    assert sink.flush(10)
    sink.close(2)
    written = (log.path / "error_logs").glob("*.jsonl")
    assert b"".join(path.read_bytes() for path in written) == b"".join(lines[: 1_000 - dropped])
    assert (log.path / "sync_operations").exists()
    (account,) = [one for one in log.reports() if one.category == "error_logs"]
    assert account.dropped == {"ring_full": dropped}
    assert account.written == 1_000 - dropped
    assert any(one["condition"] == "dropping" and one["lines"] == dropped for one in events)
    assert any(f"{dropped} events of error_logs were dropped" in text for text in warnings)
