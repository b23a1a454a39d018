"""Descriptors that an application closes or reuses, and standard streams that are closed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.handmade_lines

CLOSING = """
import os, sys, time
from pathlib import Path
import leadlog
from leadlog.recording.sinks.recover import recover
from leadlog.recording.sinks.report import ring_reports

directory = Path(sys.argv[1])
leadlog.configure(directory=directory, poll_seconds=0.01)
log = leadlog.get_logger()
for number in range(50):
    log.info("line", number=number)
assert leadlog.flush(30)
os.closerange(3, 512)  # as a daemon does
own = [os.open(f"own-{number}", os.O_RDWR | os.O_CREAT) for number in range(60)]
for number in range(50, 100):
    log.info("line", number=number)
assert leadlog.flush(30)
time.sleep(0.1)
assert all(one.alive for one in ring_reports(directory))
assert recover(directory).rings == 0
for fd in own:
    os.write(fd, b"own")
    assert os.fstat(fd).st_size == 3
leadlog.shutdown()
for fd in own:
    os.close(fd)  # nobody else did
"""

CLOSED = """
import os, sys
for stream in range(3):
    os.close(stream)
import leadlog
leadlog.configure(directory=sys.argv[1])
for number in range(100):
    leadlog.get_logger().info("line", number=number)
for stream in range(3):
    try:
        os.write(stream, b"noise")
    except OSError:
        pass
leadlog.flush()
for fd in range(3):
    try:
        name = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        continue
    if "leadlog" in name or "logs" in name:
        os._exit(1)
os._exit(0)
"""


def _numbers(directory: Path) -> list[Any]:
    lines = [
        line for path in directory.glob("*/*.jsonl") for line in path.read_bytes().splitlines()
    ]
    records = [json.loads(line) for line in lines]
    return [
        record["monitoring_info"]["data_points"]["number"]
        for record in records
        if record["event_name"] == "line"
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="needs memory that survives")
@pytest.mark.parametrize("program", [CLOSING, CLOSED])
def test_a_descriptor_that_was_closed_tears_nothing(tmp_path: Path, program: str) -> None:
    """The drain reopens its files, and does not touch the application's descriptors."""
    directory = tmp_path / "logs"
    done = subprocess.run(
        [sys.executable, "-c", program, directory],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert _numbers(directory) == list(range(100))
