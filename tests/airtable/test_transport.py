"""The transport: which requests are retried, and what is counted and masked."""

from __future__ import annotations

import pytest
import requests

import leadlog
from leadlog.core.errors import AirtableError
from leadlog.leads.airtable import transport
from leadlog.leads.airtable.pace import Paces
from leadlog.leads.airtable.transport import AirtableTransport
from leadlog.leads.airtable.wire import Wire

KEY = "patSecretToken.0123456789abcdef"


def test_creating_a_field_is_never_sent_twice(connect, airtable):
    """A POST whose response is lost is not retried; the schema is checked instead."""
    sync = connect(fields={"created_at": "Added"})
    airtable.fail("close", route="create_field", applied=True)
    assert sync.create_missing_fields() == ["Added"]
    assert airtable.counters.by_route["create_field"] == 1
    assert [field.name for field in airtable.fields].count("Added") == 1


def test_a_field_that_cannot_be_created_is_an_error(connect, airtable):
    """If the field does not exist afterwards, the error is raised."""
    sync = connect(fields={"created_at": "Added"})
    airtable.fail("close", route="create_field")
    with pytest.raises(AirtableError, match="creating the field 'Added': no answer"):
        sync.create_missing_fields()


def test_each_attempt_counts_as_a_call_of_whoever_measures(connect, airtable, logged):
    """Attempts of a sync count in the `api_calls` of a monitored function."""
    sync = connect()
    airtable.fail("error", route="list")

    @leadlog.monitor_performance("nightly")
    def nightly() -> None:
        sync.bidirectional_sync()

    nightly()
    (record,) = logged("performance_metrics")
    assert record["performance_data"]["api_calls"] == airtable.counters.calls == 3


def test_the_bytes_of_a_cut_answer_are_not_known(connect, airtable, logged):
    """A cut-off response makes the received bytes null instead of too small a number."""
    sync = connect()
    airtable.fail("cut", route="list")
    result = sync.bidirectional_sync()
    assert result.wire.as_dict()["bytes_received"] is None
    (record,) = logged("sync_operations")
    assert record["performance_metrics"]["bytes_received"] is None
    assert record["performance_metrics"]["bytes_sent"] == 0


def test_a_server_that_is_not_there_is_told(db, clock):
    """An unreachable server raises a clear error without the token."""
    sync = leadlog.AirtableSyncManager(
        db,
        api_key=KEY,
        base_id="app1",
        endpoint_url="http://127.0.0.1:9",
        paces=Paces(clock, clock.sleep),
    )
    with pytest.raises(AirtableError, match="no answer from Airtable") as caught:
        sync.bidirectional_sync()
    assert sync.wire.attempts == transport.ATTEMPTS
    assert sync.wire.failed == transport.ATTEMPTS
    assert caught.value.status is None


def test_the_token_is_nowhere(connect, airtable, db, tmp_path):
    """The token is in no repr, error, cause or log file."""
    sync = connect(api_key=KEY)  # which the server does not know
    texts = [repr(sync)]
    with pytest.raises(AirtableError, match="401 AUTHENTICATION_REQUIRED") as caught:
        sync.bidirectional_sync()
    error: BaseException | None = caught.value
    while error is not None:
        texts += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    leadlog.flush()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("error_logs" in str(path) for path in files)
    assert all(KEY.encode() not in path.read_bytes() for path in files)
    assert not any(KEY in text for text in texts)


def test_every_attempt_has_time_limits(clock):
    """Every attempt has connect and read timeouts, even if the caller sets none."""
    given = []

    class Silent(requests.adapters.HTTPAdapter):
        def send(self, request, **options):
            given.append(options["timeout"])
            raise requests.ReadTimeout

    class Watched(AirtableTransport, Silent):
        """The transport on top of an adapter that records its calls."""

    session = requests.Session()
    paces = Paces(clock, clock.sleep)
    wire = Wire()
    session.mount("http://", Watched(paces, paces.of("http://x", "app1", "k"), wire))
    with pytest.raises(requests.ReadTimeout):
        session.get("http://x/")
    assert given == [(transport.CONNECT_SECONDS, transport.READ_SECONDS)] * transport.ATTEMPTS
    assert (wire.attempts, wire.failed, wire.cut) == (6, 6, 0)
