"""The comparison of a logged value with one of the database."""

import datetime as dt
import json
import uuid
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from leadlog.verification.values import equal, key_of, plain
from leadlog_processors.rendering import render

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.uuids(),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.timedeltas(),
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(value=NESTED)
def test_a_value_that_the_log_shows_is_the_same_as_it_is_in_the_database(value: Any) -> None:
    """Any value equals itself after being written to a line and read back."""
    logged = json.loads(render({"value": value}))["value"]
    assert plain(value) == logged
    assert equal(logged, value)


@pytest.mark.parametrize(
    ("logged", "found"),
    [
        ("1.50", Decimal("1.5")),
        (1.5, Decimal("1.50")),
        (1, 1.0),
        (True, 1),
        (0, False),
        ("2026-01-02T03:04:05Z", dt.datetime(2026, 1, 2, 3, 4, 5)),
        ("2026-01-02T05:04:05+02:00", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
        ("0123456789abcdef0123456789abcdef", uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")),
        ("01234567-89ab-cdef-0123-456789abcdef", "0123456789abcdef0123456789abcdef"),
        ({"a": 1}, '{"a": 1.0}'),
        ([1, "x"], [1.0, "x"]),
    ],
)
def test_what_differs_in_spelling_only_is_the_same(logged: Any, found: Any) -> None:
    """Numbers, times, UUIDs and JSON are compared by value, not by spelling."""
    assert equal(logged, found)


@pytest.mark.parametrize(
    ("logged", "found"),
    [
        ("7", "007"),
        (None, ""),
        ("", None),
        (None, 0),
        (False, None),
        ("1.51", Decimal("1.5")),
        ("abc", Decimal("1.5")),
        (2**53 + 1, 2**53),
        ("2026-01-02T03:04:05Z", dt.datetime(2026, 1, 2, 3, 4, 6)),
        ("yesterday", dt.datetime(2026, 1, 2)),
        ({"a": 1}, {"a": 1, "b": None}),
        ([1], [1, 2]),
        ({"a": 1}, "no JSON"),
        ("x", "x "),
        ("true", True),
    ],
)
def test_what_differs_is_not_the_same(logged: Any, found: Any) -> None:
    """Text is compared as text, and null differs from blank text."""
    assert not equal(logged, found)


def test_the_type_of_the_column_says_what_the_database_does_to_a_value() -> None:
    """The column's rounding and the padding of CHAR are taken into account."""
    assert equal("1.006", Decimal("1.01"), sa.Numeric(10, 2))
    assert not equal("1.006", Decimal("1.02"), sa.Numeric(10, 2))
    assert equal("ab", "ab      ", sa.CHAR(8))
    assert not equal("ab", "ab      ", sa.String(8))


def test_a_key_is_text_whose_parts_are_joined_by_commas() -> None:
    """A key has the format of `lead_identifier.lead_id`."""
    one = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")
    assert key_of((one, 7, "x")) == "01234567-89ab-cdef-0123-456789abcdef,7,x"
