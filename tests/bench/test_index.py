"""The time of indexing a million events, and of one row's history with and without the index."""

import json
import os
import resource
import shutil
import time
from pathlib import Path

import orjson
import pytest

from leadlog.core.layout import log_files
from leadlog.core.places import INDEX
from leadlog.reading.events import Skipped
from leadlog.reading.history import Histories, history, pushdown_for
from leadlog.reading.index import Index, events_of_row, updating
from leadlog.reading.merged import read_merged
from tests.bench.made_events import write

DAY = "2026-11-01"
COUNT = int(os.environ.get("EVENTS", "1000000"))
KEY = "lead-000017"


def _by_index(root: Path, index: Index) -> Histories:
    index.catch_up()
    pushdown = pushdown_for(KEY)
    events = events_of_row(root, index, KEY, pushdown=pushdown, skipped=Skipped())
    return history((event.data for event in events), KEY)


def _by_reading(root: Path) -> Histories:
    pushdown = pushdown_for(KEY)
    events = read_merged(root, tuple(pushdown), pushdown=pushdown)
    return history((event.data for event in events), KEY)


def _parsed(root: Path) -> int:
    """Parse every line, the lower bound of the work of indexing; return the number of lines."""
    count = 0
    for file in log_files(root):
        with file.path.open("rb") as stream:
            for line in stream:
                orjson.loads(line)
                count += 1
    return count


def _of_helpers() -> float:
    """Return the CPU seconds of this process's children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.handmade_lines
@pytest.mark.timeout(1_500)
def test_one_row_is_found_at_once_in_a_log_that_was_indexed_in_seconds(
    tmp_path, record_property, monkeypatch
):
    """Indexing takes 10 s per million events, then a row 0.2 s; the history is the same."""
    root = tmp_path / "database_logs"
    write(root, DAY, COUNT)
    found = {}

    def measured(name, work):
        began, cpu, helpers = time.perf_counter(), time.process_time(), _of_helpers()
        result = work()
        found[name] = {
            "s": round(time.perf_counter() - began, 4),
            "cpu_s": round(time.process_time() - cpu, 4),
            "cpu_s_of_helpers": round(_of_helpers() - helpers, 4),
        }
        return result

    measured("parsing alone", lambda: _parsed(root))
    with Index(root) as index, monkeypatch.context() as patched:
        patched.setattr(updating, "helpers_at_most", lambda: 0)
        measured("first indexing, alone", index.catch_up)
    shutil.rmtree(root / INDEX)
    with Index(root) as index:
        measured("first indexing", index.catch_up)
        told = measured("one row, cold", lambda: _by_index(root, index))
        assert measured("one row, warm", lambda: _by_index(root, index)) == told
    by_reading = measured("one row without it", lambda: _by_reading(root))
    assert told.rows == by_reading.rows
    found["index"] = {
        "bytes_per_event": round(
            sum(path.stat().st_size for path in (root / ".index").iterdir()) / COUNT, 1
        ),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }
    for name, one in found.items():
        record_property(name, json.dumps(one))
        print(f"{name:<20} {one}")
