"""A shipper that is killed again and again, over a way full of trouble, while the log goes on."""

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from osmem_server import OsmemServer

from leadlog.core.clock import now_us
from leadlog.reading import archive
from leadlog.reading.archive.policy import Policy
from leadlog.shipping import Shipper, from_url
from tests.shipping_receivers import Trouble, append, indexed, record, serving

KILLS = 50 if os.environ.get("SOAK") else 6
FAULTS = {"429": 0.08, "503": 0.08, "items": 0.2, "reset": 0.1, "timeout": 0.03}
DAY_US = 86_400_000_000


class Writer(threading.Thread):
    """Writes records of today and of past days, one in a thousand of them poison."""

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


@pytest.mark.handmade_lines
@pytest.mark.timeout(1800)
def test_each_event_is_in_the_index_once_whatever_moment_the_kill_comes_at(tmp_path):
    """Under 429, 503, resets and timeouts after the commit: nothing lost, nothing twice."""
    directory, draw = tmp_path / "database_logs", random.Random(11)
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    with OsmemServer.start(japanese=False) as server:
        writer = Writer(directory)
        with serving(Trouble(server.url, FAULTS)) as between:
            url = f"opensearch+http://{between.host}/leadlog?batch_records=40&timeout_seconds=0.5"
            command = [sys.executable, "-m", "leadlog", "ship", "--directory", str(directory)]
            command += ["--to", url, "--personal-data", "plain"]
            writer.start()
            try:
                for number in range(KILLS):
                    with subprocess.Popen(
                        command, env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.PIPE
                    ) as process:
                        assert process.stderr is not None
                        assert b"shipping" in process.stderr.readline()
                        writer.ended.wait(draw.uniform(0.1, 1.5))
                        process.kill()
                    if number % 3 == 2:  # past days change their form under the position
                        archive.run(directory, Policy(compress_after_days=1))
            finally:
                writer.ended.set()
                writer.join()
            shipper = Shipper(directory, from_url(url, "plain"))
            report = shipper.once(30.0)
            shipper.close()
            assert report.error is None
            assert between.made["reset"]
        found = indexed(server)
        server.process.stdout.close()
    assert set(found) == writer.ids
    assert len(writer.ids) > 100
    from leadlog.reading.shipped import destinations, read_shipments

    (name,) = destinations(directory)
    state = read_shipments(directory, name)
    assert state.refused == len(writer.poison)
    assert state.dropped == {}
    assert state.lag(directory, now_us(), count=True)[:3] == (0, 0, 0.0)
