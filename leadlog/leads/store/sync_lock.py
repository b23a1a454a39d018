"""A lock that allows one sync of a store at a time, across processes; a crash releases it.

For SQLite it is a lock on a file next to the database, which the operating system releases when the
process dies; for PostgreSQL an advisory lock on a separate connection.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from leadlog.core.errors import SyncBusyError
from leadlog.core.locks import try_lock
from leadlog.leads.store.engine import Connections

__all__ = ["sync_lock"]

# Id of the advisory lock; arbitrary but unique.
_ADVISORY = 0x6C6C73796E63
_FILE = "SELECT file FROM pragma_database_list WHERE name = 'main'"

_memory: WeakKeyDictionary[Connections, threading.Lock] = WeakKeyDictionary()


@contextmanager
def sync_lock(connections: Connections) -> Iterator[None]:
    """Hold the exclusive right to synchronise a store.

    Raises:
        SyncBusyError: Another sync of the store is running.
    """
    if not connections.sqlite:
        taken = _postgresql(connections)
    else:
        path = connections.reading(lambda c: c.exec_driver_sql(_FILE).scalar_one())
        taken = _file(f"{path}.sync.lock") if path else _process(connections)
    with taken as done:
        if not done:
            raise SyncBusyError(
                f"another sync of {connections.url} is under way; wait for its end, or end it"
            )
        yield


@contextmanager
def _file(path: str) -> Iterator[bool]:
    # The file stays: removing it could remove a file that another process has just locked.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield try_lock(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _process(connections: Connections) -> Iterator[bool]:
    lock = _memory.setdefault(connections, threading.Lock())
    taken = lock.acquire(blocking=False)
    try:
        yield taken
    finally:
        if taken:
            lock.release()


@contextmanager
def _postgresql(connections: Connections) -> Iterator[bool]:
    # Without a transaction, which would block the server's vacuum for the whole sync.
    with connections.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        taken = connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_ADVISORY})")
        done = bool(taken.scalar_one())
        try:
            yield done
        finally:
            if done:
                connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_ADVISORY})")
