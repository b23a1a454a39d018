"""`FakeAirtable`: the fake Airtable as tests and demonstrations use it."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, Unpack

from leadlog.errors import FakeAirtableError
from leadlog.testing.airtable.api import WebApi
from leadlog.testing.airtable.counters import Counters, Request, Traffic
from leadlog.testing.airtable.faults import Fault, FaultKind, FaultOptions, Faults
from leadlog.testing.airtable.fields import LEAD_FIELDS, Field, build_field, build_fields
from leadlog.testing.airtable.ids import Ids
from leadlog.testing.airtable.limits import Limits
from leadlog.testing.airtable.listing import Listing
from leadlog.testing.airtable.records import RecordsApi
from leadlog.testing.airtable.refusals import Refusal
from leadlog.testing.airtable.rendering import record_of
from leadlog.testing.airtable.schema import SchemaApi
from leadlog.testing.airtable.server import Server
from leadlog.testing.airtable.table import Change, Table
from leadlog.testing.airtable.values import NewChoices

__all__ = ["FakeAirtable"]


class FakeAirtable:
    """A server on loopback that behaves like Airtable's Web API, for tests and demonstrations.

    One base with one table, in memory. It starts when it is made and ends with `close` or the
    `with` block. Nothing needs the network.

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
        self._ids = Ids(seed)
        made = build_fields(LEAD_FIELDS if fields is None else fields, self._ids)
        self._table = Table(table, made, self._ids, self.now)
        self._limits = Limits(
            self._clock, per_base=per_base, per_token=per_token, retry_after=retry_after
        )
        self._faults = Faults()
        self._traffic = Traffic(kept_requests)
        listing = Listing(self._table, self._ids, self._clock, iterator_lifetime)
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
        self._server = Server(api, self._traffic, largest_body)
        self.endpoint_url = self._server.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<FakeAirtable {self.endpoint_url} {self.table_name!r}, {len(self)} records>"

    def __len__(self) -> int:
        return len(self._table.rows)

    def close(self) -> None:
        """Stop serving. What is in the table can still be read."""
        self._server.close()

    def now(self) -> datetime:
        """The server's wall clock."""
        return self._epoch + timedelta(seconds=self._clock())

    # ----------------------------------------------------------------------- what is there

    @property
    def table_name(self) -> str:
        """The table's name."""
        return self._table.name

    @property
    def table_id(self) -> str:
        """The table's id, `tbl…`."""
        return self._table.id

    @property
    def fields(self) -> tuple[Field, ...]:
        """The table's fields, the primary one first."""
        with self._table.lock:
            return tuple(self._table.fields)

    def field(self, key: str) -> Field:
        """Return the field with this name or id.

        Raises:
            FakeAirtableError: There is none.
        """
        with self._table.lock, _person():
            return self._table.field(key)

    def records(self) -> list[dict[str, Any]]:
        """All records as the API shows them, oldest first."""
        with self._table.lock:
            return [record_of(self._table, row) for row in self._table.rows.values()]

    def record(self, record_id: str) -> dict[str, Any]:
        """One record as the API shows it.

        Raises:
            FakeAirtableError: It does not exist.
        """
        with self._table.lock, _person():
            return record_of(self._table, self._table.row(record_id))

    # -------------------------------------------------------------------- what people do

    def create(self, values: Mapping[str, Any] | None = None) -> str:
        """Add a row as a person does and return its id.

        Raises:
            FakeAirtableError: A field does not exist, is computed, or does not take its value.
        """
        return self._write(None, values or {})

    def edit(self, record_id: str, values: Mapping[str, Any]) -> None:
        """Change cells as a person does; None empties one.

        Raises:
            FakeAirtableError: As `create`, or the row does not exist.
        """
        self._write(record_id, values)

    def delete(self, record_id: str) -> None:
        """Delete a row as a person does.

        Raises:
            FakeAirtableError: It does not exist.
        """
        with self._table.lock, _person():
            self._table.delete([record_id])

    def duplicate(self, record_id: str) -> str:
        """Copy a row with all its values, as a person does, and return the copy's id.

        Raises:
            FakeAirtableError: The row does not exist.
        """
        with self._table.lock, _person():
            cells = dict(self._table.row(record_id).cells)
            return self._table.write([Change(None, cells)], [])[0].id

    def add_field(self, name: str, kind: str = "singleLineText", **options: Any) -> Field:
        """Add a field of any type, also those that the API cannot make.

        Raises:
            FakeAirtableError: The name is taken, or the type is none that the fake has.
        """
        with self._table.lock:
            self._refuse_taken(name)
            made = build_field({"name": name, "type": kind, "options": options}, self._ids)
            self._table.fields.append(made)
            return made

    def rename_field(self, old: str, new: str) -> None:
        """Give a field another name.

        Raises:
            FakeAirtableError: There is no such field, or the new name is taken.
        """
        with self._table.lock:
            field = self.field(old)
            self._refuse_taken(new)
            field.name = new

    def remove_field(self, key: str) -> None:
        """Remove a field with its values.

        Raises:
            FakeAirtableError: There is no such field, or it is the primary one.
        """
        with self._table.lock:
            field = self.field(key)
            if field is self._table.fields[0]:
                raise FakeAirtableError(f"{field.name!r} is the primary field, which has to stay")
            self._table.drop(field)

    def change_type(self, key: str, kind: str, **options: Any) -> Field:
        """Give a field another type; values that do not fit it are emptied.

        Raises:
            FakeAirtableError: There is no such field, or the type is none that the fake has.
        """
        with self._table.lock:
            old = self.field(key)
            new = build_field({"name": old.name, "type": kind, "options": options}, self._ids)
            self._table.retype(old, new)
            return new

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
        """Let nothing go wrong any more."""
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

    # ----------------------------------------------------------------------------- parts

    def _write(self, record_id: str | None, values: Mapping[str, Any]) -> str:
        choices: NewChoices = []
        with self._table.lock, _person():
            cells = self._table.convert(values, typecast=True, new_choices=choices)
            return self._table.write([Change(record_id, cells)], choices)[0].id

    def _refuse_taken(self, name: str) -> None:
        if any(field.name == name for field in self._table.fields):
            raise FakeAirtableError(f"there is a field {name!r} already")


@contextmanager
def _person() -> Iterator[None]:
    """Turn a refusal of the table into an error for whoever edits it from Python."""
    try:
        yield
    except Refusal as refusal:
        raise FakeAirtableError(refusal.message or refusal.kind) from refusal
