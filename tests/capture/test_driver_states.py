"""The transaction state derived from each possible answer of the drivers."""

import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.engine import Dialect

from leadlog.recording.capture.journal import TransactionState, asker, committer

NONE, OPEN = TransactionState.NONE, TransactionState.OPEN
FAILED, UNKNOWN = TransactionState.FAILED, TransactionState.UNKNOWN
LIBPQ = [NONE, OPEN, OPEN, FAILED, UNKNOWN]
"""States by libpq's number of the transaction status."""


def of(driver: object) -> Any:
    """Return a pooled connection that wraps a driver's connection."""
    return SimpleNamespace(driver_connection=driver, dbapi_connection=driver)


def dialect(name: str, **more: object) -> Dialect:
    """Return a dialect with the attributes that are read."""
    found: Any = SimpleNamespace(driver=name, **more)
    return found  # type: ignore[no-any-return]


def psycopg(status: int, *, autocommit: bool = False) -> Any:
    """Return a connection of psycopg 3."""
    return SimpleNamespace(pgconn=SimpleNamespace(transaction_status=status), autocommit=autocommit)


def psycopg2(status: int, *, autocommit: bool = False) -> Any:
    """Return a connection of psycopg2."""
    return SimpleNamespace(get_transaction_status=lambda: status, autocommit=autocommit)


@pytest.fixture
def driver() -> Iterator[sqlite3.Connection]:
    """Yield a real SQLite connection to a database with an empty table."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE rows (id)")
        yield connection


@pytest.mark.parametrize("name", ["pysqlite", "aiosqlite"])
def test_sqlite_says_whether_a_transaction_is_open(driver: sqlite3.Connection, name: str) -> None:
    """A SQLite transaction is open from the first write to COMMIT."""
    state = asker(dialect(name))
    assert state(of(driver)) is NONE
    driver.execute("INSERT INTO rows VALUES (1)")
    assert state(of(driver)) is OPEN
    driver.commit()
    assert state(of(driver)) is NONE


@pytest.mark.parametrize("status", range(5))
@pytest.mark.parametrize(
    ("name", "make"), [("psycopg", psycopg), ("psycopg_async", psycopg), ("psycopg2", psycopg2)]
)
def test_libpq_gives_a_number(name: str, make: Any, status: int) -> None:
    """libpq's numbers are: idle, active, in a transaction, in a failed one, unknown."""
    assert asker(dialect(name))(of(make(status))) is LIBPQ[status]


@pytest.mark.parametrize("is_open", [False, True])
def test_asyncpg_says_yes_or_no(is_open: bool) -> None:
    """asyncpg only says whether a transaction is open, not whether it failed."""
    connection = of(SimpleNamespace(is_in_transaction=lambda: is_open))
    assert asker(dialect("asyncpg"))(connection) is (OPEN if is_open else NONE)


@pytest.mark.parametrize("status", [0b0000, 0b0001, 0b0010, 0b0011, 0b1000_0000_0000_0010])
def test_mysql_sets_one_bit(status: int) -> None:
    """Only the lowest bit, SERVER_STATUS_IN_TRANS, decides; other bits are ignored."""
    found = asker(dialect("pymysql"))(of(SimpleNamespace(server_status=status)))
    assert found is (OPEN if status & 1 else NONE)


@pytest.mark.parametrize("detected", [False, True])
def test_of_another_driver_sqlalchemy_may_detect_autocommit(detected: bool) -> None:
    """An unknown driver has no transaction if it autocommits; otherwise the state is unknown."""
    other = dialect("other", detect_autocommit_setting=lambda _connection: detected)
    assert asker(other)(of(object())) is (NONE if detected else UNKNOWN)
    # Without a transaction, a write is committed with its statement.
    assert committer(other)(of(object()), "INSERT") is detected


