"""The conversion of values to those of the store."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.core.errors import ValidationError
from leadlog.leads.store import values


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: float


class Index:
    def __index__(self) -> int:
        return 7


class Silent:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" Ada ", "Ada"),
        ("", None),
        ("\t \u00a0", None),
        (None, None),
        (5551234, "5551234"),
        (5551234.0, "5551234"),
        (1.5, "1.5"),
        (math.nan, None),
        (Decimal("1.50"), "1.50"),
        (Decimal("nan"), None),
        (Index(), "7"),
        (Colour.RED, "red"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (date(2026, 11, 23), "2026-11-23"),
        (PurePosixPath("a/b"), "a/b"),
        ("Søren 李娜", "Søren 李娜"),
    ],
)
def test_text_is_stripped_and_simple_values_become_text(value, expected):
    """Text is stripped; numbers, dates and the like become text; blank becomes None."""
    assert values.text(value, "phone") == expected


@pytest.mark.parametrize("value", [True, ["a"], {"a": 1}, b"a", object(), Silent(), [10**5000]])
def test_what_is_no_text_is_refused_by_name(value):
    """A value that cannot become text is refused with its field and a remedy."""
    with pytest.raises(ValidationError, match=r"^phone is .*give"):
        values.text(value, "phone")


def test_a_number_of_too_many_digits_is_refused():
    """A number of more digits than Python converts is refused."""
    with pytest.raises(ValidationError, match="phone is a number of more than 4000 digits"):
        values.text(10**5000, "phone")


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_text_that_some_database_refuses_is_refused_here(value):
    """NUL characters and lone surrogates are refused before a database sees them."""
    with pytest.raises(ValidationError, match="notes"):
        values.text(value, "notes")


def test_text_has_a_limit_where_an_index_has_one():
    """Text longer than its field's limit is refused with both lengths."""
    assert values.text("x" * 500, "company", 500) == "x" * 500
    with pytest.raises(ValidationError, match="has 501 characters; at most 500"):
        values.text("x" * 501, "company", 500)


@pytest.mark.parametrize("value", [True, 1, 1.0, "yes", " TRUE ", "1", "on", "y", "t"])
def test_yes_in_many_words(value):
    """All spellings of yes in exports are True."""
    assert values.flag(value, "verified") is True


@pytest.mark.parametrize("value", [False, 0, 0.0, "no", "False", "0", "off", "n", "f"])
def test_no_in_many_words(value):
    """All spellings of no in exports are False."""
    assert values.flag(value, "verified") is False


@pytest.mark.parametrize("value", [None, "", "  ", math.nan])
def test_a_blank_flag_is_neither(value):
    """A blank value is neither True nor False."""
    assert values.flag(value, "verified") is None


@pytest.mark.parametrize("value", ["maybe", 2, 0.5, [], object(), math.inf])
def test_a_flag_that_says_neither_is_refused(value):
    """A value that means neither yes nor no is refused with the accepted values."""
    with pytest.raises(ValidationError, match=r"verified is .*True or False"):
        values.flag(value, "verified")


MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        MIDNIGHT,
        datetime(2026, 11, 23),
        datetime(2026, 11, 23, 1, tzinfo=timezone(timedelta(hours=1))),
        date(2026, 11, 23),
        "2026-11-23",
        " 2026-11-23T00:00:00Z ",
        "2026-11-22 23:30:00-00:30",
    ],
)
def test_a_moment_is_an_aware_datetime_in_utc(value):
    """Datetimes, dates and ISO text become UTC; without an offset they are taken as UTC."""
    found = values.moment(value, "created_at")
    assert found == MIDNIGHT
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    ["03/04/2026", 1795428000, True, datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))],
)
def test_a_moment_is_never_guessed(value):
    """A value that is not an ISO time, or is outside the calendar, is refused."""
    with pytest.raises(ValidationError, match=r"created_at is .*ISO 8601"):
        values.moment(value, "created_at")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        (-math.inf, "-Infinity"),
        (datetime(2026, 11, 23, tzinfo=UTC), "2026-11-23T00:00:00+00:00"),
        (timedelta(seconds=1.5), 1.5),
        (Decimal("1.10"), "1.10"),
        (Colour.RED, "red"),
        (PurePosixPath("a/b"), "a/b"),
        (b"caf\xc3\xa9", "café"),
        (b"\xff\x00", "ff00"),
        (Point(1, math.nan), {"x": 1, "y": None}),
        ((1, 2), [1, 2]),
        ({3, 1, 2}, [1, 2, 3]),
        (Index(), 7),
        ({1: "a", None: "b"}, {"1": "a", "None": "b"}),
        ("\ud800\0", "\ud800\0"),
    ],
)
def test_raw_values_become_json_by_rule(value, expected):
    """Values without a JSON type are converted as documented."""
    assert values.plain(value, "raw_data.x") == expected


def test_raw_values_that_json_cannot_have_are_refused_with_their_place():
    """An object without a conversion is refused with its path."""
    with pytest.raises(ValidationError, match=r"raw_data\.x\.tags\[1\] is <object"):
        values.plain({"tags": ["a", object()]}, "raw_data.x")
    with pytest.raises(ValidationError, match="two keys that read '1'"):
        values.plain({1: "a", "1": "b"}, "raw_data.x")
    with pytest.raises(ValidationError, match="4000 digits"):
        values.plain([10**5000], "raw_data.x")


def test_endless_nesting_is_refused():
    """A value that contains itself or is nested too deeply is refused without a crash."""
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ValidationError, match="more than 200 levels"):
        values.plain(endless, "raw_data.x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_values_survive_unchanged(value):
    """JSON values are kept unchanged and can be serialised."""
    found = values.plain(value, "raw_data.x")
    if "Infinity" not in json.dumps(value):
        assert found == value
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("value", [True, -1, 1.0, "5", None, 2**63])
def test_a_count_is_a_whole_number(value):
    """A limit that is not a whole number is refused by name."""
    with pytest.raises(ValidationError, match="limit is"):
        values.count(value, "limit")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("\u200b", None),
        ("\u3164 \u00ad\ufeff", None),
        ("\x01", None),
        ("\u202a+47 555 01\u202c", "+47 555 01"),
        ("\ufeffIda Strand\u200b ", "Ida Strand"),
        ("علی\u200cرضا", "علی\u200cرضا"),
        ("\u05d0 (x)\u200f", "\u05d0 (x)\u200f"),
        ("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680"),
        ("\u2764\ufe0f", "\u2764\ufe0f"),
        ("Strand\u00adverk", "Strand\u00adverk"),
    ],
)
def test_what_nobody_sees_is_blank_alone_and_kept_where_it_means_something(given, kept):
    """A joiner inside a word or an emoji stays; invisible marks at the edge are removed."""
    assert values.text(given, "notes") == kept
