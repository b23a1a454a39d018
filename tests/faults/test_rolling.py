"""Days, clocks and segments change under load; every line is in one file, whole, in order."""

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from leadlog.core.layout import log_files
from leadlog.recording.sinks.spool import SpoolSink

SOAK = bool(os.environ.get("SOAK"))
DAY_US = 86_400_000_000

pytestmark = pytest.mark.handmade_lines


def test_four_processes_with_four_threads_over_a_day_and_many_segments(
    log: Any, tmp_path: Path
) -> None:
    """Each process writes files of its own slot; the day changes; files stay below their limit."""
    lines = 5_000 if SOAK else 500
    clock = tmp_path / "clock"
    _set(clock, 10 * DAY_US)
    workers = [log.start("rolling", log.notes, f"p{number}", lines, clock) for number in range(4)]
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    taken = {"": 0}
    while sum(taken.values()) < 16 * lines:
        time.sleep(0.05)
        taken = log.acknowledged() if log.notes.exists() else taken
        if sum(taken.values()) > 8 * lines:
            _set(clock, 11 * DAY_US)
    for worker in workers:
        worker.communicate(timeout=30)
    assert [worker.returncode for worker in workers] == [0] * 4
    taken = log.balanced()
    assert taken == {f"p{process}-{thread}": lines for process in range(4) for thread in range(4)}
    files = log_files(log.path)
    assert {file.date for file in files} == {"1970-01-11", "1970-01-12"}
    assert {file.writer for file in files} == {0, 1, 2, 3}
    assert max(file.segment for file in files) > 2
    assert all(file.path.stat().st_size <= 40_000 for file in files)
    # Over all files of a writer, in the order of their names, the numbers ascend.
    assert all(numbers == sorted(numbers) for numbers in log.found().numbers.values())


def _set(clock: Path, now_us: int) -> None:
    temporary = clock.with_suffix(".new")
    temporary.write_text(str(now_us))
    temporary.replace(clock)


def test_a_clock_that_is_set_back(log: Any) -> None:
    """Lines of an earlier day continue that day's files."""
    now = [10 * DAY_US]
    sink = SpoolSink(log.path, clock=lambda: now[0])
    for number, day in enumerate([10, 11, 10, 9, 11]):
        now[0] = day * DAY_US
        sink.write("error_logs", b"%d\n" % number)
        assert sink.flush(5)
    sink.close(2)
    folder = log.path / "error_logs"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "1970-01-10.jsonl": b"3\n",
        "1970-01-11.jsonl": b"0\n2\n",
        "1970-01-12.jsonl": b"1\n4\n",
    }


def test_a_segment_limit_below_one_batch_and_below_one_line(log: Any) -> None:
    """No line is split: a segment holds whole lines, and a longer line gets its own segment."""
    sink = SpoolSink(log.path, segment_bytes=100, clock=lambda: 0)
    lines = [b"x" * (number * 7 % 160) + b"\n" for number in range(200)]
    for line in lines:
        sink.write("error_logs", line)
    sink.close(5)
    files = log_files(log.path, ["error_logs"])
    assert [file.segment for file in files] == list(range(len(files)))
    contents = [file.path.read_bytes() for file in files]
    assert b"".join(contents) == b"".join(lines)
    assert all(len(content) <= 100 or content.count(b"\n") == 1 for content in contents)
    assert all(content.endswith(b"\n") for content in contents)
    assert Counter(sink.stats().written) == {"error_logs": 200}
