"""Each rule at its boundary: below, at and above it, and with each of its conditions alone."""

import math
from types import SimpleNamespace

import pytest

from leadlog.monitor.figures.fingerprints import Fingerprint
from leadlog.monitor.figures.rolling import OPERATIONS, Gauge, Rolling
from leadlog.monitor.figures.runs import LoggedSync
from leadlog.monitor.rules.base import RuleView
from leadlog.monitor.rules.errors import (
    BurnRate,
    FingerprintNew,
    FingerprintReturned,
    FingerprintSurging,
)
from leadlog.monitor.rules.latency import Latency, SlowOperations
from leadlog.monitor.rules.resources import (
    DataQualityDrop,
    Disk,
    DroppedEvents,
    HealthCheck,
    Memory,
    NoEvents,
)
from leadlog.monitor.rules.sync import Backlog, NoSyncs, RateLimited, SyncFailures

NOW = 29_923_810  # minutes since 1970: 2026-11-23T10:10Z
DAY = 1440


@pytest.fixture
def figures():
    """Empty figures, with the clock set."""
    made = Rolling()
    made.advance(NOW * 60_000_000)
    return made


def put(figures, ago=0, total=0.0, bad=0.0, name="Contact.update", **columns):
    """Count operations of one minute, in total and under a name."""
    for series in (OPERATIONS, name):
        tally = figures.tallies.get(series)
        at = tally.slot(NOW - ago)
        for column, value in {"total": total, "bad": bad, **columns}.items():
            getattr(tally, column)[at] += value


def found(rule, figures, checks=()):
    return list(rule.look(RuleView(figures, checks)))


def labels(rule, figures):
    return [one.label for one in found(rule, figures)]


# ------------------------------------------------------------------------------------ burn rate

PAIRS = {"fast 1 h": (60, 5, 14.4), "fast 6 h": (360, 30, 6.0), "slow 1 d": (1440, 120, 3.0)} | {
    "slow 3 d": (4320, 360, 1.0)
}
pairs = pytest.mark.parametrize("pair", PAIRS)
OVER_ALL = BurnRate(by_operation=False)


def burning(figures, pair, bad, total=1000, *, ago=None, short=0):
    """Add failures by which only this pair of windows burns, at the far end of its short window.

    The longer pairs have far more successes; the shorter ones see none of the failures in their
    short windows.
    """
    long, near, _ = PAIRS[pair]
    put(figures, near - 1 if ago is None else ago, total, bad)
    put(figures, 0, short)
    if long < 4320:
        put(figures, long, 1e6)


@pairs
def test_a_burn_rate_fires_at_its_factor_and_not_below(pair, figures):
    """The pair alone fires at its factor, in its long window."""
    least = math.ceil(PAIRS[pair][2] * 10 - 1e-9)
    burning(figures, pair, least - 1)
    assert labels(OVER_ALL, figures) == []
    put(figures, PAIRS[pair][1] - 1, 0, 1)
    assert labels(OVER_ALL, figures) == [pair.split()[0]]


@pairs
@pytest.mark.parametrize(("inside", "fires"), [(True, True), (False, False)])
def test_the_short_window_has_to_burn_too(pair, inside, fires, figures):
    """Failures that ended before the short window do not fire, however many they were."""
    burning(figures, pair, 900, ago=PAIRS[pair][1] - 1 if inside else PAIRS[pair][1], short=10)
    assert bool(labels(OVER_ALL, figures)) is fires


@pairs
def test_a_short_window_that_burns_slowly_is_not_enough(pair, figures):
    """A short window just below its limit does not fire; at the limit it does."""
    _, near, factor = PAIRS[pair]
    burning(figures, pair, 900, ago=near)
    put(figures, near - 1, 1000, factor * 10 - 0.5)
    assert labels(OVER_ALL, figures) == []
    put(figures, near - 1, 0, 0.5)
    assert labels(OVER_ALL, figures) == [pair.split()[0]]


