"""Counters of requests, waits and bytes, for one sync and for the whole process."""

import threading
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["Wire", "process_wire"]


@dataclass(slots=True)
class Wire:
    """Counters of attempts, waits and bytes; thread-safe.

    Attributes:
        attempts: Number of requests sent, including retries.
        answers: Number of complete responses, of any status.
        retries: Number of attempts that repeated an earlier one.
        throttled: Number of responses with status 429.
        failed: Number of attempts without a complete response.
        cut: Those of `failed` whose response had begun; its number of bytes is not known.
        throttle_wait_seconds: Time waited for the rate limits and in penalties.
        backoff_wait_seconds: Time waited before retries after an error.
        bytes_sent: Body bytes sent.
        bytes_received: Body bytes of complete responses, as received (perhaps compressed).
    """

    attempts: int = 0
    answers: int = 0
    retries: int = 0
    throttled: int = 0
    failed: int = 0
    cut: int = 0
    throttle_wait_seconds: float = 0.0
    backoff_wait_seconds: float = 0.0
    bytes_sent: int = 0
    bytes_received: int = 0

    def add(self, **counts: float) -> None:
        """Add numbers to counters by name."""
        with _lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    def as_dict(self) -> dict[str, Any]:
        """Return all counters by name; `bytes_received` is None if a response was cut off."""
        with _lock:
            found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**found, "bytes_received": None if self.cut else self.bytes_received}

    def copy(self) -> "Wire":
        """Return a copy of the current counters."""
        with _lock:
            return Wire(**{field.name: getattr(self, field.name) for field in fields(self)})


_lock = threading.Lock()
_process = Wire()


def process_wire() -> Wire:
    """Return the counters of all syncs of this process since its start."""
    return _process
