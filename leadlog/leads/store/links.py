"""Links between leads and rows of the Airtable table, and tombstones of deleted leads.

The functions execute statements on a connection; the caller commits.
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
    """A lead, its row, and the values of both when they last agreed.

    Attributes:
        lead_id: Id of the lead.
        record_id: Id of the row.
        base_local: Values of the lead by field.
        base_remote: Values of the row by the lead's field, converted to the lead's types; under
            `id` the Lead ID that was written into the row.
        local_times: Time of the last change by field, in the database's format; only for fields
            changed since the lead was linked.
    """

    lead_id: str
    record_id: str
    base_local: Mapping[str, Any]
    base_remote: Mapping[str, Any]
    local_times: Mapping[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> dict[str, datetime]:
        """Time of the last change by field, for the fields of which it is known."""
        found = {name: datetime.fromisoformat(time) for name, time in self.local_times.items()}
        return {
            name: time.replace(tzinfo=UTC) if time.tzinfo is None else time
            for name, time in found.items()
        }


@dataclass(frozen=True, slots=True)
class DeletedLead:
    """A deleted lead whose row still exists.

    Attributes:
        lead_id: Id of the deleted lead.
        record_id: Id of its row.
        base_remote: Values of the row when both last agreed.
        deleted_at: Time of the deletion.
    """

    lead_id: str
    record_id: str
    base_remote: Mapping[str, Any]
    deleted_at: datetime


def links_of(connection: Connection, record_ids: Sequence[str]) -> dict[str, Link]:
    """Return the links of some rows, by the id of the row."""
    found: dict[str, Link] = {}
    for some in chunks(record_ids):
        rows = connection.execute(select(*_LINK).where(_LINKS.c.record_id.in_(some)))
        found.update((row.record_id, Link(*row)) for row in rows)
    return found


def linked_count(connection: Connection) -> int:
    """Return the number of linked leads."""
    return connection.execute(select(func.count()).select_from(_LINKS)).scalar_one()


def last_synced(connection: Connection) -> datetime | None:
    """Return the latest time at which a lead and its row agreed; None before the first."""
    found: datetime | None = connection.execute(select(func.max(_LINKS.c.synced_at))).scalar_one()
    return found


def link(connection: Connection, links: Iterable[Link], now: datetime) -> list[str]:
    """Link leads with rows; write a tombstone for each lead deleted in between.

    Returns:
        The ids of the deleted leads.
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
    """Store the values that both sides now agree on for some fields of leads.

    Args:
        connection: The connection to execute on.
        agreed: Values of the lead and of its row, each by field, by the id of the lead. Fields
            that are missing keep their agreed values.
        now: The current time.
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
    """Discard the agreed values of some fields for all leads.

    Args:
        connection: The connection to execute on.
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
    """Move the link of a lead to another row.

    Args:
        connection: The connection to execute on.
        lead_id: Id of the lead.
        record_id: Id of its new row.
        afresh: Whether to discard all agreed values.
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
    """Turn the links of leads that no longer exist into tombstones; return their number."""
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
    """Link a lead that exists again to its former row, without agreed values."""
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
    """Remove the tombstones of some leads."""
    for ids in chunks(lead_ids):
        connection.execute(delete(_TOMBSTONES).where(_TOMBSTONES.c.lead_id.in_(ids)))
