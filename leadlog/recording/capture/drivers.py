"""What a database driver says of its own transaction.

Asked instead of guessed: with AUTOCOMMIT, and on SQLite after RELEASE of an outermost
savepoint, what was written is committed although nobody sent COMMIT; on PostgreSQL a failed
transaction answers COMMIT with a rollback and no error.
"""

import datetime as dt
import re
from collections.abc import Callable
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Dialect
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.pool import PoolProxiedConnection


class TransactionState(Enum):
    """A connection's transaction, as its driver sees it."""

    NONE = "none"
    OPEN = "open"
    FAILED = "failed"
    UNKNOWN = "unknown"


_LIBPQ = (
    TransactionState.NONE,
    TransactionState.OPEN,
    TransactionState.OPEN,
    TransactionState.FAILED,
    TransactionState.UNKNOWN,
)
"""By libpq's PGTransactionStatusType: idle, active, in a transaction, in a failed one, unknown."""


def _sqlite(driver: Any) -> TransactionState:
    return TransactionState.OPEN if driver.in_transaction else TransactionState.NONE


def _psycopg(driver: Any) -> TransactionState:
    return _LIBPQ[driver.pgconn.transaction_status]


def _psycopg2(driver: Any) -> TransactionState:
    return _LIBPQ[driver.get_transaction_status()]


def _asyncpg(driver: Any) -> TransactionState:
    return TransactionState.OPEN if driver.is_in_transaction() else TransactionState.NONE


def _pymysql(driver: Any) -> TransactionState:
    return (
        TransactionState.OPEN if driver.server_status & 1 else TransactionState.NONE
    )  # SERVER_STATUS_IN_TRANS


def _unknown(_driver: Any) -> TransactionState:
    return TransactionState.UNKNOWN


_ASK: dict[str, Callable[[Any], TransactionState]] = {
    "pysqlite": _sqlite,
    "aiosqlite": _sqlite,
    "psycopg": _psycopg,
    "psycopg_async": _psycopg,
    "psycopg2": _psycopg2,
    "asyncpg": _asyncpg,
    "pymysql": _pymysql,
}


def asker(dialect: Dialect) -> Callable[[PoolProxiedConnection], TransactionState]:
    """A function that tells the state of a connection's transaction; it never raises.

    Args:
        dialect: of a driver that is not known here, the state is unknown, unless SQLAlchemy
            can tell that it commits by itself.
    """
    ask = _ASK.get(getattr(dialect, "driver", ""), _unknown)  # a dialect of one's own may have none
    detect = getattr(dialect, "detect_autocommit_setting", None) if ask is _unknown else None

    def state(connection: PoolProxiedConnection) -> TransactionState:
        try:
            if detect is not None:
                return (
                    TransactionState.NONE
                    if detect(connection.dbapi_connection)
                    else TransactionState.UNKNOWN
                )
            return ask(connection.driver_connection)
        except Exception:  # noqa: BLE001 - a closed connection may fail in any way
            return TransactionState.UNKNOWN

    return state


_BEGUN = re.compile(
    r"(?:\s|--[^\n]*|/\*.*?\*/)*(?:insert|update|delete|replace)\b", re.IGNORECASE | re.DOTALL
)
"""Statements before which SQLite's driver begins a transaction by itself."""


def _sqlite_commits(driver: Any, statement: str) -> bool:
    if driver.in_transaction:
        return False
    if getattr(driver, "autocommit", -1) is True:  # Python 3.12's own setting
        return True
    return driver.isolation_level is None or _BEGUN.match(statement) is None


_COMMITS: dict[str, Callable[[Any, str], bool]] = {
    "pysqlite": _sqlite_commits,
    "aiosqlite": _sqlite_commits,
    "psycopg": lambda driver, _: driver.autocommit and _psycopg(driver) is TransactionState.NONE,
    "psycopg_async": lambda driver, _: (
        driver.autocommit and _psycopg(driver) is TransactionState.NONE
    ),
    "psycopg2": lambda driver, _: driver.autocommit and _psycopg2(driver) is TransactionState.NONE,
}


def committer(dialect: Dialect) -> Callable[[PoolProxiedConnection, str], bool]:
    """A function that tells whether a write commits by itself; it never raises.

    Args:
        dialect: of a driver that is not known here, SQLAlchemy may tell.
    """
    ask = _COMMITS.get(getattr(dialect, "driver", ""))
    detect = getattr(dialect, "detect_autocommit_setting", None)
    state = asker(dialect)

    def commits(connection: PoolProxiedConnection, statement: str) -> bool:
        try:
            if ask is not None:
                return bool(ask(connection.driver_connection, statement))
            if detect is None or not detect(connection.dbapi_connection):
                return False
            return state(connection) is TransactionState.NONE
        except Exception:  # noqa: BLE001 - a closed connection may fail in any way
            return False

    return commits


class _Local(dt.tzinfo):
    """The process's own time zone."""

    def utcoffset(self, moment: dt.datetime | None) -> dt.timedelta | None:
        """The difference to UTC at a moment of local time."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def tzname(self, moment: dt.datetime | None) -> str | None:
        """Not known."""
        del moment
        return None

    def dst(self, moment: dt.datetime | None) -> dt.timedelta | None:
        """Not known."""
        del moment
        return None


_ZONES: dict[str, Callable[[Any], dt.tzinfo | None]] = {
    "psycopg": lambda driver: driver.info.timezone,
    "psycopg_async": lambda driver: driver.info.timezone,
    "psycopg2": lambda driver: ZoneInfo(driver.get_parameter_status("TimeZone")),
    "asyncpg": lambda _driver: _Local(),  # it converts by itself, before it sends
}


def zone_of(context: DefaultExecutionContext) -> dt.tzinfo | None:
    """The time zone in which the database takes times without one; None where it is not known."""
    ask = _ZONES.get(getattr(context.dialect, "driver", ""))
    if ask is None:
        return None
    try:
        return ask(context.root_connection.connection.driver_connection)
    except Exception:  # noqa: BLE001 - a closed connection may fail in any way
        return None
