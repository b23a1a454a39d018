"""The cost of a summary of a day of a million events, from every form of the log."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from leadlog.core.layout import log_files
from tests.bench.made_events import write

DAY = "2026-11-01"
COUNT = int(os.environ.get("EVENTS", "1000000"))

# In a separate process, so that its memory is that of the summary; imports are not counted.
MEASURE = """
import json, resource, sys, time
import duckdb
from leadlog.reading.analytics import relational
from leadlog.reading.analytics.summary import count_days, summary_of
directory, day, engine, exact = sys.argv[1:]
began = time.perf_counter()
period = count_days(directory, day, exact=exact == "exact", engine=engine)
summary = summary_of(period)
seconds = time.perf_counter() - began
mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
total = summary["operation_summary"]["total_database_operations"]
events = sum(count for _, count in period.tally.counts())
print(json.dumps({"s": seconds, "mb": mb, "total": total, "events": events,
                  "buckets": bool(period.from_buckets)}))
"""


# In a separate process, too: a child's peak includes the memory of its parent.
SEAL = """
import sys
from leadlog.reading import archive
from leadlog.reading.archive import Policy
report = archive.run(sys.argv[1], Policy(0, parquet_after_days=7), today="2026-11-23")
assert not report.errors, report.errors
"""


def _run(script: str, *arguments: object) -> bytes:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout


def _measured(root: Path, engine: str, exact: str = "") -> dict:
    times = 1 if engine == "python" else 3
    runs = [json.loads(_run(MEASURE, root, DAY, engine, exact)) for _ in range(times)]
    return min(runs, key=lambda run: run["s"])


@pytest.mark.handmade_lines
@pytest.mark.timeout(1_500)
def test_a_day_is_summed_up_in_seconds_from_lines_and_at_once_when_sealed(
    tmp_path, record_property
):
    """A day takes 4 s from lines, 0.5 s from Parquet, 0.2 s from buckets, and 400 MB at most."""
    root = tmp_path / "database_logs"
    counts = write(root, DAY, COUNT)
    for file in log_files(root):
        os.utime(file.path, (1_793_534_400, 1_793_534_400))
    found = {"lines": _measured(root, "duckdb"), "python": _measured(root, "python")}
    _run(SEAL, root)
    stored = root / "archive" / "buckets" / f"{DAY}.json.zst"
    found["buckets"] = _measured(root, "auto")
    hidden = stored.rename(stored.with_name("hidden"))
    found["parquet"] = _measured(root, "auto")
    found["parquet, exact"] = _measured(root, "auto", "exact")
    hidden.rename(stored)
    for name, one in found.items():
        record_property(name, one)
        print(f"{name:<15} {one['s']:.3f} s  {one['mb']:.0f} MB")
    assert {one["events"] for one in found.values()} == {sum(counts.values())}
    assert len({one["total"] for one in found.values()}) == 1
    assert [one["buckets"] for one in found.values()] == [False, False, True, False, False]
    scale = COUNT / 1_000_000
    assert found["lines"]["s"] <= 4 * scale
    assert found["lines"]["s"] * 3 <= found["python"]["s"]
    assert found["parquet"]["s"] <= 0.5 * max(scale, 0.2)
    assert found["buckets"]["s"] <= 0.2
    assert max(one["mb"] for one in found.values()) <= 400
