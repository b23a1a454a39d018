"""The cost of monitoring: samples, counters, and checks whose cost does not grow with the log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psutil
import pytest

from leadlog.core.clock import format_us
from leadlog.monitor.health import default_context, operations
from leadlog.monitor.health.counting import EventCounts
from leadlog.recording.resources import disk_bytes, take_sample
from tests.bench.compare import compare

pytestmark = pytest.mark.handmade_lines

NOW = 1_795_428_000_000_000  # 2026-11-23T10:00:00Z
DAY = 86_400_000_000


def seconds(call: Callable[[], object], times: int) -> float:
    """Return the median time of a call, seconds."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return median(took)


def test_sampling_takes_less_than_a_thousandth_of_the_time():
    """The process is sampled once a second, which takes some tens of microseconds."""
    took = seconds(take_sample, 500)
    print(f"sample: {took * 1e6:.0f} us a second")
    assert took < 1e-3


def test_the_counters_of_a_run_cost_less_than_psutil_s():
    """The counters, which each measured run reads twice, cost less than psutil's."""
    if disk_bytes() is None:
        pytest.skip("this system does not tell bytes on disk by process")
    ours = seconds(disk_bytes, 2000)
    theirs = seconds(psutil.Process().io_counters, 2000)
    print(f"disk counters: {ours * 1e6:.1f} us, psutil {theirs * 1e6:.1f} us")
    assert ours < theirs / 2


def event(number: int) -> dict[str, object]:
    """Return an operation of about the size of real ones."""
    return {
        "log_type": "database_operation",
        "operation_details": {
            "operation_type": ("add_lead", "get_lead")[number % 2],
            "success": number % 100 > 0,
            "execution_time_ms": 5.0 + number % 7,
        },
        "training_labels": {"data_quality_score": 0.8, "data_quality": "high"},
        "padding": "x" * 600,
    }


def write(directory: Path, each_day: int) -> None:
    """Write a week of operations."""
    folder = directory / "database_operations"
    folder.mkdir(parents=True)
    for day in range(8):
        start = NOW - NOW % DAY - (7 - day) * DAY
        step = DAY // 3 // each_day
        with (folder / f"{format_us(start)[:10]}.jsonl").open("w") as stream:
            for number in range(each_day):
                line = {"timestamp": format_us(start + number * step), **event(number)}
                stream.write(json.dumps(line) + "\n")


def test_checks_of_a_log_ten_times_as_large_take_no_longer(tmp_path):
    """Checks read the ends of files and 40 other places, so their time does not grow."""
    contexts = {}
    for each_day in (3_000, 30_000):
        write(tmp_path / str(each_day), each_day)
        contexts[each_day] = default_context(directory=tmp_path / str(each_day), clock=lambda: NOW)
    found = compare(
        {
            f"{each_day} a day": lambda context=context: list(operations.probe(context))
            for each_day, context in contexts.items()
        },
        calls=1,
        rounds=8,
    )
    print(found.table(), found.cpu_us)
    assert found.cpu_us["30000 a day"] < 1.5 * found.cpu_us["3000 a day"]


def test_counting_an_event_takes_less_than_decoding_it():
    """Counting an event for Prometheus costs less than decoding its line."""
    counts = EventCounts()
    events = [event(number) for number in range(1000)]
    lines = [json.dumps(one) for one in events]
    counting = seconds(lambda: [counts.add(one) for one in events], 50)
    decoding = seconds(lambda: [json.loads(line) for line in lines], 50)
    print(f"counting: {counting * 1e3:.2f} us an event, json.loads {decoding * 1e3:.2f} us")
    assert counting < decoding
