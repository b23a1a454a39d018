"""Training labels: each rule at its limits, and the processor for the six log types."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog_processors import rules
from leadlog_processors.labels import TrainingLabels


def label(event: dict[str, Any], **thresholds: Any) -> Any:
    return TrainingLabels(**thresholds)(None, "info", event).get("training_labels")


# ----------------------------------------------------------------------------- database_operation


def operation(operation_type: Any = "add_lead", **more: Any) -> dict[str, Any]:
    return {
        "log_type": "database_operation",
        "operation_details": {
            "operation_type": operation_type,
            "success": more.get("success", True),
            "bulk": more.get("bulk", False),
        },
        "data_details": {"data_size_bytes": more.get("size")},
        "performance_metrics": {"database_queries": more.get("queries")},
        "training_labels": {
            "operation_successful": None,
            "performance_tier": None,
            "complexity_level": None,
            **more.get("labels", {}),
        },
    }


@pytest.mark.parametrize(
    ("operation_type", "level"),
    [
        ("get_lead", "low"),
        ("get_all_leads", "low"),
        ("delete_lead", "low"),
        ("read", "low"),
        ("delete", "low"),
        ("add_lead", "medium"),
        ("update_lead", "medium"),
        ("search_leads", "medium"),
        ("create", "medium"),
        ("update", "medium"),
        ("whatever", "medium"),
        ("getaway", "medium"),
        ("find_duplicates", "high"),
        ("add_leads", "high"),
        ("bulk_insert", "high"),
        ("sync_to_airtable", "high"),
        ("to_airtable", "high"),
        ("migrate_json_files", "high"),
        ("migration", "high"),
        ("json_to_db", "high"),
    ],
)
def test_complexity_follows_from_the_kind_of_operation(operation_type: str, level: str) -> None:
    """Reading and deleting one lead is low, writing medium, many leads high."""
    assert rules.complexity_level(operation_type) == level
    assert label(operation(operation_type))["complexity_level"] == level


@pytest.mark.parametrize(
    ("size", "queries", "get", "add"),
    [
        (None, None, "low", "medium"),
        (10_000, 10, "low", "medium"),
        (10_001, 10, "medium", "high"),
        (10_000, 11, "medium", "high"),
        (10_001, 11, "medium", "high"),
        (None, 11, "medium", "high"),
        (10_001, None, "medium", "high"),
    ],
)
def test_size_and_queries_raise_complexity_by_one_step(
    size: int | None, queries: int | None, get: str, add: str
) -> None:
    """Exceeding both limits is still one step, and the result is at most high."""
    assert label(operation("get_lead", size=size, queries=queries))["complexity_level"] == get
    assert label(operation("add_lead", size=size, queries=queries))["complexity_level"] == add
    assert label(operation("add_leads", size=size, queries=queries))["complexity_level"] == "high"


def test_the_limits_of_complexity_can_be_set() -> None:
    """Both limits are parameters."""
    event = operation("get_lead", size=100, queries=2)
    assert label(event, complexity_size_bytes=99)["complexity_level"] == "medium"
    event = operation("get_lead", size=100, queries=2)
    assert label(event, complexity_queries=1)["complexity_level"] == "medium"


def test_a_bulk_operation_is_highly_complex() -> None:
    """This is independent of what it does to each lead."""
    assert label(operation("get_lead", bulk=True))["complexity_level"] == "high"
    assert rules.complexity_level("whatever", bulk=True) == "high"


def test_an_operation_without_a_type_has_no_complexity() -> None:
    """It is not guessed, even for a bulk operation."""
    assert label(operation(None, bulk=True))["complexity_level"] is None
    assert rules.complexity_level(None, 10**9, 10**9) is None


@pytest.mark.parametrize("success", [True, False, None])
def test_an_operation_is_as_successful_as_it_says(success: bool | None) -> None:
    """Null stays null."""
    assert label(operation(success=success))["operation_successful"] is success


def test_labels_that_the_caller_set_stay() -> None:
    """This includes False and unknown words."""
    mine = {"operation_successful": False, "complexity_level": "extreme"}
    found = label(operation(labels=mine))
    assert found["operation_successful"] is False
    assert found["complexity_level"] == "extreme"


def test_the_first_worked_example() -> None:
    """add_lead with two queries is successful and of medium complexity."""
    found = label(operation("add_lead", queries=2, size=83))
    assert found["operation_successful"] is True
    assert found["complexity_level"] == "medium"


def test_a_flat_event_gets_what_its_keys_tell() -> None:
    """True in any chain; without keys there are no labels."""
    assert label({"operation_type": "get_lead", "success": False}) == {
        "operation_successful": False,
        "complexity_level": "low",
    }
    assert label({"success": True}) == {"operation_successful": True}
    assert label({"operation_type": "get_lead", "bulk": True}) == {"complexity_level": "high"}
    assert label({"event": "hello", "success": "yes"}) is None
    assert label({"success": True, "training_labels": "mine"}) == "mine"
    assert label({"log_type": "database_operation", "training_labels": "mine"}) == "mine"
    assert label({"log_type": "sync_operation", "training_labels": "mine"}) == "mine"


# --------------------------------------------------------------------------------- sync_operation


def sync(**given: Any) -> dict[str, Any]:
    details = ("batch_size", "total_leads", "retry_attempts")
    metrics = ("api_calls_made", "api_calls_minimum", "avg_sync_time_per_lead_ms")
    return {
        "log_type": "sync_operation",
        "sync_details": {key: given.get(key) for key in details},
        "sync_results": {
            key: value for key, value in given.items() if key not in (*details, *metrics)
        },
        "performance_metrics": {key: given.get(key) for key in metrics},
        "training_labels": {
            "sync_successful": None,
            "sync_efficiency": None,
            "error_recovery": None,
            "batch_optimization": None,
        },
    }


def test_the_second_worked_example() -> None:
    """Seven of eight leads in 2.5 s, in one batch of ten."""
    found = label(
        sync(
            batch_size=10,
            total_leads=8,
            retry_attempts=0,
            success=True,
            leads_synced=7,
            leads_failed=1,
            conflicts_resolved=0,
            execution_time_ms=2500.0,
        )
    )
    assert found == {
        "sync_successful": True,
        "sync_efficiency": "good",
        "error_recovery": False,
        "batch_optimization": "optimal",
    }


@pytest.mark.parametrize(
    ("synced", "ms", "expected"),
    [
        (95, 499.999, "excellent"),
        (95, 500.0, "good"),
        (94, 1.0, "good"),
        (85, 999.999, "good"),
        (85, 1000.0, "acceptable"),
        (84, 1.0, "acceptable"),
        (70, 1999.999, "acceptable"),
        (100, 2000.0, "poor"),
        (69, 1.0, "poor"),
        (0, 1.0, "poor"),
    ],
)
def test_sync_efficiency_needs_share_and_speed(synced: int, ms: float, expected: str) -> None:
    """Shares are minimums, times are upper bounds."""
    assert rules.sync_efficiency(100, synced, ms_per_lead=ms) == expected
    assert rules.sync_efficiency(100, synced, execution_time_ms=ms * 100) == expected


@given(st.integers(1, 10_000), st.sampled_from([95, 85, 70]))
def test_an_exact_share_reaches_its_band(twentieths: int, percent: int) -> None:
    """Rounding never lowers a run of any size below its share."""
    total = twentieths * 20
    worse = {95: "good", 85: "acceptable", 70: "poor"}[percent]
    synced = total * percent // 100
    tier = rules.sync_efficiency(total, synced, ms_per_lead=1)
    assert tier == {95: "excellent", 85: "good", 70: "acceptable"}[percent]
    assert rules.sync_efficiency(total, synced - 1, ms_per_lead=1) == worse


def test_nothing_to_synchronise_is_unknown() -> None:
    """There were no leads, or none had changed."""
    assert rules.sync_efficiency(0, 0, execution_time_ms=5.0) == "unknown"
    assert rules.sync_efficiency(8, 0, 0, 8, 5.0) == "unknown"


def test_leads_that_were_skipped_are_no_failure() -> None:
    """This holds whether or not the caller includes them in the total."""
    assert rules.sync_efficiency(100, 10, 0, 90, 1000.0) == "excellent"
    assert rules.sync_efficiency(10, 10, 0, 90, 1000.0) == "excellent"
    assert rules.sync_efficiency(8, 7, 1, 92, 2500.0) == "good"


@pytest.mark.parametrize(
    "arguments",
    [(None, 7, 1, 0, 100.0), (8, None, 1, 0, 100.0), (8, 7, 1, 0, None), (None, None)],
)
def test_sync_efficiency_is_not_guessed(arguments: tuple[Any, ...]) -> None:
    """Without leads or time it is null."""
    assert rules.sync_efficiency(*arguments) is None


@pytest.mark.parametrize(
    ("retries", "success", "expected"),
    [(0, True, False), (0, None, False), (2, True, True), (2, False, False), (2, None, None),
     (None, True, None)],
)  # fmt: skip
def test_a_run_recovered_if_it_needed_retries_and_succeeded(
    retries: int | None, success: bool | None, expected: bool | None
) -> None:
    """A run without errors has not recovered."""
    assert rules.error_recovery(retries, success) is expected


@pytest.mark.parametrize(
    ("made", "expected"),
    [(9, "optimal"), (10, "optimal"), (11, "good"), (15, "good"), (16, "acceptable"),
     (30, "acceptable"), (31, "inefficient")],
)  # fmt: skip
def test_batching_is_judged_by_calls_made_against_the_fewest(made: int, expected: str) -> None:
    """Up to 1.5 times good, up to 3 times acceptable."""
    assert rules.batch_optimization(10, 100, 0, made, 10) == expected
    assert rules.batch_optimization(10, 100, 0, made) == expected


@pytest.mark.parametrize(
    ("batch_size", "total", "retries", "expected"),
    [
        (10, 8, 0, "optimal"),
        (10, 100, 0, "optimal"),
        (10, 100, 5, "good"),
        (10, 100, 6, "acceptable"),
        (5, 100, 0, "acceptable"),
        (3, 100, 0, "inefficient"),
        (50, 100, 0, "optimal"),
        (1, 100, 0, "no_batching"),
        (1, None, None, "no_batching"),
        (10, 0, 0, "optimal"),
        (None, 100, 0, None),
        (0, 100, 0, None),
        (10, None, 0, None),
        (10, 100, None, None),
    ],
)
def test_calls_that_were_not_counted_follow_from_batches_and_retries(
    batch_size: int | None, total: int | None, retries: int | None, expected: str | None
) -> None:
    """The minimum is one call per ten leads, Airtable's limit."""
    assert rules.batch_optimization(batch_size, total, retries) == expected


