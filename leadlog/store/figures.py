"""What the log tells of the store beside each measurement: its size, its leads, its connections."""

import time
from contextlib import closing
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.pool import NullPool, QueuePool

from leadlog.resources import StoreSample
from leadlog.store.engine import Connections, Ways
from leadlog.store.location import in_memory
from leadlog.store.models import Lead
from leadlog.store.reports import size_bytes

__all__ = ["Figures"]


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
            closing(Connections(url, Ways(pool=NullPool))) as own,
            own.read() as connection,
        ):
            leads, pending = connection.execute(
                select(
                    func.count(),
                    select(func.count()).where(Lead.sync_pending).scalar_subquery(),
                ).select_from(Lead)
            ).one()
            size = size_bytes(connection)
        pool = self._connections.engine.pool
        held = pool.checkedin() + pool.checkedout() if isinstance(pool, QueuePool) else None
        return StoreSample(size / 1e6, leads, pending, held, time.monotonic_ns())
