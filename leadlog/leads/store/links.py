"""Which row of the Airtable table a lead is: links, and tombstones of those that are deleted.

Statements on a connection; the caller commits.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, exists, func, insert, select, update

from leadlog.leads.store.keys import chunks
from leadlog.leads.store.models import Lead, SyncLink, Tombstone

__all__ = [
    "DeletedLead",
    "Link",
    "add_orphan_tombstones",
    "add_tombstone",
    "agree",
    "forget",
    "forget_fields",
    "last_synced",
    "link",
    "linked_count",
    "links_of",
    "relink",
    "remove_tombstones",
    "revive",
    "tombstones_of",
]

_LINKS: Table = SyncLink.__table__  # type: ignore[assignment]  # declarative types it FromClause
_TOMBSTONES: Table = Tombstone.__table__  # type: ignore[assignment]
_LINK = (
    _LINKS.c.lead_id,
    _LINKS.c.record_id,
    _LINKS.c.base_local,
    _LINKS.c.base_remote,
    _LINKS.c.local_times,
)
_ORPHANS = ~exists().where(Lead.id == _LINKS.c.lead_id)


@dataclass(frozen=True, slots=True)
class Link:
    """A lead, its row, and what both had when they last agreed.

    Attributes:
        lead_id: The lead.
        record_id: The row.
        base_local: Values of the lead by field.
        base_remote: Values of the row by the field of the lead, as the lead would have them; under
            `id` the Lead ID that was written into it.
        local_times: When fields of the lead were last changed, as the database writes times; none
            for fields that were not changed since they are linked.
    """

    lead_id: str
    record_id: str
    base_local: Mapping[str, Any]
    base_remote: Mapping[str, Any]
    local_times: Mapping[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> dict[str, datetime]:
        """When fields of the lead were last changed, by field, as far as that is known."""
        found = {name: datetime.fromisoformat(time) for name, time in self.local_times.items()}
        return {
            name: time.replace(tzinfo=UTC) if time.tzinfo is None else time
            for name, time in found.items()
        }


@dataclass(frozen=True, slots=True)
class DeletedLead:
    """A deleted lead whose row is still there.

    Attributes:
        lead_id: The lead that was deleted.
        record_id: Its row.
        base_remote: What the row had.
        deleted_at: When.
    """

    lead_id: str
    record_id: str
    base_remote: Mapping[str, Any]
    deleted_at: datetime


def links_of(connection: Connection, record_ids: Sequence[str]) -> dict[str, Link]:
    """Return the links of rows, by the id of the row."""
    found: dict[str, Link] = {}
    for some in chunks(record_ids):
        rows = connection.execute(select(*_LINK).where(_LINKS.c.record_id.in_(some)))
        found.update((row.record_id, Link(*row)) for row in rows)
    return found


def linked_count(connection: Connection) -> int:
    """Return how many leads are linked."""
    return connection.execute(select(func.count()).select_from(_LINKS)).scalar_one()


def last_synced(connection: Connection) -> datetime | None:
    """Return when a lead and its row last came to agree; None before the first time."""
    found: datetime | None = connection.execute(select(func.max(_LINKS.c.synced_at))).scalar_one()
    return found


def link(connection: Connection, links: Iterable[Link], now: datetime) -> list[str]:
    """Link leads with rows; one that was deleted meanwhile gets a tombstone.

    Returns:
        The ids of those that were deleted.
    """
    wanted = {one.lead_id: one for one in links}
    there = set[str]()
    for ids in chunks(wanted):
        statement = select(Lead.id).where(Lead.id.in_(ids)).with_for_update(key_share=True)
        there.update(connection.scalars(statement))
    rows = [_row(one, synced_at=now) for one in wanted.values() if one.lead_id in there]
    gone = [one for one in wanted.values() if one.lead_id not in there]
    if rows:
        connection.execute(insert(_LINKS), rows)
    if gone:
        connection.execute(insert(_TOMBSTONES), [_tombstone_row(one, now) for one in gone])
    return [one.lead_id for one in gone]


def _row(one: Link, **more: Any) -> dict[str, Any]:
    return {
        "lead_id": one.lead_id,
        "record_id": one.record_id,
        "base_local": dict(one.base_local),
        "base_remote": dict(one.base_remote),
        **more,
    }


def _tombstone_row(one: Link, now: datetime) -> dict[str, Any]:
    return {
        "lead_id": one.lead_id,
        "record_id": one.record_id,
        "base_remote": dict(one.base_remote),
        "deleted_at": now,
    }


def agree(
    connection: Connection,
    agreed: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]],
    now: datetime,
) -> None:
    """Note for some fields of leads what both sides have now; the other fields keep theirs.

    Args:
        connection: Where.
        agreed: Values of the lead and of its row by field, by the id of the lead.
        now: The present time.
    """
    rows = []
    for ids in chunks(agreed):
        for row in connection.execute(select(*_LINK).where(_LINKS.c.lead_id.in_(ids))):
            local, remote = agreed[row.lead_id]
            rows.append(
                {
                    "the_lead": row.lead_id,
                    "base_local": {**row.base_local, **local},
                    "base_remote": {**row.base_remote, **remote},
                    "synced_at": now,
                }
            )
    if rows:
        connection.execute(update(_LINKS).where(_LINKS.c.lead_id == bindparam("the_lead")), rows)


def forget_fields(connection: Connection, names: Collection[str]) -> None:
    """Forget for all leads what both sides agreed on in some fields.

    Args:
        connection: Where.
        names: The fields.
    """
    for some in chunks(connection.execute(select(*_LINK)).all()):
        rows = [
            {
                "the_lead": row.lead_id,
                "base_local": {k: v for k, v in row.base_local.items() if k not in names},
                "base_remote": {k: v for k, v in row.base_remote.items() if k not in names},
            }
            for row in some
        ]
        connection.execute(update(_LINKS).where(_LINKS.c.lead_id == bindparam("the_lead")), rows)


def relink(connection: Connection, lead_id: str, record_id: str, *, afresh: bool) -> None:
    """Link a lead with another row.

    Args:
        connection: Where.
        lead_id: The lead.
        record_id: Its row from now on.
        afresh: Whether all that was agreed on is forgotten.
    """
    new: dict[str, Any] = {"record_id": record_id}
    if afresh:
        new |= {"base_local": {}, "base_remote": {}}
    connection.execute(update(_LINKS).where(_LINKS.c.lead_id == lead_id).values(new))


def forget(connection: Connection, lead_id: str) -> None:
    """Remove the link of a lead, without a tombstone."""
    connection.execute(delete(_LINKS).where(_LINKS.c.lead_id == lead_id))


def add_tombstone(connection: Connection, lead_id: str, now: datetime) -> bool:
    """Turn the link of a deleted lead into a tombstone; return whether it had one."""
    removed = delete(_LINKS).where(_LINKS.c.lead_id == lead_id).returning(*_LINK)
    row = connection.execute(removed).one_or_none()
    if row is None:
        return False
    connection.execute(insert(_TOMBSTONES), _tombstone_row(Link(*row), now))
    return True


def add_orphan_tombstones(connection: Connection, now: datetime) -> int:
    """Turn the links of leads that went in other ways into tombstones; return how many."""
    rows = connection.execute(delete(_LINKS).where(_ORPHANS).returning(*_LINK)).all()
    if rows:
        connection.execute(insert(_TOMBSTONES), [_tombstone_row(Link(*row), now) for row in rows])
    return len(rows)


def tombstones_of(connection: Connection) -> list[DeletedLead]:
    """Return all tombstones."""
    columns = (
        _TOMBSTONES.c.lead_id,
        _TOMBSTONES.c.record_id,
        _TOMBSTONES.c.base_remote,
        _TOMBSTONES.c.deleted_at,
    )
    return [DeletedLead(*row) for row in connection.execute(select(*columns).order_by(columns[0]))]


def revive(connection: Connection, tombstone: DeletedLead, now: datetime) -> None:
    """Link a lead that is there again with the row that it had; nothing is agreed on."""
    remove_tombstones(connection, [tombstone.lead_id])
    there = connection.scalars(
        select(_LINKS.c.lead_id).where(_LINKS.c.lead_id == tombstone.lead_id)
    )
    if there.one_or_none() is None:
        link(
            connection,
            [Link(tombstone.lead_id, tombstone.record_id, {}, tombstone.base_remote)],
            now,
        )


def remove_tombstones(connection: Connection, lead_ids: Iterable[str]) -> None:
    """Remove tombstones."""
    for ids in chunks(lead_ids):
        connection.execute(delete(_TOMBSTONES).where(_TOMBSTONES.c.lead_id.in_(ids)))