def test_a_larger_batch_limit_can_be_set() -> None:
    """Other services accept more per call."""
    assert rules.batch_optimization(10, 100, 0, batch_limit=100) == "inefficient"
    event = sync(batch_size=10, total_leads=100, retry_attempts=0)
    assert label(event, batch_limit=20)["batch_optimization"] == "acceptable"


def test_calls_without_any_that_were_needed_cannot_be_judged() -> None:
    """A run without leads still lists the other side."""
    assert rules.batch_optimization(10, 0, 0, 2) is None


# ---------------------------------------------------------------------------- migration_operation


def migration(**results: Any) -> dict[str, Any]:
    return {
        "log_type": "migration_operation",
        "migration_results": results,
        "training_labels": {"migration_successful": None, "data_integrity_maintained": None},
    }


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((10, 7, 2, 1, 0), True),
        ((10, 7, 1, 1, 1), True),
        ((10, 7, 1, 1, None), None),
        ((10, 8, 1, 1, None), True),
        ((10, 10, 0, 0, 3), True),
        ((10, 7, 1, 1, 0), False),
        ((None, 7, 1, 1, 0), None),
        ((10, None, 1, 1, 0), None),
        ((10, 7, None, 1, 0), None),
        ((10, 7, 1, None, 0), None),
        ((0, 0, 0, 0, 0), True),
    ],
)
def test_records_are_accounted_for_if_none_is_lost(
    counts: tuple[Any, ...], expected: bool | None
) -> None:
    """Migrated, skipped, rejected and duplicates add up to at least the records read."""
    assert rules.records_accounted_for(*counts) is expected


