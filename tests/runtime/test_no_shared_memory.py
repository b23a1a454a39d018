"""Without shared memory, a process's loss is reported although it cannot be counted."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from leadlog.recording.sinks.report import ring_reports
from leadlog.recording.sinks.storage import state_directories

pytestmark = pytest.mark.handmade_lines

PROGRAM = """
import os, sys
from pathlib import Path
from leadlog.recording.sinks.spool import SpoolSink

sink = SpoolSink(Path(sys.argv[1]), memory=Path(sys.argv[2]), poll_seconds=5.0, recover_seconds=0.1)
for end in ("kill", "close"):
    child = os.fork()
    if not child:
        sink.write("error_logs", b"{}\\n")
        if end == "close":
            sink.close(30.0)
        os._exit(0)
    os.waitpid(child, 0)
    print(child, flush=True)
sink.close(30.0)
"""


def test_children_that_end_without_the_drain_are_told(tmp_path: Path) -> None:
    """A child that ends by os._exit is reported as such; one that closed has its counts."""
    directory, memory = tmp_path / "logs", tmp_path / "no-memory"
    memory.mkdir()  # a folder on a disk
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, directory, memory],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        killed, closed = map(int, done.stdout.split())
        rows = {
            one.process_id: (one.alive, one.uncounted, one.written)
            for one in ring_reports(directory, memory)
        }
        assert rows == {killed: (False, True, 0), closed: (False, False, 1)}
    finally:
        for folder in state_directories(directory, memory):
            shutil.rmtree(folder, ignore_errors=True)
