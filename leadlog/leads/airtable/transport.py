"""The HTTP transport to Airtable: throttled, metered, and retried where that is safe.

It is an adapter mounted on pyairtable's session, because only `send` sees every attempt, its bytes
and its end; the session's hooks see one call where the server sees three.

A write may be applied although its response is lost. Therefore only idempotent requests are
retried: reads, updates of rows by id, upserts and deletes.
"""

from collections.abc import Mapping
from itertools import count
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from leadlog.core.errors import AirtableError, QuotaError
from leadlog.leads.airtable.pace import PENALTY_SECONDS, Pace, Paces
from leadlog.leads.airtable.wire import Wire
from leadlog.recording.capture.meter import count_api_call

__all__ = ["QUOTA", "AirtableTransport", "refusal"]

QUOTA = "PUBLIC_API_BILLING_LIMIT_EXCEEDED"

ATTEMPTS = 6
"""Maximum number of attempts per request."""

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0

_TRANSIENT = frozenset({500, 502, 503, 504})
_IDEMPOTENT = frozenset({"GET", "PATCH", "PUT", "DELETE"})
_LONGEST_WAIT = 600.0


class AirtableTransport(HTTPAdapter):
    """Sends requests within Airtable's rate limits, counts attempts, and retries safe requests.

    Args:
        time: The clock and its sleep function.
        paces: The rate limiters that each attempt waits for, that of the base first.
        counts: Further counters; each attempt is counted in all of them.

    Attributes:
        wire: Counters of the current sync; replaced by its owner for each sync.
    """

    def __init__(self, time: Paces, paces: tuple[Pace, ...], *counts: Wire) -> None:
        # No retries of redirects or reads in urllib3, where they would not be counted.
        super().__init__(max_retries=Retry(0, read=False))
        self.wire = Wire()
        self._paces = paces
        self._clock = time.clock
        self._sleep = time.sleep
        self._counts = counts

    def _count(self, **counts: float) -> None:
        for wire in (self.wire, *self._counts):
            wire.add(**counts)

    def send(  # noqa: PLR0917 - signature of the base class
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002 - the response is always read here, to count its bytes
        timeout: Any = None,  # noqa: ARG002 - our own timeout always applies
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a request, and retry it if that is needed and safe.

        Returns:
            The last response, read completely.

        Raises:
            QuotaError: The monthly calls of the workspace are used up.
            RequestException: No complete response was received.
        """
        for attempt in count(1):
            response: requests.Response | None = None
            failure: requests.RequestException | None = None
            try:
                response = self._attempt(request, verify, cert, proxies)
            except requests.RequestException as error:
                failure = error
            status = None if response is None else response.status_code
            if response is not None and status == 429:
                self._penalise(response)
            elif response is not None and status not in _TRANSIENT:
                return response
            # A request answered with 429 was not applied; any other may have been.
            if attempt == ATTEMPTS or not (status == 429 or _repeatable(request, failure)):
                if response is not None:
                    return response
                raise failure or AssertionError
            if status != 429:
                self._back_off(attempt, response)
            self._count(retries=1)
        raise AssertionError

    def _attempt(
        self, request: requests.PreparedRequest, verify: Any, cert: Any, proxies: Any
    ) -> requests.Response:
        for pace in self._paces:
            while wait := pace.due(self._clock()):
                self._count(throttle_wait_seconds=wait)
                self._sleep(wait)
        count_api_call()
        self._count(attempts=1, bytes_sent=_size(request.body))
        response = None
        try:
            response = super().send(
                request,
                stream=True,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                verify=verify,
                cert=cert,
                proxies=proxies,
            )
            _ = response.content  # reads the body, which the response keeps
        except requests.RequestException:
            self._count(failed=1, cut=int(response is not None))
            raise
        limited = response.status_code == 429
        self._count(answers=1, bytes_received=response.raw.tell(), throttled=int(limited))
        return response

    def _penalise(self, response: requests.Response) -> None:
        """Hold back all calls to the base until the penalty is over.

        Raises:
            QuotaError: The monthly quota is used up, so waiting does not help.
        """
        if _error_of(response)[0] == QUOTA:
            raise QuotaError(
                "the monthly API calls of this Airtable workspace are used up (429 "
                f"{QUOTA}); wait for the next month or upgrade the workspace, then sync "
                "again: no changes are lost",
                code=QUOTA,
                status=429,
            )
        asked = _retry_after(response)
        until = self._clock() + min(max(PENALTY_SECONDS, asked), _LONGEST_WAIT)
        self._paces[0].hold(until)

    def _back_off(self, attempt: int, response: requests.Response | None) -> None:
        asked = 0.0 if response is None else _retry_after(response)
        wait = min(max(2.0 ** (attempt - 1), asked), _LONGEST_WAIT)
        self._count(backoff_wait_seconds=wait)
        self._sleep(wait)


def _repeatable(
    request: requests.PreparedRequest, failure: requests.RequestException | None
) -> bool:
    """Return whether it is safe to retry a request that may have been applied."""
    if request.method in _IDEMPOTENT:
        return True
    # Nothing was sent if no connection was established.
    return isinstance(failure, requests.ConnectTimeout)


def _size(body: Any) -> int:
    return 0 if body is None else len(body if isinstance(body, bytes) else str(body).encode())


def _retry_after(response: requests.Response) -> float:
    """Return the Retry-After header in seconds; 0 if it is missing or a date."""
    said = response.headers.get("Retry-After", "")
    return float(said) if said.isdecimal() else 0.0


def _error_of(response: requests.Response) -> tuple[str | None, str]:
    """Return the code and the message of an error in any of Airtable's response formats.

    `{"error": "NAME"}`, `{"error": {"type": …, "message": …}}`, and for rate limits
    `{"errors": [{"error": …, "message": …}]}`.
    """
    try:
        body = response.json()
        error = body["errors"][0] if "errors" in body else body["error"]
        if isinstance(error, str):
            return error, ""
        name = error.get("type") or error["error"]
        return str(name), str(error.get("message") or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return None, ""


_REMEDIES = {
    401: "the token is wrong or was revoked; check AIRTABLE_API_KEY",
    403: "the token may not do this, or there is no such base or table; check the token's scopes "
    "(data.records:read, data.records:write, schema.bases:read; schema.bases:write to create "
    "fields) and its access to the base",
    404: "there is no such base, table or row; check airtable_base_id and airtable_table",
    429: "Airtable refused too many calls; another program uses the same base, so try later",
}


def refusal(error: requests.RequestException, doing: str) -> AirtableError:
    """Return an error for a failed request, without its headers, which contain the token.

    Args:
        error: The exception that requests raised.
        doing: The attempted action, such as "listing the rows".
    """
    response = error.response
    if response is None:
        kind = type(error).__name__
        return AirtableError(
            f"{doing}: no answer from Airtable ({kind}); check the network, then sync again"
        )
    code, message = _error_of(response)
    status = response.status_code
    said = f"{code or status}{f': {message}' if message else ''}"
    remedy = _REMEDIES.get(status, "try again later" if status >= 500 else "see the message")
    return AirtableError(
        f"{doing}: Airtable answered {status} {said}; {remedy}",
        code=code or str(status),
        status=status,
    )
