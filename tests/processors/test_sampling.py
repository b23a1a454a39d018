"""Sampling: the events that are kept, and their recorded rate."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog import DropEvent

from leadlog_processors.sampling import Sampling


def operation(operation_type: str = "get_lead", **more: Any) -> dict[str, Any]:
    return {
        "log_type": "database_operation",
        "level": "info",
        "operation_details": {"operation_type": operation_type, "success": True},
        "training_labels": {"performance_tier": "excellent"},
        **more,
    }


def rate_of(event: dict[str, Any], rates: dict[str, float], number: float = 0.0) -> Any:
    """Return the event's rate; "dropped" if it was dropped, None if it is unchanged."""
    try:
        return Sampling(rates, random=lambda: number)(None, "info", event).get("sample_rate")
    except DropEvent:
        return "dropped"


def test_an_event_without_a_rate_passes_untouched() -> None:
    """It is neither dropped nor marked."""
    event = operation("add_lead")
    assert Sampling({})(None, "info", event) is event
    assert rate_of(event, {"get_lead": 0.1}, 0.99) is None
    assert "sample_rate" not in event


@pytest.mark.parametrize(
    ("number", "expected"), [(0.0, 0.25), (0.2499, 0.25), (0.25, "dropped"), (0.99, "dropped")]
)
def test_an_ordinary_event_is_kept_with_its_rate_or_dropped(number: float, expected: Any) -> None:
    """It is kept if the random number is below the rate."""
    assert rate_of(operation(), {"get_lead": 0.25}, number) == expected


def test_the_operation_comes_before_the_log_type_and_that_before_the_rest() -> None:
    """The order is operation_type, log_type, "*"."""
    rates = {"get_lead": 0.1, "database_operation": 0.2, "*": 0.3}
    assert rate_of(operation("get_lead"), rates) == 0.1
    assert rate_of(operation("add_lead"), rates) == 0.2
    assert rate_of({"log_type": "monitoring_data"}, rates) == 0.3
    assert rate_of({"event": "anybody's"}, rates) == 0.3
    assert rate_of({"operation_type": "get_lead"}, rates) == 0.1


def test_a_measurement_is_sampled_by_its_operation_name() -> None:
    """performance_metrics has its operation in operation_info."""
    event = {"log_type": "performance_metrics", "operation_info": {"operation_name": "report"}}
    assert rate_of(event, {"report": 0.5, "performance_metrics": 0.1}) == 0.5


@pytest.mark.parametrize(
    "event",
    [
        operation(level="error"),
        operation(level="critical"),
        operation(operation_details={"operation_type": "get_lead", "success": False}),
        operation(training_labels={"performance_tier": "slow"}),
        operation(training_labels={"performance_tier": "very_slow"}),
        {"log_type": "error_log", "level": "warning"},
        {"log_type": "sync_operation", "sync_results": {"success": False}},
        {"log_type": "migration_operation", "migration_results": {"success": False}},
        {"log_type": "performance_metrics", "operation_info": {"success": False}},
        {"event": "flat", "success": False},
    ],
)
@pytest.mark.parametrize("rate", [0, 0.01])
def test_errors_and_slow_events_are_always_kept_and_count_once(
    event: dict[str, Any], rate: float
) -> None:
    """This holds for any rate, even 0."""
    assert rate_of(dict(event), {"*": rate}, 0.999) == 1.0


@pytest.mark.parametrize("method", ["error", "exception", "critical", "fatal"])
def test_the_logger_method_is_the_level_of_an_event_that_has_none(method: str) -> None:
    """In a chain without a level processor, an error is still an error."""
    kept = Sampling({"*": 0})(None, method, {"event": "failed"})
    assert kept["sample_rate"] == 1.0


def test_a_rate_of_zero_drops_every_ordinary_event() -> None:
    """Even if the random number is 0."""
    assert rate_of(operation(), {"get_lead": 0}, 0.0) == "dropped"


def test_a_rate_of_one_asks_no_random_number() -> None:
    """An event that is kept anyway is marked with 1.0."""

    def never() -> float:
        raise AssertionError("asked for a random number")

    assert Sampling({"*": 1}, random=never)(None, "info", operation())["sample_rate"] == 1.0


def test_which_tiers_are_slow_can_be_chosen() -> None:
    """slow_tiers names the tiers that are always kept."""
    sample = Sampling({"*": 0}, slow_tiers=["excellent"])
    assert sample(None, "info", operation())["sample_rate"] == 1.0
    with pytest.raises(DropEvent):
        sample(None, "info", operation(training_labels={"performance_tier": "slow"}))


@pytest.mark.parametrize("rate", [-0.1, 1.0001, float("nan"), float("inf"), "0.5", None, True])
def test_a_rate_that_is_no_share_is_refused_with_its_key_and_value(rate: Any) -> None:
    """The error names both."""
    with pytest.raises(ValueError, match=f"'get_lead' is {rate!r}"):
        Sampling({"add_lead": 0.5, "get_lead": rate})


@given(rate=st.floats(0.05, 1), seed=st.integers(0, 2**32), errors=st.integers(0, 50))
def test_re_weighted_counts_estimate_what_was_logged(rate: float, seed: int, errors: int) -> None:
    """The sum of 1 / sample_rate is near the number of events; errors count exactly."""
    total = 2000
    sample = Sampling({"*": rate}, random=random.Random(seed).random)
    ordinary = failed = 0.0
    for number in range(total + errors):
        is_error = number >= total
        try:
            kept = sample(None, "error" if is_error else "info", {"event": "x"})
        except DropEvent:
            continue
        if is_error:
            failed += 1 / kept["sample_rate"]
        else:
            ordinary += 1 / kept["sample_rate"]
    assert failed == errors
    # Seven standard deviations of the estimate.
    assert abs(ordinary - total) <= 7 * (total * (1 - rate) / rate) ** 0.5 + 1e-6


anything = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers())


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "log_type": st.sampled_from(["database_operation", "sync_operation"]) | anything,
            "operation_details": anything | st.dictionaries(st.text(), anything),
            "sync_results": anything,
            "operation_type": anything,
            "training_labels": anything | st.dictionaries(st.text(), anything),
            "level": anything,
        },
    )
)
def test_no_event_of_any_shape_makes_it_raise_anything_but_drop_event(
    event: dict[str, Any],
) -> None:
    """It keeps, marks or drops the event."""
    sample = Sampling({"*": 0.5}, random=random.Random(1).random)
    try:
        assert sample(None, "info", event) is event
    except DropEvent:
        assert "sample_rate" not in event
