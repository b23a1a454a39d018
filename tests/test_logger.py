"""Logging by hand: the six event types, and both worked examples of the contract."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import leadlog
from leadlog.core.layout import CATEGORIES

Logged = Callable[..., list[dict[str, Any]]]


def test_worked_example_of_a_database_operation(logged: Logged) -> None:
    """records.md, worked example 1: the labels come out exactly so."""
    event_id = leadlog.log_database_event(
        "database_operation",
        {"id": "uuid-123", "name": "John Doe", "company": "Test Corp", "email": "john@test.com"},
        {"success": True, "records_affected": 1, "duplicate_detected": False},
        {
            "operation_type": "add_lead",
            "performance_metrics": {
                "execution_time_ms": 150.5,
                "database_queries": 2,
                "memory_usage_mb": 25.3,
                "cpu_time_ms": 120.0,
            },
        },
    )
    (event,) = logged("database_operations")
    assert event["event_id"] == event_id
    assert event["event_name"] == "lead.add"
    assert event["operation_details"]["operation_type"] == "add_lead"
    assert event["operation_details"]["success"] is True
    assert event["operation_details"]["records_affected"] == 1
    assert event["operation_details"]["execution_time_ms"] == 150.5
    assert event["operation_details"]["duplicate_detected"] is False
    assert event["lead_identifier"] == {
        "lead_id": "uuid-123",
        "name": "John Doe",
        "company": "Test Corp",
        "email": "john@test.com",
    }
    assert event["performance_metrics"] == {
        "execution_time_ms": 150.5,
        "database_queries": 2,
        "database_time_ms": None,
        "memory_usage_mb": 25.3,
        "cpu_time_ms": 120.0,
    }
    labels = event["training_labels"]
    assert labels["operation_successful"] is True
    assert labels["performance_tier"] == "excellent"
    assert labels["data_quality"] == "high"
    assert labels["complexity_level"] == "medium"


def test_worked_example_of_a_sync(logged: Logged) -> None:
    """records.md, worked example 2: the labels come out exactly so."""
    leadlog.log_database_event(
        "sync_operation",
        [{"id": str(i)} for i in range(8)],
        {
            "success": True,
            "leads_synced": 7,
            "leads_failed": 1,
            "conflicts_resolved": 0,
            "execution_time_ms": 2500.0,
        },
        {"sync_type": "to_airtable", "sync_details": {"batch_size": 10, "retry_attempts": 0}},
    )
    (event,) = logged("sync_operations")
    assert event["sync_details"]["total_leads"] == 8
    assert event["training_labels"] == {
        "sync_successful": True,
        "sync_efficiency": "good",
        "error_recovery": False,
        "batch_optimization": "optimal",
    }


def test_every_event_type_has_its_folder(tmp_path: Path, logged: Logged) -> None:
    """The six types go to the six folders."""
    leadlog.log_database_event("database_operation", {"name": "A"}, {"success": True})
    leadlog.log_database_event("sync_operation", [], {"success": True})
    leadlog.log_database_event("migration_operation", None, {"success": True})
    leadlog.log_database_event("error", {"id": 1}, {"message": "m"}, {"error_type": "sync_error"})
    leadlog.log_database_event("performance", None, {"total_duration_ms": 6000})
    leadlog.log_database_event("monitoring", None, {"sync_queue_size": 3})
    assert [len(logged(category)) for category in CATEGORIES] == [1] * 6
    (error,) = logged("error_logs")
    assert error["context"]["lead_data"] == {"id": 1}
    assert error["training_labels"]["system_error"] is True
    (performance,) = logged("performance_metrics")
    assert performance["training_labels"]["optimization_needed"] is True
    assert performance["training_labels"]["performance_tier"] == "very_slow"


def test_an_unknown_event_type_names_the_valid_ones() -> None:
    """The one mistake that raises: the message lists the types and suggests the closest."""
    with pytest.raises(ValueError, match=r"database_operation, sync_operation.*mean 'monitoring'"):
        leadlog.log_database_event("monitorin")


def test_an_exception_can_be_logged_as_it_is(logged: Logged) -> None:
    """log_error takes the exception itself; message, class and fingerprint come from it."""
    leadlog.DatabaseLogger().log_error("sync_error", TimeoutError("late"), {"operation": "push"})
    (event,) = logged("error_logs")
    assert event["error_details"]["error_message"] == "late"
    assert event["error_details"]["exception_class"] == "TimeoutError"
    assert event["context"]["operation_in_progress"] == "push"
    assert event["level"] == "error"


def test_a_logger_of_another_directory_has_its_own_files(tmp_path: Path, logged: Logged) -> None:
    """Beside the pipeline in force, a DatabaseLogger can write elsewhere."""
    leadlog.configure()
    mine = leadlog.DatabaseLogger(tmp_path / "elsewhere")
    mine.log_monitoring_data("health_check", {"database_responsive": True})
    leadlog.DatabaseLogger().log_monitoring_data("health_check", {"database_responsive": False})
    mine.close()
    (theirs,) = logged("monitoring_data", tmp_path / "elsewhere")
    (ours,) = logged("monitoring_data")
    assert theirs["system_health"]["database_responsive"] is True
    assert ours["system_health"]["database_responsive"] is False


def test_a_logger_configures_where_nothing_was(tmp_path: Path) -> None:
    """`DatabaseLogger("logs")` alone is enough to begin."""
    logger = leadlog.DatabaseLogger("logs")
    assert logger.directory == tmp_path / "logs"
    assert leadlog.stats().directory == str(tmp_path / "logs")


def test_the_daily_summary_counts_what_was_logged(tmp_path: Path) -> None:
    """create_daily_summary writes the summary of today's files."""
    for success in (True, True, False):
        leadlog.log_database_event(
            "database_operation",
            {"name": "A"},
            {"success": success},
            {"operation_type": "add_lead", "performance_metrics": {"execution_time_ms": 10.0}},
        )
    path = leadlog.DatabaseLogger().create_daily_summary()
    assert path.parent == tmp_path / "database_logs" / "monitoring_data"
    summary = json.loads(path.read_text())
    assert summary["operation_summary"]["total_database_operations"] == 3
    assert summary["operation_summary"]["failed_operations"] == 1
    assert summary["summary_info"]["date"] == dt.datetime.now(dt.UTC).date().isoformat()


def test_a_summary_of_no_day_is_refused() -> None:
    """A date that is none is named with the remedy."""
    with pytest.raises(ValueError, match="'tomorrow'; write it like 2026-11-23"):
        leadlog.DatabaseLogger().create_daily_summary("tomorrow")
