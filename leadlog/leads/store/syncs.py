"""The sync history of a store: its runs, and the items that they set aside.

The functions execute statements on a connection; the caller commits.
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
    """A lead or row that is set aside until it changes or is retried.

    Attributes:
        subject: `push:` and the id of a lead, or `pull:` and the id of a row.
        lead_id: Id of the lead; None for a row without one.
        record_id: Id of the row; None for a lead without one.
        reason: The reason of the refusal.
        error_code: Airtable's error code, if Airtable refused it.
        fingerprint: Digest of the refused values.
        failures: Number of refusals.
        failed_at: Time of the last refusal.
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
    """Store the start of a run; a run that crashed is recognised by its missing end."""
    connection.execute(insert(_RUNS), {**run, "counts": {}})


def end_run(
    connection: Connection,
    sync_id: str,
    ended_at: datetime,
    *,
    error: str | None,
    counts: Mapping[str, Any],
) -> None:
    """Store the end of a run with its outcome."""
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
    """Return the base, the table and the fields of the last run; None before the first."""
    runs = last_runs(connection, 1)
    return {key: runs[0][key] for key in ("base_id", "table_id", "fields")} if runs else None


def run_numbers(connection: Connection) -> dict[str, int]:
    """Return the number of runs, in total and by outcome."""
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
    """Return the items that are set aside, by subject."""
    return {row.subject: Parked(*row) for row in connection.execute(select(*_PARKED))}


def park(connection: Connection, item: Parked) -> None:
    """Set an item aside; replaces an earlier entry of the same subject."""
    release(connection, [item.subject])
    connection.execute(
        insert(_ITEMS), {name: getattr(item, name) for name in Parked.__dataclass_fields__}
    )


def release(connection: Connection, subjects: Iterable[str]) -> None:
    """Remove items from those set aside."""
    for some in chunks(subjects):
        connection.execute(delete(_ITEMS).where(_ITEMS.c.subject.in_(some)))
