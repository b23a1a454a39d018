"""The envelope begins every record, in the order of the contract."""

import sys
import threading
import types
from collections.abc import Iterator

import pytest

from leadlog_processors.envelope import Envelope

ORDER = [
    "timestamp",
    "level",
    "log_type",
    "event_name",
    "session_id",
    "event_id",
    "schema_version",
    "process_id",
    "thread_name",
]


def test_the_envelope_comes_first_and_in_order() -> None:
    """The nine keys precede all other keys of the event."""
    event = Envelope()(None, "info", {"event": "lead.add", "a": 1, "log_type": "error_log"})
    assert list(event) == [*ORDER, "a"]
    assert event["thread_name"] == threading.current_thread().name


@pytest.mark.parametrize(
    ("method", "level"), [("warn", "warning"), ("exception", "error"), ("fatal", "critical")]
)
def test_levels_have_one_spelling(method: str, level: str) -> None:
    """structlog's other method names become one of the contract's five levels."""
    assert Envelope()(None, method, {"event": "x"})["level"] == level


def test_time_and_id_given_by_the_source_are_kept() -> None:
    """The end of the operation and an id given by the caller are not replaced."""
    event = Envelope()(None, "info", {"event": "x", "timestamp": 0, "event_id": "e1"})
    assert event["timestamp"] == "1970-01-01T00:00:00.000000Z"
    assert event["event_id"] == "e1"


@pytest.fixture
def active_span() -> Iterator[None]:
    """An OpenTelemetry API with an active span, as far as the envelope uses it."""
    context = types.SimpleNamespace(is_valid=True, trace_id=0xABC, span_id=0xDEF)
    span = types.SimpleNamespace(get_span_context=lambda: context)
    module = types.ModuleType("opentelemetry.trace")
    module.get_current_span = lambda: span  # type: ignore[attr-defined]  # a module made here
    sys.modules["opentelemetry.trace"] = module
    yield
    del sys.modules["opentelemetry.trace"]


@pytest.mark.usefixtures("active_span")
def test_an_active_span_is_named() -> None:
    """Inside an OpenTelemetry span, the record has its ids as W3C hex."""
    event = Envelope()(None, "info", {"event": "x"})
    assert event["trace_id"] == f"{0xABC:032x}"
    assert event["span_id"] == f"{0xDEF:016x}"


def test_without_a_span_there_are_no_trace_keys() -> None:
    """Outside a span the keys are absent, not null."""
    assert "trace_id" not in Envelope()(None, "info", {"event": "x"})
