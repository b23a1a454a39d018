"""The fake Airtable's limits: 5 requests a second and base, 50 a second and token, 30 s penalty."""

import pyairtable
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from leadlog.testing.airtable.limits import PENALTY, RateLimiter
from leadlog.testing.airtable.refusals import Refusal


def test_sixth_request_in_a_second_starts_the_penalty(fake, connect, clock, refused):
    """Five go through; the sixth is refused, and so is everything in the next 30 s."""
    airtable = fake(per_base=5, per_token=50)
    table = connect(airtable)
    for _ in range(5):
        clock.seconds += 0.1
        table.all()
    assert refused(table.all) == (429, "RATE_LIMIT_REACHED")
    clock.seconds += 29
    assert refused(table.all) == (429, "RATE_LIMIT_REACHED")
    clock.seconds += 1
    table.all()
    counters = airtable.counters
    assert counters.max_per_second == 6
    assert (counters.throttled, counters.penalty_violations) == (2, 1)
    assert counters.by_status == {200: 6, 429: 2}
    airtable.reset_counters()
    assert (airtable.counters.max_per_second, airtable.counters.penalty_violations) == (0, 0)


@pytest.mark.parametrize("retry_after", [None, 30])
def test_header_is_a_choice(fake, connect, retry_after):
    """Airtable sends no Retry-After; a proxy before it may."""
    table = connect(fake(per_base=1, per_token=None, retry_after=retry_after))
    table.all()
    with pytest.raises(requests.HTTPError) as caught:
        table.all()
    assert caught.value.response.headers.get("Retry-After") == (
        None if retry_after is None else "30"
    )


def test_token_has_a_limit_of_its_own(fake, connect, refused):
    """Requests that go to no base count for the token."""
    airtable = fake(per_base=5, per_token=50)
    api = connect(airtable).api
    for _ in range(50):
        api.whoami()
    assert refused(api.whoami) == (429, "RATE_LIMIT_REACHED")
    assert airtable.counters.max_per_second == 0


def test_wrong_token_uses_up_nothing(fake, connect, refused):
    """Whoever has no token cannot bring the penalty over others."""
    airtable = fake(per_base=5, per_token=50)
    stranger = connect(airtable, api_key="patWrong")
    for _ in range(10):
        assert refused(stranger.all) == (401, "AUTHENTICATION_REQUIRED")
    connect(airtable).all()


def test_retries_in_the_penalty_are_counted(fake, connect):
    """pyairtable's own retries do not wait for the end of the 30 s, and each one is seen."""
    airtable = fake(per_base=1, per_token=None)
    table = connect(airtable, retry_strategy=pyairtable.retry_strategy(backoff_factor=0))
    table.all()
    with pytest.raises(requests.exceptions.RetryError):
        table.all()
    assert airtable.counters.penalty_violations == 5


@given(
    st.lists(st.integers(0, 1_500), min_size=1, max_size=60),
    st.integers(1, 6),
)
def test_no_second_has_more_than_its_limit(pauses, limit):
    """Whenever requests come, those admitted never exceed the limit in any one second."""
    now = 0.0
    limits = RateLimiter(lambda: now, per_base=limit, per_token=None)
    admitted: list[float] = []
    refused_at = None
    for pause in pauses:
        now += pause / 1_000
        try:
            limits.admit(to_base=True)
        except Refusal:
            in_penalty = refused_at is not None and now < refused_at + PENALTY
            refused_at = refused_at if in_penalty else now
            assert in_penalty or len([at for at in admitted if now - at < 1]) >= limit
        else:
            assert refused_at is None or now >= refused_at + PENALTY - 1e-6
            admitted.append(now)
            assert len([at for at in admitted if now - at < 1 - 1e-6]) <= limit


def test_exact_rate_is_never_refused():
    """Five requests a second, one every 0.2 s by a clock of floats, go on for ever."""
    now = 0.0
    limits = RateLimiter(lambda: now)
    for _ in range(5_000):
        limits.admit(to_base=True)
        now += 0.2
    assert limits.max_per_second == 5
