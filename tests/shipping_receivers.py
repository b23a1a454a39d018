"""Real receivers on loopback, and a proxy that injects faults in front of them."""

import http.client
import json
import random
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from leadlog.core.clock import format_us, new_id
from leadlog.core.records import shape
from leadlog_processors.fields import CATEGORIES

LOG_TYPES = {category: log_type for log_type, category in CATEGORIES.items()}


def record(category: str, at_us: int, **sections: dict[str, Any]) -> dict[str, Any]:
    """Return a record of the contract with a unique id."""
    event = shape.blank(LOG_TYPES[category])
    event |= {
        "timestamp": format_us(at_us),
        "level": "info",
        "event_name": "lead.add",
        "event_id": new_id(),
        "session_id": "k3v9x0ab",
    }
    for name, values in sections.items():
        event[name].update(values)
    return dict(event)


def append(path: Path, *events: dict[str, Any] | bytes) -> list[str]:
    """Write lines to a file of the log; return the event_ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in events]
    with path.open("ab", buffering=0) as stream:
        stream.write(b"".join(line + b"\n" for line in lines))
    return [one["event_id"] for one in events if isinstance(one, dict) and "event_id" in one]


class Answering(ThreadingHTTPServer):
    """Answers every request in the same way, and keeps the requests."""

    def __init__(self, status, headers=(), body=b"{}"):
        self.asked = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.asked.append((self.path, self.headers.get("Authorization")))
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_PUT = do_GET  # noqa: N815 - http.server's names

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Trouble(ThreadingHTTPServer):
    """Forwards requests to a receiver, and injects faults.

    Args:
        target: URL of the receiver.
        faults: Name of a fault to its share of the POST requests: `429` and `503` before the
            receiver is reached; `items` refuses some of a bulk's records with 429; `reset` and
            `timeout` after the receiver has taken all of it.
        seed: Of the draws.
        methods: HTTP methods that faults are injected into.

    Attributes:
        made: Number of injected faults, by fault.
        late: Number of answers so slow that the client may not have waited for them.
        paths: Paths of all requests.
    """

    daemon_threads = True

    def __init__(
        self,
        target: str,
        faults: dict[str, float],
        seed: int = 1,
        methods: tuple[str, ...] = ("POST",),
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Between)
        self.methods = methods
        self.target = target.rstrip("/")
        self.faults = faults
        self.made: dict[str, int] = dict.fromkeys(faults, 0)
        self.late = 0
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.ended = threading.Event()
        self._draw = random.Random(seed)
        self._guard = threading.Lock()

    @property
    def host(self) -> str:
        """Return host and port."""
        return f"127.0.0.1:{self.server_port}"

    def fault(self) -> str | None:
        """Return the fault of the next request; None for no fault."""
        with self._guard:
            drawn = self._draw.random()
            for name, part in self.faults.items():
                drawn -= part
                if drawn < 0:
                    self.made[name] += 1
                    return name
        return None

    def handle_error(self, *_: Any) -> None:
        """Log nothing: a killed shipper breaks connections."""


_LATE_SECONDS = 0.2
_HOP = ("connection", "content-length", "transfer-encoding", "host", "date", "server", "expect")
"""Headers that belong to one connection, or are generated again."""


class _Between(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Trouble

    def _pass_on(self) -> None:
        began = time.monotonic()
        try:
            self._pass_on_or_fail()
        finally:
            if time.monotonic() - began > _LATE_SECONDS and not self.close_connection:
                self.server.late += 1

    def _pass_on_or_fail(self) -> None:
        body = self._body()
        self.server.paths.append(self.path)
        self.server.headers.append(dict(self.headers))
        fault = self.server.fault() if self.command in self.server.methods else None
        if fault in ("429", "503"):
            self._answer(int(fault), b'{"error": "come later"}', {"Retry-After": "0"})
            return
        refused: list[int] = []
        if fault == "items":
            body, refused = _without_some(body)
        status, said, headers = self._forwarded(body)
        if fault == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            return
        if fault == "timeout":
            self.server.ended.wait(1.0)
            self.close_connection = True
            return
        if refused and status == 200:
            said = _with_refused(said, refused)
        self._answer(status, said, headers)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815 - http.server's names

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def _forwarded(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        path = self.path
        if "_bulk" in path:
            path = "/_bulk"  # all items are needed to put the refused ones in their places
        target = urlsplit(self.server.target)
        connection = http.client.HTTPConnection(target.netloc, timeout=30)
        try:
            connection.request(self.command, target.path + path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
        if self.command == "HEAD" and (size := answer.getheader("Content-Length")):
            kept["Content-Length"] = size
        return answer.status, content, kept

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's signature
        """Log nothing."""


def _without_some(body: bytes) -> tuple[bytes, list[int]]:
    """Return a bulk without every third record, and the indices of these."""
    lines = body.split(b"\n")[:-1]
    pairs = [lines[at : at + 2] for at in range(0, len(lines), 2)]
    refused = list(range(0, len(pairs), 3)) if len(pairs) > 1 else []
    kept = [line for at, pair in enumerate(pairs) if at not in refused for line in pair]
    return b"\n".join([*kept, b""]), refused


def _with_refused(said: bytes, refused: list[int]) -> bytes:
    answer = json.loads(said)
    for at in refused:
        busy = {"type": "es_rejected_execution_exception", "reason": "queue is full"}
        answer["items"].insert(at, {"create": {"status": 429, "error": busy}})
    answer["errors"] = True
    return json.dumps(answer).encode()


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    """Serve from a separate thread while the block runs."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        ended = getattr(server, "ended", None)
        if ended is not None:
            ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


