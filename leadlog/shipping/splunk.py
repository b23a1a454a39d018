"""Shipping to Splunk by its HTTP Event Collector, with indexer acknowledgement if enabled.

HEC's 200 confirms that events were received, not that they are indexed. Where the token has
acknowledgement enabled, each answer carries a number, and a batch counts once the indexer has
acknowledged that number. Delivery is at least once: a batch in flight when the process is killed or
an answer is lost is sent again; each event carries its event_id.
"""

import socket
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from leadlog.reading.shipments import Erased
from leadlog.shipping.contract import (
    BatchRefusedError,
    DestinationError,
    Item,
    UnreachableError,
    Verdict,
)
from leadlog.shipping.destination import Destination
from leadlog.shipping.times import micros_of
from leadlog.shipping.transport import Transport
from leadlog_processors.fields import CATEGORIES

__all__ = ["SplunkSender"]

_EVENTS: Final = "/services/collector/event"
_ACK: Final = "/services/collector/ack"
_LOG_TYPES: Final = {category: log_type for log_type, category in CATEGORIES.items()}
_OF_AN_EVENT: Final = (5, 6, 8, 12, 13, 15)
"""HEC's codes that concern an event: no data, a wrong format, a missing field."""
_OF_THE_TOKEN: Final = (7, 10, 11, 14)
"""HEC's codes that concern the configuration: a wrong index, a missing channel."""
_ACK_POLLS: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
_SEVERITIES: Final = {"warning": "medium", "error": "high", "critical": "critical"}


_CIM: Final = frozenset(
    ("severity", "signature", "object_category", "action", "status", "duration")
)


def _common(event: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of Splunk's common information model."""
    level = event.get("level")
    found = {
        "severity": _SEVERITIES.get(level if type(level) is str else "", "informational"),
        "signature": event.get("event_name"),
    }
    details = event.get("operation_details")
    if type(details) is dict:
        success = details.get("success")
        found["object_category"] = details.get("entity")
        found["action"] = details.get("operation_type")
        found["status"] = None if success is None else "success" if success else "failure"
        found["duration"] = details.get("execution_time_ms")
    return found


class SplunkSender:
    """Sends to a Splunk HTTP Event Collector.

    Args:
        destination: The destination.
        token: Token of the collector.
        wait: Sleeps for some seconds between two polls for an acknowledgement.
    """

    can_erase = False

    def __init__(
        self, destination: Destination, token: str, wait: Callable[[float], object] = time.sleep
    ) -> None:
        if not token:
            from leadlog.core.errors import SettingsError

            raise SettingsError(
                f"ship.{destination.name}: Splunk wants a token; name the environment variable "
                "that it is in with token_env"
            )
        self._destination = destination
        self._http = Transport(destination, f"Splunk {token}", token)
        self._host = socket.gethostname()
        self._wait = wait
        self._channel = str(uuid.uuid4())
        named = f',"index":{orjson.dumps(destination.index).decode()}' if destination.index else ""
        host = orjson.dumps(self._host).decode()
        self._heads = {
            category: (
                f',"host":{host},"source":"leadlog","sourcetype":"leadlog:{log_type}"{named}'
                ',"event":'
            )
            for category, log_type in _LOG_TYPES.items()
        }

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def prepare(self) -> None:
        """Do nothing: the first batch shows whether the token is valid."""

    def encode(
        self, event_id: str, category: str, event: dict[str, Any], line: bytes | None
    ) -> bytes:
        """Return a record as an HEC event, with the names of Splunk's common information model."""
        micros = micros_of(event["timestamp"])
        head = f'{{"time":{micros // 1_000_000}.{micros % 1_000_000:06}{self._heads[category]}'
        common = _common(event)
        if (
            line is not None
            and event.get("event_id") == event_id
            and line.endswith(b"}")
            and _CIM.isdisjoint(event)
        ):
            # The line's own bytes, with further keys inserted after its last one.
            return b"%b%b,%b}" % (head.encode(), line[:-1], orjson.dumps(common)[1:])
        return b"%b%b}" % (
            head.encode(),
            orjson.dumps({**event, "event_id": event_id, **common}),
        )

    def send(self, items: Sequence[Item]) -> Sequence[Verdict]:
        """Send the records and, where acknowledgement is enabled, wait until they are indexed.

        Raises:
            UnreachableError: No answer, one that asks to retry later, or no acknowledgement.
            BatchRefusedError: A record was refused.
            DestinationError: The destination refuses everything.
        """
        body = b"\n".join([item.body for item in items])
        headers = {"X-Splunk-Request-Channel": self._channel}
        answer = self._http.request("POST", _EVENTS, body, headers=headers, accepted=(400,))
        said = self._http.decoded(answer, _EVENTS)
        said = said if isinstance(said, dict) else {}
        if answer.status_code == 400:
            raise self._refusal(said, self._http.said(answer))
        number = said.get("ackId")
        if self._destination.acknowledge == "on" and type(number) is not int:
            raise DestinationError(
                f"{self._destination.url} gives no acknowledgement; enable it for the token, or "
                "set acknowledge = 'off'"
            )
        if type(number) is int and self._destination.acknowledge != "off":
            self._acknowledged(number)
        return [None] * len(items)

    def _refusal(self, said: dict[str, Any], text: str) -> Exception:
        code, at = said.get("code"), said.get("invalid-event-number")
        if code in _OF_THE_TOKEN:
            return DestinationError(f"{self._destination.url}: {text}; see index and the token")
        position = at if code in _OF_AN_EVENT and type(at) is int else None
        return BatchRefusedError(text, position)

    def _acknowledged(self, number: int) -> None:
        """Wait for the indexer; a batch that it does not acknowledge in time is sent again."""
        path = f"{_ACK}?channel={self._channel}"
        body = orjson.dumps({"acks": [number]})
        end = time.monotonic() + self._destination.ack_seconds
        tries = 0
        while True:
            try:
                answer = self._http.request("POST", path, body)
                said = self._http.decoded(answer, _ACK)
            except UnreachableError:
                said = None  # polling again costs less than sending the batch again
            acks = said.get("acks") if isinstance(said, dict) else None
            if isinstance(acks, dict) and acks.get(str(number)) is True:
                return
            if time.monotonic() >= end:
                self._channel = str(uuid.uuid4())  # the indexer may have lost the old numbers
                raise UnreachableError(
                    f"{self._destination.url} did not acknowledge a batch in "
                    f"{self._destination.ack_seconds:g} s"
                )
            self._wait(_ACK_POLLS[min(tries, len(_ACK_POLLS) - 1)])
            tries += 1

    def erase(self, events: Sequence[Erased], items: Sequence[Item]) -> None:
        """Raise NotImplementedError: HEC cannot delete."""
        raise NotImplementedError
