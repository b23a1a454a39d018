"""Every fault of the fake Airtable happens where it was asked for, and nowhere else."""

import time

import pytest
import requests

from leadlog.core.errors import FakeAirtableError
from leadlog.testing import FakeAirtable

BROKEN = requests.exceptions.ConnectionError
CUT = requests.exceptions.ChunkedEncodingError


@pytest.mark.parametrize("applied", [False, True])
def test_answer_is_lost(airtable, table, applied):
    """The connection ends without an answer, before or after the record was made."""
    fault = airtable.fail("close", applied=applied)
    with pytest.raises(BROKEN):
        table.create({"Full Name": "Ana"})
    assert len(airtable) == int(applied)
    assert airtable.counters.unanswered == fault.fired == 1
    assert (airtable.requests[0].status, airtable.requests[0].fault) == (None, "close")
    table.create({"Full Name": "Eva"})
    assert airtable.counters.by_status == {200: 1}


@pytest.mark.parametrize("keep", [None, 0, 1])
def test_answer_is_cut(airtable, table, keep):
    """A cut answer is shorter than stated; the request is executed, and sent bytes are counted."""
    airtable.fail("cut", keep=keep)
    with pytest.raises(CUT):
        table.create({"Full Name": "Ana"})
    assert len(airtable) == 1
    counters = airtable.counters
    assert counters.by_status == {200: 1}
    assert counters.bytes_sent == airtable.requests[0].sent
    assert keep is None or counters.bytes_sent == keep
    table.create({"Full Name": "Eva"})


def test_answer_comes_too_late(airtable, connect):
    """A late request is executed at once, and the client times out before the answer."""
    table = connect(airtable, timeout=(5, 0.1))
    airtable.fail("delay", seconds=5)
    with pytest.raises(requests.exceptions.ReadTimeout):
        table.create({"Full Name": "Ana"})
    assert len(airtable) == 1
    table.create({"Full Name": "Eva"})


def test_nothing_happens_for_too_long(airtable, connect):
    """The client gives up on a request that is never done."""
    table = connect(airtable, timeout=(5, 0.1))
    airtable.fail("close", seconds=5)
    with pytest.raises(requests.exceptions.ReadTimeout):
        table.create({"Full Name": "Ana"})
    assert len(airtable) == 0


def test_end_waits_for_no_delay():
    """Whoever ends the fake does not wait for an answer that is delayed."""
    with FakeAirtable() as airtable, requests.Session() as client:
        airtable.fail("delay", seconds=10)
        with pytest.raises(requests.exceptions.ReadTimeout):
            client.get(f"{airtable.endpoint_url}/v0/meta/whoami", timeout=(5, 0.05))
        started = time.perf_counter()
        airtable.close()
        assert time.perf_counter() - started < 5


def test_delay_is_only_a_delay(airtable, table):
    """A client that waits gets its answer."""
    airtable.fail("delay", seconds=0.02)
    assert table.create({"Full Name": "Ana"})["fields"]["Full Name"] == "Ana"


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("status", [500, 502, 503])
def test_server_error(airtable, table, refused, status, applied):
    """An error of the server, before or after the record was made."""
    airtable.fail("error", status=status, applied=applied)
    assert refused(table.create, {"Full Name": "Ana"}) == (status, "SERVICE_UNAVAILABLE")
    assert len(airtable) == int(applied)


def test_any_other_error(airtable, table, refused):
    """An error can have any status and name, whatever the request."""
    airtable.fail("error", status=422, error="SOMETHING_NEW")
    assert refused(table.all) == (422, "SOMETHING_NEW")


@pytest.mark.parametrize("retry_after", [None, 7])
def test_throttled_with_and_without_header(airtable, table, clock, retry_after):
    """429 is sent with or without Retry-After; then everything is refused for 30 s."""
    airtable.fail("throttle", retry_after=retry_after)
    with pytest.raises(requests.HTTPError) as caught:
        table.all()
    assert caught.value.response.status_code == 429
    header = caught.value.response.headers.get("Retry-After")
    assert header == (None if retry_after is None else str(retry_after))
    clock.seconds += 29.9
    with pytest.raises(requests.HTTPError):
        table.all()
    clock.seconds += 0.2
    table.all()
    assert (airtable.counters.throttled, airtable.counters.penalty_violations) == (2, 1)


