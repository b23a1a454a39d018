"""The contract of a destination's protocol: records, outcomes and errors."""

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
    """One record to be shipped.

    Attributes:
        event_id: Identifies the record at the destination.
        category: The folder of the log that the record is from.
        raw: The line as it is in the log.
        body: The encoded record to send, with the destination's policy on personal data applied.
    """

    event_id: str
    category: str
    raw: bytes
    body: bytes


class _Again:
    """The outcome of a record that the destination may accept later."""


AGAIN: Final = _Again()

Verdict = str | _Again | None
"""The outcome of a record: None if accepted, `AGAIN`, or why it was refused for good."""


class UnreachableError(ShippingError):
    """No record is known to be accepted; a later attempt may succeed.

    Args:
        message: What happened.
        retry_after: Seconds that the destination asks to wait before the next request.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BatchRefusedError(ShippingError):
    """A request was refused for its content; a smaller one shows which record is at fault.

    Args:
        message: The destination's answer.
        position: Index of the refused record, where the destination names it.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class DroppedError(ShippingError):
    """The destination accepted a batch without some of its records and does not say which.

    Args:
        message: The destination's answer.
        count: Number of records that it dropped.
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
        """Prepare the destination before the first batch.

        Raises:
            UnreachableError: It cannot be reached now.
            BatchRefusedError: It refused the content of a request.
            DestinationError: It refuses everything.
        """
        ...

    def encode(
        self, event_id: str, category: str, event: dict[str, Any], line: bytes | None
    ) -> bytes:
        """Return the encoded record to send.

        Args:
            event_id: Identifies the record at the destination.
            category: The folder of the log that the record is from.
            event: The record, with the destination's policy applied.
            line: The record's bytes in the log, if `event` is unchanged; else None.
        """
        ...

    def send(self, items: Sequence[Item]) -> Sequence[Verdict]:
        """Send records and return the outcome of each.

        Raises:
            UnreachableError: No record is known to be accepted; all are sent again.
            BatchRefusedError: One of the records, or their number, was refused.
            DestinationError: The destination refuses everything.
            DroppedError: Some records were dropped, the others accepted.
        """
        ...

    def erase(self, events: Sequence[Erased], items: Sequence[Item]) -> None:
        """Delete events at the destination; replace those that changed by the items.

        Raises:
            UnreachableError: Nothing, or not everything, was deleted.
            BatchRefusedError: The request was refused for its content.
            DestinationError: The destination refuses.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
