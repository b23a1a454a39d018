"""Shipping to a real OpenSearch: each event once, despite changes of files and network errors."""

import json
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from leadlog.core.errors import LogDirectoryError, SettingsError, ShippingError
from leadlog.core.places import Content, place_of
from leadlog.reading import archive
from leadlog.reading.archive.policy import Policy
from leadlog.reading.shipments import Shipments, shipping_lock
from leadlog.reading.shipped import destinations, read_shipments
from leadlog.shipping import Shipper, configured, from_url
from tests.shipping.conftest import AT, DAY
from tests.shipping_receivers import Answering, Trouble, append, asking, indexed, record, serving

pytestmark = pytest.mark.handmade_lines

LATER = "2026-12-24"


def to(server, **keys):
    """Return the destination of an OpenSearch."""
    table = {"type": "opensearch", "url": getattr(server, "url", server), "personal_data": "plain"}
    return configured({"elk": table | keys})["elk"]


def ship(directory, destination, **options):
    """Ship everything pending once."""
    shipper = Shipper(directory, destination, **options)
    try:
        return shipper.once(give_up_seconds=options.pop("give_up", 5.0))
    finally:
        shipper.close()


def lag(directory, name="elk", now=AT + 10_000_000):
    return read_shipments(directory, name).lag(directory, now, count=True)


# ------------------------------------------------------------------------------------ each once


def test_all_that_is_there_is_shipped_once_and_then_what_is_new(directory, fill, opensearch):
    """A second run sends nothing again, and a third one only what was written since."""
    ids = fill("database_operations", 30) + fill("error_logs", 3) + fill("sync_operations", 2, 1)
    destination = to(opensearch, batch_records=7)
    assert ship(directory, destination).sent == len(ids)
    assert set(indexed(opensearch)) == set(ids)
    assert ship(directory, destination).sent == 0
    assert lag(directory) == (0, 0, 0.0, 0)
    more = fill("error_logs", 4)
    left = lag(directory)
    assert (left.files, left.records) == (1, 4)
    assert left.seconds == pytest.approx(10.0)
    assert ship(directory, destination).sent == 4
    assert set(indexed(opensearch)) == set(ids + more)


def test_a_document_is_found_by_the_names_of_ecs_and_by_leadlog_s_own(directory, opensearch):
    """ECS fields have ECS names; everything else has the record's, with the contract's types."""
    event = record(
        "error_logs",
        AT,
        error_details={"exception_class": "ValueError", "error_message": "no e-mail"},
        context={"system_state": {"free": "text", "number": 1}},
    )
    operation = record(
        "database_operations",
        AT,
        operation_details={"success": False, "execution_time_ms": 1.5, "entity": "Lead"},
        data_details={"fields_changed": {"title": {"old": None, "new": 7}}},
    )
    append(directory / "error_logs" / f"{DAY}.jsonl", event)
    append(directory / "database_operations" / f"{DAY}.jsonl", operation)
    assert ship(directory, to(opensearch)).refused == 0
    found = indexed(opensearch)
    error, done = found[event["event_id"]], found[operation["event_id"]]
    assert error["_index"] == f"leadlog-error_log-{DAY}"
    assert error["_source"]["error"]["type"] == "ValueError"
    assert error["_source"]["leadlog"]["context"]["system_state"] == {"free": "text", "number": 1}
    assert done["_source"]["event"]["outcome"] == "failure"
    assert done["_source"]["event"]["duration"] == 1_500_000
    assert done["_source"]["@timestamp"] == operation["timestamp"]
    query = {"query": {"term": {"leadlog.operation_details.success": False}}}
    found_by = asking(opensearch.url)("POST", "/leadlog-*/_search", query)
    assert [hit["_id"] for hit in found_by["hits"]["hits"]] == [operation["event_id"]]


def test_values_of_free_keys_may_change_their_type(directory, opensearch):
    """All values of a lead's columns are one field, so no value is refused for its type."""
    path = directory / "database_operations" / f"{DAY}.jsonl"
    for number, value in enumerate((1, "one", None, [1, "a"], {"deep": True}, 1.5)):
        changed = {"fields_changed": {f"column_{number}": {"new": value}, "same": {"new": value}}}
        append(path, record("database_operations", AT + number, data_details=changed))
    report = ship(directory, to(opensearch))
    assert (report.sent, report.refused) == (6, 0)