def test_throttled_once(airtable, table, refused):
    """Without the penalty the next call is answered."""
    airtable.fail("throttle", penalty=False)
    assert refused(table.all) == (429, "RATE_LIMIT_REACHED")
    table.all()


def test_quota_is_spent(airtable, table, refused):
    """The month's calls are used up: records are refused for good, metadata is not."""
    airtable.fail("quota", times=None)
    for _ in range(3):
        assert refused(table.all) == (429, "PUBLIC_API_BILLING_LIMIT_EXCEEDED")
    assert table.api.whoami()
    assert table.schema()
    airtable.clear_faults()
    table.all()


def test_iterator_is_gone(airtable, table, refused):
    """A list cannot be read on and has to be started again."""
    for _ in range(201):
        airtable.create()
    airtable.fail("iterator", nth=2)
    pages = table.iterate()
    next(pages)
    assert refused(next, pages) == (422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")
    assert len(table.all()) == 201


@pytest.mark.parametrize("keep", [None, 2])
def test_list_is_not_complete(airtable, table, keep):
    """A list has no or only some records, and nothing in it says so."""
    for _ in range(101):
        airtable.create()
    airtable.fail("partial", keep=keep)
    assert len(table.all()) == (keep or 0)
    assert airtable.counters.by_route == {"list": 1}
    assert len(table.all()) == 101


def test_row_is_deleted_between_list_and_change(airtable, table, refused):
    """A hook does what a person does between two calls."""
    one = airtable.create()
    airtable.fail("hook", method="PATCH", call=lambda request: airtable.delete(one))
    (record,) = table.all()
    change = {"id": record["id"], "fields": {"Company": "Acme"}}
    assert refused(table.batch_update, [change]) == (422, "ROW_DOES_NOT_EXIST")


def test_hook_sees_the_request(airtable, table):
    """A hook gets the request before it is executed; a fault can apply to the same call."""
    seen = []
    airtable.fail(
        "hook", times=None, call=lambda request: seen.append((request.body, len(airtable)))
    )
    airtable.fail("close", applied=True)
    with pytest.raises(BROKEN):
        table.create({"Full Name": "Ana"})
    assert [(body["fields"], there) for body, there in seen] == [({"Full Name": "Ana"}, 0)]


def test_failure_of_a_hook_is_not_lost():
    """An exception in a hook is raised again when the fake is closed."""

    def use():
        with FakeAirtable() as airtable:
            airtable.fail("hook", call=lambda request: 1 / 0)
            with requests.Session() as client, pytest.raises(BROKEN):
                client.get(f"{airtable.endpoint_url}/v0/meta/whoami", timeout=5)
            assert airtable.counters.unanswered == 1

    with pytest.raises(FakeAirtableError, match="ZeroDivisionError") as caught:
        use()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_fault_waits_for_its_call(airtable, table, refused):
    """A fault applies to the nth matching call, as often as requested, and to no other."""
    fault = airtable.fail("error", route="upsert", nth=2, times=2)
    other = airtable.fail("error", method="DELETE", error="OTHER")

    def upsert():
        table.batch_upsert([{"fields": {"Lead ID": "1"}}], ["Lead ID"])

    upsert()
    table.create({"Lead ID": "2"})
    assert refused(upsert) == refused(upsert) == (503, "SERVICE_UNAVAILABLE")
    upsert()
    assert (fault.seen, fault.fired) == (4, 2)
    one = airtable.records()[0]["id"]
    assert refused(table.delete, one) == (503, "OTHER")
    table.delete(one)
    assert airtable.faults == (fault, other)


def test_faults_leave_nothing_half_done(airtable, table, refused):
    """A refused request stays refused whatever fault it meets, and changes nothing."""
    for kind in ("close", "cut", "error"):
        airtable.fail(kind, **({} if kind == "cut" else {"applied": True}))
        with pytest.raises(requests.RequestException):
            table.batch_create([{"Full Name": "Ana"}, {"Nope": 1}])
    assert len(airtable) == 0
    assert airtable.counters.by_status == {422: 2}
