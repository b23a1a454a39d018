"""The schema of the lead store: its creation, recognition and upgrades.

The revision of a database is stored in the table `leadlog_version`, maintained by Alembic. Opening
a store reads it with one SELECT; Alembic is imported only for an upgrade. A new database gets all
tables at once and is stamped with the newest revision; a test compares the result with an upgrade
through all revisions. A database that has the first version's tables but no stored revision is at
revision 0001.
"""

import sqlite3
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from leadlog.core.errors import StoreError
from leadlog.leads.store.engine import Connections
from leadlog.leads.store.models import Base

__all__ = [
    "REVISIONS",
    "VERSION_TABLE",
    "Upgrade",
    "prepare",
    "revision_of",
    "upgrade",
    "upgrade_or_explain",
]

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""All revisions, oldest first."""

VERSION_TABLE = "leadlog_version"

Upgrade = tuple[str | None, str]
"""The revision before the upgrade (None for a new database) and the revision after it."""

# The same table that Alembic would create.
_VERSION = Table(
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)
_REVISION = select(_VERSION.c.version_num)
# The columns of the first version's tables; later columns are added by migrations.
_FIRST = {
    "leads": frozenset(
        [
            "id",
            "full_name",
            "company",
            "email",
            "title",
            "linkedin_url",
            "phone",
            "website",
            "location",
            "industry",
            "company_size",
            "verified",
            "enriched",
            "status",
            "source",
            "notes",
            "raw_data",
            "sync_pending",
            "created_at",
            "updated_at",
        ]
    ),
    "lead_key": frozenset({"kind", "value", "lead_id"}),
}
# Id of the advisory lock that serialises processes opening a new database; arbitrary but unique.
_LOCK = 0x6C6561646C6F67


def prepare(connections: Connections) -> None:
    """Make a store ready for use: create its tables, or upgrade those of a SQLite database.

    Raises:
        StoreError: The database cannot be opened, its tables belong to another program or a newer
            version, or it is a PostgreSQL database that must be upgraded explicitly.
    """
    try:
        if connections.reading(_noted) == REVISIONS[-1]:
            return
        # Check again under the lock: another process may be creating the tables.
        _bring(connections, migrating=connections.sqlite)
    except (DBAPIError, sqlite3.Error) as error:
        raise _cannot_open(connections, error) from error


def upgrade_or_explain(connections: Connections) -> Upgrade:
    """Upgrade a database like `upgrade`; raise a clear error if it cannot be opened.

    Raises:
        StoreError: As for `upgrade`, or the database cannot be opened.
    """
    try:
        return upgrade(connections)
    except (DBAPIError, sqlite3.Error) as error:
        raise _cannot_open(connections, error) from error


def _cannot_open(connections: Connections, error: Exception) -> StoreError:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return StoreError(
        f"the lead store {connections.url} cannot be opened: {str(cause).strip()}; "
        f"{_remedy(connections, error)}"
    )


def upgrade(connections: Connections) -> Upgrade:
    """Upgrade a database to the newest revision in one transaction.

    Raises:
        StoreError: Its tables belong to another program or a newer version.
    """
    return _bring(connections, migrating=True), REVISIONS[-1]


def _bring(connections: Connections, *, migrating: bool) -> str | None:
    def work(session: Session) -> str | None:
        connection = session.connection()
        if not connections.sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        found = revision_of(connection, connections)
        if found is None:
            Base.metadata.create_all(connection, checkfirst=False)
            _VERSION.create(connection)
            connection.execute(insert(_VERSION), {"version_num": REVISIONS[-1]})
        elif found != REVISIONS[-1]:
            if not migrating:
                raise StoreError(
                    f"the lead store {connections.url} is of revision {found} and this version of "
                    f"leadlog needs {REVISIONS[-1]}; run: leadlog db upgrade --database URL "
                    "(other programs that use it have to be upgraded with it)"
                )
            _migrate(connection, found)
        return found

    return connections.in_transaction(work)


def revision_of(connection: Connection, connections: Connections) -> str | None:
    """Return the revision of a database; None if it has none of our tables.

    Raises:
        StoreError: Its tables belong to another program or a newer version.
    """
    found = _noted(connection)
    if found is None:
        return _first_or_none(connection, connections)
    if found not in REVISIONS:
        raise StoreError(
            f"the lead store {connections.url} is of revision {found!r}, which a newer version "
            "of leadlog made; upgrade leadlog"
        )
    return found


def _noted(connection: Connection) -> str | None:
    try:
        with connection.begin_nested() if connection.in_transaction() else connection.begin():
            return connection.scalars(_REVISION).one_or_none()
    except DBAPIError as error:
        if not _is_missing(error):
            raise
        return None


def _is_missing(error: DBAPIError) -> bool:
    if getattr(error.orig, "sqlstate", None) == "42P01":
        return True
    return isinstance(error, OperationalError) and "no such table" in str(error.orig)


def _first_or_none(connection: Connection, connections: Connections) -> str | None:
    inspector = inspect(connection)
    there = [name for name in _FIRST if inspector.has_table(name)]
    for name in there:
        present = {column["name"] for column in inspector.get_columns(name)}
        columns = Base.metadata.tables[name].c.keys()
        lacking = [column for column in columns if column in _FIRST[name] - present]
        if lacking:
            raise StoreError(
                f"the table {name} of {connections.url} has no column {lacking[0]!r}, so "
                "another program or version made it; give another database"
            )
    if there and len(there) < len(_FIRST):
        (missing,) = _FIRST.keys() - set(there)
        raise StoreError(
            f"{connections.url} has the table {there[0]}, but not {missing}, so another program "
            "made it or it is damaged; give another database, or restore a backup"
        )
    return REVISIONS[0] if there else None


def _migrate(connection: Connection, found: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    folder = str(Path(__file__).with_name("migrations"))
    config.set_main_option("script_location", folder.replace("%", "%%"))
    if not inspect(connection).has_table(VERSION_TABLE):
        _VERSION.create(connection)
        connection.execute(insert(_VERSION), {"version_num": found})
    command.upgrade(config, "head")


def _remedy(connections: Connections, error: Exception) -> str:
    if not connections.sqlite:
        return "check that the server runs and that the URL has the right host, user and password"
    if isinstance(error, OperationalError | sqlite3.OperationalError):
        return "check that the path is a file that this user may write"
    return "the file is not a SQLite database, or is damaged; give another path"
