"""Shipping by OTLP and to Splunk: what arrives, and how refusals are handled."""

import asyncio
import json
import math
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

from leadlog.reading.shipped import read_shipments
from leadlog.shipping import Shipper, configured
from leadlog.shipping.protobuf import export_request, log_record, partial_success
from tests.shipping.conftest import AT, DAY
from tests.shipping_receivers import Collector, Trouble, append, record, serving

pytestmark = pytest.mark.handmade_lines

TOKEN = "s3cr3t-token-of-the-test"


def to(kind, url, **keys):
    table = {"type": kind, "url": url, "personal_data": "plain"}
    return configured({"there": table | keys})["there"]


def ship(directory, destination, give_up=3.0, **options):
    shipper = Shipper(directory, destination, **options)
    try:
        return shipper.once(give_up_seconds=give_up)
    finally:
        shipper.close()


def plain(value):
    """Return the value of an AnyValue of the protocol's own classes."""
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which == "kvlist_value":
        return {one.key: plain(one.value) for one in value.kvlist_value.values}
    if which == "array_value":
        return [plain(one) for one in value.array_value.values]
    return getattr(value, which)


# --------------------------------------------------------------------------------------- encoder

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc", max_size=200), inner),
    max_leaves=30,
)


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


@given(
    st.dictionaries(st.text("abc"), VALUES),
    st.integers(0, 2**63),
    st.binary(min_size=16, max_size=16),
)
def test_the_protocol_s_own_classes_read_what_the_encoder_writes(values, at, trace):
    """Any event of plain values is decoded unchanged; null is absent."""
    one = log_record(
        time_unix_nano=at,
        severity_number=17,
        severity_text="error",
        body=values,
        values={"log.record.uid": "id"} | values,
        trace_id=trace,
        span_id=b"",
        event_name="lead.add",
    )
    request = ExportLogsServiceRequest()
    request.ParseFromString(export_request({"service.name": "leadlog"}, "leadlog", "1", [one, one]))
    (resource,) = request.resource_logs
    assert plain(resource.resource.attributes[0].value) == "leadlog"
    first, second = resource.scope_logs[0].log_records
    assert first == second
    assert (first.time_unix_nano, first.severity_number, first.trace_id) == (at, 17, trace)
    assert (first.severity_text, first.event_name) == ("error", "lead.add")
    assert plain(first.body) == without_nulls(values)
    found = {one.key: plain(one.value) for one in first.attributes}
    assert found == without_nulls({"log.record.uid": "id"} | values)


