"""Backups of a lead store: taken while it is in use, verified by reading back, and rotated.

SQLite is copied by its online backup API, in one snapshot; SQLite checks the integrity of the copy,
and its rows are counted against the original before it gets its final name. PostgreSQL is dumped by
`pg_dump`, our tables only, and the dump is read from its first to its last byte. A backup that
could not be verified never replaces another one.

A rollback or a restore brings back leads, but not rows of the Airtable table. So the links between
leads and rows, and the values that both last agreed on, are carried over from the store as it was
just before. Leads that are gone leave a tombstone, so that the next sync deletes their rows instead
of importing them as new leads; leads that are back are sent to their row, or get a new one.
"""

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Table, delete, func, insert, select
from sqlalchemy.exc import DBAPIError

from leadlog.core.clock import now_us
from leadlog.core.doors import parameter
from leadlog.core.errors import StoreError
from leadlog.core.files import draft
from leadlog.leads.store.engine import Connections
from leadlog.leads.store.keys import chunks
from leadlog.leads.store.location import in_memory
from leadlog.leads.store.models import Base, Lead, SyncLink, SyncRun, Tombstone
from leadlog.leads.store.schema import REVISIONS, VERSION_TABLE, prepare
from leadlog.leads.store.triggers import FUNCTION

__all__ = ["Backup", "create", "restore"]

_Rows = list[dict[str, Any]]
_Synced = tuple[_Rows, _Rows, _Rows, datetime]
"""Links, tombstones, runs, and the time at which they were read."""

