"""Values of a query's result as JSON has them."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.reading.duck import connect
from leadlog.reading.values import json_text


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT sum(n) FROM (VALUES (1::BIGINT), (2)) t(n)", "3"),
        (f"SELECT {2**127 - 1}", str(2**127 - 1)),
        ("SELECT 1.50::DECIMAL(9, 2)", "1.50"),
        ("SELECT -0.000000000000000001::DECIMAL(38, 18)", "-0.000000000000000001"),
        ("SELECT 'nan'::DOUBLE", "null"),
        ("SELECT '-infinity'::DOUBLE", "null"),
        ("SELECT INTERVAL '1 day 00:00:01.5'", "86401500.0"),
        ("SELECT INTERVAL '2 months'", "5184000000.0"),
        ("SELECT TIMESTAMP '2026-11-23 10:00:00'", '"2026-11-23T10:00:00.000000Z"'),
        ("SELECT DATE '2026-11-23'", '"2026-11-23"'),
        ("SELECT TIME '10:00:00'", '"10:00:00.000000"'),
        ("SELECT 'ab'::BLOB", '"6162"'),
        ("SELECT MAP {1: 2.5}", '{"1":2.5}'),
        ("SELECT [1, NULL]", "[1,null]"),
        ("SELECT true", "true"),
        ("SELECT NULL", "null"),
    ],
)
def test_each_type_has_one_form(sql: str, expected: str) -> None:
    """Whole numbers of any size and decimals are numbers, digit for digit."""
    with connect() as connection:
        table = connection.sql(sql).to_arrow_table()
    (value,) = table.columns[0].to_pylist()
    assert json_text(value).decode() == expected


@given(st.one_of(st.integers(), st.decimals(allow_nan=False, allow_infinity=False)))
def test_no_digit_of_a_number_is_lost(number: Any) -> None:
    """Numbers of any length are written in full."""
    assert json.loads(json_text(number), parse_float=Decimal, parse_int=Decimal) == number


def test_a_difference_of_times_is_milliseconds() -> None:
    """A difference of times is in milliseconds, like every duration in the log."""
    assert json.loads(json_text({"span": dt.timedelta(hours=1)})) == {"span": 3_600_000.0}
