"""Rolling figures: independent of order, restored from storage, and never raising."""

import random
from contextlib import closing
from sqlite3 import connect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.core.clock import format_us
from leadlog.core.records import shape
from leadlog.monitor.configuration import configure
from leadlog.monitor.figures.fingerprints import frames_of
from leadlog.monitor.figures.minutes import MinuteTally
from leadlog.monitor.figures.rolling import OPERATIONS, Rolling, minute_of
from leadlog.monitor.rules.base import RuleView
from leadlog_processors.log_types import LOG_TYPES

NOW = 1_795_428_000_000_000  # 2026-11-23T10:00:00Z
MINUTE = 60_000_000


@pytest.fixture
def connection():
    """An empty database."""
    with closing(connect(":memory:")) as opened:
        yield opened


def operation(minutes_ago=0, success=True, ms=5.0, **more):
    event = shape.blank("database_operation")
    event["timestamp"] = format_us(NOW - minutes_ago * MINUTE)
    event["operation_details"].update(
        operation_type="add_lead", success=success, execution_time_ms=ms
    )
    return event | more


def error(minutes_ago=0, fingerprint="abc", *, user=False):
    event = shape.blank("error_log")
    event["timestamp"] = format_us(NOW - minutes_ago * MINUTE)
    event["error_details"].update(fingerprint=fingerprint, error_type="database_error")
    event["context"]["operation_id"] = "1"
    event["training_labels"]["user_error"] = user
    return event


def rolling(*events):
    figures = Rolling()
    figures.advance(NOW)
    for event in events:
        figures.take(event)
    return figures


def sums(figures, minutes=60):
    tally = figures.tallies.get(OPERATIONS)
    now = figures.now_minute
    return tuple(tally.sum(one, now - minutes + 1, now) for one in (tally.total, tally.bad))


def test_operations_are_counted_by_minute():
    """A window contains exactly its minutes."""
    figures = rolling(operation(0), operation(59, success=False), operation(60))
    assert sums(figures) == (2, 1)
    assert sums(figures, 61) == (3, 1)
    assert figures.latencies.window("add_lead", 0, figures.now_minute).n == 3


def test_an_operation_has_the_name_that_the_readers_give_it():
    """The store's own calls are not prefixed with their class; statements are."""
    own, statement = operation(), operation()
    own["operation_details"]["entity"] = "Lead"
    statement["operation_details"].update(operation_type="update", entity="Lead")
    figures = rolling(own, statement)
    assert by_series(figures, "add_lead") == by_series(figures, "Lead.update") == (1, 0)


def failed(number, **more):
    event = operation(success=False, **more)
    event["operation_details"].update(
        operation_type="update", operation_id=str(number), entity="Contact"
    )
    return event


def excuse(number, *, user=True):
    event = error(user=user)
    event["context"]["operation_id"] = str(number)
    return event


def by_series(figures, name):
    tally = figures.tallies.get(name)
    return tuple(
        tally.sum(one, figures.now_minute - 59, figures.now_minute)
        for one in (tally.total, tally.bad)
    )


@given(st.permutations(range(5)), st.integers(0, 5))
def test_what_the_user_did_wrong_is_no_failure_of_the_system(order, stop):
    """It is excluded in total and for its class, in either order of records, across a restart."""
    events = [failed(1), failed(2), failed(3), excuse(1), excuse(3, user=False)]
    with closing(connect(":memory:")) as database:
        figures = rolling()
        figures.load(database)
        for at, i in enumerate(order):
            if at == stop:
                figures.save(database)
                figures = rolling()
                figures.load(database)
            figures.take(events[i])
    assert sums(figures) == by_series(figures, "Contact.update") == (3, 2)
    assert {one.operation for one in figures.fingerprints.known.values()} <= {
        "Contact.update",
        "",
    }


def test_a_duplicate_is_the_users_without_any_error():
    """The operation's own record shows it; it can be counted nevertheless."""
    one = failed(1)
    one["operation_details"]["duplicate_detected"] = True
    assert sums(rolling(one)) == (1, 0)
    strict = Rolling(user_errors_count=True)
    strict.advance(NOW)
    for event in (one, failed(2), excuse(2)):
        strict.take(event)
    assert sums(strict) == (2, 2)


def test_failures_that_nothing_excuses_are_forgotten():
    """Beyond a limit the oldest are forgotten, in memory and in the database."""
    figures = rolling()
    with closing(connect(":memory:")) as database:
        figures.load(database)
        for number in range(5_003):
            figures.take(failed(number))
        figures.save(database)
        (kept,) = database.execute("SELECT count(*) FROM failures").fetchone()
    assert kept == 5_000
    figures.take(excuse(0))
    figures.take(excuse(5_002))
    assert sums(figures) == (5_003, 5_002)


