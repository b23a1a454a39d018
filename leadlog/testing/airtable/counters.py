"""Observations of the fake Airtable: counters, and a bounded log of requests."""

from collections import Counter, deque
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

__all__ = ["Counters", "Request", "Traffic"]


@dataclass(slots=True)
class Request:
    """One API call received by the server.

    Attributes:
        number: Number of the call, from 1.
        at: The clock's seconds when it arrived.
        method: The HTTP method, such as `PATCH`.
        route: The operation it requests: `list`, `get`, `create`, `update`, `upsert`, `delete`,
            `whoami`, `bases`, `tables`, `create_field`, `update_field`, or `unknown`.
        path: The path without its query.
        query: The query parameters; repeated ones as lists.
        body: The JSON body; None if there is none or it cannot be parsed.
        received: Size of the body in bytes.
        status: Status of the response; None before the response or if it was withheld.
        sent: Bytes of the response body that were sent.
        fault: The kind of fault applied to it, if any.
    """

    number: int
    at: float
    method: str
    route: str
    path: str
    query: Mapping[str, Any]
    body: Any
    received: int
    status: int | None = None
    sent: int = 0
    fault: str | None = None


@dataclass(slots=True)
class Counters:
    """Totals since the server started, or since `FakeAirtable.reset_counters`.

    Attributes:
        calls: API calls, including those refused or never answered.
        by_method: Calls by method.
        by_route: Calls by route.
        by_status: Responses by status; withheld responses are not counted.
        throttled: Responses with status 429.
        penalty_violations: Calls made during the penalty.
        unanswered: Calls whose connection was closed without a response.
        max_per_second: Largest number of calls to the base in any one second of the clock.
        bytes_received: Bytes of request bodies.
        bytes_sent: Bytes of response bodies that were sent.
    """

    calls: int = 0
    by_method: Counter[str] = field(default_factory=Counter)
    by_route: Counter[str] = field(default_factory=Counter)
    by_status: Counter[int] = field(default_factory=Counter)
    throttled: int = 0
    penalty_violations: int = 0
    unanswered: int = 0
    max_per_second: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0


class Traffic:
    """The counters and the log of requests; safe to use from several threads.

    Args:
        kept: Maximum number of requests in the log.
    """

    def __init__(self, kept: int) -> None:
        self._lock = Lock()
        self._numbers = 0
        self._counters = Counters()
        self._log: deque[Request] = deque(maxlen=kept)

    def came(self, request: Request) -> None:
        """Count a request that arrived and assign its number."""
        with self._lock:
            self._numbers += 1
            request.number = self._numbers
            counters = self._counters
            counters.calls += 1
            counters.by_method[request.method] += 1
            counters.by_route[request.route] += 1
            counters.bytes_received += request.received
            self._log.append(request)

    def went(self, request: Request, status: int | None, sent: int) -> None:
        """Count a response; no status means that the connection was closed."""
        with self._lock:
            request.status = status
            request.sent = sent
            counters = self._counters
            counters.bytes_sent += sent
            if status is None:
                counters.unanswered += 1
            else:
                counters.by_status[status] += 1
                counters.throttled += status == 429

    def reset(self) -> None:
        """Reset the counters."""
        with self._lock:
            self._counters = Counters()

    def counters(self) -> Counters:
        """Return a copy of the totals."""
        with self._lock:
            return deepcopy(self._counters)

    def log(self) -> tuple[Request, ...]:
        """Return the last requests, oldest first."""
        with self._lock:
            return tuple(self._log)
