"""The language of `--where`."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.reading.where import WhereError, all_of, known_paths, parse, suggestion

EVENT = {
    "level": "error",
    "trace_id": None,
    "operation_details": {"success": False, "execution_time_ms": 250.5, "records_affected": 0},
    "lead_identifier": {"lead_id": "42", "company": "Müller GmbH & Co"},
    "training_labels": {"data_quality_issues": ["email_invalid", "phone_missing"]},
    "alerts": [{"name": "disk", "value": 3}, {"name": "queue", "value": 9}],
    "timestamp": "2026-11-23T10:00:00.000000Z",
}

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
)
KEYS = st.text(alphabet="abcxyz_09é", min_size=1, max_size=4).filter(
    lambda key: not key.isdecimal()
)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.dictionaries(KEYS, DATA, max_size=4)
PATHS = st.lists(KEYS, min_size=1, max_size=3).map(".".join)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("operation_details.success=false", True),
        ("operation_details.success = false", True),
        ("operation_details.success!=false", False),
        ("operation_details.success=0", False),
        ("operation_details.records_affected=false", False),
        ("operation_details.records_affected=0.0", True),
        ("operation_details.execution_time_ms>=250.5", True),
        ("operation_details.execution_time_ms>250.5", False),
        ("operation_details.execution_time_ms<1e3", True),
        ("operation_details.execution_time_ms<=250", False),
        ("operation_details.execution_time_ms~50.5", True),
        ("operation_details.success~als", True),
        ("operation_details<5", False),
        ("level=error", True),
        ('level="error"', True),
        ("level~ERR", True),
        ("level=Error", False),
        ("timestamp>=2026-11-23", True),
        ("timestamp<2026", False),
        ("lead_identifier.lead_id=42", True),
        ('lead_identifier.lead_id="42"', True),
        ("lead_identifier.lead_id!=42", False),
        ("lead_identifier.lead_id>5", False),
        ("lead_identifier.company~gmbh & co", True),
        ("lead_identifier.company~MÜLLER", True),
        ("trace_id=null", True),
        ("trace_id!=null", False),
        ("span_id=null", True),
        ("trace_id exists", True),
        ("span_id exists", False),
        ("span_id!=1", True),
        ("span_id<1", False),
        ("exists=null", True),
        ("training_labels.data_quality_issues=phone_missing", True),
        ("training_labels.data_quality_issues~email", True),
        ("training_labels.data_quality_issues=null", False),
        ("training_labels.data_quality_issues.1=phone_missing", True),
        ("training_labels.data_quality_issues.7 exists", False),
        ("alerts.name=queue", True),
        ("alerts.value>5", True),
        ("alerts.0.value>5", False),
        ("alerts.name!=disk", False),
        ("level.name=error", False),
        ("level=[1]", False),
    ],
)
def test_what_holds_for_an_event(expression, expected):
    """Each operator does what its description says."""
    assert parse(expression)(EVENT) is expected


@pytest.mark.parametrize(
    ("expression", "remedy"),
    [
        ("", "write field=value"),
        ("level", "write field=value"),
        ("level is error", "write field=value"),
        ("=error", "write field=value"),
        ("level!~x", "write field=value"),
        ("a..b=1", "empty part between its dots"),
        ("level=", r"level=null .*level=\"\""),
        ("level==error", "'=='"),
        ("level<>error", "'<>'"),
        ("level=~x", 'field="~x"'),
        ('level="error', "single quotes for the shell"),
        ("success>true", "compares numbers or text, and true is neither"),
        ("success<null", 'quote it: "null"'),
    ],
)
def test_a_bad_expression_says_how_to_write_it(expression, remedy):
    """An expression that cannot be parsed raises an error with a remedy."""
    with pytest.raises(WhereError, match=remedy):
        parse(expression)


@given(st.text())
def test_any_text_is_understood_or_refused(text):
    """Any text gives a condition or a WhereError."""
    try:
        condition = parse(text)
    except WhereError:
        return
    assert condition(EVENT) in {True, False}


@given(PATHS, SCALARS)
def test_a_value_written_as_json_equals_itself(path, value):
    """`path=<json>` finds the value, and `!=` does not."""
    event = value
    for key in reversed(path.split(".")):
        event = {key: event}
    assert parse(f"{path}={json.dumps(value)}")(event)
    assert not parse(f"{path}!={json.dumps(value)}")(event)


@given(EVENTS, PATHS, SCALARS)
def test_unequal_is_the_opposite_of_equal(event, path, value):
    """For any event, exactly one of = and != holds."""
    text = json.dumps(value)
    assert parse(f"{path}={text}")(event) is not parse(f"{path}!={text}")(event)


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_numbers_are_in_order(value, limit):
    """For two numbers the four comparisons agree with arithmetic."""
    event = {"a": value}
    text = json.dumps(limit)
    assert parse(f"a<{text}")(event) is (value < limit)
    assert parse(f"a<={text}")(event) is (value <= limit)
    assert parse(f"a>{text}")(event) is (value > limit)
    assert parse(f"a>={text}")(event) is (value >= limit)


@given(EVENTS, PATHS, st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "~"]), SCALARS)
def test_no_event_breaks_a_condition(event, path, operator, value):
    """Events of any shape give a result."""
    try:
        condition = parse(f"{path}{operator}{json.dumps(value)}")
    except WhereError:
        return
    assert condition(event) in {True, False}


def test_several_expressions_must_all_hold():
    """Several expressions are combined by and; without any, every event matches."""
    assert all_of(["level=error", "alerts exists"])(EVENT)
    assert not all_of(["level=error", "alerts=null"])(EVENT)
    assert not all_of(["level=info"])(EVENT)
    assert all_of([])(EVENT)


def test_known_paths_are_those_an_expression_can_name():
    """Every path through objects and lists is listed."""
    paths = set(known_paths(EVENT))
    assert {"level", "operation_details", "operation_details.success", "alerts.name"} <= paths
    assert all(parse(f"{path} exists")(EVENT) for path in paths)


@pytest.mark.parametrize(
    ("expression", "meant"),
    [
        ("operation_detail.success=false", "operation_details.success"),
        ("success=false", "operation_details.success"),
        ("operation_details.success=true", None),
        ("alerts.0.name=x", None),
        ("completely.other=1", None),
    ],
)
def test_a_path_that_is_not_there_is_told_with_the_closest_one(expression, meant):
    """For a typo or a bare column name the intended path is suggested."""
    assert suggestion(parse(expression), known_paths(EVENT)) == meant
