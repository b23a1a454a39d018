"""The record of an operation conforms to the record contract."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from leadlog.core.clock import format_us
from leadlog.core.records import captured, shape
from leadlog.recording.capture import emit
from leadlog.recording.capture.operation import Operation
from leadlog_processors.rendering import JSONLine, to_plain


def keys_of(event: dict[str, Any]) -> list[Any]:
    """Return every key in order, each section with its own keys."""
    return [(key, [*value] if isinstance(value, dict) else None) for key, value in event.items()]


def event_of(operation: Operation) -> dict[str, Any]:
    """Return the event made from the facts of an operation."""
    facts = orjson.loads(emit.frame(operation, "info", "completed")[1:])
    return captured.operation(facts)


def test_the_event_of_an_operation_has_the_keys_of_the_contract_in_their_order() -> None:
    """The code lists the keys literally; this compares them with the blank record."""
    operation = Operation("add_lead", "lead.add", "Lead", lambda _: None)
    event = event_of(operation)
    assert keys_of(event) == keys_of(shape.blank("database_operation"))


def test_two_operations_share_no_section() -> None:
    """A processor's change to one event does not appear in any other."""
    operation = Operation("add_lead", "lead.add", "Lead", lambda _: None)
    first, second = (event_of(operation) for _ in range(2))
    for key, value in first.items():
        assert not isinstance(value, dict) or value is not second[key]
    first["training_labels"]["data_quality"] = "high"
    assert second["training_labels"]["data_quality"] is None


ZONES = st.sampled_from([None, UTC, timezone(timedelta(hours=2)), timezone(timedelta(seconds=-15))])


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=ZONES),
    st.booleans(),
)
def test_a_time_is_rendered_alike_by_the_fast_and_the_tolerant_way(
    moment: datetime, whole: bool
) -> None:
    """Property: UTC, six digits and Z, for every zone, year and fraction."""
    if whole:
        moment = moment.replace(microsecond=0)
    line = JSONLine()(None, "info", {"at": moment})
    assert orjson.loads(line) == to_plain({"at": moment})


@given(st.integers(min_value=-(10**15), max_value=10**16))
def test_a_time_in_microseconds_is_rendered_as_datetime_does(us: int) -> None:
    """Property: true also for the second before and after the last one rendered."""
    for moment in (us, us + 1, us + 1_000_000, us - 1, us):
        expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)
        assert format_us(moment) == expected.isoformat(timespec="microseconds")[:-6] + "Z"
