"""Shipping to OpenTelemetry by OTLP/HTTP in protobuf: collectors, and Loki at its path /otlp.

Delivery is at least once: a batch in flight when the process is killed or an answer is lost is sent
again. Each record carries its event_id as `log.record.uid`, by which receivers can detect copies.
"""

import socket
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from leadlog.reading.shipments import Erased
from leadlog.shipping.contract import DroppedError, Item, UnreachableError, Verdict
from leadlog.shipping.destination import Destination
from leadlog.shipping.protobuf import export_request, log_record, partial_success
from leadlog.shipping.times import micros_of
from leadlog.shipping.transport import Transport
from leadlog_processors.fields import SCHEMA_VERSION

__all__ = ["OtlpSender", "encode"]

_SEVERITIES: Final = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}
_TYPE: Final = "application/x-protobuf"
_OWN: Final = frozenset(
    (
        *("timestamp", "level", "event_name", "event_id", "session_id", "log_type"),
        *("trace_id", "span_id", "process_id", "thread_name"),
    )
)


def encode(event_id: str, event: dict[str, Any]) -> bytes:
    """Return a record as a LogRecord: known values as attributes, all sections as the body."""
    get = event.get
    values: dict[str, Any] = {
        "log.record.uid": event_id,
        "leadlog.log_type": get("log_type"),
        "session.id": get("session_id"),
        "process.pid": get("process_id"),
        "thread.name": get("thread_name"),
    }
    details = get("operation_details")
    if type(details) is dict:
        values["db.collection.name"] = details.get("entity")
        values["db.operation.name"] = details.get("operation_type")
        values["leadlog.duration_ms"] = details.get("execution_time_ms")
        if details.get("success") is False:
            values["error.type"] = details.get("outcome") or "_OTHER"
    error = get("error_details")
    if type(error) is dict:
        values["error.type"] = error.get("error_type")
        values["exception.type"] = error.get("exception_class")
        values["exception.message"] = error.get("error_message")
        values["exception.stacktrace"] = error.get("stack_trace")
    level = get("level")
    level = level if type(level) is str else ""
    name = get("event_name")
    return log_record(
        time_unix_nano=micros_of(event["timestamp"]) * 1000,
        severity_number=_SEVERITIES.get(level, 0),
        severity_text=level,
        body={key: event[key] for key in event if key not in _OWN},
        values=values,
        trace_id=_hex(get("trace_id"), 16),
        span_id=_hex(get("span_id"), 8),
        event_name=name if type(name) is str else "",
    )


def _hex(text: Any, size: int) -> bytes:
    try:
        found = bytes.fromhex(text) if type(text) is str else b""
    except ValueError:
        return b""
    return found if len(found) == size else b""


class OtlpSender:
    """Sends to an OpenTelemetry receiver.

    Args:
        destination: The destination; to a URL without a path /v1/logs is added.
        token: Bearer token; empty for none.
    """

    can_erase = False

    def __init__(self, destination: Destination, token: str) -> None:
        self._http = Transport(destination, f"Bearer {token}" if token else "", token)
        path = urlsplit(destination.url).path
        self._path = "" if path.endswith("/v1/logs") else "/v1/logs"
        self._resource = {"service.name": "leadlog", "host.name": socket.gethostname()}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def prepare(self) -> None:
        """Do nothing: OTLP has no handshake."""

    def encode(
        self,
        event_id: str,
        category: str,  # noqa: ARG002 - the record has its log type
        event: dict[str, Any],
        line: bytes | None,  # noqa: ARG002 - the body is not JSON
    ) -> bytes:
        """Return a record as a LogRecord."""
        return encode(event_id, event)

    def send(self, items: Sequence[Item]) -> Sequence[Verdict]:
        """Export the records.

        Raises:
            UnreachableError: No answer, or one that asks to retry later.
            BatchRefusedError: The request was refused for its content.
            DestinationError: The destination refuses everything.
            DroppedError: The receiver dropped some records and does not say which.
        """
        records = [item.body for item in items]
        body = export_request(self._resource, "leadlog", str(SCHEMA_VERSION), records)
        answer = self._http.request("POST", self._path, body, content_type=_TYPE)
        try:
            rejected, why = partial_success(answer.content)
        except ValueError as error:
            raise UnreachableError(f"the receiver did not answer as OTLP does: {error}") from None
        why = self._http.safe(why)
        if rejected >= len(items):
            return [f"rejected: {why}"] * len(items)
        if rejected > 0:
            raise DroppedError(f"the receiver rejected some of a batch: {why}", rejected)
        return [None] * len(items)

    def erase(self, events: Sequence[Erased], items: Sequence[Item]) -> None:
        """Raise NotImplementedError: OTLP cannot delete."""
        raise NotImplementedError
