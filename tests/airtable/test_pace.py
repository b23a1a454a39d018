"""The rate limiter: a maximum number of requests per second, and none during a penalty."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leadlog.leads.airtable.pace import BASE_RATE, Pace, Paces
from tests.airtable.conftest import Clock


@given(st.lists(st.floats(0, 2), max_size=60))
def test_no_second_has_more_requests_than_the_rate(pauses):
    """Any six consecutive requests take at least a second, whatever the caller's pauses."""
    clock, pace, begun = Clock(), Pace(BASE_RATE), []
    for pause in pauses:
        clock.forward(pause)
        while wait := pace.due(clock()):
            clock.sleep(wait)
        begun.append(clock())
    for first, sixth in zip(begun, begun[BASE_RATE:], strict=False):
        assert sixth - first >= 1.0


def test_five_requests_begin_at_once():
    """Five requests begin at once; only the sixth within a second waits."""
    pace = Pace(BASE_RATE)
    assert [pace.due(10.0) for _ in range(5)] == [0.0] * 5
    assert pace.due(10.0) > 0


def test_nothing_begins_before_a_penalty_is_over():
    """A penalty holds all users of a limiter; a shorter one does not shorten it."""
    pace = Pace(BASE_RATE)
    pace.hold(40.0)
    pace.hold(20.0)
    assert pace.due(10.0) == 30.0
    assert pace.due(40.0) == 0.0


def test_the_same_base_and_token_keep_the_same_pace():
    """Two syncs of one process share the limiters of their base and token."""
    clock = Clock()
    paces = Paces(clock, clock.sleep)
    base, token = paces.of("https://api", "app1", "key")
    assert paces.of("https://api", "app1", "key") == (base, token)
    other_base, same_token = paces.of("https://api", "app2", "key")
    assert other_base is not base
    assert same_token is token
    assert paces.of("https://api", "app1", "other")[1] is not token
