"""Shipping from threads of another process: `leadlog monitor --ship`."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from leadlog.core.clock import now_us
from leadlog.core.errors import ShippingError
from leadlog.core.settings import load
from leadlog.shipping import ShippingThreads, configured
from tests.shipping.conftest import AT, DAY
from tests.shipping_receivers import Answering, Collector, append, indexed, record, serving

pytestmark = pytest.mark.handmade_lines

SECONDS = 30


def until(done, what):
    """Wait until a condition holds."""
    end = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.05)


@contextmanager
def hanging():
    """Yield a receiver that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_receiver_that_is_away_or_hangs_holds_up_no_other(directory, fill):
    """Each destination has a separate thread, and none keeps the process from exiting."""
    ids = fill("error_logs", 20)
    with hanging() as stuck, serving(Collector("otlp")) as collector:
        table = {"type": "otlp", "personal_data": "plain"}
        urls = {"live": collector.url, "stuck": stuck, "away": "http://127.0.0.1:9"}
        wanted = configured({name: table | {"url": url} for name, url in urls.items()})
        said = []
        threads = ShippingThreads(directory, list(wanted.values()), load().settings, said.append)
        threads.start()
        try:
            until(lambda: len(collector.ids) == 20, "the live one has not got all")
            ids += fill("error_logs", 5)
            until(lambda: len(collector.ids) == 25, "the live one has not got what came later")
            until(lambda: any(one.startswith("away: ") for one in said), "nothing was said")
        finally:
            began = time.monotonic()
            threads.stop(0.1)
        assert time.monotonic() - began < 5
    assert Counter(collector.ids) == Counter(ids)


def test_what_ends_a_thread_is_told_and_it_starts_again(directory, fill):
    """An unusable state is reported until it is repaired."""
    ids = fill("error_logs", 3)
    state = directory / ".shipping" / "there.sqlite3"
    state.parent.mkdir()
    state.write_bytes(b"not a database" * 500)
    with serving(Collector("otlp")) as collector:
        table = {"type": "otlp", "personal_data": "plain", "url": collector.url}
        said = []
        wanted = list(configured({"there": table}).values())
        with ShippingThreads(directory, wanted, load().settings, said.append):
            until(lambda: said, "nothing was said")
            state.unlink()
            until(lambda: len(collector.ids) == 3, "it did not start again")
    assert "leadlog ship forget there" in said[0]
    assert collector.ids == ids


def test_a_receiver_that_refuses_every_request_is_asked_seldom_and_told_of_once(directory, fill):
    """A 400 to the first requests, which carry no records, is retried with backoff."""
    fill("error_logs", 3)
    said = []
    with serving(Answering(400, body=b"no")) as server:
        table = {"type": "opensearch", "personal_data": "plain", "url": server.url}
        wanted = list(configured({"there": table}).values())
        with ShippingThreads(directory, wanted, load().settings, said.append):
            until(lambda: said, "nothing was said")
            time.sleep(0.7)
    assert len(server.asked) <= 6  # after 0.05, 0.1, 0.2 and 0.4 s at the earliest
    assert len(said) == 1
    assert said[0].startswith(f"there: {server.url}: 400 ")


