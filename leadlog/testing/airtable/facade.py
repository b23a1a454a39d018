"""`FakeAirtable`: the fake Airtable as tests and demonstrations use it."""

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

    One base with one table, in memory. It starts when it is made and ends with `close` or the
    `with` block. What a hook raises is raised again by the end of the `with` block.

    Args:
        clock: Seconds for the limits, the iterators and, counted from `epoch`, for created and
            modified times. Default: time.monotonic.
        epoch: What the wall clock says now, in UTC. Default: the real time.
        api_key: The token that requests must carry.
        base_id: `app…`.
        table: The table's name.
        fields: Name and type of each field, or Airtable's field model with optional `options`,
            `description` and `normalise`, a function from a value to what the server keeps
            instead. The first is the primary field. Default: fields for leads.
        seed: Equal seeds give equal identifiers.
        per_base: Requests a second to the base, None for no limit.
        per_token: Requests a second with the token, None for no limit.
        retry_after: Value of the header on 429; Airtable sends none, which None does.
        iterator_lifetime: Seconds after which a list that nobody read on cannot be read on.
        missing_status: Status for a path that names a record that does not exist: 403 or 404.
        largest_body: Bytes of a request body above which the answer is 413.
        kept_requests: How many requests `requests` has at most.

    Attributes:
        endpoint_url: For `pyairtable.Api(endpoint_url=…)`.
        page_url: A page to look at the table and edit it, for a browser.
        api_key: As given.
        base_id: As given.

    Raises:
        FakeAirtableError: The fields are no table.
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
        """Stop serving. What is in the table can still be read."""
        self._server.close()

    def now(self) -> datetime:
        """Return the server's wall clock."""
        return self._epoch + timedelta(seconds=self._clock())

    # ------------------------------------------------------------------ what goes wrong

    def fail(self, kind: FaultKind, **options: Unpack[FaultOptions]) -> Fault:
        """Let something go wrong at the next call that matches, or at the nth.

        Kinds:
            close: the connection is closed without an answer; `applied=True` does first what
                was asked, `seconds` waits first.
            cut: the answer ends before the `keep`-th byte of its body (default: half of it).
            delay: the answer comes `seconds` late, what was asked is done at once.
            error: the answer is `status` (default 503); `applied=True` does what was asked.
            hook: `call` is called with the request, before anything is done.
            iterator: the list has to be read from its first page again.
            partial: a list ends after `keep` records (default 0) and does not say so.
            quota: the monthly quota is spent; metadata still answers.
            throttle: 429, with `retry_after` if it is given; `penalty=False` leaves out the
                30 s in which everything is refused.

        Args:
            kind: What goes wrong.
            **options: `method`, `route`, `nth`, `times` and those above (see `Fault`).

        Raises:
            FakeAirtableError: The fault makes no sense; the message says why.
        """
        fault = Fault(kind, **options)
        self._faults.add(fault)
        return fault

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults that are set, those that fired included."""
        return tuple(self._faults)

    def clear_faults(self) -> None:
        """Stop all faults."""
        self._faults.clear()

    # ------------------------------------------------------------------- what was seen

    @property
    def counters(self) -> Counters:
        """A copy of what was counted so far."""
        return replace(
            self._traffic.counters(),
            max_per_second=self._limits.max_per_second,
            penalty_violations=self._limits.penalty_violations,
        )

    @property
    def requests(self) -> tuple[Request, ...]:
        """The last API calls, oldest first; what people do is not among them."""
        return self._traffic.log()

    def reset_counters(self) -> None:
        """Count anew; limits, penalty and the log of requests stay."""
        self._traffic.reset()
        self._limits.max_per_second = self._limits.penalty_violations = 0
