"""A store, a fake Airtable and a sync between them, sharing one manually advanced clock.

At the end of every test the counts of the transport must equal those of the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from leadlog.leads.airtable import AirtableSyncManager
from leadlog.leads.airtable.pace import Paces
from leadlog.leads.airtable.wire import Wire, process_wire
from leadlog.leads.store import LeadDatabase
from leadlog.testing import FakeAirtable

EPOCH = datetime(2026, 11, 23, 10, tzinfo=UTC)
TRANSIENT = frozenset({429, 500, 502, 503, 504})


class Clock:
    """A clock that advances only by sleeping or explicitly."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept = 0.0
        self.before_call: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.seconds += seconds

    def forward(self, seconds: float) -> None:
        self.seconds += seconds

    def microseconds(self) -> int:
        """Return the same time for the store."""
        return int((EPOCH.timestamp() + self.seconds - 1000.0) * 1_000_000)

    def for_transport(self) -> float:
        """Return the time, as requested before each attempt."""
        self.before_call()
        return self.seconds


def check_counts(wire: Wire, airtable: FakeAirtable) -> None:
    """Compare our counts with those of the server."""
    server = airtable.counters
    assert wire.attempts == server.calls
    assert wire.throttled == server.throttled
    assert wire.bytes_sent == server.bytes_received
    assert wire.answers + wire.failed == wire.attempts
    assert wire.answers + wire.cut == sum(server.by_status.values())
    assert wire.failed - wire.cut == server.unanswered
    if wire.cut == 0:
        assert wire.bytes_received == server.bytes_sent
    else:
        assert wire.as_dict()["bytes_received"] is None


def _repeated(log: Sequence[Any]) -> int:
    """Return the number of requests that repeated the previous one after its failure."""
    found = attempts = 0
    for one, other in pairwise(log):
        attempts = attempts + 1 if _failed(one) and _same(one, other) and attempts < 5 else 0
        found += attempts > 0
    return found


def _failed(request: Any) -> bool:
    if request.fault == "quota":  # which it would not help to try again
        return False
    return request.status in TRANSIENT or request.status is None or request.fault == "cut"


def _same(one: Any, other: Any) -> bool:
    return (one.method, one.path, one.query, one.body) == (
        other.method,
        other.path,
        other.query,
        other.body,
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def serve(clock: Clock) -> Iterator[Callable[..., FakeAirtable]]:
    """Start a table with the fields of a lead; at the end both sides must have equal counts."""
    with ExitStack() as stack:

        def start(**options: Any) -> FakeAirtable:
            server = FakeAirtable(**{"clock": clock, "epoch": EPOCH, **options})
            stack.callback(_check, server)
            return stack.enter_context(server)

        yield start


def _check(server: FakeAirtable) -> None:
    managers = [one for one in _managers if one.endpoint_url == server.endpoint_url]
    wire = Wire()
    for manager in managers:
        wire.add(**{name: getattr(manager.wire, name) for name in Wire.__dataclass_fields__})
        _managers.remove(manager)
    check_counts(wire, server)
    assert wire.retries == _repeated(server.requests)
    assert server.counters.max_per_second <= 5
    assert server.counters.penalty_violations == 0


@pytest.fixture
def airtable(serve: Callable[..., FakeAirtable], clock: Clock) -> Iterator[FakeAirtable]:
    """A table with the fields of a lead, which also checks that every wait was counted."""
    before = process_wire().copy()
    yield serve()
    after = process_wire()
    waited = sum(
        getattr(after, name) - getattr(before, name)
        for name in ("throttle_wait_seconds", "backoff_wait_seconds")
    )
    assert waited == pytest.approx(clock.slept)


@pytest.fixture
def db(tmp_path: Path, clock: Clock) -> Iterator[LeadDatabase]:
    """An empty store in a file, with capture."""
    with LeadDatabase(tmp_path / "leads.db", clock=clock.microseconds) as store:
        yield store


_managers: list[AirtableSyncManager] = []

Connect = Callable[..., AirtableSyncManager]


@pytest.fixture
def connect(airtable: FakeAirtable, db: LeadDatabase, clock: Clock) -> Connect:
    """Create a sync between the store and the table: `connect(conflict="local")`."""
    paces = Paces(clock.for_transport, clock.sleep)

    def make(
        server: FakeAirtable = airtable, database: LeadDatabase = db, **options: Any
    ) -> AirtableSyncManager:
        manager = AirtableSyncManager(
            database,
            **{
                "api_key": server.api_key,
                "base_id": server.base_id,
                "table": server.table_name,
                "endpoint_url": server.endpoint_url,
                "paces": paces,
                **options,
            },
        )
        _managers.append(manager)
        return manager

    return make


@pytest.fixture
def sync(connect: Connect) -> AirtableSyncManager:
    """A sync with default settings, except that any number of deletes is allowed."""
    return connect(max_delete_share=1.0)


Cells = Callable[[str], dict[str, Any]]


@pytest.fixture
def row_of(airtable: FakeAirtable) -> Cells:
    """Return the only row with the id of a lead: `row_of(lead_id)["Company"]`."""

    def find(lead_id: str) -> dict[str, Any]:
        (found,) = (
            record for record in airtable.records() if record["fields"].get("Lead ID") == lead_id
        )
        return {"record_id": found["id"], **found["fields"]}

    return find
