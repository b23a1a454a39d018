"""What the parts of one lead store share."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from leadlog.leads.store.engine import Connections
from leadlog.recording.capture.targets import Handle

__all__ = ["OpenStore"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class OpenStore:
    """An open database, and how calls on it are recorded and dated.

    Attributes:
        connections: The open database.
        capture: What opens the operations that are recorded; None to record none.
        clock: Gives the present time, microseconds since 1970.
    """

    connections: Connections
    capture: Handle | None
    clock: Callable[[], int]

    def now(self) -> datetime:
        """Return the present time."""
        return _EPOCH + timedelta(microseconds=self.clock())
