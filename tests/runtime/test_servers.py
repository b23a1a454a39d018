"""Real servers: each event acknowledged by a response is in the files exactly once, or counted.

One of the workers is killed in the middle. Afterwards accepted = on disk + in rings + dropped.
"""

import http.client
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import celery
import pytest

from tests.runtime.balance import balance

pytestmark = [pytest.mark.fault, pytest.mark.handmade_lines, pytest.mark.timeout(120)]

HERE = Path(__file__).parent
REQUESTS, EVENTS = 60, 20
GUNICORN = (
    *("-m", "gunicorn", "--no-control-socket", "--preload", "--workers", "2"),
    # A worker forked just before the end misses its signal, and is killed by gunicorn.
    *("--graceful-timeout", "3", "--bind", "unix:socket"),
)
WSGI = "tests.runtime.served:application"
SERVERS = {
    "gunicorn, sync": (*GUNICORN, WSGI),
    "gunicorn, gthread": (*GUNICORN, "--worker-class", "gthread", "--threads", "4", WSGI),
    "gunicorn, gevent": (*GUNICORN, "--worker-class", "gevent", WSGI),
    "uvicorn": ("-m", "uvicorn", "--workers", "2", "--uds", "socket", "tests.runtime.served:asgi"),
}
UWSGI = ("uwsgi", "--master", "--processes", "2", "--http-socket", "socket", "--module", WSGI)


class _Connection(http.client.HTTPConnection):
    """A connection to the socket in the working directory."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect("socket")


def _ask(request: int) -> int:
    """Send a request; return the id of the process that answered."""
    connection = _Connection("localhost")
    try:
        connection.request("GET", f"/?{request}")
        return int(connection.getresponse().read())
    finally:
        connection.close()


@contextmanager
def _running(command: tuple[str, ...], *, stop: int = signal.SIGTERM) -> Iterator[None]:
    """Run a server during the block; if that fails, report its output."""
    environment = os.environ | {"LEADLOG_DIRECTORY": "logs", "PYTHONPATH": str(HERE.parents[1])}
    with Path("output").open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        yield
        server.send_signal(stop)
        server.wait(30)
    except BaseException as error:
        error.add_note(Path("output").read_text(errors="replace"))
        raise
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


def _first_answer() -> int:
    """Wait until a server answers."""
    for _ in range(600):
        try:
            return _ask(0)
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
    raise AssertionError("the server does not answer")


def _balance(acknowledged: set[int]) -> None:
    """Compare the files with the acknowledged events."""
    wanted = itertools.product(acknowledged, range(EVENTS))
    balance(Path("logs").absolute(), wanted, "request", "number")


@pytest.mark.parametrize("server", [*SERVERS, "uWSGI"])
def test_a_server_loses_and_tears_nothing(server: str, tmp_path: Path) -> None:
    """With four clients, one worker killed and then all ended, no line is lost or torn."""
    assert tmp_path == Path.cwd()
    if server == "uWSGI":
        pytest.importorskip("pyuwsgi", reason="there is no uWSGI for this system")
    command = UWSGI if server == "uWSGI" else (sys.executable, *SERVERS[server])
    answered = set()

    def ask(request: int) -> None:
        try:
            worker = _ask(request)
        except (OSError, http.client.HTTPException):
            return  # of the worker that was killed
        answered.add(request)
        if request == REQUESTS // 3:
            os.kill(worker, signal.SIGKILL)

    stop = signal.SIGINT if server == "uWSGI" else signal.SIGTERM
    with _running(command, stop=stop), ThreadPoolExecutor(4) as clients:
        _first_answer()
        list(clients.map(ask, range(1, REQUESTS)))
    assert len(answered) > REQUESTS // 2
    _balance(answered | {0})


def test_a_celery_worker_loses_and_tears_nothing(tmp_path: Path) -> None:
    """Pool processes, which end by a signal without Python's exit functions, lose no line."""
    for folder in ("queue", "control", "results"):
        (tmp_path / folder).mkdir()
    sender = celery.Celery(broker="filesystem://", backend="file://results")
    sender.conf.broker_transport_options = {
        "data_folder_in": "queue",
        "data_folder_out": "queue",
        "control_folder": "control",
    }
    worker = ("-m", "celery", "-A", "tests.runtime.served:tasks", "worker", "--concurrency", "2")
    with _running((sys.executable, *worker)):
        sent = [sender.send_task("serve", [number]) for number in range(REQUESTS)]
        for result in sent:
            result.get(timeout=60, interval=0.02)
    sender.close()
    _balance(set(range(REQUESTS)))
