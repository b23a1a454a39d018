"""How fast Airtable may be called: 5 requests a second per base, 50 per token, and penalties."""

import hashlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from leadlog.core.forks import renew_after_fork

__all__ = ["PENALTY_SECONDS", "Pace", "Paces", "shared_paces"]

PENALTY_SECONDS = 30.0
"""Shortest wait after a 429: until then Airtable refuses every call."""

BASE_RATE = 5
"""Requests to one base in any second."""

TOKEN_RATE = 50
"""Requests with one token in any second."""

# A request may take longer on its way than the one behind it, so that the server sees them closer
# together than they were sent.
_WINDOW_SECONDS = 1.05


class Pace:
    """Limits the requests that begin in any second; during a penalty none begins.

    Args:
        rate: Most requests in any second.
    """

    def __init__(self, rate: int) -> None:
        self._begun: deque[float] = deque(maxlen=rate)
        self._not_before = float("-inf")
        renew_after_fork(self)
        self.after_fork()

    def after_fork(self) -> None:
        """Give a forked child a lock that no thread of its parent holds."""
        self._lock = threading.Lock()

    def due(self, now: float) -> float:
        """Return how long to wait before the next request may begin, seconds; 0 takes the turn.

        Args:
            now: The present time, seconds of any clock that only goes forward.
        """
        with self._lock:
            at = self._not_before
            if len(self._begun) == self._begun.maxlen:
                at = max(at, self._begun[0] + _WINDOW_SECONDS)
            if at > now:
                return at - now
            self._begun.append(now)
            return 0.0

    def hold(self, until: float) -> None:
        """Let nothing begin before a time."""
        with self._lock:
            self._not_before = max(self._not_before, until)


@dataclass(slots=True)
class Paces:
    """The paces of bases and tokens that go by one clock.

    Attributes:
        clock: Seconds, only forward.
        sleep: Waits, seconds.
    """

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    _known: dict[tuple[str, str], Pace] = field(default_factory=dict)

    def of(self, endpoint_url: str, base_id: str, api_key: str) -> tuple[Pace, Pace]:
        """Return the paces of a base and of a token; the same ones for the same names."""
        token = hashlib.sha256(api_key.encode()).hexdigest()
        return (
            self._known.setdefault((endpoint_url, f"base {base_id}"), Pace(BASE_RATE)),
            self._known.setdefault((endpoint_url, f"token {token}"), Pace(TOKEN_RATE)),
        )


def _shared() -> Paces:
    import time

    return Paces(time.monotonic, time.sleep)


_paces = _shared()


def shared_paces() -> Paces:
    """Return the paces that all syncs of this process keep together."""
    return _paces
