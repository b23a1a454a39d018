"""Creates the tables of the lead store, or finds that somebody else's are there."""

import sqlite3

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError, OperationalError

from leadlog.errors import StoreError
from leadlog.store.engine import Connections
from leadlog.store.models import Base

__all__ = ["prepare"]

# Any number that no other program locks: processes that open a new database at once take turns.
_LOCK = 0x6C6561646C6F67


def prepare(connections: Connections) -> None:
    """Create what is missing, so that the store can work.

    Raises:
        StoreError: The database cannot be opened, or its tables are another program's.
    """
    try:
        with connections.read() as connection:
            missing = _missing(connection, connections)
        if missing:
            with connections.write() as session:
                connection = session.connection()
                if connection.dialect.name == "postgresql":
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
                Base.metadata.create_all(connection)
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise StoreError(
            f"the lead store {connections.url} cannot be opened: {str(cause).strip()}; "
            f"{_remedy(connections, error)}"
        ) from error


def _missing(connection: Connection, connections: Connections) -> bool:
    inspector = inspect(connection)
    missing = False
    for table in Base.metadata.sorted_tables:
        if not inspector.has_table(table.name):
            missing = True
            continue
        present = {column["name"] for column in inspector.get_columns(table.name)}
        lacking = [column.name for column in table.columns if column.name not in present]
        if lacking:
            raise StoreError(
                f"the table {table.name} of {connections.url} has no column {lacking[0]!r}, so "
                "another program or version made it; give another database"
            )
    return missing


def _remedy(connections: Connections, error: Exception) -> str:
    if connections.url.get_backend_name() != "sqlite":
        return "check that the server runs and that the URL has the right host, user and password"
    if isinstance(error, OperationalError | sqlite3.OperationalError):
        return "check that the path is a file that this user may write"
    return "the file is no SQLite database, or is damaged; give another path"