@pairs
def test_the_long_window_has_to_burn_too(pair, figures):
    """A short window that burns is not enough without the long one."""
    long, near, _ = PAIRS[pair]
    burning(figures, pair, 100, 100)
    put(figures, long - 1, 1e6)
    assert near < long
    assert labels(OVER_ALL, figures) == []


@pairs
@pytest.mark.parametrize(("total", "fires"), [(49, False), (50, True)])
def test_few_operations_burn_nothing(pair, total, fires, figures):
    """Below `minimum_events` nothing fires, even if all operations failed."""
    burning(figures, pair, total, total)
    assert bool(labels(OVER_ALL, figures)) is fires


@pairs
@pytest.mark.parametrize(("bad", "fires"), [(4, False), (5, True)])
def test_few_failures_burn_nothing(pair, bad, fires, figures):
    """Below `minimum_failures` nothing fires, even if the budget burns fast enough."""
    rule = BurnRate(by_operation=False, objective_percent=99.9)
    burning(figures, pair, bad, 50)
    assert bool(labels(rule, figures)) is fires


def test_both_labels_have_their_severity(figures):
    """A fast burn is critical; a slow burn is a warning."""
    put(figures, 0, 1000, 900)
    assert [(one.label, one.severity) for one in found(OVER_ALL, figures)] == [
        ("fast", "critical"),
        ("slow", "warning"),
    ]


# By chance 144 of 1,000 would be exceeded by three deviations, which are 36, once in 700 times.
@pytest.mark.parametrize(("bad", "fires"), [(143, False), (144, False), (179, False), (180, True)])
def test_one_class_burns_where_all_together_do_not(bad, fires, figures):
    """A class must exceed its budget significantly, since it is one of many."""
    put(figures, 0, 1e6, name="Deal.read")
    put(figures, 0, 1000, bad)
    put(figures, 60, 1e5)
    wanted = ["fast:Contact.update"] if fires else []
    assert labels(BurnRate(), figures) == wanted
    assert labels(OVER_ALL, figures) == []


@pytest.mark.parametrize(
    ("operation", "wanted"),
    [
        ("Contact.update", ["fast:Contact.update"]),
        ("update", ["fast:Contact.update", "fast:Deal.update"]),
        ("Contact", []),
    ],
)
def test_an_operation_can_have_an_objective_of_its_own(operation, wanted, figures):
    """An operation is named in one class or in every class; the total belongs to another rule."""
    put(figures, 0, 1000, 900)
    put(figures, 0, 1000, 900, name="Deal.update")
    assert labels(BurnRate(operation=operation), figures) == wanted


@pytest.mark.parametrize(("objective", "is_one"), [(99.99, True), (100, False), (100.1, False)])
def test_an_objective_leaves_a_budget(objective, is_one):
    """An objective of 100 % leaves no budget and is refused."""
    if is_one:
        BurnRate(objective_percent=objective)
        return
    with pytest.raises(ValueError, match="objective_percent"):
        BurnRate(objective_percent=objective)


def test_what_all_together_burn_is_told_once(figures):
    """The finding names the failing operations, the most frequent error, and the next command."""
    put(figures, 0, 1000, 900)
    put(figures, 0, 100, 40, name="Deal.create")
    figures.fingerprints.known["abc"] = Fingerprint(
        "abc", "database_error", "no such table", NOW, 0, NOW, NOW, minutes={NOW: 7.0}
    )
    one = figures.fingerprints.known["abc"]
    one.operation, one.frames = "Contact.update", ["app.py:31 in create"]
    one.sessions = {"s1": NOW, "s2": NOW, "s3": NOW - 60}
    fast, _ = found(BurnRate(), figures)
    assert fast.message.startswith("85.5 % of the operations of the last 1 h failed (940 of 1100)")
    assert "Contact.update 900, Deal.create 40; most often database_error of Contact.update" in (
        fast.message
    )
    assert fast.message.endswith("no such table (2 sessions; at app.py:31 in create)")
    assert fast.remedy == "see what fails: leadlog errors abc"


