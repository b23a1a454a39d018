"""The chain: whoever breaks is named, costs only itself, and every other processor runs once."""

from collections import UserDict
from collections.abc import Callable
from typing import Any

import pytest
import structlog

import leadlog

Logged = Callable[..., list[dict[str, Any]]]


def raises(logger: Any, name: str, event: Any) -> Any:
    """Breaks."""
    raise RuntimeError("broken")


def gives_none(logger: Any, name: str, event: Any) -> Any:
    """Gives what is no event."""


def gives_text(logger: Any, name: str, event: Any) -> Any:
    """Gives what is no event, and cannot be made one."""
    return "text"


def gives_mapping(logger: Any, name: str, event: Any) -> Any:
    """Gives an event that is no dict."""
    return UserDict(event)


def drops(logger: Any, name: str, event: Any) -> Any:
    """Leaves the event out."""
    raise structlog.DropEvent


def counter(name: str) -> Callable[[Any, str, Any], Any]:
    """A processor that notes how often it ran."""

    def count(logger: Any, method_name: str, event: Any) -> Any:
        seen = event["monitoring_info"]["data_points"]
        seen[name] = seen.get(name, 0) + 1
        return event

    return count


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("broken", [raises, gives_none, gives_text])
def test_who_breaks_is_named_and_nobody_runs_twice(
    at: int, broken: Callable[..., Any], logged: Logged
) -> None:
    """At the beginning, in the middle and at the end of the user's own processors."""
    around: list[Any] = [counter("first"), counter("second")]
    leadlog.configure(processors=[*around[:at], broken, *around[at:]])
    leadlog.get_logger().info("x")
    (event,) = logged("monitoring_data")
    assert event["monitoring_info"]["data_points"] == {"first": 1, "second": 1}
    (error,) = event["processor_errors"]
    assert error.startswith(broken.__name__)
    assert leadlog.stats().processor_errors == 1


@pytest.mark.parametrize("at", range(3))
def test_an_event_may_become_another_mapping(at: int, logged: Logged) -> None:
    """As structlog allows."""
    around: list[Any] = [counter("first"), counter("second")]
    leadlog.configure(processors=[*around[:at], gives_mapping, *around[at:]])
    leadlog.get_logger().info("x")
    (event,) = logged("monitoring_data")
    assert event["monitoring_info"]["data_points"] == {"first": 1, "second": 1}
    assert "processor_errors" not in event


@pytest.mark.parametrize("at", range(3))
def test_an_event_is_dropped_wherever_that_is_decided(at: int, logged: Logged) -> None:
    """Also behind a processor that broke; each is counted."""
    around: list[Any] = [counter("first"), raises]
    leadlog.configure(processors=[*around[:at], drops, *around[at:]])
    for _ in range(3):
        leadlog.get_logger().info("x")
    assert logged("monitoring_data") == []
    assert leadlog.stats().sampled_out == 3
    assert leadlog.stats().failures == 0