def test_an_error_knows_where_it_came_from():
    """An error has its class, the application's frames, innermost first, and affected sessions."""
    figures = rolling(failed(1))
    for number in range(3):
        event = excuse(1, user=False) | {"session_id": f"s{number % 2}"}
        event["error_details"]["stack_trace"] = (
            'Traceback:\n  File "/srv/shop/app.py", line 31, in create\n    session.commit()\n'
            '  File "/venv/lib/python3.12/site-packages/sqlalchemy/x.py", line 1, in commit\n'
        )
        figures.take(event)
    (one,) = figures.fingerprints.known.values()
    assert one.frames == ["app.py:31 in create"]
    assert one.sessions_lately(figures.now_minute) == 2
    assert frames_of("no frames") == []
    assert frames_of('File "/venv/site-packages/x.py", line 1, in f') == ["x.py:1 in f"]


HUGE = [1e308, -1.0, 10**400, float("1e13"), "5", True, [], {"a": 1}]


@pytest.mark.parametrize("odd", HUGE)
@pytest.mark.parametrize("make", [operation, None], ids=["operation", "performance"])
def test_an_absurd_duration_is_counted_as_one_that_was_skipped(odd, make, connection):
    """An absurd value is counted as ignored, and stored figures can still be loaded."""
    figures = rolling()
    figures.load(connection)
    if make is None:
        event = shape.blank("performance_metrics") | {"timestamp": format_us(NOW)}
        event["operation_info"].update(operation_name="job", total_duration_ms=odd)
        event["system_info"]["pending_syncs"] = odd
    else:
        event = operation(ms=odd)
    figures.take(event)
    assert figures.ignored >= 1
    figures.save(connection)
    again = rolling()
    again.load(connection)
    assert not again.latencies.names()


def test_a_duration_that_the_record_keeps_aside_is_counted_too():
    """Only the duration is ignored; the rest of the record counts."""
    figures = rolling(operation(ms=None) | {"extra": {"performance_metrics.execution_time_ms": 1}})
    assert (figures.ignored, sums(figures)) == (1, (1, 0))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.data())
def test_no_value_stops_it(data):
    """Any value in any field is counted or ignored, stored, and loaded again."""
    log_type = data.draw(st.sampled_from([one.name for one in LOG_TYPES]))
    event = shape.blank(log_type) | {"timestamp": format_us(NOW)}
    for _ in range(data.draw(st.integers(1, 4))):
        section = data.draw(st.sampled_from(sorted(event)))
        if isinstance(event[section], dict) and event[section] and data.draw(st.booleans()):
            event[section][data.draw(st.sampled_from(sorted(event[section])))] = data.draw(
                json_values
            )
        elif section not in ("timestamp", "log_type"):
            event[section] = data.draw(json_values)
    with closing(connect(":memory:")) as database:
        figures = rolling()
        figures.load(database)
        figures.take(event)
        figures.save(database)
        database.commit()
        figures.saved()
        again = rolling()
        again.load(database)
    for rule in configure().rules.values():
        list(rule.look(RuleView(again)))


def test_a_sampled_event_stands_for_those_that_were_left_out():
    """A sample_rate of a quarter counts four times, in sums and in percentiles."""
    figures = rolling(operation(sample_rate=0.25), operation(success=False, sample_rate=1.0))
    assert sums(figures) == (5, 1)
    assert figures.latencies.window("add_lead", 0, figures.now_minute).n == 5


@given(st.permutations(range(6)))
def test_the_order_of_events_does_not_matter(order):
    """Writers' files are read one after the other, and late records are counted correctly."""
    events = [operation(0), operation(130), operation(3000), error(0), error(200), error(4000)]
    figures = rolling(*(events[i] for i in order))
    assert sums(figures, 4320) == (3, 0)
    one = figures.fingerprints.known["abc"]
    assert (one.lately(figures.now_minute), sum(one.hours.values())) == (1, 3)
    assert one.first == figures.now_minute - 4000


@pytest.mark.parametrize("away", [8 * 1440, -1441])
def test_what_is_too_old_or_too_far_ahead_is_ignored(away):
    """One writer's wrong clock must not remove the figures of the others."""
    figures = rolling(operation(0), operation(away))
    assert sums(figures, 4320) == (1, 0)
    assert figures.ignored == 1