def test_integrity_is_never_assumed_but_can_be_found_broken() -> None:
    """Fitting counts verify nothing; a caller that compared sets it."""
    fits = {"total_records_processed": 10, "records_migrated": 10, "records_skipped": 0,
            "records_failed": 0, "duplicates_found": 0}  # fmt: skip
    assert label(migration(**fits))["data_integrity_maintained"] is None
    assert label(migration(**fits))["error_handling_effective"] is True
    lost = {**fits, "records_migrated": 9}
    assert label(migration(**lost))["data_integrity_maintained"] is False
    assert label(migration(**lost))["error_handling_effective"] is False
    verified = migration(**fits)
    verified["training_labels"]["data_integrity_maintained"] = True
    assert label(verified)["data_integrity_maintained"] is True


@pytest.mark.parametrize(
    ("total", "ms", "expected"),
    [
        (10_000, 59_999.9, True),
        (10_000, 60_000.0, False),
        (20_000, 119_999.0, True),
        (5, 4_999.9, True),
        (5, 5_000.0, False),
        (0, 10.0, True),
        (None, 10.0, None),
        (10, None, None),
    ],
)
def test_a_migration_is_fast_enough_below_sixty_seconds_per_ten_thousand(
    total: int | None, ms: float | None, expected: bool | None
) -> None:
    """A small migration may take five seconds."""
    event = migration(total_records_processed=total, execution_time_ms=ms, success=True)
    found = label(event)
    assert found["performance_acceptable"] is expected
    assert found["migration_successful"] is True


