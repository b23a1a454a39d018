"""Percentiles that add up."""

import math
from contextlib import closing

import duckdb
from hypothesis import example, given
from hypothesis import strategies as st

from leadlog.monitor.figures.sketch import Sketch
from leadlog.reading.analytics.durations import (
    BUCKET_WIDTH,
    MOST_MS,
    NO_TIME,
    bucket_of,
    bucket_sql,
)

durations = st.lists(st.floats(0.001, 1e7), min_size=1, max_size=200)


def filled(values, weight=1.0):
    sketch = Sketch()
    for value in values:
        sketch.add(value, weight)
    return sketch


@given(durations, st.sampled_from([50, 95, 99]))
def test_a_percentile_is_within_one_percent_of_its_rank(values, percent):
    """The percentile is within one percent of the value at rank ceil(share * n)."""
    exact = sorted(values)[math.ceil(len(values) * percent / 100) - 1]
    found = filled(values).percentile(percent)
    assert abs(found - exact) <= 0.0101 * exact


@given(durations, durations)
def test_merging_is_adding_up(left, right):
    """Two merged sketches equal one of all their durations, in any order."""
    merged = Sketch.merged([filled(left), filled(right)])
    assert merged.counts == filled(right + left).counts


@given(durations)
def test_bytes_give_it_back(values):
    """A sketch is restored unchanged from its bytes."""
    sketch = filled(values, 1 / 0.3)
    assert Sketch.from_bytes(sketch.to_bytes()).counts == sketch.counts


def test_a_weight_counts_so_often():
    """A sampled duration with weight four counts four times."""
    sketch = filled([10.0], 4.0)
    sketch.add(1000.0)
    assert sketch.n == 5
    assert abs(sketch.percentile(80) - 10.0) < 0.2
    assert sketch.above(500.0) == 1


def test_nothing_has_no_percentile():
    """Without durations there is no percentile; a duration of zero has a bucket."""
    assert Sketch().percentile(95) is None
    sketch = filled([0.0, MOST_MS])
    assert Sketch.from_bytes(sketch.to_bytes()).counts == {NO_TIME: 1, bucket_of(MOST_MS): 1}
    assert sketch.percentile(50) == 0.0


# At the limit of a bucket two libraries' logarithms may differ in the last bit.
inside = st.floats(0, MOST_MS).filter(
    lambda ms: ms < 1e-6 or 1e-9 < math.log(ms) / BUCKET_WIDTH % 1 < 1 - 1e-9
)


@given(st.lists(inside, min_size=1, max_size=50))
@example([0.0005, 0.0, 1e-7, 1e-6, 0.001, 1.0, MOST_MS])
def test_sql_and_python_put_a_duration_into_the_same_bucket(values):
    """Both agree, even for half a microsecond."""
    with closing(duckdb.connect()) as database:
        rows = database.execute(
            f"SELECT {bucket_sql('ms')} FROM unnest(?::DOUBLE[]) AS given(ms)", [values]
        ).fetchall()
    assert [row[0] for row in rows] == [bucket_of(ms) for ms in values]
    assert set(filled(values).counts) == {bucket_of(ms) for ms in values}