# ------------------------------------------------------------------------------------- latency


def times(figures, ms, count, ago=0, name="Contact.update"):
    for _ in range(count):
        figures.latencies.add(name, NOW - ago, ms, 1.0)


@pytest.mark.parametrize(
    ("quick", "slow", "ms", "fires"),
    [
        (0, 40, 1900.0, False),
        (0, 40, 2100.0, True),
        (0, 19, 2100.0, False),  # minimum_events
        (0, 20, 2100.0, True),
        (56, 4, 9000.0, False),  # minimum_slow, although the p95 is one of them
        (56, 5, 9000.0, True),
        (95, 5, 9000.0, False),  # the p95 is a fast one
    ],
)
def test_the_p95_is_held_against_the_threshold(quick, slow, ms, fires, figures):
    """The p95 fires above the threshold with enough operations, and enough slow ones."""
    times(figures, 5.0, quick)
    times(figures, ms, slow)
    assert labels(Latency(), figures) == (["Contact.update"] if fires else [])


@pytest.mark.parametrize(("ago", "fires"), [(9, True), (29, True), (59, True), (60, False)])
def test_the_window_grows_until_there_is_enough(ago, fires, figures):
    """The window grows to an hour at most."""
    times(figures, 9000.0, 20, ago)
    assert bool(labels(Latency(), figures)) is fires


def test_the_window_does_not_grow_where_there_is_enough(figures):
    """Earlier slow operations do not count if the window has enough."""
    times(figures, 9000.0, 200, 11)
    times(figures, 5.0, 20)
    assert labels(Latency(), figures) == []


@pytest.mark.parametrize(
    ("usual", "count", "ms", "fires"),
    [
        (200.0, 500, 580.0, False),  # baseline_factor
        (200.0, 500, 620.0, True),
        (200.0, 499, 620.0, False),  # baseline_minimum_events
        (10.0, 500, 95.0, False),  # floor_ms
        (10.0, 500, 105.0, True),
        (2500.0, 500, 5000.0, False),  # always above the threshold: only its own past counts
        (2500.0, 500, 8000.0, True),
        (1900.0, 500, 2100.0, True),  # the threshold is the lower limit
    ],
)
def test_the_p95_is_held_against_the_last_week(usual, count, ms, fires, figures):
    """The p95 is compared with last week's if enough of it is known."""
    times(figures, usual, count, ago=5 * 60)
    times(figures, ms, 40)
    assert bool(labels(Latency(), figures)) is fires


@pytest.mark.parametrize(
    ("change", "past", "ms", "fires"),
    [
        ({"threshold_ms": 0}, 1000.0, 2900.0, False),
        ({"threshold_ms": 0}, 1000.0, 3100.0, True),
        ({"baseline_factor": 0}, 10.0, 1900.0, False),
        ({"baseline_factor": 0}, 10.0, 2100.0, True),
        ({"threshold_ms": 0, "baseline_factor": 0}, 10.0, 9000.0, False),
    ],
)
def test_a_limit_can_be_switched_off(change, past, ms, fires, figures):
    """A limit of 0 is switched off."""
    times(figures, past, 500, ago=5 * 60)
    times(figures, ms, 40)
    assert bool(labels(Latency(**change), figures)) is fires


@pytest.mark.parametrize(
    ("operation", "wanted"),
    [
        ("Deal.update", ["Deal.update"]),
        ("update", ["Contact.update", "Deal.update"]),
        ("", ["Contact.update", "Deal.update"]),
        ("date", []),
    ],
)
def test_one_operation_can_be_named_with_its_class_or_for_all(operation, wanted, figures):
    """An operation is never matched by a part of its name."""
    times(figures, 9000.0, 40)
    times(figures, 9000.0, 40, name="Deal.update")
    assert labels(Latency(operation=operation), figures) == wanted


