"""The daily summary, compared with hand-written records."""

import json
import math
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.core.clock import parse
from leadlog.core.errors import LogDirectoryError
from leadlog.reading.analytics.summary import daily_summary, write_daily_summary

DAY = "2026-11-23"
CREATED = parse(f"{DAY}T12:00:00.000000Z")


def log(root, category, *events, name=f"{DAY}.jsonl"):
    """Append events, or raw bytes, to a category's file."""
    path = root / category / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        for event in events:
            stream.write(event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n")
    return path


def operation(kind="add_lead", ms=10.0, success=True, tier="excellent", quality=None, **more):
    """One database_operation."""
    return {
        "timestamp": f"{DAY}T10:00:00.000000Z",
        "log_type": "database_operation",
        "operation_details": {"operation_type": kind, "success": success, "execution_time_ms": ms},
        "performance_metrics": {"memory_usage_mb": 50.5},
        "training_labels": {"performance_tier": tier, "data_quality": quality},
        **more,
    }


def error(fingerprint, severity="medium", recoverable=False, at="10:00:00.000000"):
    """One error_log."""
    return {
        "timestamp": f"{DAY}T{at}Z",
        "log_type": "error_log",
        "error_details": {
            "error_type": "database_error",
            "error_message": f"message of {fingerprint}",
            "fingerprint": fingerprint,
            "severity": severity,
        },
        "training_labels": {"recoverable": recoverable},
    }


def measurement(ms, parent=None, calls=None, cpu=None, peak=None):
    """One performance_metrics record."""
    return {
        "timestamp": f"{DAY}T10:00:00.000000Z",
        "log_type": "performance_metrics",
        "event_id": f"id-{ms}",
        "operation_info": {
            "operation_name": "nightly",
            "operation_id": "op",
            "parent_operation_id": parent,
            "total_duration_ms": ms,
        },
        "performance_data": {
            "api_calls": calls,
            "cpu_usage_percent": cpu,
            "memory_usage_mb": None,
            "memory_peak_mb": peak,
        },
        "training_labels": {},
    }


def sync(success=True, synced=7, calls=2, conflicts=0, ms=2500.0):
    """One sync_operation."""
    return {
        "timestamp": f"{DAY}T10:00:00.000000Z",
        "log_type": "sync_operation",
        "sync_results": {
            "success": success,
            "leads_synced": synced,
            "leads_failed": None,
            "conflicts_resolved": conflicts,
            "execution_time_ms": ms,
        },
        "performance_metrics": {"api_calls_made": calls, "memory_peak_mb": 99.0},
        "training_labels": {},
    }


def test_a_day_without_anything_has_counts_of_zero_and_nulls(tmp_path):
    """Nothing counted is 0, nothing measured is null, and every key of the contract is there."""
    summary = daily_summary(tmp_path, DAY, session_id="abcd1234", created_us=CREATED)
    assert summary == {
        "summary_info": {
            "date": DAY,
            "created_at": f"{DAY}T12:00:00.000000Z",
            "session_id": "abcd1234",
            "events_read": 0,
            "lines_skipped": 0,
            "sampled_events": 0,
        },
        "operation_summary": {
            "total_database_operations": 0,
            "successful_operations": 0,
            "failed_operations": 0,
            "success_rate_percent": None,
            "average_operation_time_ms": None,
            "operations": {},
            "performance_tiers": {
                "excellent": 0,
                "good": 0,
                "acceptable": 0,
                "slow": 0,
                "very_slow": 0,
            },
            "data_quality": {"high": 0, "medium": 0, "low": 0, "invalid": 0},
        },
        "sync_summary": {
            "total_sync_operations": 0,
            "sync_success_rate": None,
            "average_sync_time_ms": None,
            "leads_synced": None,
            "leads_failed": None,
            "conflicts_resolved": None,
            "api_calls_made": None,
        },
        "migration_summary": {
            "total_migration_operations": 0,
            "migration_success_rate": None,
            "average_migration_time_ms": None,
            "records_migrated": None,
            "records_skipped": None,
            "records_failed": None,
            "duplicates_found": None,
        },
        "error_summary": {
            "total_errors": 0,
            "critical_errors": 0,
            "recoverable_errors": 0,
            "most_common_errors": [],
        },
        "performance_summary": {
            "peak_memory_usage_mb": None,
            "peak_cpu_usage_percent": None,
            "slowest_operation_ms": None,
            "slowest_operations": [],
            "total_api_calls": None,
        },
    }


def test_operations_are_added_up_by_type(tmp_path):
    """Counts, rates, means, percentiles, tiers and quality are computed from the records."""
    log(
        tmp_path,
        "database_operations",
        operation(ms=10.0, quality="high"),
        operation(ms=30.0, quality="low"),
        operation(ms=None, success=False, tier=None),
        operation("get_lead", ms=300.0, tier="good"),
        operation("get_lead", ms=4.0, success=None),
    )
    summary = daily_summary(tmp_path, DAY, created_us=CREATED)["operation_summary"]
    assert summary["total_database_operations"] == 5
    assert summary["successful_operations"] == 3
    assert summary["failed_operations"] == 1
    assert summary["success_rate_percent"] == 75.0
    assert summary["average_operation_time_ms"] == 86.0
    exact = {
        name: {key: one[key] for key in one if "bucket" not in key and key != "average_ms"}
        for name, one in summary["operations"].items()
    }
    assert exact == {
        "add_lead": {
            "total": 3,
            "failed": 1,
            "n": 2,
            "p50_ms": 10.0,
            "p95_ms": 30.0,
            "p99_ms": 30.0,
        },
        "get_lead": {
            "total": 2,
            "failed": 0,
            "n": 2,
            "p50_ms": 4.0,
            "p95_ms": 300.0,
            "p99_ms": 300.0,
        },
    }
    assert summary["performance_tiers"]["excellent"] == 3
    assert summary["data_quality"] == {"high": 1, "medium": 0, "low": 1, "invalid": 0}


def test_an_unmeasured_duration_is_no_duration_of_zero(tmp_path):
    """If no call was timed, means and percentiles are null."""
    log(tmp_path, "database_operations", operation(ms=None))
    summary = daily_summary(tmp_path, DAY, created_us=CREATED)["operation_summary"]
    assert summary["average_operation_time_ms"] is None
    assert summary["operations"]["add_lead"] == {
        "total": 1,
        "failed": 0,
        "n": 0,
        "average_ms": None,
        **{f"p{share}{kind}_ms": None for share in (50, 95, 99) for kind in ("", "_bucket")},
    }


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=200))
def test_percentiles_are_values_at_their_rank(tmp_path_factory, durations):
    """Each percentile is the value at rank ceil(share * n), as counted by hand."""
    root = tmp_path_factory.mktemp("log")
    log(root, "database_operations", *(operation(ms=ms) for ms in durations))
    found = daily_summary(root, DAY, created_us=CREATED)["operation_summary"]["operations"][
        "add_lead"
    ]
    ranked = sorted(durations)
    for percent in (50, 95, 99):
        assert found[f"p{percent}_ms"] == ranked[math.ceil(percent * len(ranked) / 100) - 1]
    assert found["n"] == len(durations)


