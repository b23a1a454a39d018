"""Sealed days of many hosts in an object store (moto's S3 on loopback), read as one."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from leadlog.core.errors import ReadError, ShippingError
from leadlog.reading import archive, erasure
from leadlog.reading.archive.policy import Policy
from leadlog.reading.objects import local_copy, open_store
from leadlog.reading.shipments import shipping_lock
from leadlog.shipping import configured, from_url
from leadlog.shipping.objects import ObjectShipper
from leadlog_processors.privacy import Privacy
from tests.shipping.conftest import AT, DAY
from tests.shipping_receivers import Trouble, append, record, serving

pytestmark = pytest.mark.handmade_lines

LATER = "2026-12-24"
KILLS = 50 if os.environ.get("SOAK") else 2
SEAL = {"compress_after_days": 0, "parquet_after_days": 1}


@pytest.fixture(scope="module")
def server():
    """Yield a real HTTP server with S3's API."""
    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()
    assert running._server is not None
    running._server.server_close()


@pytest.fixture
def bucket(server, monkeypatch, tmp_path):
    """Yield the URL of an empty bucket for one test, also for `--source`."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test-key",
        "AWS_SECRET_ACCESS_KEY": "s3cr3t-of-the-test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)
    name = f"logs-{abs(hash(str(tmp_path)))}"
    files = fs.S3FileSystem(
        endpoint_override=server.removeprefix("http://"),
        scheme="http",
        region="us-east-1",
        request_timeout=60,
        allow_bucket_creation=True,
    )
    files.create_dir(name)
    return f"s3://{name}/leads?endpoint={server}&region=us-east-1"


def to(bucket, **keys):
    url, _, _ = bucket.partition("?")
    endpoint = bucket.partition("endpoint=")[2].partition("&")[0]
    table = {
        "type": "s3",
        "url": url,
        "endpoint": endpoint,
        "region": "us-east-1",
        "personal_data": "plain",
    }
    return configured({"store": table | keys})["store"]


def ship(directory, bucket, privacy=None, **keys):
    said = []
    destination = to(bucket, **{"host": "alpha"} | keys)
    shipper = ObjectShipper(directory, destination, privacy=privacy, notice=said.append)
    return shipper.once(0.0), said


def ids_in(bucket, **window):
    with local_copy(bucket, **window) as root:
        from leadlog.reading.merged import read_merged

        return Counter(event.data["event_id"] for event in read_merged(root))


def seal(directory):
    return archive.run(directory, Policy(**SEAL), today=LATER)


def test_days_of_two_hosts_are_read_as_one(directory, fill, tmp_path, bucket, leadlog):
    """Both machines' records are read once, by every reader that accepts a source."""
    ids = fill("error_logs", 6) + fill("database_operations", 9, 1)
    seal(directory)
    report, said = ship(directory, bucket)
    assert (report.sent, report.error, said) == (15, None, [])
    other = tmp_path / "other"
    events = [record("database_operations", AT + number) for number in range(4)]
    more = append(other / "database_operations" / f"{DAY}.jsonl", *events)
    seal(other)
    assert ship(other, bucket, host="beta")[0].sent == 4
    assert ids_in(bucket) == Counter(ids + more)
    assert ids_in(bucket, since=f"{DAY}T00:00:00Z", until=f"{DAY}T23:59:59Z") == Counter(
        ids[:6] + more
    )
    asked = leadlog("query", "SELECT count(*) AS n FROM events", "--source", bucket, "--json")
    assert json.loads(asked.stdout) == [{"n": 19}]
    summed = leadlog(
        *("summary", "--source", bucket, "--from", DAY, "--to", "2026-11-24", "--json")
    )
    assert summed.exit_code == 0, summed.output
    operations = json.loads(summed.stdout)["operation_summary"]
    assert operations["total_database_operations"] == 13
    for command in ("errors", "slow"):
        done = leadlog(command, "--source", bucket, "--since", DAY, "--json")
        assert done.exit_code in (0, 1), done.output


def test_a_part_is_written_once_and_again_when_it_changed(directory, fill, bucket):
    """A run without news writes nothing; a merged part replaces its parts."""
    ids = fill("error_logs", 5) + fill("error_logs", 5, name=f"{DAY}.1.jsonl")
    seal(directory)  # merges both
    assert ship(directory, bucket)[0].sent == 10
    assert ship(directory, bucket)[0].sent == 0
    late = fill("error_logs", 2, name=f"{DAY}.w1.jsonl")
    seal(directory)
    assert ship(directory, bucket)[0].sent == 2
    assert ids_in(bucket) == Counter(ids + late)
    seal(directory)
    ship(directory, bucket)
    assert ids_in(bucket) == Counter(ids + late)
    (manifest,) = open_store(bucket).manifests()
    assert manifest.part == f"part-{DAY}.m2.parquet"
    assert manifest.records == 12


