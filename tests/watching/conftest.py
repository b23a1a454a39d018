"""Real processes and real servers on loopback."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiosmtpd.controller import Controller

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Child:
    """A process that answers each line with a line."""

    def __init__(self, script: str, directory: Path, urls: str) -> None:
        paths = [str(ROOT), *filter(None, sys.path)]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "LEADLOG_ALERTS_URLS": urls,
        }
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / script), str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def say(self, **words: Any) -> str:
        """Writes a line and returns the answer."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(words) + "\n")
        stdin.flush()
        answer = stdout.readline()
        assert answer, f"ended with {self.process.wait(10)}"
        return answer

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    """Start a script of this folder: child(script, directory, urls)."""
    started: list[Child] = []

    def start(script: str, directory: Path, urls: str = "") -> Child:
        started.append(Child(script, directory, urls))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()


@attrs.define
class Received:
    """What a server was sent, and whether it takes anything now.

    Attributes:
        url: the Apprise URL that leads there.
        messages: title and text of each.
        refusing: whether it answers with an error.
    """

    url: str = ""
    messages: list[tuple[str, str]] = attrs.field(factory=list)
    refusing: bool = False

    @property
    def titles(self) -> list[str]:
        """The titles alone."""
        return [title for title, _ in self.messages]


@pytest.fixture
def webhook() -> Iterator[Received]:
    """A real HTTP server that takes Apprise's JSON."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if received.refusing:
                self.send_response(503)
            else:
                received.messages.append((body["title"], body["message"]))
                self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's signature
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"json://127.0.0.1:{server.server_port}/hook-s3cr3t-path"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield received
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def mailbox() -> Iterator[Received]:
    """A real SMTP server."""
    received = Received()

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
            message = message_from_bytes(envelope.content, policy=policy.default)
            body = message.get_body(("plain", "html"))
            text = body.get_content() if body is not None else ""
            received.messages.append((str(message["Subject"]), text))
            return "250 OK"

    for attempt in range(3):  # another process may take the free port first
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        controller = Controller(Handler(), hostname="127.0.0.1", port=port)
        try:
            controller.start()
            break
        except OSError:
            if attempt == 2:
                raise
    received.url = (
        f"mailto://127.0.0.1:{port}?from=leadlog@example.com&to=ops@example.com&mode=insecure"
        "&format=text"
    )
    yield received
    controller.stop()