TABLES = (*(table.name for table in Base.metadata.sorted_tables), VERSION_TABLE)
DEBIAN = Path("/usr/lib/postgresql")
"""Directory where Debian installs PostgreSQL's programs, one subdirectory per version."""
_COUNTED = "SELECT count(*), coalesce(sum(row_version), 0) FROM leads"
_NAMED = re.compile(r"leads-\d{8}T\d{12}Z\.(?:db|dump)")


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made and verified.

    Attributes:
        path: Its file.
        size_bytes: Its size.
        leads: Number of leads in it.
        removed: Older backups that were removed once it was verified.
    """

    path: Path
    size_bytes: int
    leads: int
    removed: tuple[Path, ...] = ()


def create(connections: Connections, target: Path, keep: int | None, now: datetime) -> Backup:
    """Back up a store; see `LeadDatabase.backup`."""
    suffix = "db" if connections.sqlite else "dump"
    folder = target.parent if target.suffix else target
    if target == folder:
        target = folder / f"leads-{now.astimezone(UTC):%Y%m%dT%H%M%S%f}Z.{suffix}"
    if target.exists():
        raise StoreError(f"{target} exists; give another name, or a directory")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        copy = _copy_sqlite if connections.sqlite else _dump
        with draft(target) as partial:
            leads = copy(connections, Path(partial))
    except OSError as error:
        raise StoreError(
            f"the backup {target} cannot be written ({error.strerror}); give a directory with "
            "room that this user may write"
        ) from error
    removed = () if keep is None else tuple(_rotate(folder, keep, suffix))
    return Backup(target, target.stat().st_size, leads, removed)


def restore(connections: Connections, source: Path, *, replace: bool = False) -> int:
    """Replace the leads of a store with those of a backup.

    Args:
        connections: The store to fill; its tables need not exist.
        source: A backup.
        replace: Whether a store that already has leads may be overwritten.

    Returns:
        The number of leads in the store afterwards.

    Raises:
        StoreError: The backup cannot be read, is damaged or was made by a newer version, or the
            store has leads and `replace` is False. The store is left unchanged.
    """
    if not source.is_file():
        raise StoreError(f"there is no backup {source}; give a file that `leadlog db backup` made")
    if not replace and (there := _present(connections)):
        raise StoreError(
            f"the lead store {connections.url} has {there} leads, which the backup would replace; "
            f"back it up, then allow that with {parameter('replace=True', '--replace')}"
        )
    known = _synced(connections)
    if connections.sqlite:
        _restore_sqlite(connections, source)
    else:
        _restore_dump(connections, source)
    prepare(connections)
    if known is not None:
        links, tombstones, runs, now = known
        connections.in_transaction(
            lambda session: carry_over(session.connection(), links, tombstones, runs, now)
        )
    return _present(connections)


def _synced(connections: Connections) -> _Synced | None:
    """Return the sync state of the store before it is replaced; None if it never had one."""
    try:
        return connections.reading(synced)
    except DBAPIError:
        return None  # a new, old or damaged store has no sync state to keep


def _present(connections: Connections) -> int:
    from sqlalchemy import inspect

    with connections.read() as connection:
        if not inspect(connection).has_table("leads"):
            return 0
        return int(connection.exec_driver_sql("SELECT count(*) FROM leads").scalar_one())


def _rotate(folder: Path, keep: int, suffix: str) -> Iterator[Path]:
    """Remove all but the newest `keep` backups with a generated name; yield the removed paths."""
    ours = sorted(path for path in folder.glob(f"leads-*.{suffix}") if _NAMED.fullmatch(path.name))
    for path in ours[: max(0, len(ours) - keep)]:
        path.unlink()
        yield path


# ------------------------------------------------------------------------------------- SQLite


def _copy_sqlite(connections: Connections, target: Path) -> int:
    with connections.read() as connection:
        # In the transaction of `read`, so that the rows counted are the rows copied.
        counted = connection.exec_driver_sql(_COUNTED).one()
        raw = connection.connection.driver_connection
        if not isinstance(raw, sqlite3.Connection):
            raise StoreError("an asynchronous store cannot be backed up; use LeadDatabase")
        with closing(sqlite3.connect(target)) as copy:
            raw.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a write-ahead log
    with _opened(target) as copy:
        found = copy.execute(_COUNTED).fetchone()
    if tuple(counted) != found:
        raise StoreError(
            f"the backup has {found[0]} leads and the store {counted[0]}; check the disk"
        )
    return int(found[0])


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a SQLite backup for reading; raise a StoreError if it is damaged."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as found:
            problem = next(
                (row[0] for row in found.execute("PRAGMA integrity_check(1)") if row[0] != "ok"),
                None,
            ) or next(iter(found.execute("PRAGMA foreign_key_check")), None)
            if problem is not None:
                raise StoreError(f"the backup {path} is damaged ({problem}); take another one")
            yield found
    except sqlite3.Error as error:
        raise StoreError(
            f"the backup {path} cannot be read as a SQLite lead store ({error}); give a file that "
            "`leadlog db backup` made of a SQLite database"
        ) from error


def _restore_sqlite(connections: Connections, source: Path) -> None:
    if in_memory(connections.url):
        raise StoreError("an in-memory store is lost when this command ends; give a file")
    with _opened(source) as backup:
        tables = {row[0] for row in backup.execute("SELECT name FROM sqlite_master")}
        if not {"leads", "lead_key"} <= tables:
            raise StoreError(f"{source} has no leads in it; give a backup of a lead store")
        if VERSION_TABLE in tables:
            (revision,) = backup.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608 - our own name
            if revision not in REVISIONS:
                raise StoreError(
                    f"the backup {source} is of revision {revision!r}, which a newer version of "
                    "leadlog made; upgrade leadlog"
                )
        with connections.read() as connection:
            connection.rollback()
            raw = connection.connection.driver_connection
            if isinstance(raw, sqlite3.Connection):
                backup.backup(raw)


# --------------------------------------------------------------------------------- PostgreSQL


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        debian = sorted(DEBIAN.glob(f"*/bin/{name}"))
        found = str(debian[-1]) if debian else None
    if found is None:
        raise StoreError(
            f"{name} is not installed, and a PostgreSQL store is backed up with it; install the "
            "PostgreSQL client programs (Debian: postgresql-client) of the server's version or "
            "newer, or use the backups of the server"
        )
    return found


def _run(*command: str | Path, url: URL) -> None:
    """Run a client program; the password is passed in its environment, hidden from `ps`."""
    name = Path(command[0]).name
    done = subprocess.run(  # noqa: S603 - programs and arguments are ours
        [str(part) for part in command],
        env=_environment(url),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StoreError(
            f"{name} failed ({done.stderr.strip() or f'exit code {done.returncode}'}); repair the "
            "cause and run this again"
        )


def _environment(url: URL) -> Mapping[str, str]:
    given = {
        "PGHOST": url.host,
        "PGPORT": None if url.port is None else str(url.port),
        "PGUSER": url.username,
        "PGPASSWORD": None if url.password is None else str(url.password),
        "PGDATABASE": url.database,
    }
    query = {name: value for name, value in url.query.items() if isinstance(value, str)}
    given |= {
        variable: query[name]
        for name, variable in (("sslmode", "PGSSLMODE"), ("host", "PGHOST"), ("port", "PGPORT"))
        if name in query
    }
    return os.environ | {name: value for name, value in given.items() if value is not None}


def _dump(connections: Connections, target: Path) -> int:
    pg_dump, pg_restore = _program("pg_dump"), _program("pg_restore")
    with connections.read() as connection:
        # The count and the dump share a snapshot, so the rows counted are the rows dumped.
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
        leads = int(connection.exec_driver_sql("SELECT count(*) FROM leads").scalar_one())
        _run(
            pg_dump,
            *("--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"),
            *(f"--table={name}" for name in TABLES),
            f"--file={target}",
            url=connections.url,
        )
    _run(pg_restore, f"--file={os.devnull}", target, url=connections.url)
    return leads


def _restore_dump(connections: Connections, source: Path) -> None:
    with connections.engine.begin() as connection:
        connection.exec_driver_sql(FUNCTION)  # the triggers in the dump refer to it
    connections.engine.dispose()  # our own locks would block dropping the tables
    _run(
        _program("pg_restore"),
        *("--clean", "--if-exists", "--single-transaction", "--no-owner", "--no-privileges"),
        f"--dbname={connections.url.database}",
        source,
        url=connections.url,
    )


_LINKS: Table = SyncLink.__table__  # type: ignore[assignment]  # declarative types it FromClause
_TOMBSTONES: Table = Tombstone.__table__  # type: ignore[assignment]
_RUNS: Table = SyncRun.__table__  # type: ignore[assignment]


def synced(connection: Connection) -> _Synced | None:
    """Return the sync state of a store; None if it was never synchronised."""
    if not connection.execute(select(func.count()).select_from(_RUNS)).scalar_one():
        return None
    links, tombstones, runs = (
        [dict(row) for row in connection.execute(select(*table.c)).mappings()]
        for table in (_LINKS, _TOMBSTONES, _RUNS)
    )
    return links, tombstones, runs, datetime.fromtimestamp(now_us() / 1e6, UTC)


def carry_over(
    connection: Connection, links: _Rows, tombstones: _Rows, runs: _Rows, now: datetime
) -> None:
    """Write the sync state of the replaced store into the restored backup.

    Args:
        connection: A connection in a write transaction.
        links: The links of the replaced store.
        tombstones: Its tombstones.
        runs: Its sync runs.
        now: The time at which they were read.
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
