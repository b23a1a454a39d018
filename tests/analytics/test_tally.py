"""Tallies add up exactly, in any order, and in both engines."""

import datetime as dt
import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.core.layout import log_files
from leadlog.reading.analytics.buckets import buckets_path, load_buckets, store_buckets
from leadlog.reading.analytics.durations import MOST_MS, NO_TIME, bucket_of, middle_of
from leadlog.reading.analytics.sections import sections
from leadlog.reading.analytics.summary import count_days, summary_of
from leadlog.reading.analytics.tally import Tally
from tests.bench.made_events import events, write

FIRST = dt.date(2026, 11, 16)
WEEK = [(FIRST + dt.timedelta(days=number)).isoformat() for number in range(7)]


@given(st.floats(1e-6, MOST_MS))
def test_what_stands_for_a_bucket_is_at_most_one_percent_off(ms):
    """The middle of a bucket is within 1 % of every value in it."""
    assert abs(middle_of(bucket_of(ms)) - ms) <= ms * 0.01 * (1 + 1e-9)


def test_no_time_at_all_has_a_bucket_of_its_own():
    """Zero has no logarithm, and stays zero."""
    assert bucket_of(0) == bucket_of(0.0) == NO_TIME
    assert middle_of(NO_TIME) == 0


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_the_order_of_merging_changes_nothing(seed, parts):
    """Events dealt to any number of tallies, merged in any order, are the same as in one."""
    chance = random.Random(seed)
    made = list(events("2026-11-16", 150, seed, sampled=0.5))
    whole = Tally()
    for event in made:
        whole.add(event)
    dealt = [Tally() for _ in range(parts)]
    for event in made:
        chance.choice(dealt).add(event)
    chance.shuffle(dealt)
    merged = Tally()
    for tally in dealt:
        merged.merge(tally)
    assert merged == whole
    assert sections(merged) == sections(whole)


@pytest.fixture(scope="module")
def week(tmp_path_factory):
    """Seven days of events, some of them sampled."""
    root = tmp_path_factory.mktemp("week")
    for number, day in enumerate(WEEK):
        write(root, day, 700 + 100 * number, sampled=0.2)
    return root


def test_both_engines_come_to_the_same(week):
    """Python and DuckDB agree in every count, sum, extreme and exact percentile."""
    python, duckdb = (
        count_days(week, WEEK[0], WEEK[-1], exact=True, engine=engine)
        for engine in ("python", "duckdb")
    )
    assert python.days == duckdb.days
    assert python.tally == duckdb.tally
    assert python.exact == duckdb.exact
    assert python.exact.keys() == summary_of(python)["operation_summary"]["operations"].keys()


def test_seven_days_together_are_the_week(week):
    """Merging the tallies of seven days gives the week's summary, to the last digit."""
    merged = Tally()
    for day in reversed(WEEK):
        merged.merge(count_days(week, day).tally)
    whole = count_days(week, WEEK[0], WEEK[-1])
    assert sections(merged) == sections(whole.tally)
    assert sections(merged)["operation_summary"]["total_database_operations"] > 7_000


def test_percentiles_of_buckets_are_near_the_measured_ones(week):
    """The value at the same rank is at most 1 % away."""
    found = summary_of(count_days(week, WEEK[0], WEEK[-1], exact=True))
    for one in found["operation_summary"]["operations"].values():
        for share in ("p50", "p95", "p99"):
            assert one[f"{share}_bucket_ms"] == pytest.approx(one[f"{share}_ms"], rel=0.0101)


def test_a_bucket_table_reads_back_as_it_was_stored(week):
    """The whole tally is stored; exact percentiles are not part of it."""
    day = WEEK[3]
    files = log_files(week, since=day, until=day)
    fresh = count_days(week, day)
    path = store_buckets(week, day, files, fresh.tally)
    assert load_buckets(week, day, files) == fresh.tally
    stored = count_days(week, day)
    assert stored.from_buckets == (day,)
    assert stored.exact is None
    assert sections(stored.tally) == sections(fresh.tally)
    operations = summary_of(stored)["operation_summary"]["operations"].values()
    assert {one["p50_ms"] for one in operations} == {None}
    assert count_days(week, day, exact=True).from_buckets == ()
    path.unlink()


@pytest.mark.parametrize("spoil", ["cut", "rubbish", "grown", "gone"])
def test_a_bucket_table_that_does_not_fit_is_not_used(tmp_path, spoil):
    """A table that is damaged, or made from other files than the current ones, is ignored."""
    day = WEEK[0]
    write(tmp_path, day, 60)
    files = log_files(tmp_path, since=day, until=day)
    path = store_buckets(tmp_path, day, files, count_days(tmp_path, day).tally)
    assert path == buckets_path(tmp_path, day)
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    elif spoil == "rubbish":
        path.write_bytes(b"{}")
    elif spoil == "grown":
        with files[0].path.open("ab") as stream:
            stream.write(b'{"timestamp": "2026-11-16T10:00:00.000000Z"}\n')
    else:
        files[0].path.unlink()
    period = count_days(tmp_path, day)
    assert period.from_buckets == ()
    assert period.tally == count_days(tmp_path, day, engine="python").tally


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.3, 1.0]), st.integers(1, 9)), max_size=8))
def test_weights_are_applied_to_whole_numbers(counts):
    """An event kept at rate r represents 1/r events, however the counts were distributed."""
    totals = set()
    for order in itertools.islice(itertools.permutations(counts), 6):
        tally = Tally()
        for rate, count in order:
            for _ in range(count):
                tally.add({"timestamp": "t", "log_type": "error_log", "sample_rate": rate})
        totals.add(sections(tally)["error_summary"]["total_errors"])
    assert totals == {round(math.fsum(count / rate for rate, count in counts))}
