"""What the sync knows is carried over when a backup takes the store's place.

A rollback or a restore brings leads back, and not rows of the table. So which row each lead is, and
what both last agreed on, is taken from the store as it was just before: leads that are gone leave a
tombstone, so that the next sync deletes their rows and does not take them for new leads; leads that
are back have something to send, or get a new row.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select

from leadlog.core.clock import now_us
from leadlog.leads.store.keys import chunks
from leadlog.leads.store.models import Lead, SyncLink, SyncRun, Tombstone

__all__ = ["Synced", "carry_over", "synced"]

Rows = list[dict[str, Any]]
Synced = tuple[Rows, Rows, Rows, datetime]
"""Links, tombstones and runs, and when they were read."""

_LINKS: Table = SyncLink.__table__  # type: ignore[assignment]  # declarative types it FromClause
_TOMBSTONES: Table = Tombstone.__table__  # type: ignore[assignment]  # as above
_RUNS: Table = SyncRun.__table__  # type: ignore[assignment]  # as above


def synced(connection: Connection) -> Synced | None:
    """Return what a store knows of its sync; None where it never had one."""
    if not connection.execute(select(func.count()).select_from(_RUNS)).scalar_one():
        return None
    links, tombstones, runs = (
        [dict(row) for row in connection.execute(select(*table.c)).mappings()]
        for table in (_LINKS, _TOMBSTONES, _RUNS)
    )
    return links, tombstones, runs, datetime.fromtimestamp(now_us() / 1e6, UTC)


def carry_over(
    connection: Connection, links: Rows, tombstones: Rows, runs: Rows, now: datetime
) -> None:
    """Put what a store knew of its sync into the backup that has taken its place.

    Args:
        connection: In a write transaction.
        links: The links before.
        tombstones: The tombstones before.
        runs: The runs before.
        now: When that was.
    """
    there = set[str]()
    for ids in chunks([row["lead_id"] for row in links]):
        there.update(connection.scalars(select(Lead.id).where(Lead.id.in_(ids))))
    gone = [
        {
            "lead_id": row["lead_id"],
            "record_id": row["record_id"],
            "base_remote": row["base_remote"],
            "deleted_at": now,
        }
        for row in links
        if row["lead_id"] not in there
    ]
    for table, rows in (
        (_LINKS, [row for row in links if row["lead_id"] in there]),
        (_TOMBSTONES, [*tombstones, *gone]),
        (_RUNS, runs),
    ):
        connection.execute(delete(table))
        for some in chunks(rows):
            connection.execute(insert(table), some)
