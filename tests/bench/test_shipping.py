"""The cost of shipping: records per CPU second by protocol, and memory at any backlog."""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import leadlog
from tests.shipping_receivers import serving

COPIES = 60
LEADS = 500
RATIOS = {"opensearch": 8.0, "splunk": 8.0, "otlp": 20.0}
"""Maximum CPU time of a record, as a multiple of reading and writing it as JSON (orjson)."""
MOST_MB = 120


class Taking(BaseHTTPRequestHandler):
    """Handler that accepts everything, and does no more than the protocol requires."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = {"/_bulk": b'{"errors":false}', "/v1/logs": b""}.get(
            self.path.partition("?")[0], b'{"text":"Success","code":0}'
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        body = b'{"version":{"distribution":"opensearch"}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's signature
        """Log nothing."""


@contextmanager
def receiver() -> Iterator[str]:
    """Provide a server that accepts everything."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    server.daemon_threads = True
    with serving(server):
        yield f"127.0.0.1:{server.server_port}"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide real records of a store, repeated until they exceed the memory limit."""
    directory = tmp_path_factory.mktemp("log")
    leadlog.configure(directory=directory)
    with leadlog.LeadDatabase("sqlite://") as db:
        for number in range(LEADS):
            key = db.add_lead(
                {"name": f"Ana {number}", "company": "Acme", "email": f"a{number}@acme.com"}
            )
            db.get_lead(key)
            db.update_lead(key, {"title": "CTO", "notes": "met at the fair"})
    leadlog.flush()
    (path,) = (directory / "database_operations").glob("*.jsonl")
    content = path.read_bytes()
    with path.open("ab") as stream:
        for _ in range(COPIES - 1):
            stream.write(content)
    return directory


@pytest.mark.parametrize("kind", RATIOS)
def test_records_per_cpu_second_and_memory(log: Path, kind: str, capsys: Any) -> None:
    """Reading, encoding and sending real records stay within the budget."""
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    script = Path(__file__).with_name("shipped.py")
    with receiver() as host:
        url = f"{kind}+http://{host}/?token_env=TOKEN&templates=false"
        done = subprocess.run(
            [sys.executable, str(script), str(log), url],
            env=os.environ | {"PYTHONPATH": paths, "TOKEN": "t"},
            capture_output=True,
            text=True,
            check=True,
        )
    found = json.loads(done.stdout.splitlines()[-1])
    rate = found["sent"] / found["cpu_seconds"]
    ratio = 1 / rate / found["json_seconds"]
    size = sum(path.stat().st_size for path in log.rglob("*.jsonl"))
    with capsys.disabled():
        print(
            f"\n{kind}: {found['sent']} records ({size / 1e6:.0f} MB), {rate:,.0f} per CPU second, "
            f"{ratio:.2f} times JSON alone, {found['peak_mb']:.0f} MB"
        )
    assert found["sent"] == COPIES * LEADS * 3
    assert ratio <= RATIOS[kind]
    assert found["peak_mb"] < MOST_MB


@contextmanager
def hanging() -> Iterator[str]:
    """A receiver that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def shipping(directory: Path, host: str) -> Iterator[None]:
    """Run `leadlog ship` to a receiver, in a separate process."""
    url = f"elasticsearch+http://{host}/leadlog"
    command = [sys.executable, "-m", "leadlog", "ship", "--to", url, "--directory", str(directory)]
    process = subprocess.Popen(
        [*command, "--personal-data", "plain"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(2)  # it has read the log and waits for the receiver by then
        assert process.poll() is None
        yield
    finally:
        process.terminate()
        process.wait(30)


def p99_of_calls(log: Any) -> float:
    """Return the p99 of 4,000 calls of `log.info` in bursts of ten, µs."""
    clock, times = time.perf_counter_ns, []
    for _ in range(400):
        for number in range(10):
            begin = clock()
            log.info("deal.opened", number=number, title="a deal of usual length")
            times.append(clock() - begin)
        time.sleep(0.002)
    return sorted(times)[3960] / 1e3


def test_a_dead_receiver_changes_no_hand_over(tmp_path: Path, capsys: Any) -> None:
    """A shipper whose receiver hangs does not slow down the application's calls."""
    leadlog.configure(directory=tmp_path / "log")
    log = leadlog.get_logger()
    p99_of_calls(log)
    rounds = []
    with hanging() as host:
        for _ in range(6):
            alone = p99_of_calls(log)
            with shipping(tmp_path / "log", host):
                rounds.append((alone, p99_of_calls(log)))
    alone, beside = (statistics.median(one) for one in zip(*rounds, strict=True))
    with capsys.disabled():
        print(f"\np99 of a call: alone {alone:.0f} µs, beside a dead receiver {beside:.0f} µs")
    assert leadlog.stats().dropped == {}
    assert beside <= 1.5 * alone + 20
