"""Change points of daily values: planted ones are found, ordinary months are not flagged."""

from __future__ import annotations

import datetime as dt
import math
import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.reading.analytics.changes import changes, slope

FIRST = dt.date(2026, 11, 2).toordinal()  # a Monday
DAYS = list(range(FIRST, FIRST + 28))
MONTHS = 1000 if os.environ.get("SOAK") else 200


def month(seed: int, noise: float = 0.1, weekend: float = 0.7, alike: float = 0.3) -> list[float]:
    """28 days in which nothing changed: noise, days like the one before, other weekends."""
    chance = random.Random(seed)
    drift, values = 0.0, []
    for day in DAYS:
        drift = alike * drift + chance.gauss(0, noise)
        values.append(50 * (weekend if (day - 1) % 7 >= 5 else 1) * math.exp(drift))
    return values


@pytest.mark.parametrize("noise", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("weekend", [0.4, 1.0])
def test_ordinary_months_are_left_alone(noise, weekend):
    """Of many seeded months without a change, one in a hundred at most is flagged."""
    flagged = sum(bool(changes(month(seed, noise, weekend), DAYS)) for seed in range(MONTHS))
    assert flagged <= MONTHS / 100


@pytest.mark.parametrize("at", [4, 10, 14, 20, 24])
@pytest.mark.parametrize("times", [0.4, 2.5])
def test_planted_changes_are_found_with_their_day_and_size(at, times):
    """Nearly all are found, with the day at most one off and the size within a quarter."""
    found = 0
    for seed in range(40):
        values = [
            value * (times if day >= at else 1) for day, value in enumerate(month(seed, 0.08))
        ]
        found += any(
            abs(change.at - at) <= 1 and abs(math.log(change.ratio / times)) < 0.25
            for change in changes(values, DAYS)
        )
    assert found >= 36


def test_two_changes_are_two():
    """A rise and a later fall are distinguished, in order."""
    values = [
        value * (2 if 8 <= day < 18 else 1) for day, value in enumerate(month(3, 0.05, alike=0))
    ]
    found = changes(values, DAYS)
    assert [change.at for change in found] == [8, 18]
    assert found[0].ratio == pytest.approx(2, rel=0.1)
    assert found[1].ratio == pytest.approx(0.5, rel=0.1)


def test_steady_growth_is_no_change():
    """A series that rises a little every day has no change point."""
    values = [value * 1.05**day for day, value in enumerate(month(1, 0.05, 1.0))]
    assert changes(values, DAYS) == []


def test_small_changes_are_left_out():
    """A change of ten percent may be significant, but is not reported."""
    values = [100.0 + day % 2 + (10 if day >= 14 else 0) for day in range(28)]
    assert changes(values) == []
    assert [change.at for change in changes(values, least_ratio=1.05)] == [14]


@given(st.lists(st.floats(1e-3, 1e6), max_size=40), st.floats(0.01, 100))
def test_the_unit_does_not_matter(values, factor):
    """Milliseconds and seconds give the same days; no values raise an error."""
    found = changes(values)
    again = changes([value * factor for value in values])
    assert all(0 < change.at < len(values) for change in found)
    close = all(
        abs(math.log(change.ratio)) > math.log(1.26) and change.sureness > 7.1 for change in found
    )
    if found and close:
        assert [change.at for change in again][:1] == [change.at for change in found][:1]


def test_the_slope_is_that_of_most_pairs():
    """A single outlier does not affect the slope; a size that never changed has none."""
    assert slope([1, 2, 3, 4, 5], [2, 4, 6, 8, 1000]) == 2
    assert slope([3, 3], [1, 2]) is None
