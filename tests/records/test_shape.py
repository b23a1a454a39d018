"""A caller's values become a record: every key present, nothing guessed, nothing lost."""

import math
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.core.records import RECORDS, json_schema, shape

ENVELOPE = {
    "timestamp": "2026-11-23T10:00:00.000000Z",
    "level": "info",
    "event_name": "x",
    "session_id": "a1b2c3d4",
    "event_id": "e",
    "schema_version": 1,
    "process_id": 1,
    "thread_name": "MainThread",
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def conforms(event: dict[str, Any]) -> bool:
    """Return whether the event, in its envelope, is valid for the schema of its log type."""
    record = {k: v for k, v in event.items() if k not in ("_lead", "exc_info")}
    record |= {**ENVELOPE, "extra": {}}
    schema = json_schema(event["log_type"])
    return bool(jsonschema_rs.validator_for(schema).is_valid(record))


def with_known_keys(*records: str) -> st.SearchStrategy[Any]:
    """Return mappings whose keys are those of the record, aliases and unknown ones."""
    keys = {"error", "message", "code", "metrics", "api_calls", "id", "name", "stranger"}
    for record in records:
        for section in json_schema(record).get("$defs", {}).values():
            keys |= set(section["properties"])
    return st.dictionaries(st.sampled_from(sorted(keys)), ANYTHING, max_size=12) | ANYTHING


@given(st.text(), with_known_keys("database_operation"), with_known_keys("database_operation"))
def test_any_database_operation_conforms(name: str, result: Any, metrics: Any) -> None:
    """Property: for any arguments, the event has the types of the contract."""
    assert conforms(shape.database_operation(name, metrics, result, metrics))


@given(st.text(), with_known_keys("sync_operation"), with_known_keys("sync_operation"))
def test_any_sync_operation_conforms(name: str, details: Any, results: Any) -> None:
    """Property: any sync is valid, with any values as leads."""
    assert conforms(shape.sync_operation(name, details, results, details))
    assert conforms(shape.sync_operation(name, details, results, [results, details, 1]))


@given(st.text(), with_known_keys("migration_operation"), with_known_keys("migration_operation"))
def test_any_migration_conforms(name: str, details: Any, results: Any) -> None:
    """Property: any migration is valid."""
    assert conforms(shape.migration_operation(name, details, results, results))


@given(st.text(), with_known_keys("error_log"), with_known_keys("error_log"))
def test_any_error_conforms(name: str, details: Any, context: Any) -> None:
    """Property: any error is valid."""
    assert conforms(shape.error_log(name, details, context))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_number_that_none_can_measure_is_kept_aside(value: float) -> None:
    """Infinity is not a size: it becomes null, and the value is kept under `extra`."""
    event = shape.performance_metrics("import", {}, {"database_size_mb": value})
    assert event["system_info"]["database_size_mb"] is None
    assert event["extra"].keys() == {"system_info.database_size_mb"}


@given(st.text(), with_known_keys("performance_metrics"), with_known_keys("performance_metrics"))
def test_any_measurement_conforms(name: str, metrics: Any, system: Any) -> None:
    """Property: any measurement is valid."""
    assert conforms(shape.performance_metrics(name, metrics, system))


@given(st.text(), with_known_keys("monitoring_data"), with_known_keys("monitoring_data"))
def test_any_look_at_the_system_conforms(name: str, data: Any, alerts: Any) -> None:
    """Property: any monitoring data are valid."""
    assert conforms(shape.monitoring_data(name, data, alerts))
    assert conforms(shape.monitoring_data(name, data, [alerts]))


@pytest.mark.parametrize("log_type", RECORDS)
def test_a_blank_event_conforms_but_for_its_names(log_type: str) -> None:
    """An event with no known values has every section of its type."""
    event = shape.blank(log_type)
    wanted = json_schema(log_type)["required"]
    assert set(wanted) == set(event)


def test_an_event_of_the_applications_own_is_one_of_monitoring_data() -> None:
    """It is written out elsewhere, with the same keys in the same order."""
    written_out = shape.application_event({"a": 1}, "1f")
    filled = shape.monitoring_data("application_event", {"metrics": {"a": 1}})
    filled["monitoring_info"]["monitoring_id"] = "1f"
    assert orjson.dumps(written_out) == orjson.dumps(filled)


def test_a_value_of_the_wrong_type_is_kept_aside_not_guessed() -> None:
    """Rule 2: `error_message` is never `{}`; a value that does not fit is under `extra`."""
    event = shape.database_operation(
        "add_lead",
        {"id": 7, "name": ["x"]},
        {"success": "yes", "records_affected": 1.5, "error": {"a": 1}, "mine": 2},
        {"execution_time_ms": "12.5", "database_queries": True, "cpu_time_ms": "fast"},
    )
    assert event["operation_details"]["success"] is None
    assert event["operation_details"]["error_message"] is None
    assert event["lead_identifier"]["lead_id"] == "7"
    assert event["performance_metrics"]["execution_time_ms"] == 12.5
    assert event["operation_details"]["execution_time_ms"] == 12.5
    assert set(event["extra"]) == {
        "lead_data.name",
        "operation_result.success",
        "operation_result.records_affected",
        "operation_result.error",
        "operation_result.mine",
        "performance_metrics.database_queries",
        "performance_metrics.cpu_time_ms",
    }


@pytest.mark.parametrize(
    ("lead", "lead_id"), [({"id": 0}, "0"), ({"id": "", "lead_id": 0}, "0"), ({"id": None}, None)]
)
def test_a_key_of_zero_is_a_key(lead: dict[str, Any], lead_id: str | None) -> None:
    """Unlike a blank or null key, which the key's other name may replace."""
    event = shape.database_operation("get_lead", lead, {})
    assert event["lead_identifier"]["lead_id"] == lead_id


def test_the_names_of_the_earlier_system_are_taken() -> None:
    """Values under the earlier system's names appear under the contract's names."""
    event = shape.sync_operation(
        "to_airtable",
        {"batch_size": 10},
        {"api_calls": 2, "avg_sync_time_ms": 3.5, "rate_limited": True, "error": "late"},
        [{"id": "1", "sync_status": "synced"}, {"id": "2", "sync_status": "failed"}],
    )
    assert event["performance_metrics"]["api_calls_made"] == 2
    assert event["performance_metrics"]["avg_sync_time_per_lead_ms"] == 3.5
    assert event["sync_results"]["airtable_rate_limited"] is True
    assert event["sync_results"]["error_message"] == "late"
    assert event["sync_details"]["total_leads"] == 2
    assert [lead["lead_id"] for lead in event["leads_summary"]] == ["2", "1"]


def test_the_records_own_name_wins_over_an_alias() -> None:
    """If both are given, in any order, the contract's name is used."""
    for details in (
        {"error_message": "own", "message": "alias"},
        {"message": "alias", "error_message": "own"},
    ):
        event = shape.error_log("database_error", details)
        assert event["error_details"]["error_message"] == "own"


def test_the_leads_of_a_long_run_are_not_all_listed() -> None:
    """Ten leads are listed, the failed ones first; the total is their full number."""
    leads = [{"id": i, "error": "no" if i == 99 else None} for i in range(100)]
    event = shape.sync_operation("to_airtable", {}, {}, leads)
    assert event["sync_details"]["total_leads"] == 100
    assert len(event["leads_summary"]) == 10
    assert event["leads_summary"][0]["lead_id"] == "99"


@pytest.mark.parametrize(
    "odd", [-0.001, 1.0000001e12, 1e308, -1e308, 10**30, math.inf, math.nan, "1e308", True, []]
)
def test_a_duration_that_no_clock_measured_is_null_and_kept(odd: Any) -> None:
    """It is kept under `extra` as given, so no reader has to handle it."""
    event = shape.database_operation("import_leads", None, {}, {"execution_time_ms": odd})
    assert event["operation_details"]["execution_time_ms"] is None
    assert event["performance_metrics"]["execution_time_ms"] is None
    assert event["extra"]["performance_metrics.execution_time_ms"] is odd


@pytest.mark.parametrize("given", [0, 0.0, 12.5, 1e12, "12.5"])
def test_a_duration_that_a_clock_may_have_measured_is_kept(given: Any) -> None:
    """From zero to 31 years."""
    event = shape.performance_metrics("job", {"total_duration_ms": given})
    assert event["operation_info"]["total_duration_ms"] == float(given)
    assert "extra" not in event


@pytest.mark.parametrize(
    ("given", "kept"),
    [(10**15, True), (-(10**15), True), (10**15 + 1, False), (10**400, False), (2.0, True)],
)
def test_numbers_are_bounded_where_sums_of_them_stay_exact(given: Any, kept: bool) -> None:
    """True for whole numbers and others."""
    event = shape.database_operation("import_leads", None, {"records_affected": given})
    assert (event["operation_details"]["records_affected"] == given) is kept
    assert ("extra" in event) is not kept
    event = shape.performance_metrics("job", {"memory_usage_mb": given})
    assert (event["performance_data"]["memory_usage_mb"] == given) is kept


class _DuplicateError(Exception):
    sqlstate = "23505"


@pytest.mark.parametrize(
    ("error_type", "details", "severity"),
    [
        ("database_error", _DuplicateError("x"), "low"),
        ("database_error", {"code": "SQLITE_CONSTRAINT_UNIQUE"}, "low"),
        ("database_error", {"code": "SQLITE_BUSY"}, "high"),
        ("database_error", {"code": "SQLITE_CONSTRAINT_UNIQUE", "severity": "high"}, "high"),
        ("internal_error", {"code": 404}, "low"),
        ("internal_error", {"code": 500}, "medium"),
        ("sync_error", {"code": 422}, "medium"),
        ("validation_error", "no name", "low"),
    ],
)
def test_the_users_errors_are_of_low_severity(error_type: str, details: Any, severity: str) -> None:
    """Unless the caller sets another severity."""
    event = shape.error_log(error_type, details)
    assert event["error_details"]["severity"] == severity
