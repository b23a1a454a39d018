"""HTTP on loopback: connections, their threads, and delayed, cut or withheld responses."""

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

import orjson

from leadlog.testing.airtable.api import Answer, WebApi
from leadlog.testing.airtable.counters import Traffic
from leadlog.testing.airtable.page import Page
from leadlog.testing.airtable.refusals import Refusal

__all__ = ["Server"]

HOST = "127.0.0.1"
# A client that sends nothing for this long is assumed to have left.
_IDLE_SECONDS = 60.0
_HTML = "text/html; charset=utf-8"
_JSON = "application/json; charset=utf-8"


class Server:
    """HTTP server; closing it releases its port, connections and threads.

    Args:
        api: Handler of requests below `/v0/`.
        page: Handler of all other requests.
        traffic: The counters.
        largest_body: Maximum size of a request body in bytes; a larger one is refused with 413.
    """

    def __init__(self, api: WebApi, page: Page, traffic: Traffic, largest_body: int) -> None:
        self._http = _Http(api, page, traffic, largest_body)
        self._thread = threading.Thread(
            target=self._http.accept, name="leadlog fake Airtable", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The server's address, without a trailing slash."""
        return f"http://{HOST}:{self._http.server_port}"

    @property
    def errors(self) -> list[Exception]:
        """Exceptions raised during requests, by hooks or by bugs of the fake."""
        return self._http.errors

    def close(self) -> None:
        """Stop serving; calling it again does nothing."""
        if self._http.closing.is_set():
            return
        self._http.closing.set()
        # On some systems, nothing else wakes a thread that waits in accept.
        with suppress(OSError), socket.create_connection((HOST, self._http.server_port), 5):
            pass
        self._thread.join()
        self._http.hang_up()
        self._http.server_close()  # waits for the connections' threads


class _Http(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them
    request_queue_size = 64

    def __init__(self, api: WebApi, page: Page, traffic: Traffic, largest_body: int) -> None:
        self.api = api
        self.page = page
        self.traffic = traffic
        self.largest_body = largest_body
        self.closing = threading.Event()
        self.errors: list[Exception] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((HOST, 0), partial(_Handler, self))

    def server_bind(self) -> None:
        # HTTPServer's own looks up this host's name at a name server.
        TCPServer.server_bind(self)
        self.server_port = self.server_address[1]

    def accept(self) -> None:
        """Accept connections until closed."""
        while True:
            connection, address = self.get_request()
            if self.closing.is_set():
                connection.close()
                return
            with self._lock:
                self._open.add(connection)
            self.process_request(connection, address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End all connections, so that threads waiting for a request return."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True

    def __init__(self, http: _Http, *connection: Any) -> None:
        self._http = http
        super().__init__(*connection)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Do nothing: requests are in the fake's own log."""

    def handle(self) -> None:
        """Handle the connection's requests; keep exceptions for the caller of `close`."""
        try:
            super().handle()
        except (ConnectionError, TimeoutError):  # the client hung up
            pass
        except Exception as error:  # noqa: BLE001 - raised by FakeAirtable at the end of the test
            self._http.errors.append(error)

    def _handle(self) -> None:
        length = self._length()
        if length > self._http.largest_body:
            self._refuse(length)
            return
        body = self.rfile.read(length)
        if len(body) < length:  # the client hung up in the middle
            self.close_connection = True
        elif self.path.startswith("/v0/"):
            self._call(body)
        else:
            shown = self._http.page.answer(
                self.command, self.path, self.headers.get("Host", ""), body
            )
            self._send(shown.status, shown.body, _HTML, shown.headers)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle  # noqa: N815 - names of http.server

    def _call(self, body: bytes) -> None:
        request = self._http.api.arrived(self.command, self.path, body)
        try:
            answer = self._http.api.answer(request, self.headers.get("Authorization", ""))
        except Exception as error:  # noqa: BLE001 - raised by a hook; re-raised by FakeAirtable
            self._http.errors.append(error)
            answer = Answer(None)
        if answer.seconds:
            self._http.closing.wait(answer.seconds)
        if answer.status is None:
            self._http.traffic.went(request, None, 0)
            self.close_connection = True
            return
        # Count first: a client that has the response may read the counters.
        sent = answer.body if answer.keep is None else answer.body[: answer.keep]
        self._http.traffic.went(request, answer.status, len(sent))
        headers = {} if answer.retry_after is None else {"Retry-After": str(answer.retry_after)}
        self._send(answer.status, answer.body, _JSON, headers, sent)

    def _length(self) -> int:
        text = self.headers.get("Content-Length", "0")
        return int(text) if text.isdecimal() and text.isascii() and len(text) < 16 else 0

    def _refuse(self, length: int) -> None:
        # Read to the end: a client that is still sending would not see the response.
        left = length
        while left and (chunk := self.rfile.read(min(left, 65_536))):
            left -= len(chunk)
        refusal = Refusal(413, "REQUEST_TOO_LARGE", "Request body is too large")
        body = orjson.dumps(refusal.body)
        request = self._http.api.arrived(self.command, self.path, b"", received=length - left)
        self._http.traffic.went(request, refusal.status, len(body))
        self._send(refusal.status, body, _JSON, {})

    def _send(
        self,
        status: int,
        body: bytes,
        content_type: str,
        headers: Mapping[str, str],
        sent: bytes | None = None,
    ) -> None:
        """Send a response in one piece, or only `sent` of it, and then close the connection."""
        lines = [
            f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.wfile.write(head + (body if sent is None else sent))
        if sent is not None and len(sent) < len(body):
            self.close_connection = True
