"""The log as iterators and data frames, from the package's public functions."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import leadlog.reading
from leadlog.core.errors import MissingExtraError
from leadlog.reading import Limits, frame, iter_events, run_query
from leadlog.reading.where import parse

Append = Callable[..., Path]
Make = Callable[..., dict[str, Any]]

DAY = 1_795_392_000_000_000  # 2026-11-23


@pytest.fixture
def root(append: Append, event: Make, tmp_path: Path) -> Path:
    """Three operations of one day and an error of the next."""
    for at in (1, 2, 3):
        details = {"operation_type": "add_lead", "execution_time_ms": float(at)}
        record = event(DAY + at, event_id=f"e{at}", operation_details=details)
        append("database_operations/2026-11-23.jsonl", record)
    late = event(DAY + 86_400_000_000, event_id="e4")
    append("error_logs/2026-11-24.jsonl", late, b"torn\n")
    return tmp_path / "log"


def ids(**options: Any) -> list[str]:
    """Return the ids of the iterator's events."""
    return [event["event_id"] for event in iter_events(**options)]


def test_events_come_in_order_and_may_be_chosen(root: Path) -> None:
    """Events are selected by category, by time, and by a condition."""
    assert ids(directory=root) == ["e1", "e2", "e3", "e4"]
    assert ids(directory=root, categories=["error_logs"]) == ["e4"]
    since, until = "2026-11-23T00:00:00.000002Z", "2026-11-24T00:00:00.000000Z"
    assert ids(directory=root, since=since, until=until) == ["e2", "e3"]
    assert ids(directory=root, where=parse("operation_details.execution_time_ms<2")) == ["e1"]


def test_a_table_is_an_arrow_table(root: Path) -> None:
    """It has the requested columns in their order, without damaged lines."""
    found = frame(root, "operations", ["execution_time_ms", "event_id"])
    assert found.column_names == ["execution_time_ms", "event_id"]
    assert sorted(found["event_id"].to_pylist()) == ["e1", "e2", "e3"]
    assert frame(root, "errors", ["event_id"]).num_rows == 1
    assert frame(root, "events", since="2026-11-24T00:00:00.000000Z").num_rows == 1


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_a_table_is_a_data_frame_of_what_is_installed(root: Path, kind: Any) -> None:
    """A missing package is named in a clear error."""
    if importlib.util.find_spec(kind) is None:
        with pytest.raises(MissingExtraError, match=kind):
            frame(root, "operations", kind=kind)
    else:
        assert len(frame(root, "operations", kind=kind)) == 3


def test_an_unknown_table_or_column_is_named(root: Path) -> None:
    """The error lists the existing ones."""
    with pytest.raises(ValueError, match="no table 'leads'; there are database_operations"):
        frame(root, "leads")
    with pytest.raises(ValueError, match=r"no column ms in operations; there are date, timestamp"):
        frame(root, "operations", ["ms"])


def test_what_the_package_exports_is_there(root: Path) -> None:
    """Every name of `__all__` exists, and no other."""
    for name in leadlog.reading.__all__:
        assert getattr(leadlog.reading, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        leadlog.reading.nothing  # noqa: B018 - the access is the test
    with run_query(root, "SELECT 1 AS n", limits=Limits(threads=1)) as rows:
        assert rows.reader.read_all().to_pylist() == [{"n": 1}]
