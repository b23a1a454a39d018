"""Queries over the whole store: its counts, its sync backlog, and possible duplicates."""

import time
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, exists, func, or_, select
from sqlalchemy.pool import NullPool, QueuePool

from leadlog.leads.store.changing import match_of
from leadlog.leads.store.duplicates import KINDS, WITHOUT_NAME, contradiction, keys_of
from leadlog.leads.store.engine import Connections, EngineStrategy
from leadlog.leads.store.keys import owners_of
from leadlog.leads.store.location import in_memory
from leadlog.leads.store.models import COLUMNS, Lead, LeadKey, SyncItem, SyncLink, from_row
from leadlog.leads.store.normalise import to_fields
from leadlog.leads.store.similarity import person, similarity, suggestions
from leadlog.recording.resources import StoreSample

__all__ = ["StoreFigures", "duplicates_of", "numbers", "size_bytes", "waiting"]

_SHARED = {"linkedin_url": "LinkedIn profile", "email": "e-mail address"}


def duplicates_of(
    connection: Connection, lead: Mapping[Any, Any], least: float | None, limit: int
) -> list[dict[str, Any]]:
    """Return the leads that may be the same person; see `LeadDatabase.find_duplicates`."""
    fields = to_fields(lead).fields
    found = _sharing_a_key(connection, fields)
    if least is not None and len(found) < limit:
        known = {other["id"] for other in found} | {fields.get("id") or ""}
        alike = suggestions(connection, fields, known, least, limit - len(found))
        found += [{**other, "matched_on": None, "would_merge": False} for other in alike]
    return found[:limit]


def _sharing_a_key(connection: Connection, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    keys = keys_of(fields)
    kinds: dict[str, list[str]] = {}
    owners = owners_of(connection, [keys])
    for kind in KINDS:
        holder = owners.get((kind, keys.get(kind, "")))
        if holder is not None:
            kinds.setdefault(holder, []).append(kind)
    for named, alone in WITHOUT_NAME.items():
        if alone in keys:
            for holder in _others_with(connection, named, keys[alone]):
                kinds.setdefault(holder, [alone])
    kinds.pop(fields.get("id") or "", None)
    if not kinds:
        return []
    rows = connection.execute(select(*COLUMNS).where(COLUMNS[0].in_(list(kinds))))
    found = [from_row(row) for row in rows]
    found.sort(key=lambda other: (KINDS.index(kinds[other["id"]][0]), other["id"]))
    merged, me = False, person(fields)
    for other in found:
        shared_kinds = kinds[other["id"]]
        kind = shared_kinds[0]
        veto = contradiction(other, fields, shared_kinds)
        merges = not merged and veto is None
        merged = merged or merges
        other["matched_on"] = match_of(kind)
        other["would_merge"] = merges
        shared = f"same {_SHARED.get(match_of(kind), 'name and company')}"
        alike = similarity(me, person(other))
        other["score"] = 1.0 if merges else 0.0 if alike is None else alike.score
        but = "" if veto is None else f", but {veto}"
        other["reason"] = shared if merges or alike is None else f"{shared}{but} ({alike.reason})"
    return found


def _others_with(connection: Connection, named: str, value: str) -> list[str]:
    """Return the ids of leads that share a value with an earlier lead of another name.

    Args:
        connection: The connection to query.
        named: The kind of key that consists of value and name.
        value: The value.
    """
    # "|" ends the value in such a key, and "}" is the character after it.
    statement = select(LeadKey.lead_id).where(
        LeadKey.kind == named, LeadKey.value >= f"{value}|", LeadKey.value < f"{value}}}"
    )
    return list(connection.scalars(statement))


def numbers(connection: Connection, today: datetime) -> dict[str, Any]:
    """Return the counts and the size for `LeadDatabase.stats`.

    Args:
        connection: The connection to query.
        today: Start of the current day.
    """
    row = connection.execute(
        select(
            func.count(),
            func.count().filter(Lead.sync_pending),
            func.count().filter(Lead.enriched),
            func.count().filter(Lead.verified),
            func.count().filter(Lead.created_at >= today),
            func.max(Lead.updated_at),
        )
    ).one()
    names = (
        "total_leads",
        "pending_syncs",
        "enriched_leads",
        "verified_leads",
        "leads_added_today",
        "last_updated_at",
    )
    found: dict[str, Any] = dict(zip(names, row, strict=True))
    found["database_size_mb"] = size_bytes(connection) / 1e6
    return found


def size_bytes(connection: Connection) -> int:
    """Return the size of the whole database in bytes."""
    if connection.dialect.name == "postgresql":
        size = "SELECT pg_database_size(current_database())"
        return int(connection.exec_driver_sql(size).scalar_one())
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())


def waiting(connection: Connection) -> tuple[int, datetime | None]:
    """Return the number of leads that wait for a sync, and the oldest `updated_at` of them.

    Counts leads that were marked and, if the store was ever synchronised, leads without a row and
    leads changed since their last sync. Leads that the sync refused and set aside do not count.
    """
    condition = or_(
        Lead.sync_pending,
        select(exists(select(SyncLink.lead_id))).scalar_subquery()
        & or_(SyncLink.lead_id.is_(None), Lead.updated_at > SyncLink.synced_at),
    )
    refused = exists().where(SyncItem.lead_id == Lead.id)
    found = connection.execute(
        select(func.count(), func.min(Lead.updated_at))
        .select_from(Lead)
        .join(SyncLink, SyncLink.lead_id == Lead.id, isouter=True)
        .where(condition, ~refused)
    ).one()
    return cast("tuple[int, datetime | None]", tuple(found))


class StoreFigures:
    """Samples a store through a separate connection.

    Sampling therefore uses neither the pool nor a lock of the application, and is not recorded.
    An in-memory database, which has only one connection, is not sampled.

    Args:
        connections: The connections of the store.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @property
    def closed(self) -> bool:
        """Whether the store was closed."""
        return self._connections.closed

    def sample(self) -> StoreSample | None:
        """Return a sample of the store's size, leads and backlog; None if it cannot be sampled."""
        url = self._connections.url
        if url.get_backend_name() == "sqlite":
            if in_memory(url):
                return None
            if "uri" not in url.query and not Path(str(url.database)).exists():
                return None  # opening it would create a new file
            url = url.set(drivername="sqlite")  # an asyncio store has another driver
        with (
            closing(Connections(url, EngineStrategy(pool=NullPool))) as own,
            own.read() as connection,
        ):
            leads = connection.execute(select(func.count()).select_from(Lead)).scalar_one()
            pending, _ = waiting(connection)
            size = size_bytes(connection)
        pool = self._connections.engine.pool
        held = pool.checkedin() + pool.checkedout() if isinstance(pool, QueuePool) else None
        return StoreSample(size / 1e6, leads, pending, held, time.monotonic_ns())
