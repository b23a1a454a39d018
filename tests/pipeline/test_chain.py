"""A failing processor is named and loses only its own contribution; all others run once."""

import json
import threading
from collections import UserDict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import structlog

import leadlog
from leadlog.core import settings
from leadlog.recording.pipeline import policy

Logged = Callable[..., list[dict[str, Any]]]


def raises(logger: Any, name: str, event: Any) -> Any:
    """Raise."""
    raise RuntimeError("broken")


def gives_none(logger: Any, name: str, event: Any) -> Any:
    """Return None instead of an event."""


def gives_text(logger: Any, name: str, event: Any) -> Any:
    """Return a text, which cannot be converted to an event."""
    return "text"


def gives_mapping(logger: Any, name: str, event: Any) -> Any:
    """Return an event that is not a dict."""
    return UserDict(event)


def drops(logger: Any, name: str, event: Any) -> Any:
    """Drop the event."""
    raise structlog.DropEvent


def counter(name: str) -> Callable[[Any, str, Any], Any]:
    """Return a processor that counts its calls."""

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
    """At the beginning, in the middle and at the end of the user's processors."""
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
    """structlog allows this, too."""
    around: list[Any] = [counter("first"), counter("second")]
    leadlog.configure(processors=[*around[:at], gives_mapping, *around[at:]])
    leadlog.get_logger().info("x")
    (event,) = logged("monitoring_data")
    assert event["monitoring_info"]["data_points"] == {"first": 1, "second": 1}
    assert "processor_errors" not in event


@pytest.mark.parametrize("at", range(3))
def test_an_event_is_dropped_wherever_that_is_decided(at: int, logged: Logged) -> None:
    """Any processor may drop an event, also after a failing one; each drop is counted."""
    around: list[Any] = [counter("first"), raises]
    leadlog.configure(processors=[*around[:at], drops, *around[at:]])
    for _ in range(3):
        leadlog.get_logger().info("x")
    assert logged("monitoring_data") == []
    assert leadlog.stats().sampled_out == 3
    assert leadlog.stats().failures == 0


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_no_processor_ends_the_drain(error: type[BaseException], logged: Logged) -> None:
    """`sys.exit` in one costs no more than any other exception, for this and the next event."""

    def leaves(logger: Any, name: str, event: Any) -> Any:
        raise error("enough")

    leadlog.configure(processors=[leaves, counter("second")])
    for _ in range(2):
        leadlog.get_logger().info("x")
        (*_, event) = logged("monitoring_data")
        assert event["monitoring_info"]["data_points"] == {"second": 1}
        assert error.__name__ in event["processor_errors"][0]


@pytest.mark.parametrize("enrich", ["drain", "caller"])
@pytest.mark.parametrize("end", ["raises", "returns nothing"])
def test_what_a_broken_processor_changed_is_undone(enrich: str, end: str, logged: Logged) -> None:
    """Nested changes as well: the event continues as if that processor did not exist."""

    def half(logger: Any, name: str, event: Any) -> Any:
        event["monitoring_info"]["data_points"]["deep"]["a"].append(2)
        event["half"] = True
        del event["system_health"]
        if end == "raises":
            raise RuntimeError(end)

    leadlog.configure(processors=[counter("first"), half, counter("second")], enrich=enrich)
    leadlog.get_logger().info("x", deep={"a": [1]})
    (event,) = logged("monitoring_data")
    assert event["monitoring_info"]["data_points"] == {"deep": {"a": [1]}, "first": 1, "second": 1}
    assert "half" not in event
    assert "system_health" in event


def test_processors_get_live_objects_where_the_caller_enriches(logged: Logged) -> None:
    """In the drain they get JSON types instead, in the drain's thread."""
    seen: list[tuple[type, bool]] = []

    def look(logger: Any, name: str, event: Any) -> Any:
        value = event["monitoring_info"]["data_points"]["value"]
        seen.append((type(value), threading.current_thread() is threading.main_thread()))
        return event

    for enrich in ("drain", "caller"):
        leadlog.configure(processors=[look], enrich=enrich)
        leadlog.get_logger().info("x", value=Decimal("1.5"))
        leadlog.flush()
    assert seen == [(str, False), (Decimal, True)]
    assert [e["monitoring_info"]["data_points"]["value"] for e in logged("monitoring_data")] == [
        "1.5",
        "1.5",
    ]


def test_facts_of_no_known_kind_are_written_as_they_are() -> None:
    """Facts of another version, left by a killed process: masked, but not lost."""
    finish = policy.finisher_of(policy.policy_of(settings.load().settings))
    frame = b'\x01{"id":"' + b"0" * 30 + b'","kind":"odd","password":"hunter2","a":"kept"}\n'
    (line,) = finish("monitoring_data", [frame])
    record = json.loads(line)
    assert record["recovered"] is True
    assert "kept" in record["monitoring_info"]["data_points"]["facts"]
    assert b"hunter2" not in line