@pytest.mark.parametrize("policy", ["masked", "pseudonymised"])
def test_personal_data_leave_as_the_destination_says(directory, opensearch, policy):
    """The log keeps the name; the receiver never gets it."""
    event = record("database_operations", AT, lead_identifier={"name": "Ana Gómez"})
    append(directory / "database_operations" / f"{DAY}.jsonl", event)
    ship(directory, to(opensearch, personal_data=policy), pseudonym_key="pepper")
    (found,) = indexed(opensearch).values()
    name = found["_source"]["leadlog"]["lead_identifier"]["name"]
    assert name == "***" if policy == "masked" else name.startswith("p:")


def test_lines_that_are_no_events_are_passed_over_and_ids_are_made_where_there_are_none(
    directory, fill, opensearch
):
    """Damage blocks nothing; a record without an id gets one that is always the same."""
    path = directory / "error_logs" / f"{DAY}.jsonl"
    ids = fill("error_logs", 1)
    nameless = record("error_logs", AT)
    del nameless["event_id"]
    append(path, b"\x00torn", nameless, b"")
    ids += fill("error_logs", 1)
    with path.open("ab") as stream:
        stream.write(b'{"timestamp": "unfinish')
    ship(directory, to(opensearch))
    found = indexed(opensearch)
    assert set(ids) < set(found)
    assert len(found) == 3
    assert lag(directory).records == 0


# ----------------------------------------------------------------------------- files that change


def run_archive(directory, **policy):
    return archive.run(directory, Policy(**policy), today=LATER)


def test_a_file_that_is_compressed_and_sealed_half_way_goes_on_where_it_was(
    directory, fill, opensearch
):
    """Compression and sealing keep a file's content, so its position stays valid."""
    ids = fill("database_operations", 40)
    destination = to(opensearch, batch_records=10)

    def stop_after(number):
        stop = threading.Event()
        shipper = Shipper(directory, destination, stop=stop)
        send = shipper._sender.send

        def counted(items):
            found = send(items)
            nonlocal number
            number -= 1
            if number == 0:
                stop.set()
            return found

        shipper._sender.send = counted
        shipper.once(5.0)
        shipper.close()
        return shipper.report.sent

    assert stop_after(1) == 10
    run_archive(directory, compress_after_days=1)
    assert [path.suffix for path in (directory / "database_operations").iterdir()] == [".zst"]
    assert stop_after(1) == 10
    run_archive(directory, parquet_after_days=1)
    assert not list((directory / "database_operations").iterdir())
    left = lag(directory)
    assert (left.files, left.records, left.bytes) == (1, 20, left.bytes)
    assert ship(directory, destination).sent == 20
    assert set(indexed(opensearch)) == set(ids)


def test_parts_are_merged_once_they_are_shipped_and_not_shipped_again(directory, fill, opensearch):
    """The janitor waits for a destination that lags; a merged part counts as shipped."""
    ids = fill("error_logs", 5) + fill("error_logs", 5, name=f"{DAY}.1.jsonl")
    destination = to(opensearch)
    ship(directory, destination)
    more = fill("error_logs", 2, name=f"{DAY}.w1.jsonl")
    run_archive(directory, parquet_after_days=1)
    parts = directory / "archive" / "category=error_logs" / f"date={DAY}"
    assert len(list(parts.glob("part-*"))) == 3
    assert ship(directory, destination).sent == 2
    run_archive(directory, parquet_after_days=1)
    assert [path.name for path in parts.glob("part-*")] == [f"part-{DAY}.m1.parquet"]
    assert ship(directory, destination).sent == 0
    late = fill("error_logs", 1, name=f"{DAY}.w2.jsonl")
    assert ship(directory, destination).sent == 1
    assert set(indexed(opensearch)) == set(ids + more + late)


def test_a_destination_that_is_new_gets_the_merged_past(directory, fill, opensearch):
    """Parts merged before the destination existed are shipped to it as a whole."""
    ids = fill("error_logs", 5) + fill("error_logs", 5, name=f"{DAY}.1.jsonl")
    run_archive(directory, parquet_after_days=1)
    assert ship(directory, to(opensearch)).sent == 10
    assert set(indexed(opensearch)) == set(ids)


