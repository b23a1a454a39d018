"""A dashboard as its users start it, a raw connection to it, and a log of hostile values."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from leadlog.core.clock import format_us, new_id, now_us
from leadlog.core.layout import CATEGORIES
from leadlog.core.records import RECORDS, shape

HOSTILE = (
    "<img src=x onerror=\"document.title='taken'\">",
    "javascript:alert(1)",
    "\x1b[2J\x1b]0;taken\x07",
    "=cmd|' /C calc'!A0",
    "</script><script>alert(1)</script>",
    "{{constructor.constructor('alert(1)')()}}",
    "\u202egnp.exe",
    '" onmouseover="alert(1)',
)


@dataclass
class Served:
    """A running dashboard.

    Attributes:
        url: with the one-time token.
        token: for scripts.
        port: it listens on.
        process: of the server.
    """

    url: str
    token: str
    port: int
    process: subprocess.Popen[str] = field(repr=False)

    @property
    def base(self) -> str:
        """The address without the token."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self, number: int = signal.SIGINT) -> None:
        """End the server and wait for it."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()

    def raw(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send bytes as they are; returns status, headers and body of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), 60) as connection:
            connection.sendall(request)
            answer = b""
            while piece := connection.recv(65_536):
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return int(status.split()[1]), headers, body

    def ask(
        self,
        path: str,
        *lines: str,
        method: str = "GET",
        host: str | None = None,
        token: bool = True,
        body: bytes = b"",
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request with some header lines; returns status, headers and body."""
        told = [
            f"{method} {path} HTTP/1.1",
            f"Host: {f'127.0.0.1:{self.port}' if host is None else host}",
            "Connection: close",
            *([f"Authorization: Bearer {self.token}"] if token else []),
            *([f"Content-Length: {len(body)}"] if body or method == "POST" else []),
            *lines,
        ]
        return self.raw("\r\n".join(told).encode("latin-1") + b"\r\n\r\n" + body)

    def json(self, path: str) -> Any:
        """Return the JSON of a view."""
        status, _, body = self.ask(path)
        assert status == 200, (status, body)
        return orjson.loads(_joined(body))


def _joined(body: bytes) -> bytes:
    """A body, be it in chunks or not."""
    if body[:1] in (b"{", b"["):
        return body
    found, rest = b"", body
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            break
        found, rest = found + rest[:length], rest[length + 2 :]
    return found


@contextmanager
def serving(directory: Path, *options: str, port: int = 0) -> Iterator[Served]:
    """Run `leadlog dashboard` of a log as a separate process."""
    command = [sys.executable, "-m", "leadlog", "dashboard", "--directory", str(directory)]
    process = subprocess.Popen(
        [*command, "--no-open", "--json", "--port", str(port), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        _, said = process.communicate(timeout=20)
        raise AssertionError(said)
    told = json.loads(line)
    found = int(told["url"].split("/")[2].rpartition(":")[2])
    served = Served(told["url"], told["token"], found, process)
    try:
        _wait_until_indexed(served)
        yield served
    finally:
        served.stop()


def _wait_until_indexed(served: Served) -> None:
    for _ in range(600):
        if served.json("/api/alerts")["status"]["progress"] == 1.0:
            return
        time.sleep(0.05)
    raise AssertionError("the log was not indexed in time")


def _hostile(value: Any, number: list[int]) -> Any:
    """Return a copy with a hostile text in place of every text and every unknown value."""
    if isinstance(value, dict):
        return {key: _hostile(one, number) for key, one in value.items()}
    if isinstance(value, list):
        return [_hostile(one, number) for one in value] or [_hostile(None, number)]
    if value is None or isinstance(value, str):
        number[0] += 1
        return HOSTILE[number[0] % len(HOSTILE)]
    return value


def write_hostile(root: Path, now: int | None = None) -> None:
    """Write records of all kinds in which every text is hostile; the newest a second old."""
    now = now_us() if now is None else now
    number = [0]
    for log_type, category in zip(RECORDS, CATEGORIES, strict=True):
        (root / category).mkdir(parents=True, exist_ok=True)
        lines = []
        for turn in range(2 * len(HOSTILE)):
            number[0] += 1
            record = _hostile(shape.blank(log_type), number)
            at = format_us(now - 1_000_000 - turn * 20_000_000)
            record |= {
                "timestamp": at,
                "log_type": log_type,
                "level": "info",
                "event_id": f"{HOSTILE[turn % len(HOSTILE)]}{new_id()}",
                "session_id": HOSTILE[turn % 4],
                "process_id": 1,
                "schema_version": 1,
                "event_name": HOSTILE[turn % len(HOSTILE)],
                "context": {"user": HOSTILE[turn % len(HOSTILE)], **record.get("context", {})},
            }
            _numbers(record, turn)
            lines.append(orjson.dumps(record) + b"\n")
        (root / category / f"{format_us(now)[:10]}.jsonl").write_bytes(b"".join(reversed(lines)))


def _numbers(record: dict[str, Any], turn: int) -> None:
    """Return values that must stay numbers or booleans for the record to be shown."""
    for section, values in {
        "operation_details": {
            "success": turn % 2 == 0,
            "execution_time_ms": 12.5 * (turn + 1),
            "records_affected": 1,
            "bulk": False,
            "outcome": "committed" if turn % 2 == 0 else "failed",
            "entity": HOSTILE[0],
            "operation_type": "update",
        },
        "operation_info": {"success": True, "total_duration_ms": 100.0},
        "sync_results": {"success": False, "leads_synced": 3, "execution_time_ms": 900.0},
        "migration_results": {"success": False, "records_failed": 2, "execution_time_ms": 900.0},
        "performance_metrics": {"rate_limit_wait_ms": 5.0},
    }.items():
        if isinstance(record.get(section), dict):
            record[section] |= values
    if isinstance(record.get("training_labels"), dict) and "operation_details" in record:
        record["training_labels"]["data_quality_score"] = 0.4
        record["training_labels"]["data_quality_issues"] = [*HOSTILE]
    if isinstance(record.get("data_details"), dict):
        record["data_details"]["change"] = "update"
        record["data_details"]["fields_changed"] = {
            one: {"old": other, "new": one}
            for one, other in zip(("source", *HOSTILE), (*HOSTILE, "x"), strict=True)
        }
    if "leads_summary" in record:
        record["leads_summary"] = [{"lead_id": one, "error": one} for one in HOSTILE]
    if isinstance(record.get("data_summary"), dict):
        record["data_summary"]["validation_errors"] = [*HOSTILE]
    if isinstance(record.get("lead_identifier"), dict):
        record["lead_identifier"]["lead_id"] = HOSTILE[turn % 4]
