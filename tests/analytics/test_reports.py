"""The built-in queries over a small, hand-written log, and the reports made from them."""

import datetime as dt
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from leadlog.core.clock import format_us
from leadlog.core.errors import ReadError
from leadlog.reading.analytics.engine import DuckDBEngine
from leadlog.reading.analytics.marks import Mark, marks_path, read_marks, set_mark, state_of
from leadlog.reading.analytics.queries import BUILT_IN
from leadlog.reading.analytics.reports import batches_report, error_report, slow_report
from leadlog.reading.analytics.sections import sections
from leadlog.reading.analytics.summary import count_days
from leadlog.reading.lookup import records_of_session

DAY = 1_795_392_000_000_000  # 2026-11-23

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Append an event of a category, `at` seconds after the beginning of 2026-11-23."""
    count = iter(range(10_000))

    def append(category: str, at: float, session: str = "aaaaaaaa", **sections: Any) -> None:
        us = DAY + round(at * 1e6)
        date = format_us(us)[:10]
        path = tmp_path / "log" / category / f"{date}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        event = {
            "timestamp": format_us(us),
            "event_id": f"{us:x}{next(count):06d}",
            "session_id": session,
            "log_type": category,
            **sections,
        }
        with path.open("a") as stream:
            stream.write(json.dumps(event) + "\n")

    return append


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DuckDBEngine]:
    """Yield DuckDB over the log."""
    with DuckDBEngine(tmp_path / "log") as opened:
        yield opened


def error(fingerprint: str | None, message: str = "bang") -> dict[str, Any]:
    """Return the section of an error."""
    return {
        "error_details": {
            "fingerprint": fingerprint,
            "error_type": "database_error",
            "error_message": message,
        }
    }


def operation(ms: float, kind: str = "get_lead", **more: Any) -> dict[str, Any]:
    """Return the sections of an operation."""
    details = {"operation_type": kind, "execution_time_ms": ms, "success": True, "entity": "Lead"}
    return {"operation_details": {**details, **more}}


def test_errors_are_grouped_by_fingerprint(
    write: Write, engine: DuckDBEngine, tmp_path: Path
) -> None:
    """The latest group is first, with its last message; without a fingerprint the type is used."""
    write("error_logs", 1, **error("f1", "first"))
    write("error_logs", 3, "bbbbbbbb", **error("f1", "last"))
    write("error_logs", 2, **error("f1", "middle"))
    write("error_logs", 1, **error(None))
    found = error_report(engine, tmp_path / "log")
    assert [
        (one["fingerprint"], one["events"], one["sessions"], one["error_message"], one["state"])
        for one in found
    ] == [("f1", 3, 2, "last", "open"), ("database_error", 1, 1, "bang", "open")]
    assert found[0]["first_seen"] == "2026-11-23T00:00:01.000000Z"
    assert found[0]["last_seen"] == "2026-11-23T00:00:03.000000Z"
    assert found[0]["last_session_id"] == "bbbbbbbb"


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (
            {"operation_in_progress": "Deal.update", "called_from": "app.py:42 in save"},
            ("Deal.update", "app.py:42 in save"),
        ),
        ({"operation_in_progress": None}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_an_error_names_the_operation_that_failed_and_its_caller(
    write: Write,
    engine: DuckDBEngine,
    tmp_path: Path,
    context: dict[str, Any],
    expected: tuple[str | None, str | None],
) -> None:
    """The operation and caller are those of the last occurrence; null if it names none."""
    write("error_logs", 1, context={"operation_in_progress": "Contact.create"}, **error("f1"))
    write("error_logs", 2, context=context, **error("f1"))
    (found,) = error_report(engine, tmp_path / "log")
    assert (found["operation"], found["called_from"]) == expected


def test_what_sampling_kept_stands_for_all(
    write: Write, engine: DuckDBEngine, tmp_path: Path
) -> None:
    """Counts, times and percentiles are weighted as in the summary, to the same whole number."""
    kind = {"log_type": "database_operation"}
    for number in range(10):
        rate = (0.3, 0.4, 1.0)[number % 3]
        write("error_logs", number, sample_rate=rate, log_type="error_log", **error("f1"))
        write("database_operations", number, sample_rate=rate, **kind, **operation(10.0 * number))
    write("database_operations", 20, **kind, **operation(5000.0, success=False))
    (found,) = error_report(engine, tmp_path / "log")
    shown = slow_report(engine)
    (one,) = shown["operations"]
    summary = count_days(tmp_path / "log", "2026-11-23", engine="python")
    said = sections(summary.tally)
    expected = said["operation_summary"]["operations"]["get_lead"]
    assert found["events"] == said["error_summary"]["total_errors"] == 24
    assert (one["n"], one["failed"]) == (expected["total"], expected["failed"]) == (25, 1)
    assert one["mean_ms"] == expected["average_ms"]
    assert one["p50_ms"] == pytest.approx(expected["p50_bucket_ms"], rel=1e-4)
    assert shown["shapes"][0]["n"] == 25


def test_a_mark_holds_until_the_error_comes_again(
    write: Write, engine: DuckDBEngine, tmp_path: Path
) -> None:
    """A resolved error that occurs again is reopened; other marks and errors are unchanged."""
    root = tmp_path / "log"
    write("error_logs", 1, **error("f1"))
    write("error_logs", 1, **error("f2"))
    set_mark(root, "f1", Mark("resolved", format_us(DAY + 2_000_000)))
    set_mark(root, "f2", Mark("ignored", format_us(DAY), days=1))
    states = {one["fingerprint"]: one["state"] for one in error_report(engine, root)}
    assert states == {"f1": "resolved", "f2": "ignored"}
    write("error_logs", 3, **error("f1"))
    states = {one["fingerprint"]: one["state"] for one in error_report(engine, root)}
    assert states == {"f1": "reopened", "f2": "ignored"}
    write("error_logs", 86_401, **error("f2"))
    set_mark(root, "f1", None)
    states = {one["fingerprint"]: one["state"] for one in error_report(engine, root)}
    assert states == {"f1": "open", "f2": "reopened"}
    assert set(read_marks(root)) == {"f2"}
    assert [path.name for path in root.iterdir() if path.is_file()] == ["error-marks.json"]


def test_marks_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    """Unreadable marks are an error; they are neither ignored nor overwritten."""
    marks_path(tmp_path).write_text('{"f1": 7}')
    with pytest.raises(ReadError, match="remove it to start over"):
        read_marks(tmp_path)
    with pytest.raises(ReadError, match="remove it to start over"):
        set_mark(tmp_path, "f2", Mark("resolved", format_us(0)))
    assert state_of(None, dt.datetime(2026, 1, 1)) == "open"


def test_slow_operations_come_by_total_time(write: Write, engine: DuckDBEngine) -> None:
    """Counts and sums are exact, percentiles within 1 % of the value at their rank."""
    durations = [float(n) for n in range(1, 101)]
    for at, ms in enumerate(durations):
        write("database_operations", at, **operation(ms, fields_processed=["a"]))
    write("database_operations", 5, **operation(10_000.0, "search_leads", success=False))
    write("database_operations", 6, **operation(0.0, "noop", success=None))
    write(
        "performance_metrics",
        7,
        operation_info={"operation_name": "import", "total_duration_ms": 60.5, "success": True},
        performance_data={"database_queries": 41},
    )
    report = slow_report(engine)
    names = [one["operation"] for one in report["operations"]]
    assert names == ["search_leads", "get_lead", "import", "noop"]
    get = report["operations"][1]
    assert (get["n"], get["total_ms"], get["mean_ms"], get["max_ms"]) == (100, 5050, 50.5, 100)
    assert math.isclose(get["p50_ms"], 50, rel_tol=0.0101)
    assert math.isclose(get["p95_ms"], 95, rel_tol=0.0101)
    assert report["operations"][0]["failed"] == 1
    assert report["operations"][3]["failed"] == 0, "nobody knows how it ended"
    assert report["operations"][3]["p95_ms"] == 0
    (hint,) = report["hints"]
    assert hint["hint"].startswith("import sends 41 statements per run")


def test_the_same_call_again_and_again_in_one_transaction_is_a_hint(
    write: Write, engine: DuckDBEngine
) -> None:
    """Ten single-row reads in one transaction are a hint; nine, or ten transactions, are not."""
    for number in range(10):
        once = {"records_affected": 1}
        write("database_operations", 1, **operation(2, transaction_id="t1", **once))
        write("database_operations", 2, **operation(2, "a", transaction_id=f"s{number}", **once))
        many = {"transaction_id": "t1", "records_affected": 2}
        write("database_operations", 3, **operation(2, "b", **many))
        if number:
            write("database_operations", 3, **operation(2, "c", transaction_id="t1", **once))
    (hint,) = slow_report(engine)["hints"]
    assert (hint["kind"], hint["operation"], hint["calls"]) == ("repeated", "get_lead", 10)
    assert hint["hint"] == (
        "get_lead Lead ran for one row at a time, up to 10 times in one transaction "
        "(1 such transaction); fetch or write them together"
    )


def test_lazy_loads_are_a_hint(write: Write, engine: DuckDBEngine) -> None:
    """Ten lazy loads of a class are a hint; nine, or ten statements of another read, are not."""
    for entity, queries, load in (("Contact", 12, "lazy"), ("Deal", 9, "lazy"), ("Note", 12, None)):
        event = operation(2, "read", entity=entity, **({} if load is None else {"load": load}))
        event["performance_metrics"] = {"database_queries": queries}
        write("database_operations", 1, **event)
    (hint,) = (one for one in slow_report(engine)["hints"] if one["kind"] == "lazy_loads")
    assert (hint["entity"], hint["calls"]) == ("Contact", 12)
    assert hint["hint"].startswith("Contact was lazily loaded up to 12 times in one transaction")


def test_the_best_batch_size_has_the_most_leads_per_second(
    write: Write, engine: DuckDBEngine
) -> None:
    """A size that ran once is not the best when others ran three times."""
    assert batches_report(engine) == {"sizes": [], "best": None}
    for size, runs, synced, ms in ((1, 3, 10, 5000.0), (10, 3, 100, 4000.0), (50, 1, 100, 1000.0)):
        for at in range(runs):
            write(
                "sync_operations",
                at,
                sync_details={"batch_size": size},
                sync_results={"leads_synced": synced, "execution_time_ms": ms, "success": True},
            )
    report = batches_report(engine)
    assert [(one["batch_size"], one["leads_per_second"]) for one in report["sizes"]] == [
        (1, 2.0),
        (10, 25.0),
        (50, 100.0),
    ]
    assert report["best"] == 10


def test_a_session_is_told_over_all_categories(write: Write, tmp_path: Path) -> None:
    """The records of a session are in time order over all categories; `context` is an object."""
    write("error_logs", 2, context={"user": "ana"}, **error("f1"))
    write("database_operations", 1, **operation(1))
    write("database_operations", 1.5, "bbbbbbbb", **operation(1))
    found = records_of_session(tmp_path / "log", "aaaaaaaa")
    assert [one["log_type"] for one in found] == ["database_operations", "error_logs"]
    assert found[1]["context"] == {"user": "ana"}
    assert found[0]["timestamp"] == "2026-11-23T00:00:01.000000Z"
    assert found[0]["operation_details"]["operation_type"] == "get_lead"


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_query_of_nothing_is_no_row(name: str, engine: DuckDBEngine) -> None:
    """Every query over an empty log returns no rows and no error."""
    assert engine.rows(BUILT_IN[name]) == []