def test_retention_by_age_waits_and_retention_by_room_is_counted(directory, fill, opensearch):
    """An unshipped file stays unless space is needed; then its loss is reported."""
    fill("error_logs", 5)
    destination = to(opensearch)
    ship(directory, destination)
    fill("error_logs", 1500)
    report = run_archive(directory, compress_after_days=0, retention_days={"error_logs": 1})
    assert [kept.hindrance.reason for kept in report.kept] == ["it is not shipped to elk yet"]
    assert report.results == ()
    run_archive(directory, compress_after_days=0, retention_bytes={"error_logs": "1MB"})
    assert not (directory / "error_logs" / f"{DAY}.jsonl").exists()
    ship(directory, destination)
    ((cause, (files, size, records)),) = read_shipments(directory, "elk").dropped.items()
    assert (cause, files, records) == ("removed by retention", 1, 1500)
    assert size > 1_000_000


def test_a_file_that_somebody_removed_is_told(directory, fill, opensearch):
    """A file removed before it was shipped is counted, with an unknown number of records."""
    fill("error_logs", 5)
    said = []
    destination = to(opensearch, batch_records=2)
    stop = threading.Event()
    shipper = Shipper(directory, destination, stop=stop, notice=said.append)
    send = shipper._sender.send
    shipper._sender.send = lambda items: [stop.set(), send(items)][1]
    shipper.once(5.0)
    shipper.close()
    (directory / "error_logs" / f"{DAY}.jsonl").unlink()
    ship(directory, destination, notice=said.append)
    ((cause, (files, size, records)),) = read_shipments(directory, "elk").dropped.items()
    assert (cause, files, records) == ("removed before it was shipped", 1, None)
    assert size > 1000
    assert "was removed before all of it was shipped" in said[-1]


def test_a_file_that_is_rewritten_under_the_position_is_gone_on_with(directory, fill, opensearch):
    """Removing lines before or at the position neither loses nor duplicates others."""
    ids = fill("error_logs", 20)
    ship(directory, to(opensearch))
    path = directory / "error_logs" / f"{DAY}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    replaced = path.with_name("draft")
    replaced.write_bytes(b"".join(lines[3:10] + lines[12:19]))
    replaced.rename(path)
    more = fill("error_logs", 2)
    assert ship(directory, to(opensearch)).sent == 2
    assert set(indexed(opensearch)) == set(ids + more)


# ------------------------------------------------------------------------------- refused records


def poisoned(directory, count=1000, at=517):
    """Write a thousand records, one of which the index refuses."""
    events = [record("database_operations", AT + number) for number in range(count)]
    events[at]["operation_details"]["execution_time_ms"] = "not a number"
    append(directory / "database_operations" / f"{DAY}.jsonl", *events)
    return events[at]["event_id"]


def test_one_poison_record_in_a_thousand_is_kept_and_goes_through_after_a_fix(
    directory, opensearch, leadlog
):
    """999 arrive; one has its reason, and arrives once the index accepts it."""
    bad = poisoned(directory)
    report = ship(directory, to(opensearch))
    assert (report.sent, report.refused) == (999, 1)
    assert len(indexed(opensearch)) == 999
    Path("leadlog.toml").write_text(
        f'[ship.elk]\ntype = "opensearch"\nurl = "{opensearch.url}"\npersonal_data = "plain"\n'
        "templates = false\n"
    )
    status = leadlog("ship", "status", "--json")
    assert status.exit_code == 1
    ((reason, number),) = json.loads(status.stdout)["destinations"][0]["refused_reasons"].items()
    assert number == 1
    assert "execution_time_ms" in reason
    assert leadlog("ship", "replay", "elk").exit_code == 1
    log_type = f"leadlog-database_operation-{DAY}"
    call = asking(opensearch.url)
    call("DELETE", f"/{log_type}")
    wanted = {"mappings": {"properties": {"leadlog": {"type": "flat_object"}}}}
    call("PUT", f"/{log_type}", wanted)
    again = leadlog("ship", "replay", "elk", "--json")
    assert (again.exit_code, json.loads(again.stdout)["destinations"][0]["sent"]) == (0, 1)
    call("POST", "/_refresh")
    assert call("GET", f"/{log_type}/_doc/{bad}")["found"]
    assert read_shipments(directory, "elk").refused == 0


