"""Real loopback servers to which alerts are sent, as fixtures for the conftests."""

import json
import socket
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs
import pytest
from aiosmtpd.controller import Controller


@attrs.define
class Received:
    """The messages that a server received, and whether it accepts more.

    Attributes:
        url: the Apprise URL of the server.
        messages: title and text of each.
        refusing: whether it answers with an error.
        arrived: set once a message has arrived.
    """

    url: str = ""
    messages: list[tuple[str, str]] = attrs.field(factory=list)
    refusing: bool = False
    arrived: threading.Event = attrs.field(factory=threading.Event)

    @property
    def titles(self) -> list[str]:
        """Return the titles of all messages."""
        return [title for title, _ in self.messages]


@pytest.fixture
def webhook() -> Iterator[Received]:
    """Yield a real HTTP server that accepts Apprise's JSON."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if received.refusing:
                self.send_response(503)
            else:
                received.messages.append((body["title"], body["message"]))
                received.arrived.set()
                self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's signature
            """Log nothing."""

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
    """Yield a real SMTP server."""
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