@given(st.integers(0, 2**63 - 1), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_partial_success_is_read(count, message):
    """A receiver's report of rejected records is never ignored."""
    answer = ExportLogsServiceResponse()
    answer.partial_success.rejected_log_records = count
    answer.partial_success.error_message = message
    assert partial_success(answer.SerializeToString()) == (count, message)
    assert partial_success(b"") == (0, "")


@given(st.binary())
def test_an_answer_that_is_no_message_is_an_error_or_nothing(data):
    """Another server's answer never ends a shipper."""
    try:
        count, message = partial_success(data)
    except ValueError:
        return
    assert count >= 0
    assert isinstance(message, str)


# ------------------------------------------------------------------------------------------ OTLP


def test_a_receiver_of_otlp_has_each_record_with_its_fields(directory):
    """oteltap, an independent receiver, finds time, severity, ids, error and body in place."""
    error = record(
        "error_logs",
        AT,
        error_details={
            "error_type": "database_error",
            "exception_class": "ValueError",
            "error_message": "no e-mail",
            "stack_trace": "Traceback",
        },
    )
    error |= {"level": "error", "trace_id": "ab" * 16, "span_id": "cd" * 8}
    append(directory / "error_logs" / f"{DAY}.jsonl", error)
    append(
        directory / "database_operations" / f"{DAY}.jsonl",
        record("database_operations", AT, operation_details={"execution_time_ms": 1.5}),
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = OtelTapHttpProtobufReceiverSettings(http_port=port)

    async def received():
        async with OtelTapHttpProtobufReceiver(settings) as receiver:
            wanted = receiver.await_log(lambda one: one.severity_number == 17, timeout=20)
            other = receiver.await_log(lambda one: one.severity_number == 9, timeout=20)
            url = f"http://127.0.0.1:{port}"
            sent = asyncio.to_thread(ship, directory, to("otlp", url))
            return await asyncio.gather(wanted, other, sent)

    found, other, report = asyncio.run(received())
    assert (report.sent, report.error) == (2, None)
    values = {one.key: plain(one.value) for one in found.attributes}
    assert values["log.record.uid"] == error["event_id"]
    assert values["exception.type"] == "ValueError"
    assert values["exception.stacktrace"] == "Traceback"
    assert values["error.type"] == "database_error"
    assert found.time_unix_nano == AT * 1000
    assert found.trace_id.hex() == "ab" * 16
    assert plain(found.body)["error_details"]["error_message"] == "no e-mail"
    values = {one.key: plain(one.value) for one in other.attributes}
    assert values["leadlog.duration_ms"] == 1.5
    assert math.isclose(plain(other.body)["operation_details"]["execution_time_ms"], 1.5)


def test_records_that_a_receiver_rejects_without_saying_which_are_counted(directory, fill):
    """A partial success is not a success; the other records are not sent again."""
    ids = fill("error_logs", 20)
    with serving(Collector("otlp")) as collector:
        collector.reject = 3
        report = ship(directory, to("otlp", collector.url))
    assert (report.sent, report.refused) == (17, 3)
    assert collector.ids == ids[3:]
    ((cause, (_, _, records)),) = read_shipments(directory, "there").dropped.items()
    assert records == 3
    assert "too old" in cause


@pytest.mark.parametrize("kind", ["otlp", "splunk"])
def test_one_poison_record_in_a_thousand_is_found_and_replayed(directory, fill, kind, monkeypatch):
    """999 arrive; one is kept with its reason, and accepted after the fix."""
    monkeypatch.setenv("HEC", TOKEN)
    ids = fill("error_logs", 1000)
    bad = ids[333]

    def refuse(event):
        return bad in str(event)

    with serving(Collector(kind, token=TOKEN, refuse=refuse)) as collector:
        destination = to(kind, collector.url, token_env="HEC")
        report = ship(directory, destination)
        assert (report.sent, report.refused) == (999, 1)
        assert set(collector.ids) == set(ids) - {bad}
        assert len(collector.ids) == 999
        collector.refuse = lambda _: False
        shipper = Shipper(directory, destination)
        assert shipper.replay(3.0).sent == 1
        shipper.close()
    assert set(collector.ids) == set(ids)


# ---------------------------------------------------------------------------------------- Splunk


def test_splunk_has_each_event_with_its_time_and_names(directory, monkeypatch):
    """The event has its time, source type and the names of the common information model."""
    monkeypatch.setenv("HEC", TOKEN)
    event = record(
        "database_operations",
        AT + 1500,
        operation_details={
            "success": False,
            "execution_time_ms": 2.5,
            "entity": "Lead",
            "operation_type": "add_lead",
        },
    )
    append(directory / "database_operations" / f"{DAY}.jsonl", event)
    with serving(Collector("splunk", token=TOKEN)) as collector:
        ship(directory, to("splunk", collector.url, token_env="HEC", index="leads"))
    (found,) = collector.events
    assert found["time"] == pytest.approx((AT + 1500) / 1e6, abs=1e-6)
    assert (found["sourcetype"], found["index"]) == ("leadlog:database_operation", "leads")
    names = {"object_category": "Lead", "action": "add_lead", "status": "failure", "duration": 2.5}
    assert names.items() <= found["event"].items()
    assert found["event"]["event_id"] == event["event_id"]


def test_a_batch_counts_once_the_indexer_has_acknowledged_it(directory, fill, monkeypatch):
    """HEC's 200 does not suffice if the token has acknowledgement enabled."""
    monkeypatch.setenv("HEC", TOKEN)
    ids = fill("error_logs", 30)
    with serving(Collector("splunk", token=TOKEN, acknowledge=True)) as collector:
        report = ship(directory, to("splunk", collector.url, token_env="HEC", batch_records=10))
    assert (report.sent, collector.questions) == (30, 6)
    assert collector.ids == ids


def test_a_batch_that_is_never_acknowledged_is_sent_again(directory, fill, monkeypatch):
    """The position does not advance on a 200 alone."""
    monkeypatch.setenv("HEC", TOKEN)
    fill("error_logs", 2)
    with serving(Collector("splunk", token=TOKEN, acknowledge=True)) as collector:
        destination = to("splunk", collector.url, token_env="HEC", ack_seconds=1)
        collector.forgetful = True
        report = ship(directory, destination)
    assert report.sent == 0
    assert "did not acknowledge" in report.error
    assert len(collector.ids) >= 4


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"acknowledge": "on"}, "gives no acknowledgement"),
        ({"token_env": "OTHER"}, "Invalid token"),
    ],
)
def test_a_wrong_set_up_is_told(directory, fill, monkeypatch, keys, said):
    """The error says what is wrong with the token, without the token."""
    monkeypatch.setenv("HEC", TOKEN)
    monkeypatch.setenv("OTHER", "another-t0ken")
    fill("error_logs", 2)
    with serving(Collector("splunk", token=TOKEN, acknowledge=False)) as collector:
        report = ship(directory, to("splunk", collector.url, **{"token_env": "HEC"} | keys))
    assert said in report.error
    assert "t0ken" not in report.error
    assert TOKEN not in json.dumps(report.as_dict())


@pytest.mark.parametrize("kind", ["otlp", "splunk"])
def test_trouble_on_the_way_loses_nothing_and_doubles_no_more_than_a_batch_each(
    directory, fill, kind, monkeypatch
):
    """Records accepted before a lost answer arrive twice, and no others."""
    monkeypatch.setenv("HEC", TOKEN)
    ids = fill("error_logs", 150)
    faults = {"429": 0.1, "503": 0.1, "reset": 0.15, "timeout": 0.05}
    with (
        serving(Collector(kind, token=TOKEN, acknowledge=True)) as collector,
        serving(Trouble(collector.url, faults, seed=3)) as between,
    ):
        url = f"http://{between.host}"
        # Long enough for a loaded machine: only the way makes trouble, not the clock.
        keys = {"token_env": "HEC", "batch_records": 10, "timeout_seconds": 5, "ack_seconds": 1}
        report = ship(directory, to(kind, url, **keys), give_up=60.0)
    assert report.sent == 150
    assert set(collector.ids) == set(ids)
    lost_answers = between.made["reset"] + between.made["timeout"]
    assert lost_answers
    # A batch without an acknowledgement in time comes again, by another channel: where the machine
    # is loaded, and where the one answer that says so was lost.
    again = max(len(collector.channels) - 1, 0)
    assert len(collector.ids) - 150 <= 10 * (lost_answers + again)
