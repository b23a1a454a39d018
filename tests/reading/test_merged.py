"""All writers' files as one stream."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from leadlog.reading.events import Skipped
from leadlog.reading.merged import read_merged


def test_writers_segments_and_days_come_in_the_order_of_time(
    tmp_path: Path, append: Callable[..., Path], event: Callable[..., dict[str, Any]]
) -> None:
    """The order is independent of file names, and damaged lines are counted."""
    append("database_operations/2026-11-23.jsonl", event(1), b"torn\n", event(4))
    append("database_operations/2026-11-23.1.jsonl", event(6))
    append("database_operations/2026-11-23.w1.jsonl", event(2), event(5))
    append("database_operations/2026-11-24.jsonl", event(7))
    append("monitoring_data/2026-11-23.jsonl", event(3))
    append("error_logs/2026-11-23.jsonl", event(1))
    skipped = Skipped()
    categories = ("database_operations", "monitoring_data")
    found = list(read_merged(tmp_path / "log", categories, skipped=skipped))
    assert [one.timestamp[-3:-1] for one in found] == ["01", "02", "03", "04", "05", "06", "07"]
    assert skipped.lines == 1
    days = list(read_merged(tmp_path / "log", categories, since="2026-11-24"))
    assert len(days) == 1
    assert len(list(read_merged(tmp_path / "log", categories, until="2026-11-23"))) == 6


def test_a_directory_without_files_has_no_events(tmp_path: Path) -> None:
    """Nothing is read, and nothing raised."""
    assert list(read_merged(tmp_path)) == []
