"""Handling of API requests: routes, authentication, limits, faults and endpoints."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

from leadlog.testing.airtable.counters import Request, Traffic
from leadlog.testing.airtable.faults import Fault, Faults
from leadlog.testing.airtable.limits import RateLimiter, rate_limited
from leadlog.testing.airtable.listing import ListEndpoint, iterator_gone
from leadlog.testing.airtable.records import RecordsApi
from leadlog.testing.airtable.refusals import Refusal, model_not_found, unreadable_body
from leadlog.testing.airtable.schema import SchemaApi
from leadlog.testing.airtable.table import FakeTable

__all__ = ["Answer", "WebApi"]

_TABLE = r"/v0/(?P<base>[^/]+)/(?P<table>[^/]+)"
_META = r"/v0/meta/bases/(?P<base>[^/]+)/tables"
_FIELDS = rf"{_META}/(?P<table>[^/]+)/fields"
_ROUTES: tuple[tuple[re.Pattern[str], dict[str, str]], ...] = tuple(
    (re.compile(pattern), routes)
    for pattern, routes in (
        (r"/v0/meta/whoami", {"GET": "whoami"}),
        (r"/v0/meta/bases", {"GET": "bases"}),
        (_META, {"GET": "tables"}),
        (_FIELDS, {"POST": "create_field"}),
        (rf"{_FIELDS}/(?P<field>[^/]+)", {"PATCH": "update_field"}),
        (rf"{_TABLE}/listRecords", {"POST": "list"}),
        (
            _TABLE,
            {
                "GET": "list",
                "POST": "create",
                "PATCH": "update",
                "PUT": "update",
                "DELETE": "delete",
            },
        ),
        (
            rf"{_TABLE}/(?P<record>[^/]+)",
            {"GET": "get", "PATCH": "update", "PUT": "update", "DELETE": "delete"},
        ),
    )
)
_ITEM = re.compile(r"(?P<name>\w+)\[(?P<index>\d*)\](?:\[(?P<key>\w+)\])?")


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a client.

    Attributes:
        status: The HTTP status; None closes the connection without a response.
        body: The JSON body.
        retry_after: Value of the `Retry-After` header; None for no header.
        seconds: Real time to wait before responding.
        keep: Number of bytes of the body to send before the connection is closed; None for all.
    """

    status: int | None
    body: bytes = b""
    retry_after: int | None = None
    seconds: float = 0.0
    keep: int | None = None


