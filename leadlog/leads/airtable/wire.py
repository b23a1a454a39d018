"""What went over the wire: counts of one sync, and of the whole process."""

import threading
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["Wire", "process_wire"]


@dataclass(slots=True)
class Wire:
    """Counts of attempts, waits and bytes. Safe to add to from several threads.

    Attributes:
        attempts: Requests sent, each repetition counted.
        answers: Answers that came whole, of any status.
        retries: Attempts that repeated an earlier one.
        throttled: Answers with status 429.
        failed: Attempts without a whole answer.
        cut: Those of `failed` whose answer had begun; how many of its bytes came is not known.
        throttle_wait_seconds: Time waited to keep below the documented rate, and in penalties.
        backoff_wait_seconds: Time waited before repeating after an error.
        bytes_sent: Body bytes sent.
        bytes_received: Body bytes of whole answers, as they came (perhaps compressed).
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
        """Add to counts by name."""
        with _lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    def as_dict(self) -> dict[str, Any]:
        """Return all counts; `bytes_received` is None where an answer was cut."""
        with _lock:
            found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**found, "bytes_received": None if self.cut else self.bytes_received}

    def copy(self) -> "Wire":
        """Return the counts as they are now."""
        with _lock:
            return Wire(**{field.name: getattr(self, field.name) for field in fields(self)})


_lock = threading.Lock()
_process = Wire()


def process_wire() -> Wire:
    """Return the counts of all syncs of this process since it began."""
    return _process