@given(
    st.lists(
        st.tuples(st.floats(0, 1e5), st.sampled_from([1.0, 0.5, 0.25, 0.1, 0.01])),
        min_size=1,
        max_size=30,
    )
)
def test_sampled_events_stand_for_those_that_were_left_out(tmp_path_factory, entries):
    """An event kept at rate r weighs 1/r in counts, means and percentiles."""
    root = tmp_path_factory.mktemp("log")
    log(root, "database_operations", *(operation(ms=ms, sample_rate=r) for ms, r in entries))
    summary = daily_summary(root, DAY, created_us=CREATED)
    repeated = sorted(ms for ms, rate in entries for _ in range(round(1 / rate)))
    found = summary["operation_summary"]
    assert summary["summary_info"]["events_read"] == len(entries)
    assert summary["summary_info"]["sampled_events"] == sum(rate < 1 for _, rate in entries)
    assert found["total_database_operations"] == len(repeated)
    assert found["performance_tiers"]["excellent"] == len(repeated)
    assert found["average_operation_time_ms"] == pytest.approx(
        sum(repeated) / len(repeated), abs=0.001
    )
    for percent in (50, 95, 99):
        assert (
            found["operations"]["add_lead"][f"p{percent}_ms"]
            == repeated[math.ceil(percent * len(repeated) / 100) - 1]
        )


