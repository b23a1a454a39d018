"""Tiers and PerformanceTier: the tier of a wall time."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog_processors.timing import DEFAULT_TIERS, PerformanceTier, Tiers, tier

ORDER = ["excellent", "good", "acceptable", "slow", "very_slow"]
SLOW_SYNC = Tiers(excellent_ms=10, good_ms=20, acceptable_ms=30, slow_ms=40)


def operation(
    ms: object = 150.5, operation_type: object = "add_lead", **labels: Any
) -> dict[str, Any]:
    return {
        "log_type": "database_operation",
        "operation_details": {"operation_type": operation_type, "execution_time_ms": ms},
        "training_labels": {"performance_tier": None, **labels},
    }


def label(event: dict[str, Any], process: PerformanceTier | None = None) -> Any:
    processed = (process or PerformanceTier())(None, "info", event)
    return processed.get("training_labels", {}).get("performance_tier")


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        (0, "excellent"),
        (150.5, "excellent"),
        (200.0, "excellent"),
        (200.001, "good"),
        (500, "good"),
        (500.001, "acceptable"),
        (2000, "acceptable"),
        (2000.001, "slow"),
        (5000.0, "slow"),
        (5000.001, "very_slow"),
        (1e12, "very_slow"),
    ],
)
def test_a_time_equal_to_a_limit_belongs_to_the_better_tier(ms: float, expected: str) -> None:
    """Each limit is the maximum of its own tier."""
    assert tier(ms) == expected
    assert label(operation(ms)) == expected


@pytest.mark.parametrize("ms", [None, math.nan, math.inf, -math.inf, -0.001, True, "12", [], 1j])
def test_what_is_no_measurement_has_no_tier(ms: Any) -> None:
    """Null, NaN, infinity, a negative time and a value of another type give null."""
    assert tier(ms) is None
    assert label(operation(ms)) is None


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_longer_time_never_has_a_better_tier(one: float, other: float) -> None:
    """The tier is monotone in the wall time."""
    shorter, longer = tier(min(one, other)), tier(max(one, other))
    assert ORDER.index(str(shorter)) <= ORDER.index(str(longer))


@given(st.lists(st.floats(0.001, 1e6), min_size=4, max_size=4, unique=True).map(sorted))
def test_any_ascending_limits_are_accepted_and_hold(limits: list[float]) -> None:
    """Each limit belongs to its tier, whatever the limits are."""
    tiers = Tiers(*limits)
    assert [tier(limit, tiers) for limit in limits] == ORDER[:4]


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"excellent_ms": 0}, "excellent_ms is 0 ms"),
        ({"excellent_ms": -5.0}, "-5.0"),
        ({"good_ms": 200.0}, "good_ms is 200.0 ms, which is not above excellent_ms"),
        ({"slow_ms": 100}, "slow_ms is 100 ms"),
        ({"acceptable_ms": math.nan}, "acceptable_ms is nan"),
        ({"slow_ms": math.inf}, "slow_ms is inf"),
        ({"good_ms": "500"}, "good_ms is '500'"),
        ({"excellent_ms": True}, "excellent_ms is True"),
    ],
)
def test_limits_that_do_not_ascend_are_refused_with_their_name(
    limits: dict[str, Any], named: str
) -> None:
    """The error names the limit and its value."""
    with pytest.raises(ValueError, match=named.replace(".", r"\.")):
        Tiers(**limits)


def test_an_operation_with_limits_of_its_own_is_judged_by_them() -> None:
    """An override applies to its operation_type, the general limits to all others."""
    process = PerformanceTier(overrides={"full_sync": SLOW_SYNC})
    assert label(operation(25.0, "full_sync"), process) == "acceptable"
    assert label(operation(25.0, "add_lead"), process) == "excellent"
    assert label(operation(0.0, "add_lead"), process) == "excellent"
    assert label(operation(25.0, None), process) == "excellent"


def test_a_measurement_is_judged_by_its_total_duration_and_operation_name() -> None:
    """performance_metrics has the duration and the name in operation_info."""
    process = PerformanceTier(overrides={"report": SLOW_SYNC})
    event = {
        "log_type": "performance_metrics",
        "operation_info": {"operation_name": "report", "total_duration_ms": 100},
        "training_labels": {"performance_tier": None},
    }
    assert label(event, process) == "very_slow"
    event["operation_info"]["operation_name"] = "other"  # type: ignore[index]
    event["training_labels"] = {"performance_tier": None}
    assert label(event, process) == "excellent"


@pytest.mark.parametrize(
    "log_type", ["sync_operation", "migration_operation", "error_log", "monitoring_data", "other"]
)
def test_other_log_types_pass_untouched(log_type: str) -> None:
    """A sync is not a database operation, even with a duration at top level."""
    event = {"log_type": log_type, "execution_time_ms": 5.0, "training_labels": {}}
    assert PerformanceTier()(None, "info", event) == {
        "log_type": log_type,
        "execution_time_ms": 5.0,
        "training_labels": {},
    }


def test_a_tier_that_the_caller_set_stays() -> None:
    """The processor only fills labels that are null."""
    assert label(operation(1.0, performance_tier="slow")) == "slow"
    flat = {"duration_ms": 1.0, "training_labels": {"performance_tier": "slow"}}
    assert label(flat) == "slow"


@pytest.mark.parametrize("key", ["execution_time_ms", "duration_ms"])
def test_a_flat_event_gets_labels_of_its_own(key: str) -> None:
    """In any structlog chain, a duration at top level is enough."""
    assert label({"event": "done", key: 300}) == "good"
    process = PerformanceTier(overrides={"full_sync": SLOW_SYNC})
    assert label({"operation_type": "full_sync", key: 300}, process) == "very_slow"


def test_a_flat_event_without_a_duration_is_left_alone() -> None:
    """No labels are invented."""
    assert PerformanceTier()(None, "info", {"event": "done"}) == {"event": "done"}
    assert PerformanceTier()(None, "info", {"duration_ms": None}) == {"duration_ms": None}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "log_type": st.sampled_from(["database_operation", "performance_metrics"]) | anything,
            "operation_details": anything,
            "operation_info": anything,
            "training_labels": anything,
            "execution_time_ms": anything,
            "operation_type": anything,
        },
    )
)
def test_no_event_of_any_shape_makes_it_raise(event: dict[str, Any]) -> None:
    """Foreign sections under our names are not labelled, and raise no error."""
    process = PerformanceTier(overrides={"full_sync": SLOW_SYNC})
    assert process(None, "info", event) is event


def test_the_default_limits_are_those_of_the_record_contract() -> None:
    """200, 500, 2000 and 5000 ms."""
    assert Tiers(200.0, 500.0, 2000.0, 5000.0) == DEFAULT_TIERS
