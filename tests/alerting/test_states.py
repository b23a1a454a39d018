"""Pending, firing, resolved: a pure function, tested against its promises."""

from hypothesis import given
from hypothesis import strategies as st

from leadlog.monitor.rules.base import RuleFinding
from leadlog.monitor.states import LONGEST_STEP, RuleTiming, step

RULES = {"a": RuleTiming(60.0, 120.0), "b": RuleTiming(0.0, 0.0), "c": RuleTiming(30.0, 0.0)}
KEYS = [("a", ""), ("a", "x"), ("b", ""), ("c", "")]


def finding(key, severity="warning", message="m"):
    return RuleFinding(key[0], key[1], severity, message, 1.0, 2.0)


def play(looks, start=0):
    """Run evaluations (elapsed, keys found); yield (now, alerts, changes)."""
    alerts, now = {}, start
    for elapsed, keys in looks:
        now += round(elapsed * 1e6)
        alerts, changes = step(alerts, map(finding, keys), RULES.__getitem__, elapsed, now)
        yield now, alerts, changes


looks = st.lists(
    st.tuples(st.floats(-400, 400), st.sets(st.sampled_from(KEYS))), min_size=1, max_size=40
)


@given(looks)
def test_nothing_fires_before_it_has_lasted_and_nothing_ends_before_it_is_over(script):
    """For every alert, whatever the clock does, the sum of the bounded steps decides."""
    held, clear, firing = {}, {}, set()
    for (elapsed, keys), (_, alerts, changes) in zip(script, play(script), strict=True):
        passed = min(max(elapsed, 0.0), LONGEST_STEP)
        for key in KEYS:
            if key in keys:
                held[key] = held[key] + passed if key in held else 0.0
                clear.pop(key, None)
                if held[key] >= RULES[key[0]].hold:
                    firing.add(key)
            elif key in firing:
                clear[key] = clear[key] + passed if key in clear else 0.0
                if clear[key] >= RULES[key[0]].keep:
                    firing.discard(key)
                    held.pop(key, None)
                    clear.pop(key)
            else:
                held.pop(key, None)
        assert {key for key, one in alerts.items() if one.state == "firing"} == firing
        assert {key for key, one in alerts.items() if one.state == "pending"} == keys - firing
        for change in changes:
            assert change.before != change.alert.state


@given(looks)
def test_changes_of_an_alert_follow_each_other(script):
    """Firing and resolved alternate for an alert, and each change starts from the state before."""
    state = {}
    for _, alerts, changes in play(script):
        for change in changes:
            key = change.alert.key
            before = state.get(key, "inactive")
            # A pending alert that ends is dropped silently.
            assert change.before == before or (before, change.before) == ("pending", "inactive")
            state[key] = "inactive" if change.alert.state == "resolved" else change.alert.state
        for key, one in alerts.items():
            assert state[key] == one.state


@given(looks, st.integers(-(10**15), 10**15))
def test_the_clock_decides_nothing(script, start):
    """The same steps give the same alerts at any time of the clock."""
    one = [[(key, a.state) for key, a in alerts.items()] for _, alerts, _ in play(script)]
    other = [[(key, a.state) for key, a in alerts.items()] for _, alerts, _ in play(script, start)]
    assert one == other


def test_a_flapping_condition_is_one_alert():
    """An alert that is clear for less than keep_firing_for keeps firing; no new one starts."""
    script = [(0, {("a", "")}), (60, {("a", "")})]
    script += [(60, set()), (30, {("a", "")})] * 10
    changes = [change for _, _, found in play(script) for change in found]
    assert [change.alert.state for change in changes] == ["pending", "firing"]


def test_an_alert_that_fires_keeps_its_worst_severity():
    """A critical alert that becomes a warning for a moment stays critical."""
    key = ("b", "")
    alerts, _ = step({}, [finding(key, "critical")], RULES.__getitem__, 0, 0)
    alerts, _ = step(alerts, [finding(key, "warning", "now")], RULES.__getitem__, 1, 1)
    assert (alerts[key].severity, alerts[key].message) == ("critical", "now")


def test_of_two_findings_of_one_alert_the_worse_counts():
    """The more severe finding counts, in any order."""
    key = ("b", "")
    for both in ("info", "critical"), ("critical", "info"):
        alerts, _ = step({}, [finding(key, one) for one in both], RULES.__getitem__, 0, 0)
        assert alerts[key].severity == "critical"
