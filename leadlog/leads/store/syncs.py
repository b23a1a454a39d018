"""What the store remembers of its syncs: the runs, and what they set aside.

Statements on a connection; the caller commits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from leadlog.leads.store.keys import chunks
from leadlog.leads.store.models import SyncItem, SyncRun

__all__ = [
    "Parked",
    "begin_run",
    "end_run",
    "last_fields",
    "last_runs",
    "park",
    "parked",
    "release",
    "run_numbers",
]

_RUNS: Table = SyncRun.__table__  # type: ignore[assignment]  # declarative types it FromClause
_ITEMS: Table = SyncItem.__table__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Parked:
    """Something that is set aside until it changes or is tried again.

    Attributes:
        subject: `push:` and the id of a lead, or `pull:` and the id of a row.
        lead_id: The lead; None for a row that is none.
        record_id: The row; None for a lead without one.
        reason: Why.
        error_code: Airtable's name of the error, if it was one of Airtable's.
        fingerprint: Digest of the values that were refused.
        failures: How often they were.
        failed_at: When last.
    """

    subject: str
    lead_id: str | None
    record_id: str | None
    reason: str
    error_code: str | None
    fingerprint: str
    failures: int
    failed_at: datetime


_PARKED = tuple(_ITEMS.c[name] for name in Parked.__dataclass_fields__)


def begin_run(connection: Connection, run: Mapping[str, Any]) -> None:
    """Note that a run began; one that never ended is known by its missing end."""
    connection.execute(insert(_RUNS), {**run, "counts": {}})


def end_run(
    connection: Connection,
    sync_id: str,
    ended_at: datetime,
    *,
    error: str | None,
    counts: Mapping[str, Any],
) -> None:
    """Note how a run ended."""
    connection.execute(
        update(_RUNS)
        .where(_RUNS.c.sync_id == sync_id)
        .values(ended_at=ended_at, success=error is None, error=error, counts=dict(counts))
    )


def last_runs(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """Return the last runs, newest first."""
    statement = select(*_RUNS.c).order_by(_RUNS.c.started_at.desc()).limit(limit)
    return [dict(row._mapping) for row in connection.execute(statement)]


def last_fields(connection: Connection) -> dict[str, Any] | None:
    """Return base, table and fields of the last run; None before the first."""
    runs = last_runs(connection, 1)
    return {key: runs[0][key] for key in ("base_id", "table_id", "fields")} if runs else None


def run_numbers(connection: Connection) -> dict[str, int]:
    """Return how many runs there were, by outcome."""
    statement = select(
        func.count(),
        func.count().filter(_RUNS.c.success.is_(True)),
        func.count().filter(_RUNS.c.success.is_(False)),
    )
    runs, succeeded, failed = connection.execute(statement).one()
    return {
        "runs": runs,
        "succeeded": succeeded,
        "failed": failed,
        "interrupted": runs - succeeded - failed,
    }


def parked(connection: Connection) -> dict[str, Parked]:
    """Return what is set aside, by subject."""
    return {row.subject: Parked(*row) for row in connection.execute(select(*_PARKED))}


def park(connection: Connection, item: Parked) -> None:
    """Set something aside, in place of what was set aside of it before."""
    release(connection, [item.subject])
    connection.execute(
        insert(_ITEMS), {name: getattr(item, name) for name in Parked.__dataclass_fields__}
    )


def release(connection: Connection, subjects: Iterable[str]) -> None:
    """Forget what was set aside."""
    for some in chunks(subjects):
        connection.execute(delete(_ITEMS).where(_ITEMS.c.subject.in_(some)))