# -------------------------------------------------------------------------------------- error_log


@pytest.mark.parametrize(
    ("error_type", "user", "system"),
    [
        ("validation_error", True, False),
        ("input_error", True, False),
        ("database_error", False, True),
        ("sync_error", False, True),
        ("migration_error", False, False),
        (None, None, None),
    ],
)
def test_an_error_is_the_users_the_systems_or_neither(
    error_type: str | None, user: bool | None, system: bool | None
) -> None:
    """The error's type decides."""
    event = {
        "log_type": "error_log",
        "error_details": {"error_type": error_type, "severity": "high"},
        "recovery_info": {},
        "training_labels": {"error_severity": None},
    }
    assert label(event) == {
        "error_severity": "high",
        "recoverable": None,
        "user_error": user,
        "system_error": system,
    }


@pytest.mark.parametrize(
    ("attempted", "successful", "expected"),
    [(True, True, True), (True, False, False), (True, None, None), (False, None, False),
     (None, None, None), (None, True, True)],
)  # fmt: skip
def test_an_error_was_recoverable_if_the_recovery_was_successful(
    attempted: bool | None, successful: bool | None, expected: bool | None
) -> None:
    """No attempt means no success; unknown stays unknown."""
    assert rules.recoverable(attempted, successful) is expected


# ---------------------------------------------------------------------------- performance_metrics


@pytest.mark.parametrize(
    ("duration", "cpu", "memory", "expected"),
    [
        (500, 200, 256, "high"),
        (500.1, 200, 256, "medium"),
        (500, 200.1, 256, "medium"),
        (500, 200, 256.1, "medium"),
        (5000, 1000, 1024, "medium"),
        (5000.1, 1, 1, "low"),
        (1, 1000.1, 1, "low"),
        (1, 1, 1024.1, "low"),
        (None, 1, 1, "unknown"),
        (1, None, 1, "unknown"),
        (1, 1, None, "unknown"),
    ],
)
def test_resource_efficiency_is_the_worst_of_its_bands(
    duration: float | None, cpu: float | None, memory: float | None, expected: str
) -> None:
    """Duration, CPU time and memory."""
    assert rules.resource_efficiency(duration, cpu, memory) == expected


@pytest.mark.parametrize(
    ("duration", "leads", "expected"),
    [
        (100, 1000, "good"),
        (100.1, 1000, "acceptable"),
        (500, 1000, "acceptable"),
        (500.1, 1000, "poor"),
        (1000, 10_000, "good"),
        (100, 3, "good"),
        (501, 0, "poor"),
        (None, 10, "unknown"),
        (10, None, "unknown"),
    ],
)
def test_scalability_is_duration_per_thousand_leads(
    duration: float | None, leads: int | None, expected: str
) -> None:
    """A small store counts as 1000 leads."""
    assert rules.scalability_indicator(duration, leads) == expected


def test_a_measurement_is_labelled_from_its_sections() -> None:
    """Peak memory before usage; 5000 ms is not yet too long."""
    event = {
        "log_type": "performance_metrics",
        "operation_info": {"total_duration_ms": 5000.0},
        "performance_data": {"cpu_time_ms": 10, "memory_peak_mb": None, "memory_usage_mb": 50.0},
        "system_info": {"total_leads": 100_000},
        "training_labels": {"performance_tier": "slow"},
    }
    assert label(event) == {
        "performance_tier": "slow",
        "resource_efficiency": "medium",
        "scalability_indicator": "good",
        "optimization_needed": False,
    }
    event["performance_data"]["memory_peak_mb"] = 5000.0  # type: ignore[index]
    event["operation_info"]["total_duration_ms"] = 5000.1  # type: ignore[index]
    event["training_labels"] = {}
    assert label(event)["resource_efficiency"] == "low"
    assert event["training_labels"]["optimization_needed"] is True  # type: ignore[index]