def test_a_request_that_is_refused_as_a_whole_is_parted_until_the_record_is_found(directory):
    """A receiver that does not name the record costs log2 more requests."""
    fill_ids = append(
        directory / "error_logs" / f"{DAY}.jsonl",
        *[record("error_logs", AT + number) for number in range(64)],
    )

    class Picky:
        can_erase = True
        taken: list[str] = []  # noqa: RUF012 - of this one test

        def prepare(self):
            pass

        def encode(self, event_id, category, event, line):
            return line

        def send(self, items):
            from leadlog.shipping.contract import BatchRefusedError

            if any(item.event_id == fill_ids[41] for item in items):
                raise BatchRefusedError("400 no")
            self.taken += [item.event_id for item in items]
            return [None] * len(items)

        def close(self):
            pass

    report = ship(directory, to("http://127.0.0.1:1"), sender=Picky())
    assert (report.sent, report.refused) == (63, 1)
    assert sorted(Picky.taken) == sorted(set(fill_ids) - {fill_ids[41]})


# --------------------------------------------------------------------------------- on the way


def test_refusals_of_the_moment_are_tried_again_and_only_what_was_not_taken(
    directory, fill, opensearch
):
    """429, 503, records refused with 429, resets and timeouts lose and duplicate nothing."""
    ids = fill("database_operations", 200) + fill("error_logs", 40)
    faults = {"429": 0.1, "503": 0.1, "items": 0.25, "reset": 0.1, "timeout": 0.05}
    with serving(Trouble(opensearch.url, faults, seed=4)) as between:
        destination = to(f"http://{between.host}", batch_records=10, timeout_seconds=0.4)
        report = ship(directory, destination)
        assert report.error is None
    assert (report.sent, report.refused) == (240, 0)
    assert all(between.made.values()), between.made
    assert set(indexed(opensearch)) == set(ids)


def test_a_receiver_that_is_away_costs_a_notice_and_nothing_else(directory, fill, leadlog):
    """`--once` exits with 3 and names the receiver; nothing is counted as sent."""
    fill("error_logs", 3)
    result = leadlog(
        *("ship", "--to", "opensearch+http://127.0.0.1:9/leadlog", "--personal-data", "plain"),
        *("--once", "--give-up", "0.1", "--json"),
    )
    assert result.exit_code == 3
    (one,) = json.loads(result.stdout)["destinations"]
    assert one["sent"] == 0
    assert "127.0.0.1" in one["error"]
    (name,) = destinations(directory)
    assert lag(directory, name).records == 3


def test_two_processes_never_ship_to_one_destination(directory, fill, opensearch):
    """The second process is told which one ships."""
    fill("error_logs", 1)
    with shipping_lock(directory, "elk") as other:
        assert other is None
        with pytest.raises(ShippingError, match=r"process \d+ ships to elk already"):
            ship(directory, to(opensearch))


# ---------------------------------------------------------------------------------------- secrets


TOKEN = "s3cr3t-token-of-the-test"


def test_a_redirect_is_refused_and_takes_the_token_nowhere(directory, fill, monkeypatch):
    """A redirect is never followed."""
    monkeypatch.setenv("ELK_TOKEN", TOKEN)
    fill("error_logs", 1)
    with serving(Answering(200)) as other:
        elsewhere = [("Location", f"{other.url}/{TOKEN}")]
        with serving(Answering(307, elsewhere)) as server:
            report = ship(directory, to(server, token_env="ELK_TOKEN"))
        assert other.asked == []
    assert "redirect (307)" in report.error
    assert server.asked[0] == ("/", f"ApiKey {TOKEN}")
    assert TOKEN not in report.error


def test_a_token_in_an_answer_is_hidden_everywhere(directory, fill, leadlog):
    """A token repeated by a receiver appears neither on the screen nor on the disk."""
    fill("error_logs", 1)
    body = json.dumps({"error": f"the key {TOKEN} is not valid"}).encode()
    with serving(Answering(401, body=body)) as server:
        result = leadlog(
            *("ship", "--to", f"opensearch+{server.url}/leadlog?token_env=ELK_TOKEN", "--once"),
            *("--personal-data", "plain", "--give-up", "0"),
            ELK_TOKEN=TOKEN,
        )
        assert result.exit_code == 3
        assert "is not valid" in result.stderr
        assert "token_env" in result.stderr
        shown = result.stdout + result.stderr
        assert TOKEN not in shown
        kept = b"".join(path.read_bytes() for path in (directory / ".shipping").iterdir())
        assert TOKEN.encode() not in kept


