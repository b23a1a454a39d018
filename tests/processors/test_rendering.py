"""Every event becomes one whole line, whatever it holds."""

import datetime as dt
import decimal
import enum
import ipaddress
import json
import math
import pathlib
import threading
import uuid
from collections import deque
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog_processors.rendering import JSONLine, render, shorten, to_plain
from leadlog_processors.routing import Route


class Colour(enum.Enum):
    """An enumeration."""

    RED = "red"


@dataclass
class Point:
    """A dataclass."""

    x: int
    y: Any = None


class Hostile:
    """An object whose methods raise."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__


def line_of(value: Any, **options: Any) -> Any:
    """Return the value parsed from its line."""
    line = JSONLine(**options)(None, "info", {"event_name": "x", "value": value})
    assert b"\n" not in line
    return json.loads(line)["value"]


ZONE = dt.timezone(dt.timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        (math.nan, None),
        (math.inf, None),
        (dt.datetime(2026, 11, 23, 10, tzinfo=dt.UTC), "2026-11-23T10:00:00.000000Z"),
        (dt.datetime(2026, 11, 23, 10, tzinfo=ZONE), "2026-11-23T08:00:00.000000Z"),
        (dt.datetime(2026, 11, 23, 10), "2026-11-23T10:00:00.000000Z"),
        (dt.date(2026, 11, 23), "2026-11-23"),
        (dt.timedelta(seconds=1.5), "0:00:01.500000"),
        (decimal.Decimal("1.10"), "1.10"),
        (2**70, str(2**70)),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (ipaddress.ip_address("10.0.0.2"), "10.0.0.2"),
        (ipaddress.ip_network("2001:DB8::/32"), "2001:db8::/32"),
        (Colour.RED, "red"),
        (b"caf\xc3\xa9", "café"),
        (b"\xff", "\\xff"),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        (Point(1, {2: 3}), {"x": 1, "y": {"2": 3}}),
        ({"b", "a"}, ["a", "b"]),
        ((1, (2,)), [1, [2]]),
        (deque([1]), [1]),
        (ValueError("bad"), "ValueError: bad"),
        ("a\ud800b", "a\N{REPLACEMENT CHARACTER}b"),
        (Hostile(), "<unprintable Hostile>"),
        ({Hostile(): 1}, {"<unprintable Hostile>": 1}),
    ],
)
def test_every_kind_of_value_has_its_rule(value: Any, rendered: Any) -> None:
    """The table in the module's documentation is correct."""
    assert line_of(value) == rendered


def test_a_cycle_ends() -> None:
    """A value that contains itself is rendered once."""
    value: dict[str, Any] = {"a": 1}
    value["self"] = value
    assert line_of(value) == {"a": 1, "self": "<cycle>"}


def test_depth_ends() -> None:
    """A value nested a hundred thousand levels deep breaks neither the line nor the stack."""
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    assert line_of(value)


def test_a_container_changed_by_another_thread_costs_no_event() -> None:
    """Events whose values another thread changes are all rendered."""
    shared: dict[Any, Any] = {}
    stop = threading.Event()

    def change() -> None:
        i = 0
        while not stop.is_set():
            shared[(i,)] = Hostile()
            if i > 50:
                shared.pop((i - 50,), None)
            i += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            assert JSONLine()(None, "info", {"event_name": "x", "value": shared})
    finally:
        stop.set()
        thread.join()


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.decimals()
    | st.text(alphabet=st.characters(categories=["Cs"]), max_size=3)
    | st.builds(Hostile),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers() | st.builds(Hostile), inner)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_any_value_gives_a_line_that_json_reads(value: Any) -> None:
    """Property: one line, UTF-8, strict JSON, whatever the value."""
    line = JSONLine()(None, "info", {"event_name": "x", "value": value})
    json.loads(line.decode("utf-8"), parse_constant=pytest.fail)
    assert b"\n" not in line


@given(VALUES)
def test_a_plain_copy_renders_as_the_value(value: Any) -> None:
    """Property: the tolerant copy consists of JSON types only, and renders without a hook."""
    assert json.loads(render({"v": to_plain(value)})) is not None


@given(
    st.dictionaries(
        st.text(max_size=200),
        st.text(max_size=9000)
        | st.lists(st.text(max_size=300), max_size=300)
        | st.dictionaries(st.text(max_size=50), st.text(max_size=500), max_size=60),
        max_size=12,
    )
)
def test_a_shortened_line_fits_and_says_what_was_cut(values: dict[str, Any]) -> None:
    """Property: a cut line is within its limit, keeps its types, and lists its cuts."""
    event = {"timestamp": "t", "event_name": "x", **values}
    whole = render(event)
    line = shorten(whole, 4096) if len(whole) > 4096 else whole
    found = json.loads(line)
    assert len(line) <= 4096
    assert found["timestamp"] == event["timestamp"]
    if len(whole) > 4096:
        assert found["truncated"] is True
        assert found["truncated_fields"]
    for key, value in found.items():
        if key in values and key not in ("truncated", "truncated_fields"):
            assert type(value) is type(json.loads(render({"v": values[key]}))["v"])


def test_cuts_are_named_by_their_path() -> None:
    """The long value is cut, its neighbours are kept, and the path identifies it."""
    event = {"context": {"note": "x" * 40_000, "user": "ana"}, "list": [1, 2]}
    found = json.loads(JSONLine()(None, "info", event))
    assert found["truncated_fields"] == ["context.note"]
    assert found["context"]["user"] == "ana"
    assert found["context"]["note"].endswith("…")


def test_a_limit_below_a_record_is_refused() -> None:
    """The error names the smallest valid limit."""
    with pytest.raises(ValueError, match="1024"):
        JSONLine(10)


def test_an_event_that_nothing_can_render_leaves_a_stub() -> None:
    """Keys whose own code raises lose the content, not the event: the stub has the error."""

    class Key(str):
        __slots__ = ()

        def encode(self, *_args: Any) -> bytes:
            raise RuntimeError("encode")

    told: list[BaseException] = []
    line = JSONLine(unserialisable=told.append)(None, "info", {"event_name": "x", Key("k"): 1})
    assert json.loads(line)["unserialisable"].startswith("TypeError")
    assert len(told) == 1


def test_routing_sends_each_log_type_to_its_folder() -> None:
    """The wrapped logger gets category and line; unknown types share a category."""
    route = Route(lambda logger, name, event: b"line")
    assert route(None, "info", {"log_type": "sync_operation"}) == (("sync_operations", b"line"), {})
    assert route(None, "info", {"log_type": "odd"}) == (("monitoring_data", b"line"), {})
    assert route(None, "info", {}) == (("monitoring_data", b"line"), {})