@pytest.mark.parametrize(
    ("slow", "total", "ago", "fires"),
    [
        (4, 10, 0, False),
        (5, 10, 0, True),
        (5, 100, 0, True),  # minimum_percent: exactly 5 %
        (5, 101, 0, False),
        (5, 10, 14, True),
        (5, 10, 15, False),
    ],
)
def test_slow_operations_need_a_number_and_a_share(slow, total, ago, fires, figures):
    """Slow operations fire by number and percentage within a quarter of an hour."""
    put(figures, ago, total, slow=slow)
    assert bool(found(SlowOperations(), figures)) is fires


# ----------------------------------------------------------------------------------- fingerprints


def seen(figures, *, first, times=3, last=0, before=None, spell=None, critical=None, usual=0.0):
    """Add an error with times in minutes ago; `usual` is its hourly number in the week before."""
    hours = {(NOW // 60) - back: usual for back in range(2, 24 * 7)}
    figures.fingerprints.known["abc"] = Fingerprint(
        "abc",
        first=NOW - first,
        last=NOW - last,
        before=0 if before is None else NOW - before,
        spell=NOW - (first if spell is None else spell),
        critical=0 if critical is None else NOW - critical,
        minutes={NOW - last: float(times)},
        hours=hours if usual else {},
    )


@pytest.mark.parametrize(
    ("first", "times", "critical", "known", "fires"),
    [
        (0, 2, None, 2 * DAY, False),
        (0, 3, None, 2 * DAY, True),
        (0, 1, 0, 2 * DAY, True),  # a critical one at once
        (0, 1, 60, 2 * DAY, False),  # which is an hour ago
        (59, 3, None, 2 * DAY, True),
        (60, 3, None, 2 * DAY, False),  # an hour old
        (0, 3, None, DAY, False),  # within the first day every error is new
        (0, 3, None, DAY + 1, True),
        (0, 3, None, None, False),
    ],
)
def test_a_new_error_has_to_be_new_and_to_come_again(
    *, first, times, critical, known, fires, figures
):
    """A new error fires once it recurs, and only if the log is known for a day."""
    figures.known_since = 0 if known is None else NOW - known
    seen(figures, first=first, times=times, critical=critical)
    assert bool(found(FingerprintNew(), figures)) is fires


@pytest.mark.parametrize(
    ("spell", "before", "times", "fires"),
    [
        (0, 7 * DAY, 3, True),
        (0, 7 * DAY - 1, 3, False),
        (0, 7 * DAY, 2, False),
        (59, 7 * DAY + 59, 3, True),
        (60, 7 * DAY + 60, 3, False),
        (0, None, 3, False),  # it was never gone
    ],
)
def test_an_error_has_returned_after_a_week(spell, before, times, fires, figures):
    """A returned error needs as many occurrences as a new one."""
    seen(figures, first=9 * DAY, times=times, before=before, spell=spell)
    assert bool(found(FingerprintReturned(), figures)) is fires


@pytest.mark.parametrize(
    ("times", "usual", "first", "known", "fires"),
    [
        (19, 1.0, 2 * DAY, 8 * DAY, False),
        (20, 1.0, 2 * DAY, 8 * DAY, True),
        (49, 10.0, 2 * DAY, 8 * DAY, False),
        (51, 10.0, 2 * DAY, 8 * DAY, True),
        (20, 1.0, DAY - 1, 8 * DAY, False),  # that belongs to the rule on new errors
        (20, 1.0, DAY, 8 * DAY, True),
        (20, 1.0, 2 * DAY, DAY, False),  # the usual number is not known yet
    ],
)
def test_a_surging_error_is_many_times_what_is_usual(*, times, usual, first, known, fires, figures):
    """A surging error needs both a multiple of the usual number and many occurrences."""
    figures.known_since = NOW - known
    seen(figures, first=first, times=times, usual=usual)
    assert bool(found(FingerprintSurging(), figures)) is fires


@pytest.mark.parametrize(("ago", "fires"), [(59, True), (60, False)])
def test_errors_of_an_hour_ago_are_over(ago, fires, figures):
    """No fingerprint rule fires for errors older than an hour."""
    figures.known_since = NOW - 8 * DAY
    seen(figures, first=2 * DAY, last=ago, times=100, usual=1.0)
    assert bool(found(FingerprintSurging(), figures)) is fires


# ------------------------------------------------------------------------------------------ syncs


def runs(figures, said, ago=0):
    """Add runs in order of time: `f` failed, `s` succeeded, `?` unknown, `l` was throttled."""
    for number, one in enumerate(said):
        success = {"f": False, "s": True, "l": True, "?": None}[one]
        at = f"2026-11-23T10:00:{number:02d}"
        figures.syncs.take(LoggedSync(at, str(number), NOW - ago, success, one == "l", "no"))


@pytest.mark.parametrize(
    ("said", "fires"),
    [("ff", False), ("fff", True), ("ffsf", False), ("sfff", True), ("f?ff", True), ("ffs", False)],
)
def test_three_failed_syncs_in_a_row(said, fires, figures):
    """A successful run resets the count; one with an unknown outcome does not."""
    runs(figures, said)
    assert bool(found(SyncFailures(), figures)) is fires


@pytest.mark.parametrize(
    ("said", "ago", "fires"),
    [
        ("lllss", 0, False),
        ("llsll", 0, True),
        ("lllss" + "l", 0, False),
        ("llll", 0, True),
        ("llll", DAY, True),
        ("llll", DAY + 1, False),
        ("llllss", 0, False),
    ],
)
def test_four_of_the_last_five_syncs_held_up(said, ago, fires, figures):
    """Four of the last five syncs within a day must have been throttled."""
    runs(figures, said, ago)
    assert bool(found(RateLimited(), figures)) is fires


def test_all_of_the_last_syncs_may_be_wanted_but_no_more():
    """A rule that could never fire is an error."""
    RateLimited(minimum=5, of_last=5)
    with pytest.raises(ValueError, match="above of_last"):
        RateLimited(minimum=6, of_last=5)


@pytest.mark.parametrize(
    ("waiting", "ago", "fires"),
    [(1000, 0, False), (1001, 0, True), (1001, 60, True), (1001, 61, False)],
)
def test_a_backlog_is_above_its_maximum(waiting, ago, fires, figures):
    """The backlog fires above its maximum, as measured within the last hour."""
    figures.gauges["pending_syncs"] = Gauge(waiting, NOW - ago)
    assert bool(found(Backlog(), figures)) is fires
    assert not found(Backlog(), Rolling())


SILENT = [
    # last, known since, usual gap, factor, fires
    (59, 8 * DAY, 10, 2, False),
    (60, 8 * DAY, 10, 2, True),
    (199, 8 * DAY, 100, 2, False),  # usual_factor
    (200, 8 * DAY, 100, 2, True),
    (60, 8 * DAY, 100, 0, True),  # no matter what is usual
    (60, 7 * DAY, 10, 2, True),
    (60, 7 * DAY - 1, 10, 2, False),  # a week must be known
    (60, 7 * DAY - 1, 10, 0, True),
]


@pytest.mark.parametrize(("rule", "activity"), [(NoEvents, "events"), (NoSyncs, "sync_minutes")])
@pytest.mark.parametrize(("last", "known", "gap", "factor", "fires"), SILENT)
def test_silence_is_longer_than_an_hour_and_than_what_is_usual(
    *, rule, activity, last, known, gap, factor, fires, figures
):
    """Silence fires for events and for syncs separately."""
    there = getattr(figures, activity)
    for minute in range(NOW - last, NOW - known, -gap):
        there.mark(minute)
    there.mark(NOW - known)
    assert bool(found(rule(usual_factor=factor), figures)) is fires
    other = NoSyncs if rule is NoEvents else NoEvents
    assert not found(other(usual_factor=factor), figures)


# -------------------------------------------------------------------------------------- resources

ROOM = [
    # rule, free percent, free MB, severity
    (Disk, 10.0, 19_999.0, None),
    (Disk, 9.9, 20_000.0, None),
    (Disk, 9.9, 19_999.0, "warning"),
    (Disk, 5.0, 1_999.0, "warning"),
    (Disk, 4.9, 2_000.0, "warning"),
    (Disk, 4.9, 1_999.0, "critical"),
    (Memory, 10.0, 1_999.0, None),
    (Memory, 9.9, 2_000.0, None),
    (Memory, 9.9, 1_999.0, "warning"),
    (Memory, 5.0, 499.0, "warning"),
    (Memory, 4.9, 500.0, "warning"),
    (Memory, 4.9, 499.0, "critical"),
]


@pytest.mark.parametrize(("rule", "percent", "mb", "severity"), ROOM)
def test_room_runs_out_by_share_and_by_size(rule, percent, mb, severity, figures):
    """A tenth of a large disk is enough, and so is a large part of a small one."""
    figures.gauges[f"{rule.gauge}_free_percent"] = Gauge(percent, NOW)
    figures.gauges[f"{rule.gauge}_free_mb"] = Gauge(mb, NOW)
    assert [one.severity for one in found(rule(), figures)] == ([severity] if severity else [])


@pytest.mark.parametrize(("gauge", "ago", "fires"), [(0, 15, True), (0, 16, False), (1, 16, False)])
def test_room_that_was_measured_long_ago_says_nothing(gauge, ago, fires, figures):
    """A stale measurement of either gauge is ignored."""
    for number, name in enumerate(("disk_free_percent", "disk_free_mb")):
        figures.gauges[name] = Gauge(1.0, NOW - (ago if number == gauge else 0))
    assert bool(found(Disk(), figures)) is fires


@pytest.mark.parametrize(
    ("dropped", "ago", "fires"), [(0, 0, False), (1, 0, True), (1, 14, True), (1, 15, False)]
)
def test_one_dropped_event_fires(dropped, ago, fires, figures):
    """One dropped event fires for a quarter of an hour."""
    tally = figures.tallies.get("(dropped)")
    tally.total[tally.slot(NOW - ago)] += dropped
    assert bool(found(DroppedEvents(), figures)) is fires


@pytest.mark.parametrize(
    ("mean", "count", "ago", "usual", "before", "fires"),
    [
        (0.76, 30, 0, 0.9, 200, False),  # drop
        (0.74, 30, 0, 0.9, 200, True),
        (0.74, 29, 0, 0.9, 200, False),  # minimum_events
        (0.74, 30, 0, 0.9, 199, False),  # baseline_minimum_events
        (0.74, 30, 119, 0.9, 200, True),
        (0.74, 30, 120, 0.9, 200, False),  # outside of the window
        (0.99, 30, 0, 0.5, 200, False),  # better
    ],
)
def test_data_quality_drops_against_the_last_days(
    *, mean, count, ago, usual, before, fires, figures
):
    """The mean score is compared with the last days if both have enough records."""
    put(figures, ago, score=mean * count, scored=count)
    put(figures, 1000, score=usual * before, scored=before)
    assert bool(found(DataQualityDrop(), figures)) is fires


@pytest.mark.parametrize("state", ["ok", "warning", "unknown", "critical"])
def test_a_health_check_fires_where_it_is_critical(state, figures):
    """A critical health check fires under its name, with its remedy."""
    check = SimpleNamespace(
        name="disk", state=state, value=1, threshold=None, message="full", remedy="make room"
    )
    said = [(one.label, one.message, one.remedy) for one in found(HealthCheck(), figures, [check])]
    assert said == ([("disk", "disk: full", "make room")] if state == "critical" else [])
