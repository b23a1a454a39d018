"""The real table: locates it by its entity's name, and reads it row by row in one snapshot."""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchTableError, SAWarning, SQLAlchemyError

from leadlog.core.doors import parameter
from leadlog.core.errors import ReadError, StoreError
from leadlog.leads.store.location import location, masked
from leadlog.leads.store.models import Base, Lead

__all__ = ["opened", "rows_of", "table_of"]

_PAGE: Final = 1000
# Synchronous drivers for the same databases.
_SYNC: Final = {"sqlite+aiosqlite": "sqlite", "postgresql+asyncpg": "postgresql+psycopg"}


@contextmanager
def opened(database: str | os.PathLike[str]) -> Iterator[sa.Connection]:
    """Open a read-only connection in one snapshot.

    Args:
        database: a path or a URL.

    Raises:
        StoreError: the URL cannot be parsed, or its driver is not installed.
        ReadError: the database cannot be reached.
    """
    url = _url(database)
    name = url.database or ""
    if url.get_backend_name() == "sqlite" and "uri" not in url.query and not Path(name).is_file():
        # Opening it would create the file.
        raise ReadError(
            f"there is no database {name!r}; give its path or URL with "
            f"{parameter('database', '--database')}"
        )
    try:
        engine = sa.create_engine(url)
    except ModuleNotFoundError as error:
        raise StoreError(
            f"the driver for {url.drivername} is not installed ({error.name}); install it"
        ) from error
    except ArgumentError as error:
        raise StoreError(
            f"SQLAlchemy knows no database {url.drivername!r}; give a URL such as "
            "sqlite:///leads.db or postgresql+psycopg://user@host/name"
        ) from error
    try:
        with engine.connect() as connection:
            if url.get_backend_name() == "postgresql":
                connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            elif url.get_backend_name() == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only=ON")
                connection.exec_driver_sql("BEGIN")
            yield connection
    except DBAPIError as error:
        raise ReadError(
            f"the database {url} cannot be read: {str(error.orig).strip()}; check that it is "
            "there and that the URL has the right host, user and password"
        ) from error
    finally:
        engine.dispose()


def _url(database: str | os.PathLike[str]) -> sa.URL:
    if not isinstance(database, str) or "://" not in database:
        return location(database)
    try:
        url = sa.make_url(database)
    except (ArgumentError, ValueError):
        return location(database)  # raises an error that does not quote the password
    url = url.set(drivername=_SYNC.get(url.drivername, url.drivername))
    if url.get_backend_name() in {"sqlite", "postgresql", "postgres"}:
        return location(url.render_as_string(hide_password=False))
    return masked(url)


def table_of(connection: sa.Connection, entity: str, name: str | None) -> sa.Table:
    """Return the table of an entity.

    Args:
        connection: a connection to its database.
        entity: the mapped class's name, prefixed by its table's schema if the log has one.
        name: the table's name, optionally with its schema; by default derived from the entity:
            customers, customer, Customer and the like for Customer.

    Raises:
        ReadError: there is no such table or more than one, or it has no primary key.
    """
    inspector = sa.inspect(connection)
    before, _, entity = entity.rpartition(":")[2].rpartition(".")
    schema = before or None
    if name is None:
        name = _only(inspector.get_table_names(schema), entity)
    elif "." in name and not inspector.has_table(name):
        schema, _, name = name.rpartition(".")
    if entity == "Lead" and schema is None and name == Lead.__tablename__:
        store = Base.metadata.tables[name]
        there = {column["name"] for column in inspector.get_columns(name)}
        if inspector.has_table("lead_key") and there >= {column.name for column in store.columns}:
            return store
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # about unknown column types
            table = sa.Table(
                name, sa.MetaData(), schema=schema, autoload_with=connection, resolve_fks=False
            )
    except NoSuchTableError:
        raise ReadError(
            f"there is no table {name!r}; there are {_listed(inspector.get_table_names())}"
        ) from None
    if not table.primary_key.columns:
        raise ReadError(f"the table {name!r} has no primary key to identify its rows")
    return table


def _only(names: list[str], entity: str) -> str:
    """Return the only table whose name matches an entity.

    >>> _only(["companies", "sales_order"], "SalesOrder"), _only(["companies"], "Company")
    ('sales_order', 'companies')
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", entity).lower()
    plural = re.sub(r"(?<=[^aeiou])y$", "ie", snake) + "s"
    for wanted in (snake, plural, f"{snake}es", snake.replace("_", ""), plural.replace("_", "")):
        found = [name for name in names if name.lower() == wanted]
        if len(found) == 1:
            return found[0]
    raise ReadError(
        f"no table is named like {entity}; name it with {parameter('table', '--table')}: "
        f"there are {_listed(names)}"
    )


def _listed(names: list[str]) -> str:
    return ", ".join(sorted(names)[:20]) or "none at all"


def rows_of(connection: sa.Connection, table: sa.Table) -> Iterator[sa.Row[Any]]:
    """Yield the rows of a table in any order, with a bounded number in memory.

    Raises:
        ReadError: a row cannot be read.
    """
    try:
        result = connection.execution_options(stream_results=True, yield_per=_PAGE).execute(
            sa.select(table)
        )
        yield from result
    except DBAPIError:
        raise
    except (SQLAlchemyError, ValueError, TypeError) as error:
        raise ReadError(
            f"the table {table.name!r} has a value that cannot be read: {error}"
        ) from error
