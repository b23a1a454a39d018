"""A person erased from the log is erased from the index too; other copies are reported."""

import json
import threading
from hashlib import blake2b

import pytest

from leadlog.reading import erasure
from leadlog.reading.shipments import Shipments
from leadlog.shipping import Shipper, configured
from tests.shipping.conftest import AT, DAY
from tests.shipping_receivers import Collector, append, indexed, record, serving

pytestmark = pytest.mark.handmade_lines

LATER = "2026-12-24"
ANA = {"lead_id": "lead-ana-0001", "name": "Ana Gómez", "email": "ana@acme.example"}
BO = {"lead_id": "lead-bo-0002", "name": "Bo Larsen", "email": "bo@acme.example"}


def write(directory, count=30):
    """Write records about two persons alternately; return the ids of each."""
    events = [
        record("database_operations", AT + number, lead_identifier=BO if number % 3 else ANA)
        for number in range(count)
    ]
    append(directory / "database_operations" / f"{DAY}.jsonl", *events)
    return (
        {one["event_id"] for one in events[::3]},
        {one["event_id"] for number, one in enumerate(events) if number % 3},
    )


def to(kind, server, **keys):
    table = {"type": kind, "url": server.url, "personal_data": "plain"}
    return configured({"there": table | keys})["there"]


def ship(directory, destination, after=0):
    """Ship everything pending, or a number of batches."""
    stop = threading.Event()
    shipper = Shipper(directory, destination, stop=stop)
    send, left = shipper._sender.send, [after]

    def counted(items):
        left[0] -= 1
        if left[0] == 0:
            stop.set()
        return send(items)

    shipper._sender.send = counted
    report = shipper.once(5.0)
    shipper.close()
    return report


@pytest.mark.parametrize("shipped_batches", [0, 1, 2])
def test_an_erasure_reaches_the_index_wherever_the_position_was(
    directory, opensearch, shipped_batches
):
    """Records about her are deleted from the index, the others are there once."""
    hers, others = write(directory)
    destination = to("opensearch", opensearch, batch_records=10)
    if shipped_batches:
        assert ship(directory, destination, after=shipped_batches).sent == 10 * shipped_batches
    report = erasure.run(directory, lead_ids=[ANA["lead_id"]], today=LATER)
    assert report.lines_removed == len(hers)
    assert report.remaining == {}
    if shipped_batches:
        assert "deletes or replaces up to 10 records" in report.copies["there"]
    ship(directory, destination)
    assert set(indexed(opensearch)) == others
    assert "Ana" not in json.dumps(indexed(opensearch), ensure_ascii=False)


def test_pseudonyms_take_the_place_of_a_name_in_the_index(directory, opensearch):
    """With a key no record is deleted; those already shipped are replaced."""
    hers, others = write(directory)
    destination = to("opensearch", opensearch)
    ship(directory, destination)
    erasure.run(directory, lead_ids=[ANA["lead_id"]], pseudonym_key="pepper", today=LATER)
    ship(directory, destination)
    found = indexed(opensearch)
    assert set(found) == hers | others
    assert "Ana" not in json.dumps(found, ensure_ascii=False)
    names = {found[one]["_source"]["leadlog"]["lead_identifier"]["name"][:2] for one in hers}
    assert names == {"p:"}


def test_lines_that_were_read_before_an_erasure_are_not_sent_after_it(directory, opensearch):
    """A shipper that has the old file open sends nothing about her."""
    hers, others = write(directory)
    destination = to("opensearch", opensearch, batch_records=10)
    shipper = Shipper(directory, destination)
    delivered, erased = shipper._send, []

    def erase_first(shipments, source, batch):
        if not erased:
            erased.append(erasure.run(directory, lead_ids=[ANA["lead_id"]], today=LATER))
        delivered(shipments, source, batch)

    shipper._send = erase_first
    shipper.once(5.0)
    shipper.close()
    assert erased[0].lines_removed == len(hers)
    ship(directory, destination)
    assert set(indexed(opensearch)) == others


def test_copies_that_cannot_be_recalled_are_listed_and_nothing_is_sent_twice(directory, leadlog):
    """If the protocol cannot delete, the report says so; the position stays valid."""
    hers, others = write(directory)
    with serving(Collector("otlp")) as collector:
        destination = to("otlp", collector, batch_records=10)
        assert ship(directory, destination, after=1).sent == 10
        report = erasure.run(directory, lead_ids=[ANA["lead_id"]], today=LATER)
        assert "cannot delete by event_id" in report.copies["there"]
        ship(directory, destination)
        assert len(collector.ids) == len(set(collector.ids))
        assert set(collector.ids) - hers == others
        assert len(set(collector.ids) & hers) == 4
    status = json.loads(leadlog("ship", "status", "--json").stdout)["destinations"][0]
    assert status["copies_of_erased"] == 10


@pytest.mark.parametrize("key", ["", "pepper"])
def test_refused_records_forget_the_person_too(directory, opensearch, key):
    """Records that wait to be replayed are erased as well."""
    event = record("database_operations", AT, lead_identifier=ANA)
    event["operation_details"]["execution_time_ms"] = "poison"
    append(directory / "database_operations" / f"{DAY}.jsonl", event)
    destination = to("opensearch", opensearch)
    assert ship(directory, destination).refused == 1
    kept = directory / ".shipping" / "there.sqlite3"
    erasure.run(directory, lead_ids=[ANA["lead_id"]], pseudonym_key=key, today=LATER)
    with Shipments(directory, "there") as shipments:
        assert len(shipments.refused()) == bool(key)
    for path in kept.parent.iterdir():
        assert b"ana@acme" not in path.read_bytes()


def test_a_refused_record_without_an_id_is_replayed_after_an_erasure(directory, opensearch):
    """Its id is a hash of its line as it was shipped, which pseudonyms change."""
    event = record("database_operations", AT, lead_identifier=ANA)
    del event["event_id"]
    event["operation_details"]["execution_time_ms"] = "poison"
    append(directory / "database_operations" / f"{DAY}.jsonl", event)
    destination = to("opensearch", opensearch)
    assert ship(directory, destination).refused == 1
    erasure.run(directory, lead_ids=[ANA["lead_id"]], pseudonym_key="pepper", today=LATER)
    with Shipments(directory, "there") as shipments:
        (kept,) = shipments.refused()
    assert blake2b(kept.line, digest_size=16).hexdigest() != kept.event_id
    shipper = Shipper(directory, destination)
    report = shipper.replay(3.0)
    shipper.close()
    assert (report.sent, report.refused, report.error) == (0, 1, None)


def test_what_was_pseudonymised_before_it_was_shipped_is_shipped_so(directory):
    """No record is held back because it was changed, and none is sent twice."""
    hers, others = write(directory)
    with serving(Collector("otlp")) as collector:
        destination = to("otlp", collector, batch_records=10)
        assert ship(directory, destination, after=1).sent == 10
        erasure.run(directory, lead_ids=[ANA["lead_id"]], pseudonym_key="pepper", today=LATER)
        assert ship(directory, destination).sent == 20
        assert sorted(collector.ids) == sorted(hers | others)
        assert "Ana" not in str(collector.events[10:])
