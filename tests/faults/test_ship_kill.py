"""A shipper that is killed repeatedly, over an unreliable connection, while logging continues."""

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from osmem_server import OsmemServer

from leadlog.core.clock import now_us
from leadlog.reading import archive
from leadlog.reading.archive.policy import Policy
from leadlog.reading.shipped import destinations, read_shipments
from leadlog.shipping import Shipper, from_url
from tests.shipping_receivers import Collector, Trouble, append, indexed, record, serving

KILLS = 50 if os.environ.get("SOAK") else 3
BATCH = 40
FAULTS = {"429": 0.08, "503": 0.08, "items": 0.2, "reset": 0.1, "timeout": 0.03}
DAY_US = 86_400_000_000


class Writer(threading.Thread):
    """Writes records of today and of past days; one in a thousand is poisoned."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory, self.ended = directory, threading.Event()
        self.ids: set[str] = set()
        self.poison: set[str] = set()

    def run(self) -> None:
        draw = random.Random(7)
        while not self.ended.wait(0.02):
            for _ in range(3):
                self.write(draw)

    def write(self, draw: random.Random) -> None:
        category = draw.choice(("database_operations", "error_logs", "sync_operations"))
        # What recovery brings in belongs to past days.
        at = now_us() - (DAY_US * draw.randrange(1, 4) if draw.random() < 0.1 else 0)
        event = record(category, at)
        bad = category == "database_operations" and draw.random() < 0.002
        if bad:
            event["operation_details"]["execution_time_ms"] = "poison"
        segment = f".w{draw.randrange(1, 3)}" if draw.random() < 0.5 else ""
        name = f"{event['timestamp'][:10]}{segment}.jsonl"
        ids = append(self.directory / category / name, event)
        (self.poison if bad else self.ids).update(ids)


@contextmanager
def opensearch(_: Writer) -> Iterator[tuple[str, Callable[[], list[str]]]]:
    """Yield the destination, and a function that returns its final content."""
    with OsmemServer.start(japanese=False) as server:
        yield server.url, lambda: list(indexed(server))
    assert server.process.stdout is not None
    server.process.stdout.close()


@contextmanager
def collector(kind: str, writer: Writer) -> Iterator[tuple[str, Callable[[], list[str]]]]:
    """Do the same for a receiver without ids."""

    def refuse(event: Any) -> bool:
        return any(bad in str(event) for bad in list(writer.poison))

    with serving(Collector(kind, token="t", acknowledge=True, refuse=refuse)) as server:
        yield server.url, lambda: server.ids


RECEIVERS = {
    "opensearch": opensearch,
    "otlp": partial(collector, "otlp"),
    "splunk": partial(collector, "splunk"),
}


@pytest.mark.handmade_lines
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", RECEIVERS)
def test_nothing_is_lost_whatever_moment_the_kill_comes_at(tmp_path, kind):
    """Under 429, 503, resets and timeouts after the commit, while files change their form.

    In an index each event is there once. Elsewhere, only the batch in transit at a kill or a lost
    response may arrive twice.
    """
    directory, draw = tmp_path / "database_logs", random.Random(11)
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    environment = os.environ | {"PYTHONPATH": paths, "HEC": "t"}
    writer = Writer(directory)
    faults = {
        name: share for name, share in FAULTS.items() if kind == "opensearch" or name != "items"
    }
    with (
        RECEIVERS[kind](writer) as (target, received),
        serving(Trouble(target, faults)) as between,
    ):
        keys = f"batch_records={BATCH}&timeout_seconds=0.5&ack_seconds=2&token_env=HEC"
        url = f"{kind}+http://{between.host}/{'leadlog' if kind == 'opensearch' else ''}?{keys}"
        command = [sys.executable, "-m", "leadlog", "ship", "--directory", str(directory)]
        command += ["--to", url, "--personal-data", "plain"]
        writer.start()
        try:
            for number in range(KILLS):
                with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
                    assert process.stderr is not None
                    assert b"shipping" in process.stderr.readline()
                    writer.ended.wait(draw.uniform(0.1, 1.5))
                    process.kill()
                if number % 3 == 2:  # past days change their form under the position
                    archive.run(directory, Policy(compress_after_days=1))
        finally:
            writer.ended.set()
            writer.join()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HEC", "t")
            shipper = Shipper(directory, from_url(url, "plain"))
        report = shipper.once(120.0)
        shipper.close()
        assert report.error is None
        lost_answers = between.made["reset"] + between.made["timeout"]
        assert lost_answers
        # A loaded machine's late answers, and acknowledgements that were late or lost.
        channels = {one.get("X-Splunk-Request-Channel") for one in between.headers}
        lost_answers += between.late + len(channels)
        found = received()
    assert set(found) == writer.ids
    copies = len(found) - len(writer.ids)
    assert copies <= (0 if kind == "opensearch" else BATCH * (KILLS + lost_answers))
    (name,) = destinations(directory)
    state = read_shipments(directory, name)
    assert state.refused == len(writer.poison)
    assert state.dropped == {}
    assert state.lag(directory, now_us(), count=True)[:3] == (0, 0, 0.0)