def test_a_clock_that_is_set_back_changes_nothing_that_was_counted():
    """Minutes that are passed twice are not cleared."""
    figures = rolling(operation(0), operation(1))
    figures.advance(NOW - 30 * MINUTE)
    figures.take(operation(30))
    figures.advance(NOW)
    assert sums(figures) == (3, 0)


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"timestamp": "yesterday"},
        {"timestamp": 5},
        {"timestamp": format_us(NOW)},
        {"timestamp": format_us(NOW), "log_type": "other"},
        {"timestamp": format_us(NOW), "log_type": "database_operation", "operation_details": None},
        {"timestamp": format_us(NOW), "log_type": ["x"]},
    ],
)
def test_odd_records_are_counted_and_do_no_harm(odd):
    """A hand-written record never makes the reader fail."""
    figures = rolling(odd, operation())
    assert figures.ignored == 1
    assert sums(figures) == (1, 0)


@given(st.lists(st.integers(0, 20_000), max_size=60), st.integers(0, 20_000), st.integers(1, 4320))
def test_a_ring_is_a_sum_by_minute(minutes, ahead, window):
    """Minutes may arrive in any order; a window of three days is exact."""
    tally, newest = MinuteTally(), 0
    counted = []
    for minute in minutes:
        at = tally.slot(minute)
        newest = max(newest, minute)
        assert (at < 0) == (minute <= newest - (3 * 1440 + 1440 + 10))
        if at >= 0:
            tally.total[at] += 1
            counted.append(minute)
    last = newest
    expected = sum(last - window < minute <= last for minute in counted)
    assert tally.sum(tally.total, last - window + 1, last) == expected


def random_events(draw, count):
    for _ in range(count):
        ago = draw.choice([0, 1, 5, 70, 130, 3000])
        kind = draw.random()
        if kind < 0.7:
            yield operation(ago, draw.random() < 0.9, draw.expovariate(0.1))
        elif kind < 0.9:
            yield error(ago, draw.choice("abcd"), user=draw.random() < 0.3)
        else:
            event = shape.blank("sync_operation")
            event["timestamp"] = format_us(NOW - ago * MINUTE)
            event["sync_details"].update(sync_type="to_airtable", sync_id=str(draw.random()))
            event["sync_results"].update(success=True, execution_time_ms=5.0)
            yield event


def picture(figures):
    """Return everything that rules can see."""
    now = figures.now_minute
    return {
        "sums": {
            name: [tally.sum(column, now - 4319, now) for column in (tally.total, tally.bad)]
            for name, tally in sorted(figures.tallies.series.items())
        },
        "latencies": {
            name: sorted(figures.latencies.window(name, now - 59, now).counts.items())
            for name in figures.latencies.names()
        },
        "baselines": {
            name: figures.latencies.baseline(name, now).counts
            for name in ("add_lead", "sync.to_airtable")
        },
        "fingerprints": {
            name: (one.first, one.last, one.before, one.minutes, one.hours)
            for name, one in sorted(figures.fingerprints.known.items())
        },
        "syncs": figures.syncs.since(0, now),
        "gaps": figures.events.usual_gap(now),
    }


@pytest.mark.parametrize("seed", range(5))
def test_what_is_kept_is_taken_up_again(seed, connection):
    """Figures saved at any point and loaded by another object equal those of one alone."""
    draw = random.Random(seed)
    events = list(random_events(draw, 300))
    alone = rolling(*events)
    at = 0
    while at < len(events):
        figures = Rolling()
        figures.load(connection)
        figures.advance(NOW)
        for _ in range(draw.randrange(1, 4)):
            step = draw.randrange(1, 80)
            for event in events[at : at + step]:
                figures.take(event)
            at += step
            with connection:
                figures.save(connection)
            figures.saved()
    found, wanted = picture(figures), picture(alone)
    for name in ("baselines", "sums"):
        assert {key: pytest.approx(value) for key, value in found.pop(name).items()} == wanted.pop(
            name
        )
    assert found == wanted


def test_a_failed_transaction_loses_nothing(connection):
    """Data of a failed transaction are written by the next save."""
    figures = Rolling()
    figures.load(connection)
    figures.advance(NOW)
    figures.take(operation())
    figures.save(connection)
    connection.rollback()
    figures.take(operation())
    with connection:
        figures.save(connection)
    figures.saved()
    again = Rolling()
    again.load(connection)
    again.advance(NOW)
    assert sums(again) == (2, 0)


def test_series_without_end_share_one():
    """Operation names that contain ids must not exhaust the memory."""
    figures = Rolling()
    figures.advance(NOW)
    for number in range(300):
        event = operation()
        event["operation_details"]["operation_type"] = f"op{number}"
        figures.take(event)
    assert len(figures.tallies.series) <= 201
    assert sums(figures) == (300, 0)


def test_minutes_since_1970():
    """A time is assigned to its minute."""
    assert minute_of(NOW + 59_999_999) == minute_of(NOW)