def test_a_known_driver_is_asked_itself() -> None:
    """A known driver is asked directly, since SQLAlchemy's setting would say: no transaction."""
    known = dialect("psycopg", detect_autocommit_setting=lambda _connection: True)
    assert asker(known)(of(psycopg(2))) is OPEN
    asyncpg = dialect("asyncpg", detect_autocommit_setting=lambda _connection: True)
    for is_open in (False, True):
        connection = of(SimpleNamespace(is_in_transaction=lambda is_open=is_open: is_open))
        assert committer(asyncpg)(connection, "INSERT") is not is_open


def test_a_driver_that_nobody_knows_is_unknown_and_commits_nothing() -> None:
    """A custom dialect without a driver's name and a setting is unknown, and commits nothing."""
    nameless: Any = SimpleNamespace()
    assert asker(nameless)(of(object())) is UNKNOWN
    assert committer(nameless)(of(object()), "INSERT") is False


@pytest.mark.parametrize("name", ["pysqlite", "psycopg", "psycopg2", "asyncpg", "pymysql"])
def test_a_connection_that_fails_to_answer_is_unknown(name: str) -> None:
    """If a connection (a closed one) cannot answer, nothing raises or counts as committed."""
    assert asker(dialect(name))(of(object())) is UNKNOWN
    detecting = dialect(name, detect_autocommit_setting=lambda _connection: True)
    assert committer(detecting)(of(object()), "INSERT") is False


@pytest.mark.parametrize(
    ("isolation_level", "statement", "commits"),
    [
        ("", "INSERT INTO rows VALUES (1)", False),
        ("", "-- why\n/* and\nhow */ insert INTO rows VALUES (1)", False),
        ("", "UPDATE rows SET id = 2", False),
        ("", "delete FROM rows", False),
        ("", "REPLACE INTO rows VALUES (1)", False),
        ("", "WITH a AS (SELECT 1) INSERT INTO rows SELECT * FROM a", True),
        ("", "inserted", True),
        ("", "CREATE TABLE more (id)", True),
        (None, "INSERT INTO rows VALUES (1)", True),
    ],
)
def test_sqlite_begins_a_transaction_before_some_statements(
    driver: sqlite3.Connection, isolation_level: Any, statement: str, commits: bool
) -> None:
    """Statements for which sqlite3 opens no transaction commit at once, unless one is open."""
    driver.isolation_level = isolation_level
    ask = committer(dialect("pysqlite"))
    assert ask(of(driver), statement) is commits
    driver.execute("BEGIN")
    assert ask(of(driver), statement) is False


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has `autocommit` since Python 3.12")
@pytest.mark.parametrize("autocommit", [True, False])
def test_sqlite_has_a_setting_of_its_own(autocommit: bool) -> None:
    """With `autocommit` every statement commits; without it a transaction is always open."""
    connection: Any = sqlite3.connect(":memory:", autocommit=autocommit)  # type: ignore[call-overload]
    with contextlib.closing(connection):
        ask = committer(dialect("pysqlite"))
        assert ask(of(connection), "INSERT INTO rows VALUES (1)") is autocommit


@pytest.mark.parametrize("value", [True, False, -1])
def test_the_setting_counts_only_where_it_is_true(value: object) -> None:
    """Only True autocommits; -1 is sqlite3's value for "use the isolation level"."""
    connection = of(SimpleNamespace(in_transaction=False, autocommit=value, isolation_level=""))
    assert committer(dialect("pysqlite"))(connection, "INSERT") is (value is True)


@pytest.mark.parametrize("status", range(5))
@pytest.mark.parametrize("autocommit", [False, True])
@pytest.mark.parametrize(("name", "make"), [("psycopg", psycopg), ("psycopg2", psycopg2)])
def test_postgresql_commits_a_statement_outside_of_a_transaction(
    name: str, make: Any, autocommit: bool, status: int
) -> None:
    """A statement commits at once only with autocommit and if no BEGIN was sent."""
    connection = of(make(status, autocommit=autocommit))
    assert committer(dialect(name))(connection, "INSERT") is (autocommit and status == 0)
