"""What a destination's protocol has to do, and how it says what went wrong."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from leadlog.core.errors import ShippingError
from leadlog.reading.shipments import Erased

__all__ = [
    "AGAIN",
    "BatchRefusedError",
    "DestinationError",
    "DroppedError",
    "Item",
    "Sender",
    "UnreachableError",
    "Verdict",
]


class Item(NamedTuple):
    """One record on its way.

    Attributes:
        event_id: What identifies it at the destination.
        category: The folder that it is from.
        raw: The line as it is in the log.
        body: What is sent, with the destination's policy on personal data applied.
    """

    event_id: str
    category: str
    raw: bytes
    body: bytes


class _Again:
    """What a destination says of a record that it may take later."""


AGAIN: Final = _Again()

Verdict = str | _Again | None
"""The outcome of a record: None if accepted, `AGAIN`, or why it was refused for good."""


class UnreachableError(ShippingError):
    """Nothing was taken, as far as is known, and a later try may succeed.

    Args:
        message: What happened.
        retry_after: Seconds that the destination wants to be left alone.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BatchRefusedError(ShippingError):
    """A request was refused for what is in it; a smaller one shows which record it was.

    Args:
        message: What the destination said.
        position: Of the record, where it was named.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class DroppedError(ShippingError):
    """The destination took a batch without some of its records, and does not say which.

    Args:
        message: What the destination said.
        count: How many it dropped.
    """

    def __init__(self, message: str, count: int) -> None:
        super().__init__(message)
        self.count = count


class DestinationError(ShippingError):
    """The destination refuses everything: a wrong token, path or certificate."""


class Sender(Protocol):
    """Sends records by one protocol."""

    can_erase: bool
    """Whether events can be deleted there by their ids."""

    def prepare(self) -> None:
        """Get ready, before the first batch.

        Raises:
            UnreachableError: It cannot be reached now.
            DestinationError: It refuses everything.
        """
        ...

    def encode(
        self, event_id: str, category: str, event: dict[str, Any], line: bytes | None
    ) -> bytes:
        """Return what is sent of a record.

        Args:
            event_id: What identifies it there.
            category: The folder that it is from.
            event: The record, with the destination's policy applied.
            line: Its bytes in the log, where the event is what they say; None where it is not.
        """
        ...

    def send(self, items: Sequence[Item]) -> Sequence[Verdict]:
        """Send records and return the outcome of each.

        Raises:
            UnreachableError: Nothing is known to be taken; all are sent again.
            BatchRefusedError: One of them, or their number, was refused.
            DestinationError: The destination refuses everything.
            DroppedError: It took the others.
        """
        ...

    def erase(self, events: Sequence[Erased], items: Sequence[Item]) -> None:
        """Delete events there; put the items in the place of those that changed.

        Raises:
            UnreachableError: Not done, or not all of it.
            DestinationError: The destination refuses.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