def test_a_kill_at_any_place_leaves_each_event_there_once(directory, fill, bucket, monkeypatch):
    """At whatever step a run was killed, the next one completes it."""
    ids = fill("error_logs", 5) + fill("database_operations", 5) + fill("sync_operations", 5)
    seal(directory)
    from leadlog.reading.objects import ObjectStore
    from leadlog.reading.shipments import Shipments

    class KilledError(BaseException):
        pass

    steps = [(ObjectStore, "put"), (ObjectStore, "put_bytes"), (Shipments, "commit")]
    for owner, name in steps * 2:
        with monkeypatch.context() as patch:
            done = getattr(owner, name)

            def once(*arguments, done=done, **options):
                done(*arguments, **options)
                raise KilledError

            patch.setattr(owner, name, once)
            with pytest.raises(KilledError):
                ship(directory, bucket)
    ship(directory, bucket)
    assert ids_in(bucket) == Counter(ids)


def test_an_erasure_reaches_the_store(directory, bucket):
    """A part that was rewritten is uploaded again under its name."""
    ana = {"lead_id": "lead-ana-0001", "name": "Ana Gómez", "email": "ana@acme.example"}
    events = [
        record("database_operations", AT + number, lead_identifier=ana if number == 1 else {})
        for number in range(3)
    ]
    append(directory / "database_operations" / f"{DAY}.jsonl", *events)
    seal(directory)
    ship(directory, bucket)
    erasure.run(directory, lead_ids=[ana["lead_id"]], today=LATER)
    ship(directory, bucket)
    assert ids_in(bucket) == Counter([events[0]["event_id"], events[2]["event_id"]])


def test_personal_data_are_masked_on_the_way(directory, bucket):
    """The archive keeps the name; the store does not have it."""
    event = record("database_operations", AT, lead_identifier={"name": "Ana Gómez"})
    append(directory / "database_operations" / f"{DAY}.jsonl", event)
    seal(directory)
    ship(directory, bucket, Privacy("masked"), personal_data="masked")
    with local_copy(bucket) as root:
        from leadlog.reading.merged import read_merged

        (found,) = read_merged(root)
    assert found.data["lead_identifier"]["name"] == "***"
    assert found.data["event_id"] == event["event_id"]


def test_a_part_that_is_not_what_its_manifest_says_is_refused(directory, fill, bucket):
    """A part that was changed or truncated in the store is reported, and not read."""
    fill("error_logs", 5)
    seal(directory)
    ship(directory, bucket)
    store = open_store(bucket)
    (manifest,) = store.manifests()
    store.put_bytes(f"{manifest.folder}/{manifest.part}", b"PAR1 something else PAR1")
    with pytest.raises(ReadError, match="is not what its manifest says"):
        ids_in(bucket)


def test_what_is_not_sealed_is_told_and_so_is_a_store_that_is_away(directory, fill, bucket):
    """Unsealed days are reported; an unreachable store affects nothing else."""
    fill("error_logs", 5)
    report, said = ship(directory, bucket)
    assert report.sent == 0
    assert "parquet_after_days" in said[0]
    seal(directory)
    report, said = ship(directory, "s3://nowhere/leads?endpoint=http://127.0.0.1:9")
    assert "s3://nowhere/leads" in report.error
    assert "s3cr3t" not in report.error
    with (
        shipping_lock(directory, "store"),
        pytest.raises(ShippingError, match="ships to store already"),
    ):
        ship(directory, bucket)
    with pytest.raises(ReadError, match="nothing of leadlog"):
        ids_in(bucket.replace("/leads", "/empty"))


def test_kills_while_parts_are_written_under_trouble_leave_each_event_there_once(
    directory, bucket, server
):
    """429, 503 and lost answers, while days are sealed, merged and get late lines."""
    draw, ids, faults = random.Random(5), [], {"429": 0.08, "503": 0.08, "reset": 0.1}
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    environment = os.environ | {"PYTHONPATH": paths}
    methods = ("PUT", "POST", "DELETE")
    with serving(Trouble(server, faults, methods=methods)) as between:
        url = bucket.replace(server, f"http://{between.host}") + "&host=alpha"
        command = [sys.executable, "-m", "leadlog", "ship", "--directory", str(directory)]
        command += ["--to", url, "--personal-data", "plain"]
        for number in range(KILLS):
            for _ in range(3):
                at = AT + draw.randrange(4) * 86_400_000_000
                events = [record("error_logs", at + one) for one in range(3)]
                file = f"{events[0]['timestamp'][:10]}.w{number + 1}.jsonl"
                ids += append(directory / "error_logs" / file, *events)
            seal(directory)
            wanted = len(between.paths) + draw.randrange(1, 16)
            with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
                end = time.monotonic() + 10
                while len(between.paths) < wanted and time.monotonic() < end:
                    time.sleep(0.002)
                process.kill()
        shipper = ObjectShipper(directory, from_url(url, "plain"))
        assert shipper.once(60.0).error is None
        assert KILLS < 50 or all(between.made.values()), between.made
    assert ids_in(bucket) == Counter(ids)