def test_a_run_that_ends_by_itself_is_told_and_started_again(directory, monkeypatch):
    """An error of the protocol that no retry handles is reported, and never retried at once."""
    prepared = []

    class Odd:
        can_erase = False

        def prepare(self):
            prepared.append(time.monotonic())
            raise ShippingError("not a protocol")

        def close(self):
            pass

    monkeypatch.setattr("leadlog.shipping.shipper.sender_of", lambda _: Odd())
    table = {"type": "otlp", "personal_data": "plain", "url": "http://127.0.0.1:9"}
    said = []
    wanted = list(configured({"there": table}).values())
    with ShippingThreads(directory, wanted, load().settings, said.append):
        until(lambda: len(prepared) == 2, "it did not start again")
    assert prepared[1] - prepared[0] > 0.9
    assert said[0] == "there: not a protocol; trying again in 1 s"


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), ValueError("closed file")])
def test_a_notice_that_cannot_be_printed_does_not_end_shipping(directory, fill, error):
    """With standard error closed, shipping starts again all the same."""
    ids = fill("error_logs", 3)
    state = directory / ".shipping" / "there.sqlite3"
    state.parent.mkdir()
    state.write_bytes(b"not a database" * 500)
    said = []

    def closed(text):
        said.append(text)
        raise error

    with serving(Collector("otlp")) as collector:
        table = {"type": "otlp", "personal_data": "plain", "url": collector.url}
        wanted = list(configured({"there": table}).values())
        with ShippingThreads(directory, wanted, load().settings, closed):
            until(lambda: said, "nothing was said")
            state.unlink()
            until(lambda: len(collector.ids) == 3, "it did not start again")
    assert collector.ids == ids


@contextmanager
def monitoring(folder, directory):
    """Start a monitor as a separate process, and wait until it is active."""
    command = [sys.executable, "-m", "leadlog", "monitor", "--directory", str(directory)]
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"}
    errors = folder / "said"
    with errors.open("w") as said:
        process = subprocess.Popen(
            [*command, "--ship-all", "--no-checks"], cwd=folder, env=environment, stderr=said
        )
    try:
        until(lambda: "watching" in errors.read_text() or process.poll() is not None, "no start")
        yield process, errors.read_text
    finally:
        process.kill()
        process.wait()


def alerts(directory):
    """Return the monitor's records of alerts."""
    return [
        line
        for path in sorted((directory / "monitoring_data").glob("*.jsonl"))
        for line in path.read_text().splitlines()
        if "burn_rate" in line and "firing" in line
    ]


def test_a_monitor_ships_and_neither_stalls_nor_kills_harm_its_alerts(
    tmp_path, directory, opensearch
):
    """Next to a hanging and an absent receiver alerts fire; after a kill it continues."""
    failed = {"operation_type": "add_lead", "success": False, "execution_time_ms": 5.0}
    past = [record("database_operations", AT + number) for number in range(300)]
    ids = append(directory / "database_operations" / f"{DAY}.jsonl", *past)
    with hanging() as stuck:
        urls = {"elk": opensearch.url, "stuck": stuck, "away": "http://127.0.0.1:9"}
        (tmp_path / "leadlog.toml").write_text(
            '[alerts.rules.burn_rate]\nfor = "0s"\n'
            + "\n".join(
                f'[ship.{name}]\ntype = "opensearch"\nurl = "{url}"\npersonal_data = "plain"\n'
                f'categories = ["database_operations"]\nbatch_records = 7\n'
                for name, url in urls.items()
            )
        )

        def arrived():
            try:
                return set(indexed(opensearch)) == set(ids)
            except OSError:  # there is no index yet
                return False

        with monitoring(tmp_path, directory) as (process, _):
            process.send_signal(signal.SIGKILL)
        now = now_us()
        new = [record("database_operations", now, operation_details=failed) for _ in range(100)]
        day = new[0]["timestamp"][:10]
        ids += append(directory / "database_operations" / f"{day}.jsonl", *new)
        with monitoring(tmp_path, directory) as (process, said):
            until(arrived, said())
            until(lambda: alerts(directory), said())
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0
        assert "shipping to elk, stuck, away" in said()
        assert "away: " in said()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--ship", "nowhere"), "no destination"),
        (("--ship-all", "--ship", "elk"), "--ship NAME or --ship-all"),
        (("--ship-all", "--once"), "leadlog ship --all --once"),
        (("--ship", "elk", "--summary", "yesterday"), "in addition to --summary"),
    ],
)
def test_a_monitor_says_what_is_wrong_with_its_destinations(leadlog, directory, arguments, said):
    """The error is raised before the monitor starts."""
    done = leadlog("monitor", "--directory", str(directory), *arguments)
    assert done.exit_code == 2
    assert said in done.output
