"""The log reports when its own lines are lost or at risk, and when that ends."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import leadlog

Logged = Callable[..., list[dict[str, Any]]]


def told(logged: Logged) -> list[tuple[str, str, str]]:
    """Return condition, state and category of every health record."""
    found = [
        record["monitoring_info"]["data_points"]
        for record in logged("monitoring_data")
        if record["monitoring_info"]["monitoring_type"] == "log_health"
    ]
    return [(point["condition"], point["state"], point["category"]) for point in found]


def test_a_category_that_cannot_be_written_is_told_and_its_end_too(
    tmp_path: Path, logged: Logged
) -> None:
    """While error_logs cannot be written its lines wait; later all of them are in their file."""
    in_the_way = tmp_path / "database_logs" / "error_logs"
    in_the_way.parent.mkdir()
    in_the_way.write_text("")
    leadlog.configure()
    for number in range(20):
        leadlog.get_logger().error("stuck", number=number)
    assert not leadlog.flush(0.3)
    assert leadlog.stats().in_ring["error_logs"] == 20
    in_the_way.unlink()
    assert leadlog.flush(10)
    assert len(logged("error_logs")) == 20
    deadline = time.monotonic() + 10
    while ("failing", "ended", "error_logs") not in told(logged) and time.monotonic() < deadline:
        leadlog.flush()
    assert told(logged) == [("failing", "began", "error_logs"), ("failing", "ended", "error_logs")]
    assert leadlog.stats().dropped == {}


def test_dropped_lines_are_counted_by_cause_and_told(tmp_path: Path, logged: Logged) -> None:
    """Without room the newest lines are dropped; accepted = written + waiting + dropped."""
    in_the_way = tmp_path / "database_logs" / "error_logs"
    in_the_way.parent.mkdir()
    in_the_way.write_text("")
    leadlog.configure(ring_bytes=65536, overflow_bytes=0)
    for _ in range(200):
        leadlog.get_logger().error("lost", text="x" * 2000)
    assert not leadlog.flush(0.3)
    stats = leadlog.stats()
    lost = stats.dropped["error_logs"]["ring_full"]
    assert lost > 100
    written = stats.written.get("error_logs", 0)
    assert stats.accepted["error_logs"] == 200 == written + stats.in_ring["error_logs"] + lost
    in_the_way.unlink()
    assert leadlog.flush(10)
    assert len(logged("error_logs")) == 200 - lost
    assert ("dropping", "began", "error_logs") in told(logged)
