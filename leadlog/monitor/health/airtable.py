"""Checks of Airtable: whether it answers, grants write access to the base, and throttles.

They send two requests for metadata, which Airtable does not count against the monthly quota, and
repeat neither: a check must not use up what it watches. An exhausted quota and throttled requests
are known from the last sync.
"""

import time
from collections.abc import Iterator
from typing import Any

import requests

from leadlog.core.errors import SyncError
from leadlog.core.layout import log_files
from leadlog.monitor.health.checks import Check, judge
from leadlog.monitor.health.probes import ProbeContext
from leadlog.reading.events import read_backwards

__all__ = ["probe"]

_TIMEOUT = (2.0, 4.0)  # to connect, to answer; seconds
_SLOW_MS = 3000.0
_OK, _UNAUTHORISED, _TOO_MANY = 200, 401, 429
_QUOTA = "PUBLIC_API_BILLING_LIMIT_EXCEEDED"
_PAGES = 10
_WRITERS = ("create", "edit", "owner")
_TOKENS = "https://airtable.com/create/tokens"


def probe(context: ProbeContext) -> Iterator[Check]:
    """Check `airtable` and, if it answers, `airtable_permissions` and `airtable_rate`."""
    if not context.base_id and context.airtable is None:
        yield Check("airtable", "unknown", message="there is no base: airtable_base_id is not set")
        return
    try:
        key, endpoint = _access(context)
    except SyncError as error:
        yield Check(
            "airtable",
            "critical",
            message=str(error),
            remedy=f"make a token at {_TOKENS} and put it into AIRTABLE_API_KEY",
        )
        return
    throttled = False
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {key}"
        try:
            began = time.perf_counter()
            answer = session.get(f"{endpoint}/v0/meta/whoami", timeout=_TIMEOUT)
            yield _reachable(answer, round((time.perf_counter() - began) * 1000, 3))
            throttled = answer.status_code == _TOO_MANY
            if answer.status_code == _OK:
                yield _permission(session, endpoint, context.base_id)
        except requests.RequestException as error:
            yield Check(
                "airtable",
                "critical",
                message=f"{endpoint} does not answer: {type(error).__name__}",
                remedy="see that this host may reach it, and https://status.airtable.com",
            )
    yield _rate(context, throttled)


def _access(context: ProbeContext) -> tuple[str, str]:
    """Return the token and the endpoint's URL.

    Raises:
        SyncError: There is no token.
    """
    api, settings = context.airtable, context.settings
    if api is None:
        # Imports the whole sync, which other checks should not wait for.
        from leadlog.leads.airtable.credentials import find_api_key

        key = find_api_key(settings.airtable_api_key or None)
        return key, settings.airtable_endpoint_url.rstrip("/")
    return api.api_key, str(api.endpoint_url).rstrip("/")


def _reachable(answer: requests.Response, took: float) -> Check:
    status = answer.status_code
    if status in (_OK, _TOO_MANY):
        return judge(
            "airtable",
            took,
            warning=_SLOW_MS,
            unit="ms",
            message=f"answered in {took:.0f} ms",
            remedy="see https://status.airtable.com",
            latency_ms=took,
        )
    if status == _UNAUTHORISED:
        return Check(
            "airtable",
            "critical",
            message="the token is not valid (401)",
            remedy=f"make a new one at {_TOKENS} and put it into AIRTABLE_API_KEY",
            latency_ms=took,
        )
    return Check(
        "airtable",
        "critical",
        message=f"answered with status {status}",
        remedy="see https://status.airtable.com",
        latency_ms=took,
    )


def _permission(session: requests.Session, endpoint: str, base_id: str | None) -> Check:
    """Return a check of the token's permission to write to the base."""
    name = "airtable_permissions"
    level: str | None = None
    offset: str | None = None
    for _ in range(_PAGES):
        answer = session.get(
            f"{endpoint}/v0/meta/bases",
            params={"offset": offset} if offset else {},
            timeout=_TIMEOUT,
        )
        if answer.status_code != _OK:
            return Check(
                name,
                "warning",
                message=f"the bases cannot be listed (status {answer.status_code})",
                remedy=f"give the token the scope schema.bases:read at {_TOKENS}",
            )
        page: dict[str, Any] = answer.json()
        for base in page["bases"]:
            if base_id in (None, base["id"]):
                level = base.get("permissionLevel")
        offset = page.get("offset")
        if level is not None or not offset:
            break
    if base_id is None:
        return Check(name, "unknown", message="there is no base: airtable_base_id is not set")
    if level in _WRITERS:
        return Check(name, "ok", message=f"the token may {level} in {base_id}")
    said = f"does not reach {base_id}" if level is None else f"may only {level} in {base_id}"
    return Check(
        name,
        "critical",
        message=f"the token {said}",
        remedy=f"add the base to the token at {_TOKENS}, as a user who may edit it",
    )


def _rate(context: ProbeContext, throttled: bool) -> Check:
    """Return a check of throttling, now or in the last sync."""
    name = "airtable_rate"
    details: dict[str, Any] = {}
    files = log_files(context.directory, ["sync_operations"])
    if files:
        newest = next(read_backwards(files[-1].path), None)
        results = None if newest is None else newest.data.get("sync_results")
        details = results if isinstance(results, dict) else {}
    if _QUOTA in str(details.get("error_message")):
        return Check(
            name,
            "critical",
            message="the last sync exhausted the monthly quota",
            remedy="wait for the next month, or raise the plan's quota",
        )
    if throttled or details.get("airtable_rate_limited") is True:
        when = "now" if throttled else "in the last sync"
        return Check(
            name,
            "warning",
            message=f"Airtable refused requests as too many {when}",
            remedy="see which other programs use the base or the token; Airtable takes 5 requests "
            "a second for a base",
        )
    return Check(name, "ok", message="requests are not throttled")
