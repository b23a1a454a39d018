"""The cost of a report once the index exists."""

import time
from pathlib import Path

import pytest

from leadlog.core.settings import load
from leadlog.dashboard.model import Log, window
from leadlog.dashboard.report import page, report_of
from tests.bench.made_events import write

pytestmark = pytest.mark.handmade_lines

SECONDS = 1.0
BYTES = 500_000


def test_a_report_is_made_within_a_second(tmp_path: Path) -> None:
    """A report of 100,000 events in a week is made within a second, and its file is small."""
    root = tmp_path / "database_logs"
    for day in range(23, 30):
        write(root, f"2026-11-{day}", 14_300)
    with Log(root) as log:
        log.catch_up()
    took, worked, size = [], [], 0
    for _ in range(3):
        began, before = time.perf_counter(), time.process_time()
        period = window("2026-11-23", "2026-11-30")
        found = report_of(root, period, load().settings, command="leadlog report", version="0")
        size = len(page(found).encode())
        took.append(time.perf_counter() - began)
        worked.append(time.process_time() - before)
    print(
        f"\n{found.events:,} events: {min(took):.2f} s, of which {min(worked):.2f} s of processor, "
        f"{size / 1000:.0f} kB"
    )
    assert min(took) < SECONDS
    assert size < BYTES
