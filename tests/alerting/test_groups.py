"""Notices: each alert is reported once when it fires and once when it is resolved."""

import attrs
from hypothesis import given
from hypothesis import strategies as st

from leadlog.monitor.notification.groups import NotificationPace, plan
from leadlog.monitor.states import AlertState

PACE = NotificationPace(wait=30.0, interval=300.0, repeat=3600.0)
KEYS = [("a", ""), ("a", "x"), ("a", "y"), ("b", "")]


def alert(key, severity="warning", fired_us=0):
    return AlertState(
        rule=key[0],
        label=key[1],
        state="firing",
        severity=severity,
        message="m",
        value=None,
        threshold=None,
        remedy="",
        since_us=0,
        fired_us=fired_us,
    )


class Told:
    """Simulates evaluations, and keeps the notices sent: (seconds, notice)."""

    def __init__(self):
        self.groups, self.now, self.notices = {}, 0.0, []

    def look(self, firing=(), suppressed=(), elapsed=10.0):
        self.now += elapsed
        self.groups, notices = plan(self.groups, firing, suppressed, PACE, elapsed)
        self.notices += [(self.now, one) for one in notices]
        return notices

    def kinds(self):
        return [
            (round(at), one.kind, len(one.firing), len(one.resolved)) for at, one in self.notices
        ]


def test_what_comes_together_is_told_together():
    """The first message waits for half a minute, and contains all alerts of the rule."""
    told = Told()
    told.look([alert(("a", ""))])
    for _ in range(5):
        told.look([alert(("a", "")), alert(("a", "x"))])
    assert told.kinds() == [(40, "firing", 2, 0)]


def test_what_is_gone_before_it_was_told_is_not_told():
    """An alert that ends before its first notice causes none, neither firing nor resolved."""
    told = Told()
    told.look([alert(("a", ""))])
    for _ in range(10):
        told.look()
    assert told.kinds() == []
    assert told.groups == {}


def test_the_end_is_told_at_once_and_once():
    """The resolution is reported immediately and once; then the group is forgotten."""
    told = Told()
    for _ in range(5):
        told.look([alert(("a", ""))])
    for _ in range(5):
        told.look()
    assert told.kinds() == [(40, "firing", 1, 0), (60, "resolved", 0, 1)]
    assert told.groups == {}


def test_changes_are_told_at_intervals():
    """A second alert and the end of the first are sent in one message, five minutes later."""
    told = Told()
    for _ in range(5):
        told.look([alert(("a", ""))])
    for _ in range(40):
        told.look([alert(("a", "x"))])
    assert told.kinds() == [(40, "firing", 1, 0), (340, "firing", 1, 1)]


def test_what_becomes_worse_is_news():
    """A warning that becomes critical is reported; one that becomes milder is not."""
    told = Told()
    for severity in ("warning", "critical", "warning"):
        for _ in range(40):
            told.look([alert(("a", ""), severity)])
    assert [one.severity for _, one in told.notices] == ["warning", "critical"]


def test_what_stays_is_told_again_after_an_hour():
    """An unchanged group is reported again after the interval, not before."""
    told = Told()
    for _ in range(800):
        told.look([alert(("a", ""))])
    assert told.kinds() == [(40, "firing", 1, 0), (3640, "again", 1, 0), (7240, "again", 1, 0)]


def test_a_silence_hushes_until_it_ends():
    """At its end, alerts that still fire are reported, and reported ones that ended resolved."""
    told = Told()
    for _ in range(5):
        told.look([alert(("a", ""))])
    for _ in range(100):
        told.look([alert(("b", ""))], suppressed=KEYS)
    assert len(told.notices) == 1
    for _ in range(5):
        told.look([alert(("b", ""))])
    assert told.kinds()[1:] == [(1060, "resolved", 0, 1), (1090, "firing", 1, 0)]


script = st.lists(
    st.tuples(
        st.sampled_from([1.0, 20.0, 60.0, 400.0]),
        st.sets(st.sampled_from(KEYS)),
        st.sets(st.sampled_from(KEYS)),
    ),
    max_size=60,
)


@given(script)
def test_nothing_is_told_twice_nothing_is_forgotten(looks):
    """In any script, firing precedes resolved for each alert, alternately, and all are reported."""
    told, open_, last, fired = Told(), set(), {}, {}
    for elapsed, firing, suppressed in looks:
        fired = {key: fired.get(key, told.now) for key in firing}
        alerts = [alert(key, fired_us=round(fired[key])) for key in sorted(firing)]
        for notice in told.look(alerts, suppressed, elapsed):
            keys = {one.key for one in notice.firing}
            over = {one.key for one in notice.resolved}
            assert not (keys | over) & suppressed
            assert keys <= firing
            assert over <= open_
            assert not over & firing
            if notice.kind != "again" and notice.rule in last and notice.kind != "resolved":
                assert told.now - last[notice.rule] >= PACE.interval
            open_ = (open_ | keys) - over
            last[notice.rule] = told.now
            if notice.kind == "resolved" and not any(key[0] == notice.rule for key in open_):
                del last[notice.rule]
    for _ in range(3):
        for notice in told.look(elapsed=400.0):
            open_ -= {one.key for one in notice.resolved}
    assert open_ == set()
    assert told.groups == {}


def test_groups_are_kept_as_they_are():
    """A group that is written to the database is read back unchanged."""
    told = Told()
    for _ in range(5):
        told.look([alert(("a", ""))])
    assert attrs.asdict(told.groups["a"])["told"][""]["rule"] == "a"
