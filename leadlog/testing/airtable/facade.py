"""`FakeAirtable`: the fake Airtable for tests and demonstrations."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, Unpack

from leadlog.core.errors import FakeAirtableError
from leadlog.testing.airtable.api import WebApi
from leadlog.testing.airtable.counters import Counters, Request, Traffic
from leadlog.testing.airtable.editing import EditableTable
from leadlog.testing.airtable.faults import Fault, FaultKind, FaultOptions, Faults
from leadlog.testing.airtable.fields import LEAD_FIELDS, build_fields
from leadlog.testing.airtable.ids import Ids
from leadlog.testing.airtable.limits import RateLimiter
from leadlog.testing.airtable.listing import ListEndpoint
from leadlog.testing.airtable.page import Page
from leadlog.testing.airtable.records import RecordsApi
from leadlog.testing.airtable.schema import SchemaApi
from leadlog.testing.airtable.server import Server
from leadlog.testing.airtable.table import FakeTable

__all__ = ["FakeAirtable"]


class FakeAirtable(EditableTable):
    """A server on loopback that behaves like Airtable's Web API, for tests and demonstrations.

    It has one base with one table, in memory. It starts when it is created, and ends with `close`
    or the `with` block. An exception raised by a hook is raised again when the `with` block ends.

    Args:
        clock: Function that returns seconds, for the limits, the iterators and, counted from
            `epoch`, for created and modified times. Default: time.monotonic.
        epoch: The current wall-clock time, in UTC. Default: the real time.
        api_key: The token that requests must contain.
        base_id: Id of the base, `app…`.
        table: The table's name.
        fields: Name and type of each field, or Airtable's field model with optional `options`,
            `description` and `normalise`, a function that converts a value to the one the server
            keeps. The first is the primary field. Default: fields for leads.
        seed: Seed of the identifiers; equal seeds give equal identifiers.
        per_base: Maximum requests per second to the base; None for no limit.
        per_token: Maximum requests per second with the token; None for no limit.
        retry_after: Value of the `Retry-After` header on 429; Airtable sends none, as None does.
        iterator_lifetime: Seconds after which an unused iterator of a list expires.
        missing_status: Status for a path to a record that does not exist: 403 or 404.
        largest_body: Maximum size of a request body in bytes; a larger one is refused with 413.
        kept_requests: Maximum number of requests in `requests`.

    Attributes:
        endpoint_url: URL for `pyairtable.Api(endpoint_url=…)`.
        page_url: URL of a page to view and edit the table in a browser.
        api_key: The given token.
        base_id: The given base id.

    Raises:
        FakeAirtableError: The fields do not make a valid table.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] | None = None,
        epoch: datetime | None = None,
        api_key: str = "patFakeAirtable.0000",
        base_id: str = "appFakeAirtable00",
        table: str = "Leads",
        fields: Mapping[str, str] | Iterable[Mapping[str, Any]] | None = None,
        seed: int = 0,
        per_base: int | None = 5,
        per_token: int | None = 50,
        retry_after: int | None = None,
        iterator_lifetime: float = 300.0,
        missing_status: int = 403,
        largest_body: int = 10_000_000,
        kept_requests: int = 2_000,
    ) -> None:
        self._clock = clock or time.monotonic
        self._epoch = (epoch or datetime.now(UTC)) - timedelta(seconds=self._clock())
        self.api_key = api_key
        self.base_id = base_id
        ids = Ids(seed)
        made = build_fields(LEAD_FIELDS if fields is None else fields, ids)
        super().__init__(FakeTable(table, made, ids, self.now), ids)
        self._limits = RateLimiter(
            self._clock, per_base=per_base, per_token=per_token, retry_after=retry_after
        )
        self._faults = Faults()
        self._traffic = Traffic(kept_requests)
        listing = ListEndpoint(self._table, self._ids, self._clock, iterator_lifetime)
        api = WebApi(
            base_id=base_id,
            token=api_key,
            table=self._table,
            records=RecordsApi(self._table, listing, missing_status),
            schema=SchemaApi(base_id, self._ids.new("usr"), self._table, self._ids),
            listing=listing,
            limits=self._limits,
            faults=self._faults,
            traffic=self._traffic,
            clock=self._clock,
        )
        self._server = Server(api, Page(self), self._traffic, largest_body)
        self.endpoint_url = self._server.url
        self.page_url = f"{self.endpoint_url}/"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if error is None and self._server.errors:
            raise FakeAirtableError(
                f"a request failed inside the fake Airtable: {self._server.errors[0]!r}"
            ) from self._server.errors[0]

    def __repr__(self) -> str:
        return f"<FakeAirtable {self.endpoint_url} {self.table_name!r}, {len(self)} records>"

    def close(self) -> None:
        """Stop serving. The table can still be read."""
        self._server.close()

    def now(self) -> datetime:
        """Return the server's wall clock."""
        return self._epoch + timedelta(seconds=self._clock())

    # ------------------------------------------------------------------ what goes wrong

    def fail(self, kind: FaultKind, **options: Unpack[FaultOptions]) -> Fault:
        """Set a fault for the next matching call, or the nth.

        Kinds:
            close: the connection is closed without a response; `applied=True` carries out the
                request first, `seconds` waits first.
            cut: the response ends before the `keep`-th byte of its body (default: half of it).
            delay: the response is `seconds` late; the request is carried out at once.
            error: the response is `status` (default 503); `applied=True` carries out the request.
            hook: `call` is called with the request before the request is carried out.
            iterator: the iterator of a list expires; it must be read from its first page again.
            partial: a list silently ends after `keep` records (default 0).
            quota: the monthly quota is used up; metadata endpoints still work.
            throttle: status 429, with `retry_after` if given; `penalty=False` omits the 30 s in
                which every request is refused.

        Args:
            kind: The kind of fault.
            **options: `method`, `route`, `nth`, `times` and the options above (see `Fault`).

        Raises:
            FakeAirtableError: The options contradict each other; the message says how.
        """
        fault = Fault(kind, **options)
        self._faults.add(fault)
        return fault

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults that are set, including those that have fired."""
        return tuple(self._faults)

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    # ------------------------------------------------------------------- what was seen

    @property
    def counters(self) -> Counters:
        """A copy of the counters."""
        return replace(
            self._traffic.counters(),
            max_per_second=self._limits.max_per_second,
            penalty_violations=self._limits.penalty_violations,
        )

    @property
    def requests(self) -> tuple[Request, ...]:
        """The last API calls, oldest first; edits by users are not included."""
        return self._traffic.log()

    def reset_counters(self) -> None:
        """Reset the counters; limits, penalty and the log of requests stay."""
        self._traffic.reset()
        self._limits.max_per_second = self._limits.penalty_violations = 0