def test_syncs_are_added_up(tmp_path):
    """Leads, calls and conflicts are summed; values that no run measured stay null."""
    log(tmp_path, "sync_operations", sync(), sync(success=False, synced=1, calls=None, ms=500.0))
    assert daily_summary(tmp_path, DAY, created_us=CREATED)["sync_summary"] == {
        "total_sync_operations": 2,
        "sync_success_rate": 50.0,
        "average_sync_time_ms": 1500.0,
        "leads_synced": 8,
        "leads_failed": None,
        "conflicts_resolved": 0,
        "api_calls_made": 2,
    }


def test_migrations_are_added_up(tmp_path):
    """Records are summed over the runs."""
    results = {
        "success": True,
        "records_migrated": 90,
        "records_failed": 10,
        "execution_time_ms": 40.0,
    }
    record = {
        "timestamp": f"{DAY}T10:00:00.000000Z",
        "log_type": "migration_operation",
        "migration_results": results,
    }
    log(tmp_path, "migration_operations", record, record)
    summary = daily_summary(tmp_path, DAY, created_us=CREATED)["migration_summary"]
    assert summary["total_migration_operations"] == 2
    assert (summary["records_migrated"], summary["records_failed"]) == (180, 20)
    assert summary["duplicates_found"] is None


def test_errors_are_grouped_by_fingerprint(tmp_path):
    """The most common errors come first, with an example and when they were last seen."""
    log(
        tmp_path,
        "error_logs",
        error("bbbb", severity="critical"),
        error("aaaa", at="09:00:00.000000"),
        error("aaaa", recoverable=True, at="11:00:00.000000"),
        error("aaaa", at="10:00:00.000000"),
        error(None),
    )
    summary = daily_summary(tmp_path, DAY, created_us=CREATED)["error_summary"]
    assert summary["total_errors"] == 5
    assert summary["critical_errors"] == 1
    assert summary["recoverable_errors"] == 1
    assert [(one["fingerprint"], one["count"]) for one in summary["most_common_errors"]] == [
        ("aaaa", 3),
        ("bbbb", 1),
    ]
    assert summary["most_common_errors"][0] == {
        "fingerprint": "aaaa",
        "count": 3,
        "error_type": "database_error",
        "error_message": "message of aaaa",
        "last_seen": f"{DAY}T11:00:00.000000Z",
    }


def test_peaks_and_the_slowest_operations_are_kept(tmp_path):
    """The ten slowest store calls and measurements are listed, slowest first."""
    log(tmp_path, "database_operations", *(operation(ms=float(ms)) for ms in range(30)))
    log(tmp_path, "performance_metrics", measurement(25.5, cpu=80.0, peak=123.0), measurement(0.5))
    summary = daily_summary(tmp_path, DAY, created_us=CREATED)["performance_summary"]
    assert summary["peak_memory_usage_mb"] == 123.0
    assert summary["peak_cpu_usage_percent"] == 80.0
    assert summary["slowest_operation_ms"] == 29.0
    slowest = summary["slowest_operations"]
    assert [one["duration_ms"] for one in slowest] == [29, 28, 27, 26, 25.5, 25, 24, 23, 22, 21]
    assert slowest[4] == {
        "operation": "nightly",
        "duration_ms": 25.5,
        "timestamp": f"{DAY}T10:00:00.000000Z",
        "event_id": "id-25.5",
        "operation_id": "op",
    }


def test_api_calls_are_not_counted_twice(tmp_path):
    """Syncs count their calls; without syncs the outermost monitored operations do."""
    log(
        tmp_path,
        "performance_metrics",
        measurement(1.0, calls=5),
        measurement(1.0, calls=3, parent="op"),
    )
    summary = daily_summary(tmp_path, DAY, created_us=CREATED)
    assert summary["performance_summary"]["total_api_calls"] == 5
    log(tmp_path, "sync_operations", sync(calls=4))
    summary = daily_summary(tmp_path, DAY, created_us=CREATED)
    assert summary["performance_summary"]["total_api_calls"] == 4