def test_when_optimisation_is_needed_can_be_set() -> None:
    """optimization_needed_ms is a parameter."""
    event = {"log_type": "performance_metrics", "operation_info": {"total_duration_ms": 11}}
    assert label(event, optimization_needed_ms=10)["optimization_needed"] is True


# -------------------------------------------------------------------------------- monitoring_data


@pytest.mark.parametrize(
    ("alerts", "expected"),
    [
        ([], True),
        ([{"severity": "warning", "state": "firing"}], True),
        ([{"severity": "critical", "state": "firing"}], False),
        ([{"severity": "critical"}], False),
        ([{"severity": "critical", "state": None}], False),
        ([{"severity": "critical", "state": "resolved"}], True),
        ([{"severity": "critical", "state": "pending"}], True),
        ([{"severity": "info"}, {"severity": "critical"}], False),
        (None, None),
        ("firing", None),
        (["firing"], True),
    ],
)
def test_a_system_is_healthy_while_no_critical_alert_fires(
    alerts: Any, expected: bool | None
) -> None:
    """An alert without a state counts as firing."""
    event = {"log_type": "monitoring_data", "alerts": alerts, "training_labels": {}}
    assert label(event)["system_healthy"] is expected


@pytest.mark.parametrize(
    ("response", "rate", "queue", "expected"),
    [
        (999.9, 4.9, 99, (True, True, True)),
        (1000.0, 5.0, 100, (False, False, False)),
        (None, None, None, (None, None, None)),
    ],
)
def test_response_error_rate_and_queue_stay_below_their_limits(
    response: float | None, rate: float | None, queue: int | None, expected: tuple[Any, ...]
) -> None:
    """The limits are 1000 ms, 5 percent and 100 leads."""
    event = {
        "log_type": "monitoring_data",
        "system_health": {
            "average_response_time_ms": response,
            "error_rate_percent": rate,
            "sync_queue_size": queue,
        },
        "alerts": [],
        "training_labels": {},
    }
    found = label(event)
    names = ("performance_acceptable", "sync_efficiency", "capacity_adequate")
    assert tuple(found[name] for name in names) == expected


# ------------------------------------------------------------------------------------- properties

number = st.none() | st.integers(0, 10**6) | st.floats(0, 1e9)


@given(*[number] * 5)
def test_calls_are_never_judged_better_than_fewer_calls(
    size: Any, total: Any, retries: Any, made: Any, fewest: Any
) -> None:
    """One more call never improves the label."""
    order = ["optimal", "good", "acceptable", "inefficient"]
    fewer = rules.batch_optimization(size, total, retries, made, fewest)
    more = rules.batch_optimization(
        size, total, retries, None if made is None else made + 1, fewest
    )
    if fewer in order and more in order and made is not None:
        assert order.index(fewer) <= order.index(more)


@given(number, number, number, number)
def test_a_slower_run_is_never_more_efficient(
    total: Any, synced: Any, failed: Any, ms: Any
) -> None:
    """Twice the time never improves the label."""
    order = ["excellent", "good", "acceptable", "poor"]
    fast = rules.sync_efficiency(total, synced, failed, None, ms)
    slow = rules.sync_efficiency(total, synced, failed, None, None if ms is None else ms * 2)
    if fast in order and slow in order:
        assert order.index(fast) <= order.index(slow)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
LOG_TYPES = ["database_operation", "sync_operation", "migration_operation", "error_log",
             "performance_metrics", "monitoring_data"]  # fmt: skip
KEYS = [
    "operation_type", "success", "bulk", "data_size_bytes", "database_queries", "total_leads",
    "leads_synced", "batch_size", "retry_attempts", "execution_time_ms", "error_type", "severity",
    "total_duration_ms", "cpu_time_ms", "memory_peak_mb", "sync_queue_size", "records_migrated",
]  # fmt: skip
sections = st.sampled_from(
    ["operation_details", "data_details", "performance_metrics", "sync_details", "sync_results",
     "migration_results", "error_details", "recovery_info", "operation_info", "performance_data",
     "system_info", "system_health", "alerts", "training_labels"]
)  # fmt: skip


