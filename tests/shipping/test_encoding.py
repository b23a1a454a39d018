"""A line's own bytes in a request are equivalent to the re-encoded record."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.reading.events import decode
from leadlog.reading.shipped import refused_reasons
from leadlog.shipping import Shipper, configured
from leadlog.shipping.shipper import sender_of
from tests.shipping.conftest import AT, DAY
from tests.shipping_receivers import LOG_TYPES, append, indexed, record

pytestmark = pytest.mark.handmade_lines

KINDS = ("opensearch", "splunk")
KEYS = st.sampled_from(
    [
        *("level", "event_name", "event_id", "session_id", "trace_id", "span_id", "log_type"),
        *("entity", "operation", "severity", "status", "duration", "operation_details", "own"),
    ]
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(-1e9, 1e9),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.just({"success": None, "entity": 'a"b', "execution_time_ms": 1.5, "own": [1, "é"]}),
)


@pytest.fixture(params=KINDS)
def sender(request, monkeypatch):
    """Return the sender of one protocol."""
    monkeypatch.setenv("TOKEN", "t")
    keys = {"index": "leads", "token_env": "TOKEN", "personal_data": "plain"}
    table = {"type": request.param, "url": "http://127.0.0.1:9"} | keys
    found = sender_of(configured({"there": table})["there"])
    yield found
    found.close()


def decoded(body):
    """Return all objects of a request, checking that none repeats a key."""

    def once(pairs):
        assert len({key for key, _ in pairs}) == len(pairs), pairs
        return dict(pairs)

    return [json.loads(line, object_pairs_hook=once) for line in body.splitlines()]


def written(event):
    """Return a record's line as leadlog writes it."""
    order = ("timestamp", "level", "log_type", "event_name", "session_id", "event_id")
    head = {key: event[key] for key in order}
    rest = {key: value for key, value in event.items() if key not in order}
    tail = {key: rest.pop(key) for key in ("trace_id", "span_id") if key in rest}
    return json.dumps(head | rest | tail, separators=(",", ":"), ensure_ascii=False).encode()


def same(sender, category, line):
    event = decode(line)
    event_id = event.get("event_id") if type(event.get("event_id")) is str else "made"
    spliced = sender.encode(event_id, category, event, line)
    assert decoded(spliced) == decoded(sender.encode(event_id, category, event, None))
    return spliced


@pytest.mark.parametrize("category", LOG_TYPES)
def test_the_line_s_own_bytes_stand_in_the_request(sender, category):
    """This holds for every type of record, with and without trace or error."""
    plain = record(category, AT)
    traced = plain | {"trace_id": "ab" * 16, "span_id": "cd" * 8}
    failed = plain | {"error_details": {"error_type": "own", "error_message": 'no "é"\n'}}
    for event in (plain, traced, failed):
        line = written(event)
        assert line[-120:-80] in same(sender, category, line)


@given(changes=st.dictionaries(KEYS, VALUES, max_size=4), shuffled=st.booleans())
def test_whatever_a_line_is_like_the_request_says_what_the_record_says(changes, shuffled):
    """Other orders, escapes, missing keys and the protocol's own keys make no difference."""
    table = {"url": "http://127.0.0.1:9", "personal_data": "plain"}
    event = record("database_operations", AT) | changes
    line = json.dumps(event, sort_keys=True).encode() if shuffled else written(event)
    for kind in KINDS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TOKEN", "t")
            destination = configured({"there": table | {"type": kind, "token_env": "TOKEN"}})
            sender = sender_of(destination["there"])
        same(sender, "database_operations", line)
        sender.close()


def test_numbers_that_json_has_not_never_reach_a_receiver(directory, opensearch):
    """A line with NaN is sent with null, since the receiver would refuse its own bytes."""
    event = record("database_operations", AT)
    line = written(event).replace(b'"performance_metrics":{', b'"performance_metrics":{"x":NaN,')
    huge = written(record("database_operations", AT)).replace(
        b'"performance_metrics":{', b'"performance_metrics":{"x":NaN,"y":' + b"9" * 30 + b","
    )
    append(directory / "database_operations" / f"{DAY}.jsonl", line, huge)
    table = {"type": "opensearch", "url": opensearch.url, "personal_data": "plain"}
    shipper = Shipper(directory, configured({"elk": table})["elk"])
    report = shipper.once(3.0)
    shipper.close()
    assert (report.sent, report.refused) == (2, 0)
    assert event["event_id"] in indexed(opensearch)


def test_a_record_that_cannot_be_encoded_is_kept_and_the_others_arrive(directory):
    """An encoding error becomes the record's reason and never ends the run."""
    odd = record("database_operations", AT) | {"own": [[[1]]]}
    events = [record("database_operations", AT + 1), odd, record("database_operations", AT + 2)]
    append(directory / "database_operations" / f"{DAY}.jsonl", *events)

    class Raising:
        can_erase = False
        taken: list[str] = []  # noqa: RUF012 - of this one test

        def prepare(self):
            pass

        def encode(self, event_id, category, event, line):
            if "own" in event:
                raise KeyError("own")
            return line

        def send(self, items):
            self.taken += [item.event_id for item in items]
            return [None] * len(items)

        def close(self):
            pass

    table = {"type": "otlp", "url": "http://127.0.0.1:9", "personal_data": "plain"}
    shipper = Shipper(directory, configured({"there": table})["there"], sender=Raising())
    report = shipper.once(0.0)
    assert (report.sent, report.refused) == (2, 1)
    assert Raising.taken == [events[0]["event_id"], events[2]["event_id"]]
    assert list(refused_reasons(directory, "there")) == ["cannot be encoded: KeyError: 'own'"]