def test_only_the_files_of_the_day_are_read(tmp_path):
    """All writers and segments of the day count, other days do not."""
    for name in (f"{DAY}.jsonl", f"{DAY}.1.jsonl", f"{DAY}.w1.jsonl", f"{DAY}.w1.2.jsonl"):
        log(tmp_path, "database_operations", operation(), name=name)
    for name in ("2026-11-22.jsonl", "2026-11-24.jsonl", "notes.jsonl"):
        log(tmp_path, "database_operations", operation(), name=name)
    assert daily_summary(tmp_path, DAY, created_us=CREATED)["summary_info"]["events_read"] == 4


def test_damage_is_counted(tmp_path):
    """Damaged lines are counted; a last line without newline only when its day is over."""
    log(tmp_path, "error_logs", b"rubbish\n", error("aaaa"), b'{"timestamp": "2')
    today = daily_summary(tmp_path, DAY, created_us=CREATED)
    later = daily_summary(tmp_path, DAY, created_us=CREATED + 86_400_000_000)
    assert today["summary_info"]["lines_skipped"] == 1
    assert later["summary_info"]["lines_skipped"] == 2
    assert today["error_summary"]["total_errors"] == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=5,
)


@given(
    st.sampled_from(["database_operation", "sync_operation", "error_log", "performance_metrics"]),
    st.dictionaries(
        st.sampled_from(
            [
                "operation_details",
                "training_labels",
                "sync_results",
                "performance_metrics",
                "error_details",
                "operation_info",
                "performance_data",
                "sample_rate",
            ]
        ),
        JSON
        | st.dictionaries(
            st.sampled_from(
                ["success", "execution_time_ms", "fingerprint", "performance_tier", "api_calls"]
            ),
            JSON,
        ),
    ),
)
def test_odd_records_do_not_end_the_summary(tmp_path_factory, log_type, sections):
    """A record of another program, with other types, is counted as far as possible."""
    root = tmp_path_factory.mktemp("log")
    record = {"timestamp": f"{DAY}T10:00:00.000000Z", "log_type": log_type, **sections}
    log(root, "error_logs", record)
    summary = daily_summary(root, DAY, created_us=CREATED)
    assert summary["summary_info"]["events_read"] == 1
    json.dumps(summary)


def test_writing_it_replaces_the_old_one(tmp_path, jq):
    """The summary replaces the old one atomically, and people and jq can read it."""
    log(tmp_path, "monitoring_data", b"")
    path = write_daily_summary(tmp_path, DAY, created_us=CREATED)
    assert path == tmp_path / "monitoring_data" / f"daily-summary-{DAY}.json"
    log(tmp_path, "database_operations", operation())
    assert write_daily_summary(tmp_path, DAY, created_us=CREATED) == path
    assert jq(".operation_summary.total_database_operations", path) == [1]
    assert path.read_text().startswith('{\n  "summary_info": {\n')
    assert path.read_text().endswith("}\n")
    assert sorted(one.name for one in path.parent.iterdir()) == [f"{DAY}.jsonl", path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_summary_is_no_log_file(tmp_path):
    """A written summary is not read as events by the next one."""
    write_daily_summary(tmp_path, DAY, created_us=CREATED)
    summary = daily_summary(tmp_path, DAY, created_us=CREATED)["summary_info"]
    assert (summary["events_read"], summary["lines_skipped"]) == (0, 0)


@pytest.mark.parametrize("date", ["yesterday", "2026-13-01", "", "../../etc"])
def test_what_is_no_date_is_refused(tmp_path, date):
    """The error shows how to write a date, and no path is built from the value."""
    with pytest.raises(ValueError, match="write a UTC day such as 2026-11-23"):
        write_daily_summary(tmp_path, date)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    """The error names the file that could not be written, and no draft is left."""
    (tmp_path / "monitoring_data").write_text("in the way")
    with pytest.raises(LogDirectoryError, match=f"daily-summary-{DAY}.json.*check that you may"):
        write_daily_summary(tmp_path, DAY, created_us=CREATED)


@pytest.mark.parametrize("engine", ["python", "duckdb"])
def test_a_compressed_file_that_is_cut_off_is_told(tmp_path, engine):
    """The missing rest of a truncated file counts as a skipped line."""
    log(tmp_path, "error_logs", b"\x28\xb5\x2f\xfd", name=f"{DAY}.jsonl.zst")
    summary = daily_summary(tmp_path, DAY, created_us=CREATED, engine=engine)["summary_info"]
    assert (summary["events_read"], summary["lines_skipped"]) == (0, 1)
