"""Points in time as users write them."""

import pytest

from leadlog.core.clock import format_us, parse
from leadlog.reading.moments import MomentError, moment

NOW = parse("2026-11-23T10:30:00Z")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00.000000Z"),
        ("2026-11-22T10:00:00.123456+02:00", "2026-11-22T08:00:00.123456Z"),
        ("2026-11-22 10:00", "2026-11-22T10:00:00.000000Z"),
        ("2026-11-22", "2026-11-22T00:00:00.000000Z"),
        ("now", "2026-11-23T10:30:00.000000Z"),
        ("Today", "2026-11-23T00:00:00.000000Z"),
        ("yesterday", "2026-11-22T00:00:00.000000Z"),
        ("90s", "2026-11-23T10:28:30.000000Z"),
        ("2h", "2026-11-23T08:30:00.000000Z"),
        ("1.5 h ago", "2026-11-23T09:00:00.000000Z"),
        ("7d", "2026-11-16T10:30:00.000000Z"),
        ("1W", "2026-11-16T10:30:00.000000Z"),
    ],
)
def test_a_moment_is_understood_as_people_mean_it(said: str, meant: str) -> None:
    """Absolute, named and relative times become microseconds in UTC."""
    assert format_us(moment(said, NOW)) == meant


@pytest.mark.parametrize("said", ["", "soon", "2h30", "2026-13-01", "-2h", "99999999w", "10:00"])
def test_what_is_no_moment_is_refused_with_the_value_and_a_remedy(said: str) -> None:
    """The message quotes the value and shows how to write it."""
    with pytest.raises(MomentError) as refused:
        moment(said, NOW)
    assert repr(said) in str(refused.value)
    assert "yesterday" in str(refused.value)