def test_a_certificate_of_nobody_s_is_refused_and_one_of_ours_taken(
    directory, fill, tmp_path, opensearch
):
    """TLS is verified; a private authority is named with `ca`."""
    fill("error_logs", 1)
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    between = Trouble(opensearch.url, {})
    between.socket = context.wrap_socket(between.socket, server_side=True)
    with serving(between):
        url = f"https://{between.host}"
        report = ship(directory, to(url))
        assert "certificate" in report.error
        assert "`ca`" in report.error
        assert ship(directory, to(url, ca=str(certificate))).sent == 1


def test_a_netrc_does_not_take_the_token_s_place(directory, fill, tmp_path, monkeypatch):
    """The header has the token."""
    monkeypatch.setenv("ELK_TOKEN", TOKEN)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ana password pw\n")
    monkeypatch.setenv("NETRC", str(netrc))
    fill("error_logs", 1)
    with serving(Answering(401)) as server:
        ship(directory, to(server, token_env="ELK_TOKEN"))
    assert {header for _, header in server.asked} == {f"ApiKey {TOKEN}"}


# --------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"personal_data": None}, "personal_data is missing"),
        ({"personal_data": "some"}, "no policy 'some'"),
        ({"token": "x"}, "token_env"),
        ({"url": "http://elk:9200"}, "insecure_http"),
        ({"url": "https://ana:pw@elk:9200"}, "user or a password"),
        ({"url": "ftp://elk"}, "http or https"),
        ({"type": "elk"}, "elasticsearch, opensearch, splunk, otlp, s3"),
        ({"catgories": []}, "did you mean 'categories'"),
        ({"categories": ["errors"]}, "no category 'errors'"),
        ({"batch_records": "many"}, "batch_records is 'many'"),
        ({"since": "yesterday"}, "2026-11-23"),
        ({"index": "Leads"}, "lower-case"),
    ],
)
def test_a_wrong_table_is_refused_with_what_would_do(table, message):
    """Each error in [ship.NAME] is named with its remedy, and no secret is repeated."""
    good = {"type": "elasticsearch", "url": "https://elk:9200", "personal_data": "plain"}
    wrong = {key: value for key, value in (good | table).items() if value is not None}
    with pytest.raises(SettingsError, match=message) as caught:
        configured({"elk": wrong})
    assert "pw" not in str(caught.value)


def test_a_url_says_what_a_table_says():
    """All keys of a table can be given in one URL."""
    one = from_url(
        "elasticsearch+http://127.0.0.1:9200/base/leads?token_env=T&batch_records=5"
        "&categories=error_logs,sync_operations&templates=false",
        "masked",
    )
    assert (one.url, one.index) == ("http://127.0.0.1:9200/base", "leads")
    assert (one.token_env, one.batch_records, one.templates) == ("T", 5, False)
    assert one.categories == ("error_logs", "sync_operations")
    with pytest.raises(SettingsError, match="token_env"):
        from_url("opensearch+http://127.0.0.1:8088?token=abc", "plain")


def test_forget_starts_over(directory, fill, opensearch, leadlog):
    """Afterwards the whole log is shipped again; the index still has each event once."""
    fill("error_logs", 3)
    ship(directory, to(opensearch))
    assert leadlog("ship", "forget", "elk").exit_code == 0
    assert ship(directory, to(opensearch)).sent == 3
    assert len(indexed(opensearch)) == 3
    assert leadlog("ship", "forget", "nobody").exit_code == 3


def test_a_full_disk_is_told_with_a_remedy_that_helps(directory, fill):
    """The position cannot be stored: the error names the file and asks for space."""
    fill("error_logs", 1)
    with Shipments(directory, "elk") as shipments:
        (pages,) = shipments.connection.execute("PRAGMA page_count").fetchone()
        shipments.connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(LogDirectoryError, match=r"elk\.sqlite3: .*full; free some space"):
            shipments.put(error="x" * 1_000_000)


def test_what_shipping_writes_is_registered(directory, fill, opensearch):
    """Erasure finds the refused records, which contain lines of the log."""
    fill("error_logs", 1)
    ship(directory, to(opensearch))
    kinds = {
        path.name: place_of(Path(".shipping") / path.name)
        for path in (directory / ".shipping").iterdir()
    }
    assert kinds["elk.sqlite3"].content is Content.DATABASE
    assert kinds["elk.lock"].content is Content.NAMES
    with Shipments(directory, "elk") as shipments:
        assert shipments.get("sent") == 1
