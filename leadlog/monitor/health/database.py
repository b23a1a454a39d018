"""Checks of the lead store: whether it answers, accepts writes, its size, and free space."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from leadlog.core.errors import StoreError
from leadlog.leads.store.engine import Connections, EngineStrategy
from leadlog.leads.store.location import in_memory, location
from leadlog.leads.store.maintenance import findings
from leadlog.leads.store.reports import size_bytes
from leadlog.monitor.health.checks import Check, judge
from leadlog.monitor.health.probes import ProbeContext, disk_check

__all__ = ["database_missing", "opened", "probe"]

_BUSY_MS = 1000  # to wait for another writer; a longer wait would only delay the finding


def probe(context: ProbeContext) -> Iterator[Check]:
    """Check `database` and, if it answers, the others whose names begin with `database_`."""
    missing = database_missing(context)
    if missing is not None:
        yield missing
        return
    settings = context.settings
    began = time.perf_counter()
    try:
        with opened(context.database) as connection:
            connection.exec_driver_sql("SELECT 1").scalar_one()
            took = (time.perf_counter() - began) * 1000
            yield judge(
                "database",
                round(took, 3),
                warning=settings.health_database_ms,
                critical=settings.health_database_ms * 10,
                unit="ms",
                message=f"answered in {took:.1f} ms",
                remedy="look for locks, a full connection pool, or a slow disk or network",
                latency_ms=round(took, 3),
            )
            yield _writable(connection)
            size = size_bytes(connection)
            yield judge(
                "database_size",
                round(size / 1e6, 3),
                warning=settings.health_database_size_mb or None,
                unit="MB",
                message=f"{size / 1e6:.1f} MB",
                remedy="delete leads, or raise health_database_size_mb; `leadlog db vacuum` gives "
                "unused space back",
            )
            if connection.dialect.name == "postgresql":
                yield _clock(context, connection)
            else:
                yield from _disk(context, connection)
            if context.deep:
                yield _integrity(connection)
    except (DBAPIError, StoreError) as error:
        yield Check(
            "database",
            "critical",
            message=f"cannot be used: {_said(error)}",
            remedy="see that the server runs and may be reached, or that the file may be read; "
            "the setting is `database`",
        )


def database_missing(context: ProbeContext) -> Check | None:
    """Return a check that reports a missing lead store, or None if it exists."""
    if context.database is None:
        return Check("database", message="there is no lead store", state="unknown")
    if hasattr(context.database, "session"):
        return None
    try:
        url = location(context.database)
    except StoreError as error:
        return Check(
            "database", "critical", message=str(error), remedy="correct the setting `database`"
        )
    if url.get_backend_name() != "sqlite" or in_memory(url) or "uri" in url.query:
        return None
    if Path(str(url.database)).exists():
        return None
    return Check(
        "database",
        "critical" if context.database_required else "unknown",
        message=f"there is no lead store {url.render_as_string()}",
        remedy="create it: leadlog db init" if context.database_required else None,
    )


def opened(database: Any) -> AbstractContextManager[Connection]:
    """Return a connection: a new one for a path or URL, a pooled one of an open store."""
    return _of_store(database) if hasattr(database, "session") else _of_url(database)


@contextmanager
def _of_store(database: Any) -> Iterator[Connection]:
    with database.session(read_only=True) as session:
        yield session.connection()


@contextmanager
def _of_url(database: Any) -> Iterator[Connection]:
    connections = Connections(location(database), EngineStrategy(pool=NullPool))
    with closing(connections), connections.read() as connection:
        yield connection


def _writable(connection: Connection) -> Check:
    name = "database_writable"
    if connection.dialect.name == "postgresql":
        read_only = connection.exec_driver_sql(
            "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool"
        ).scalar_one()
        if read_only:
            return Check(
                name,
                "critical",
                message="the server takes no writes: a standby, or read-only by its settings",
                remedy="name the primary server in the setting `database`",
            )
        return Check(name, "ok", message="takes writes")
    # Takes the lock that writers take, and releases it; nothing is written.
    connection.exec_driver_sql("COMMIT")
    before = {
        pragma: connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one()
        for pragma in ("query_only", "busy_timeout")
    }
    began = time.perf_counter()
    try:
        connection.exec_driver_sql("PRAGMA query_only=OFF")
        connection.exec_driver_sql(f"PRAGMA busy_timeout={_BUSY_MS}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.exec_driver_sql("ROLLBACK")
    except OperationalError as error:
        locked = "locked" in str(error.orig)
        return Check(
            name,
            "warning" if locked else "critical",
            message=_said(error),
            remedy="end the long write transaction that another process has open"
            if locked
            else "give this user write permission to the file and its folder",
        )
    finally:
        for pragma, value in before.items():
            connection.exec_driver_sql(f"PRAGMA {pragma}={value}")
        connection.exec_driver_sql("BEGIN")
    took = (time.perf_counter() - began) * 1000
    return Check(name, "ok", message="takes writes", latency_ms=round(took, 3))


def _disk(context: ProbeContext, connection: Connection) -> Iterator[Check]:
    file = connection.exec_driver_sql("PRAGMA database_list").all()[0][2]
    if file:
        yield disk_check(
            "database_disk", Path(file), context.settings.health_disk_mb, f"where {file} lies"
        )


def _integrity(connection: Connection) -> Check:
    found = list(findings(connection))
    if not found:
        return Check("database_integrity", "ok", 0.0, "findings", 1.0, "nothing is wrong")
    return Check(
        "database_integrity",
        "critical" if any(one.code in _DAMAGE for one in found) else "warning",
        float(len(found)),
        "findings",
        1.0,
        found[0].message,
        found[0].remedy,
    )


_DAMAGE = frozenset(("integrity", "foreign_keys", "invalid_indexes"))


def _clock(context: ProbeContext, connection: Connection) -> Check:
    theirs = connection.exec_driver_sql(
        "SELECT extract(epoch FROM clock_timestamp())::float8"
    ).scalar_one()
    apart = abs(theirs - context.now_us() / 1e6)
    return judge(
        "database_clock",
        round(apart, 3),
        warning=context.settings.health_clock_seconds,
        unit="s",
        message=f"the server's clock and this one are {apart:.2f} s apart",
        remedy="let both follow the same time servers (chrony, systemd-timesyncd)",
    )


def _said(error: Exception) -> str:
    return str(error.orig if isinstance(error, DBAPIError) else error).strip()
