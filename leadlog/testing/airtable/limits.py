"""Airtable's rate limits: 5 requests/s per base, 50 requests/s per token, 30 s of penalty."""

from collections import deque
from collections.abc import Callable
from threading import Lock

from leadlog.testing.airtable.refusals import Refusal

__all__ = ["PENALTY", "RateLimiter", "rate_limited"]

PENALTY = 30.0
# In binary, ten times 0.1 s is slightly less than one second.
_ROUNDING = 1e-6


def rate_limited(retry_after: int | None = None) -> Refusal:
    """Return the refusal of too many requests."""
    return Refusal(
        429,
        "RATE_LIMIT_REACHED",
        "Rate limit exceeded. Please try again later",
        retry_after=retry_after,
    )


class RateLimiter:
    """Rate limiter of requests. Safe to call from several threads.

    Args:
        clock: Function that returns seconds; any clock that never goes back.
        per_base: Requests in any one second to the base; None for no limit.
        per_token: Requests in any one second with the token; None for no limit.
        retry_after: Value of the header on refusals; None for no header, as with Airtable.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        per_base: int | None = 5,
        per_token: int | None = 50,
        retry_after: int | None = None,
    ) -> None:
        self._clock = clock
        self._limits = {"base": per_base, "token": per_token}
        self._retry_after = retry_after
        self._lock = Lock()
        self._recent: dict[str, deque[float]] = {"base": deque(), "token": deque()}
        self._penalty_until = float("-inf")
        self.max_per_second = 0
        self.penalty_violations = 0

    def admit(self, *, to_base: bool) -> None:
        """Count and admit a request.

        Args:
            to_base: Whether the request is to the base; others count for the token only.

        Raises:
            Refusal: The request exceeds a limit, or was made during the penalty.
        """
        with self._lock:
            now = self._clock()
            if now < self._penalty_until - _ROUNDING:
                self.penalty_violations += 1
                raise rate_limited(self._retry_after)
            over = False
            for scope in ("base", "token") if to_base else ("token",):
                recent = self._recent[scope]
                while recent and now - recent[0] >= 1.0 - _ROUNDING:
                    recent.popleft()
                recent.append(now)
                limit = self._limits[scope]
                over = over or (limit is not None and len(recent) > limit)
                if scope == "base":
                    self.max_per_second = max(self.max_per_second, len(recent))
            if over:
                self._penalty_until = now + PENALTY
                raise rate_limited(self._retry_after)

    def punish(self) -> None:
        """Begin the penalty now, regardless of the requests sent."""
        with self._lock:
            self._penalty_until = self._clock() + PENALTY