@given(
    st.sampled_from(LOG_TYPES) | anything,
    st.dictionaries(sections, anything | st.dictionaries(st.sampled_from(KEYS), anything)),
)
def test_no_event_of_any_shape_makes_it_raise(log_type: Any, event: dict[str, Any]) -> None:
    """Sections may be missing, of another type, or hold nonsense."""
    event["log_type"] = log_type
    assert TrainingLabels()(None, "info", event) is event


@given(st.sampled_from(LOG_TYPES))
def test_without_any_fact_no_label_is_invented(log_type: str) -> None:
    """Every label is null or unknown."""
    found = label({"log_type": log_type, "training_labels": {}})
    assert set(found.values()) <= {None, "unknown"}


def test_another_log_type_is_left_alone() -> None:
    """It is neither labelled nor changed."""
    assert label({"log_type": "other", "success": True}) is None


@pytest.mark.parametrize(
    ("error_type", "code", "expected"),
    [
        ("validation_error", None, (True, False)),
        ("database_error", None, (False, True)),
        ("database_error", "23505", (True, False)),
        ("database_error", "23503", (False, True)),
        ("database_error", "SQLITE_CONSTRAINT_UNIQUE", (True, False)),
        ("database_error", "SQLITE_CONSTRAINT_NOTNULL", (False, True)),
        ("internal_error", "399", (False, False)),
        ("internal_error", "400", (True, False)),
        ("internal_error", "499", (True, False)),
        ("internal_error", "500", (False, False)),
        ("internal_error", "4xx", (False, False)),
        ("sync_error", "422", (False, True)),
        ("migration_error", "404", (False, False)),
        (None, "404", (None, None)),
    ],
)
def test_duplicates_and_answers_of_4xx_are_the_users_errors(
    error_type: str | None, code: str | None, expected: tuple[bool | None, bool | None]
) -> None:
    """Another service's response to a sync or a migration is not."""
    details = {"error_type": error_type, "error_code": code}
    found = label({"log_type": "error_log", "error_details": details, "training_labels": {}})
    assert (found["user_error"], found["system_error"]) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, None),
        ({"statistics": {"total_leads": 3}}, True),
        ({"system_health": {"sync_queue_size": 0}}, True),
        ({"alerts": [{"severity": "critical"}]}, False),
        ({"alerts": None}, None),
        ({"system_health": None}, None),
        ({"monitoring_info": {"monitoring_type": "health_check", "data_points": {"a": 1}}}, True),
    ],
)
def test_an_event_of_the_applications_own_measures_only_what_it_says(
    more: dict[str, Any], expected: bool | None
) -> None:
    """All four labels are present, null if nothing was measured."""
    event = {
        "log_type": "monitoring_data",
        "monitoring_info": {"monitoring_type": "application_event", "data_points": {"rows": 3}},
        "system_health": {"sync_queue_size": None, "error_rate_percent": None},
        "statistics": {"total_leads": None},
        "alerts": [],
        "training_labels": {},
    }
    labels = label({**event, **more})
    assert labels["system_healthy"] is expected
    assert list(labels) == [
        "system_healthy",
        "performance_acceptable",
        "sync_efficiency",
        "capacity_adequate",
    ]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"alerts": []}, None),
        ({"alerts": [], "system_health": {"sync_queue_size": 0}}, True),
        ({"alerts": [], "statistics": {"total_leads": 3}}, True),
        ({"alerts": [], "monitoring_info": {"data_points": {"disk": 1}}}, True),
        ({"alerts": [], "monitoring_info": {"data_points": {}}}, None),
        (
            {
                "alerts": [],
                "monitoring_info": {
                    "monitoring_type": "application_event",
                    "data_points": {"rows": 3},
                },
            },
            None,
        ),
        ({"alerts": [{"severity": "warning"}]}, True),
        ({"alerts": [{"severity": "critical"}]}, False),
    ],
)
def test_health_is_null_where_nothing_was_measured(
    event: dict[str, Any], expected: bool | None
) -> None:
    """This is so in an application's own event."""
    empty = {"log_type": "monitoring_data", "system_health": {"sync_queue_size": None}}
    assert label({**empty, "training_labels": {}, **event})["system_healthy"] is expected