def indexed(server: Any) -> dict[str, dict[str, Any]]:
    """Return all documents of an OpenSearch by their ids."""
    call = asking(server.url)
    call("POST", "/_refresh")
    found: dict[str, dict[str, Any]] = {}
    after: list[Any] = []
    while True:
        query: dict[str, Any] = {"size": 5000, "sort": [{"event.id": "asc"}]}
        if after:
            query["search_after"] = after
        hits = call("POST", "/leadlog-*/_search", query)["hits"]["hits"]
        if not hits:
            return found
        for hit in hits:
            assert hit["_id"] not in found, "an event is in two indices"
            found[hit["_id"]] = hit
        after = hits[-1]["sort"]


def asking(url: str) -> Callable[..., Any]:
    """Return a function that calls a receiver's API: `call("POST", "/index/_search", query)`."""

    def call(method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            url + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise OSError(f"{error.code}: {error.read().decode()[:500]}") from None

    return call


class Collector(ThreadingHTTPServer):
    """Accepts OTLP/HTTP, decoded by the protocol's own classes, or HEC as Splunk documents it.

    Args:
        kind: `otlp` or `splunk`.
        token: Token that HEC requires.
        acknowledge: Whether HEC acknowledges, as for a token with that enabled.
        refuse: Returns why a decoded event is refused, or None.

    Attributes:
        ids: The event_ids that were indexed, including copies.
        events: The decoded events.
        questions: Number of polls for an acknowledgement.
        reject: OTLP: number of records that the next answer reports as rejected.
        forgetful: HEC: never acknowledges.
    """

    daemon_threads = True

    def __init__(
        self,
        kind: str,
        *,
        token: str = "",
        acknowledge: bool = False,
        refuse: Callable[[Any], bool] = lambda _: False,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Otlp if kind == "otlp" else _Hec)
        self.token, self.acknowledge, self.refuse = token, acknowledge, refuse
        self.ids: list[str] = []
        self.events: list[Any] = []
        self.questions = 0
        self.reject = 0
        self.forgetful = False
        self.channels: dict[str, list[int]] = {}
        self.guard = threading.Lock()

    @property
    def url(self) -> str:
        """Return the URL of the server."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """Log nothing: a killed shipper breaks connections."""


class _Collecting(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Collector

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _say(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's signature
        """Log nothing."""


class _Otlp(_Collecting):
    def do_POST(self) -> None:
        from google.protobuf.message import DecodeError
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
            ExportLogsServiceRequest,
            ExportLogsServiceResponse,
        )

        request = ExportLogsServiceRequest()
        try:
            request.ParseFromString(self._body())
        except DecodeError as error:
            self._say(400, str(error).encode())
            return
        if self.path != "/v1/logs":
            self._say(404, b"")
            return
        records = [
            record
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]
        if any(map(self.server.refuse, records)):
            self._say(400, b"one of them is bad")
            return
        answer = ExportLogsServiceResponse()
        with self.server.guard:
            if self.server.reject:
                answer.partial_success.rejected_log_records = self.server.reject
                answer.partial_success.error_message = "too old"
                records = records[self.server.reject :]
                self.server.reject = 0
            self.server.events += records
            self.server.ids += [
                one.value.string_value
                for record in records
                for one in record.attributes
                if one.key == "log.record.uid"
            ]
        self._say(200, answer.SerializeToString(), "application/x-protobuf")


class _Hec(_Collecting):
    """Answers as Splunk documents its HTTP Event Collector, in the strictest variant."""

    def do_POST(self) -> None:
        body, path, _, query = self._body(), *self.path.partition("?")
        if self.headers.get("Authorization") != f"Splunk {self.server.token}":
            self._say(403, b'{"text": "Invalid token", "code": 4}')
            return
        channel = self.headers.get("X-Splunk-Request-Channel") or query.removeprefix("channel=")
        if path == "/services/collector/ack":
            self._acknowledge(channel, json.loads(body))
        elif path == "/services/collector/event":
            self._take(channel, body)
        else:
            self._say(404, b'{"text": "The requested URL was not found", "code": 404}')

    def _take(self, channel: str, body: bytes) -> None:
        server = self.server
        if server.acknowledge and not channel:
            self._say(400, b'{"text": "Data channel is missing", "code": 10}')
            return
        text, events, at = body.decode(), [], 0
        decoder = json.JSONDecoder()
        while at < len(text):
            event, at = decoder.raw_decode(text, at)
            at += len(text[at:]) - len(text[at:].lstrip())
            if "event" not in event or server.refuse(event):
                said = {
                    "text": "Invalid data format",
                    "code": 6,
                    "invalid-event-number": len(events),
                }
                self._say(400, json.dumps(said).encode())
                return
            events.append(event)
        answer: dict[str, Any] = {"text": "Success", "code": 0}
        with server.guard:
            server.events += events
            server.ids += [event["event"]["event_id"] for event in events]
            if server.acknowledge:
                known = server.channels.setdefault(channel, [])
                answer["ackId"] = len(known)
                known.append(0)
        self._say(200, json.dumps(answer).encode())

    def _acknowledge(self, channel: str, asked: dict[str, Any]) -> None:
        server = self.server
        if not server.acknowledge:
            self._say(400, b'{"text": "ACK is disabled", "code": 14}')
            return
        with server.guard:
            known = server.channels.get(channel, [])
            found = {}
            for number in asked["acks"]:
                server.questions += 1
                # Indexed by the time of the second poll, and acknowledged once.
                there = number < len(known)
                if there:
                    known[number] += 1
                told = there and known[number] == 2
                found[str(number)] = told and not server.forgetful
        self._say(200, json.dumps({"acks": found}).encode())
