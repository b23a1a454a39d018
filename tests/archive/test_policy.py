"""Policies: the accepted values, and those refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.core.errors import SettingsError
from leadlog.core.layout import CATEGORIES
from leadlog.core.limits import bytes_by_category, days_by_category
from leadlog.reading.archive import Policy


def test_by_default_it_compresses_after_a_week_and_removes_nothing():
    """By default no user loses any part of a log."""
    policy = Policy()
    assert policy.compress_after_days == 7
    assert {policy.days(category) for category in CATEGORIES} == {0}
    assert policy.sizes() == {}


def test_nothing_and_zero_mean_never():
    """None and 0 switch a setting off."""
    for nothing in (None, 0):
        policy = Policy(nothing, nothing, nothing)
        assert (policy.compress_after_days, policy.days("error_logs"), policy.sizes()) == (0, 0, {})
    policy = Policy(retention_days={"*": 30, "error_logs": None}, retention_bytes={"total": None})
    assert (policy.days("sync_operations"), policy.days("error_logs")) == (30, 0)
    assert policy.sizes() == {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (90, {"*": 90}),
        ("90", {"*": 90}),
        (" error_logs = 365 ", {"error_logs": 365}),
        ('{"*": 90, "error_logs": 0}', {"*": 90, "error_logs": 0}),
        ({"sync_operations": 7}, {"sync_operations": 7}),
        ({}, {}),
    ],
)
def test_days_may_be_written_in_several_ways(value, expected):
    """A number applies to every category, an entry to one."""
    assert days_by_category(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5_000_000, {"total": 5_000_000}),
        ("10GB", {"total": 10_000_000_000}),
        ("1.5 gib", {"total": 1_610_612_736}),
        ("2_000_000", {"total": 2_000_000}),
        ("error_logs=500MB", {"error_logs": 500_000_000}),
        ({"total": "1TB", "error_logs": 0}, {"total": 10**12, "error_logs": 0}),
    ],
)
def test_sizes_may_have_units(value, expected):
    """A size applies to all files together, an entry to one category."""
    assert bytes_by_category(value) == expected


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("compress_after_days", -1, "not a whole number of days"),
        ("compress_after_days", 1.5, "not a whole number of days"),
        ("compress_after_days", True, "not a whole number of days"),
        ("retention_days", "soon", "'soon' is not a whole number of days; write 90"),
        ("retention_days", {"error_log": 3}, "did you mean 'error_logs'"),
        ("retention_days", {"total": 3}, "there are \\*, database_operations"),
        ("retention_days", "{", "not a JSON object"),
        ("retention_days", [3], "not a whole number of days"),
        ("retention_bytes", "10 apples", "not a size; write 10000000000, 10GB"),
        ("retention_bytes", -5, "not a size"),
        ("retention_bytes", {"*": "1GB"}, "there are total, database_operations"),
        ("retention_bytes", 20, "20 bytes would keep hardly anything; write the unit"),
    ],
)
def test_nonsense_is_refused_with_the_remedy(name, value, message):
    """The error names the setting, the value and a remedy."""
    with pytest.raises(SettingsError, match=f"^{name}: .*{message}"):
        Policy(**{name: value})


@given(st.integers(1, 999_999), st.sampled_from(["kB", "MB", "GB", "TB", "KiB", "MiB", "GiB"]))
def test_a_size_is_its_number_times_its_unit(number, unit):
    """Units are powers of 1000, or of 1024 with an i."""
    base = 1024 if "i" in unit else 1000
    expected = number * base ** (1 + "kmgt".index(unit[0].lower()))
    if expected >= 1_000_000:
        assert bytes_by_category(f"{number}{unit}") == {"total": expected}
        assert bytes_by_category(f"{number}.50 {unit}") == {
            "total": expected + base ** (1 + "kmgt".index(unit[0].lower())) // 2
        }
