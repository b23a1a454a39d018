"""The mapping of fields, and the conversion of values in both directions."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.core.errors import SettingsError, ValidationError
from leadlog.leads.airtable.mapping import DEFAULTS, FieldMapping, kinds_for, names_of


def field(name: str, kind: str) -> FieldMapping:
    return FieldMapping(name, "fld1", name.title(), kind)


def test_settings_change_the_defaults():
    """Settings can rename, omit and add fields; the others keep their default names."""
    names = names_of({"email": "Mail", "phone": False, "created_at": "Added"})
    assert names["email"] == "Mail"
    assert "phone" not in names
    assert names["created_at"] == "Added"
    assert names["company"] == DEFAULTS["company"]


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        ({"raw_data": "Raw"}, "'raw_data' cannot be synchronised"),
        ({"e_mail": "Mail"}, "'e_mail' cannot be synchronised"),
        ({"email": 7}, "email = 7"),
        ({"full_name": False}, "full_name cannot be left out"),
        ({"email": "Company"}, "'Company' is used for two fields"),
    ],
)
def test_a_bad_mapping_is_told(configured, said):
    """The error names the field and the valid alternatives."""
    with pytest.raises(SettingsError, match=said):
        names_of(configured)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30))
def test_text_comes_back_as_the_store_has_it(text):
    """A value that was sent and read again compares equal to the stored one."""
    one = field("title", "singleLineText")
    stored = one.to_local(text)
    assert one.to_local(one.to_remote(stored)) == stored


@given(st.integers(-(10**9), 10**9))
def test_a_number_field_compares_with_text(number):
    """Company size, text in the store, can be compared with a number field."""
    one = field("company_size", "number")
    assert one.to_remote(str(number)) == number
    assert one.to_local(float(number)) == str(number)


@pytest.mark.parametrize("value", ["51-200", "nan", "inf", "-Infinity", "1e999", "ten"])
def test_what_is_no_number_is_refused_before_it_is_sent(value):
    """NaN, infinity and ranges are refused for a number field."""
    with pytest.raises(ValidationError, match="is not a plain number"):
        field("company_size", "number").to_remote(value)


def test_a_number_that_is_none_reads_as_blank():
    """A NaN in the table is read as blank."""
    assert field("company_size", "number").to_local(math.nan) is None


def test_an_unticked_box_is_no():
    """A checkbox that is missing in the response is False."""
    one = field("verified", "checkbox")
    assert one.to_local(None) is False
    assert one.to_local(True) is True
    assert one.to_remote(False) is False


def test_times_compare_to_the_millisecond_or_the_day():
    """Times are compared with Airtable's precision, in any time zone."""
    when = datetime(2026, 11, 23, 23, 30, 0, 123456, tzinfo=timezone(timedelta(hours=-2)))
    assert field("created_at", "dateTime").of_lead(when) == "2026-11-24T01:30:00.123Z"
    assert field("created_at", "date").of_lead(when) == "2026-11-24"
    assert field("created_at", "dateTime").to_local("2026-11-24T01:30:00.123Z") == (
        field("created_at", "dateTime").of_lead(when.astimezone(UTC))
    )


def test_a_value_of_another_kind_is_told():
    """An attachment or an error value is refused for a text field."""
    with pytest.raises(ValidationError, match="title is"):
        field("title", "singleLineText").to_local({"error": "#ERROR"})


def test_each_field_has_a_type_to_be_created_as():
    """The first suitable type is the one to create the field with."""
    assert kinds_for("verified") == ("checkbox",)
    assert kinds_for("email")[0] == "email"
    assert kinds_for("linkedin_url")[0] == "url"
    assert kinds_for("id")[0] == "singleLineText"
