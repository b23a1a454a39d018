"""Airtable's rate limits: 5 requests per second and base, 50 per token, and penalties."""

import hashlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from leadlog.core.forks import renew_after_fork

__all__ = ["PENALTY_SECONDS", "Pace", "Paces", "shared_paces"]

PENALTY_SECONDS = 30.0
"""Minimum wait after a 429, during which Airtable refuses every call."""

BASE_RATE = 5
"""Maximum number of requests to one base in any second."""

TOKEN_RATE = 50
"""Maximum number of requests with one token in any second."""

# A request may travel longer than the next one, so that the server sees them closer together than
# they were sent.
_WINDOW_SECONDS = 1.05


class Pace:
    """A rate limiter for the requests that begin in any second; none begins during a penalty.

    Args:
        rate: Maximum number of requests in any second.
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
        """Return the seconds to wait before the next request; 0 also counts it as begun.

        Args:
            now: The current time, in seconds of a monotonic clock.
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
        """Let no request begin before a time."""
        with self._lock:
            self._not_before = max(self._not_before, until)


@dataclass(slots=True)
class Paces:
    """The rate limiters of bases and tokens, with a common clock.

    Attributes:
        clock: Returns the time of a monotonic clock in seconds.
        sleep: Sleeps for a number of seconds.
    """

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    _known: dict[tuple[str, str], Pace] = field(default_factory=dict)

    def of(self, endpoint_url: str, base_id: str, api_key: str) -> tuple[Pace, Pace]:
        """Return the limiters of a base and of a token; equal arguments share them."""
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
    """Return the rate limiters shared by all syncs of this process."""
    return _paces