class WebApi:
    """Handler of API requests; safe to call from several threads.

    Args:
        base_id: The only base.
        token: The only token.
        table: The only table.
        records: The record endpoints.
        schema: The metadata endpoints.
        listing: The list endpoint, whose iterators a fault can expire.
        limits: The rate limiter.
        faults: The faults that are set.
        traffic: The counters and the log of requests.
        clock: Function that returns seconds.
    """

    def __init__(
        self,
        *,
        base_id: str,
        token: str,
        table: FakeTable,
        records: RecordsApi,
        schema: SchemaApi,
        listing: ListEndpoint,
        limits: RateLimiter,
        faults: Faults,
        traffic: Traffic,
        clock: Callable[[], float],
    ) -> None:
        self._base_id = base_id
        self._token = token
        self._table = table
        self._records = records
        self._schema = schema
        self._listing = listing
        self._limits = limits
        self._faults = faults
        self._traffic = traffic
        self._clock = clock

    def arrived(
        self, method: str, target: str, body: bytes, received: int | None = None
    ) -> Request:
        """Count a request and return it, parsed.

        Args:
            method: The HTTP method, such as `PATCH`.
            target: Path and query string.
            body: The raw body.
            received: Size of the body in bytes, if the body was not kept.
        """
        path, _, query = target.partition("?")
        parsed: Any = None
        if body:
            try:
                parsed = orjson.loads(body)
            except orjson.JSONDecodeError:
                parsed = None
        route, places = _place(method, path)
        if route == "update" and "record" not in places and _upserts(parsed):
            route = "upsert"
        request = Request(
            number=0,
            at=self._clock(),
            method=method,
            route=route,
            path=path,
            query=_read_query(query),
            body=parsed,
            received=len(body) if received is None else received,
        )
        self._traffic.came(request)
        return request

    def answer(self, request: Request, authorization: str) -> Answer:
        """Carry out a request, or fail as a fault requires."""
        hooks, fault = self._faults.meeting(request)
        for hook in hooks:
            if hook.call is not None:
                hook.call(request)
        if fault is None:
            return self._plain(request, authorization, None)
        request.fault = fault.kind
        if fault.kind == "close" and not fault.applied:
            return Answer(None, seconds=fault.seconds)
        plain = self._plain(request, authorization, fault)
        if fault.kind == "close":
            return Answer(None, seconds=fault.seconds)
        keep = None
        if fault.kind == "cut":
            keep = len(plain.body) // 2 if fault.keep is None else fault.keep
        return Answer(plain.status, plain.body, plain.retry_after, fault.seconds, keep)

    # ---------------------------------------------------------------------------------- steps

    def _plain(self, request: Request, authorization: str, fault: Fault | None) -> Answer:
        try:
            self._admit(request, authorization)
            if fault is not None:
                self._refuse(fault, request)
            with self._table.lock:
                found = self._dispatch(request)
            if fault is not None and fault.kind == "error":
                raise _error(fault)
        except Refusal as refusal:
            return Answer(refusal.status, orjson.dumps(refusal.body), refusal.retry_after)
        if fault is not None and fault.kind == "partial" and "records" in found:
            found = {"records": found["records"][: fault.keep or 0]}
        return Answer(200, orjson.dumps(found))

    def _admit(self, request: Request, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not compare_digest(
            token.strip().encode(), self._token.encode()
        ):
            raise Refusal(401, "AUTHENTICATION_REQUIRED", "Authentication required")
        self._limits.admit(to_base=request.route not in {"whoami", "bases"})

    def _refuse(self, fault: Fault, request: Request) -> None:
        if fault.kind == "throttle":
            if fault.penalty:
                self._limits.punish()
            raise rate_limited(fault.retry_after)
        # A spent quota does not affect metadata.
        if fault.kind == "quota" and not request.path.startswith("/v0/meta/"):
            raise Refusal(
                429,
                "PUBLIC_API_BILLING_LIMIT_EXCEEDED",
                "API billing plan limit exceeded. You've reached the maximum number of requests "
                "allowed for this month.",
                retry_after=fault.retry_after,
            )
        if fault.kind == "iterator":
            self._listing.expire()
            raise iterator_gone()
        if fault.kind == "error" and not fault.applied:
            raise _error(fault)

    def _dispatch(self, request: Request) -> dict[str, Any]:
        if request.route == "unknown":
            raise Refusal(404, "NOT_FOUND", None)
        if request.received and not isinstance(request.body, dict):
            raise unreadable_body()
        body = request.body or {}
        _, places = _place(request.method, request.path)
        self._check(places)
        replace = request.method == "PUT"
        record = places.get("record")
        match request.route:
            case "whoami":
                return self._schema.whoami()
            case "bases":
                return self._schema.bases()
            case "tables":
                return self._schema.tables()
            case "create_field":
                return self._schema.create_field(body)
            case "update_field":
                return self._schema.update_field(places["field"], body)
            case "list":
                return self._records.list({**request.query, **body})
            case "get":
                return self._records.get(places["record"], request.query)
            case "create":
                return self._records.create(body)
            case "update" | "upsert" if record is None:
                return self._records.update(body, replace=replace)
            case "update":
                return self._records.update_one(places["record"], body, replace=replace)
            case "delete" if record is None:
                return self._records.delete(request.query.get("records", []))
            case "delete":
                return self._records.delete_one(places["record"])
            case route:
                raise AssertionError(route)

    def _check(self, places: Mapping[str, str]) -> None:
        if places.get("base", self._base_id) != self._base_id:
            raise model_not_found()
        if places.get("table", self._table.id) not in {self._table.id, self._table.name}:
            raise model_not_found()


def _place(method: str, path: str) -> tuple[str, dict[str, str]]:
    """Return the route, and the variable parts of the path by name."""
    for pattern, routes in _ROUTES:
        if found := pattern.fullmatch(path):
            places = {name: unquote(part) for name, part in found.groupdict().items()}
            return routes.get(method, "unknown"), places
    return "unknown", {}


def _upserts(body: Any) -> bool:
    return isinstance(body, dict) and body.get("performUpsert") is not None


def _error(fault: Fault) -> Refusal:
    return Refusal(fault.status, fault.error, "The server could not process your request.")


def _read_query(query: str) -> dict[str, Any]:
    """Return parameters by name; `fields[]` and `sort[0][field]` become lists."""
    read: dict[str, Any] = {}
    lists: dict[str, dict[int, Any]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        found = _ITEM.fullmatch(name)
        if found is None:
            read[name] = value
            continue
        items = lists.setdefault(found["name"], {})
        index = int(found["index"]) if found["index"] else len(items)
        if found["key"] is None:
            items[index] = value
        else:
            item = items.get(index)
            items[index] = (item if isinstance(item, dict) else {}) | {found["key"]: value}
    return read | {name: [items[index] for index in sorted(items)] for name, items in lists.items()}
