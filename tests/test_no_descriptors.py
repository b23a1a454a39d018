"""A process without a free descriptor: what cannot be measured is null, the record is there."""

import subprocess
import sys
from pathlib import Path

import orjson

PROGRAM = """
import os, resource, sys
import leadlog
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
leadlog.configure(directory=sys.argv[1])
leadlog.get_logger().info("warm")

@leadlog.monitor_performance("work")
def work():
    return 7

held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
assert work() == 7
for number in held:
    os.close(number)
assert work() == 7
assert leadlog.flush()
"""


def test_records_are_written_without_descriptors(tmp_path: Path) -> None:
    """Records are written; figures that need a descriptor are null until one is free again."""
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], check=True, timeout=60)
    (file,) = (tmp_path / "performance_metrics").glob("*.jsonl")
    first, second = (orjson.loads(line) for line in file.read_bytes().splitlines())
    known, later = first["performance_data"], second["performance_data"]
    assert known["disk_io_mb"] is None
    # Only the last sample is known, if there is one, and its age shows that.
    assert (known["memory_usage_mb"] is None) == (known["sample_age_ms"] is None)
    assert later["memory_usage_mb"] > 0
    assert later["sample_age_ms"] is None
