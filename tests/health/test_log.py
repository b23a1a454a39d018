"""Checks of the log itself."""

from __future__ import annotations

import leadlog
from leadlog.core.clock import now_us
from leadlog.monitor.health import check


def look(context, at=None):
    return check(["log"], context=context(clock=now_us if at is None else lambda: at))


def test_dropped_events_are_a_finding(tmp_path, context):
    """Lines lost for lack of space are counted by cause."""
    in_the_way = tmp_path / "database_logs" / "error_logs"
    in_the_way.parent.mkdir()
    in_the_way.write_text("")
    leadlog.configure(ring_bytes=65536, overflow_bytes=0)
    for _ in range(100):
        leadlog.get_logger().error("lost", text="x" * 2000)
    assert not leadlog.flush(0.2)
    lost = leadlog.stats().dropped["error_logs"]["ring_full"]
    found = look(context)["log_dropped"]
    assert (found.state, found.value) == ("warning", lost)
    assert "ring_full" in found.message
    in_the_way.unlink()
    assert leadlog.flush(10)


def test_events_that_wait_for_their_file_age(tmp_path, context):
    """The age of a living process's waiting events is that of its first line."""
    in_the_way = tmp_path / "database_logs" / "error_logs"
    in_the_way.parent.mkdir()
    in_the_way.write_text("")
    leadlog.configure()
    leadlog.get_logger().error("stuck")
    began = now_us()
    assert not leadlog.flush(0.2)
    found = look(context, at=began + 20_000_000)["log_lag"]
    assert found.state == "warning"
    assert 20 <= found.value < 21
    assert look(context, at=began + 200_000_000)["log_lag"].state == "critical"
    in_the_way.unlink()
    assert leadlog.flush(10)
    assert look(context, at=began + 200_000_000)["log_lag"].value == 0


def test_a_clock_that_went_back_is_told(context):
    """An event with a future timestamp shows a wrong clock."""
    leadlog.configure()
    leadlog.get_logger().info("here")
    leadlog.flush()
    assert look(context)["log_clock"].state == "ok"
    found = look(context, at=now_us() - 60_000_000)["log_clock"]
    assert found.state == "warning"
    assert 50 < found.value < 61


def test_a_file_in_place_of_the_directory_is_critical(tmp_path, context):
    """A file in place of the directory prevents all logging."""
    (tmp_path / "database_logs").write_text("")
    health = look(context)
    assert health["log_writable"].state == "critical"
    assert "LEADLOG_DIRECTORY" in health["log_writable"].remedy


def test_little_room_is_told(context, monkeypatch):
    """The limit is a setting; a tenth of it is critical."""
    monkeypatch.setenv("LEADLOG_HEALTH_DISK_MB", "1e12")
    found = look(context)["log_disk"]
    assert (found.state, found.unit) == ("critical", "MB")
    assert "MB are free" in found.message
