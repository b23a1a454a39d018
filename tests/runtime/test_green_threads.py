"""gevent and eventlet, patched at any moment: nothing blocks their loop, and nothing is lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("green.py")
MOMENTS = ["before the import", "after the import", "after configure", "in a forked worker"]


@pytest.mark.handmade_lines
@pytest.mark.parametrize(
    ("kind", "moment"),
    [
        *(("gevent", moment) for moment in MOMENTS),
        *(("eventlet", moment) for moment in MOMENTS[2:]),
    ],
)
def test_green_threads_log_and_go_on(tmp_path: Path, kind: str, moment: str) -> None:
    """Every line arrives once, other green threads run during a flush, and the process ends."""
    directory = tmp_path / "logs"
    options = ("-W", "ignore::DeprecationWarning")
    done = subprocess.run(
        [sys.executable, *options, PROGRAM, kind, moment, directory],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if kind == "gevent":  # eventlet warns about locks that it did not create
        (line,) = done.stderr.splitlines()
        assert line.startswith("leadlog: cannot write to ")
    turns, accepted, written = map(int, done.stdout.split())
    assert turns > 5
    assert accepted == written >= 8 * 150 + 8 * 3
    files = directory.glob("*/*.jsonl")
    records = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
    points = [r["monitoring_info"]["data_points"] for r in records if r["event_name"] == "line"]
    found = sorted((point["thread"], point["number"]) for point in points)
    assert found == [(thread, number) for thread in range(8) for number in range(150)]
    assert sum(record["event_name"] == "lead.add" for record in records) == 8 * 3
