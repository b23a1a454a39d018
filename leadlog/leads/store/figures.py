"""Figures of a store for measurements and health checks: size, leads, those that wait."""

import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import cast

from sqlalchemy import Connection, exists, func, or_, select
from sqlalchemy.pool import NullPool, QueuePool

from leadlog.leads.store.engine import Connections
from leadlog.leads.store.engine_strategy import EngineStrategy
from leadlog.leads.store.location import in_memory
from leadlog.leads.store.models import Lead, SyncItem, SyncLink
from leadlog.leads.store.reports import size_bytes
from leadlog.recording.resources import StoreSample

__all__ = ["Figures", "waiting"]


def waiting(connection: Connection) -> tuple[int, datetime | None]:
    """How many leads wait for a sync, and when the one that waits longest was last changed.

    Those that were marked; and where the store was ever synchronised, those without a row and
    those that were changed since. What the sync set aside is not waiting, it was refused.
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


class Figures:
    """Looks at a store through a connection of its own.

    So neither the pool nor a lock of the application is touched, and nothing of it is recorded.
    A database in memory, which is one connection, is left alone.

    Args:
        connections: those of the store.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @property
    def closed(self) -> bool:
        """Whether the store was closed."""
        return self._connections.closed

    def sample(self) -> StoreSample | None:
        """Looks at the store now; counts its leads."""
        url = self._connections.url
        if url.get_backend_name() == "sqlite":
            if in_memory(url):
                return None
            if "uri" not in url.query and not Path(str(url.database)).exists():
                return None  # opening it would make a new file
            url = url.set(drivername="sqlite")  # also where the store is one for asyncio
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
