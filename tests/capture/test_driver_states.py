"""What drivers say of their transactions, at each of their answers."""

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
"""By the number that libpq gives."""


def of(driver: object) -> Any:
    """A pooled connection with this connection of a driver."""
    return SimpleNamespace(driver_connection=driver, dbapi_connection=driver)


def dialect(name: str, **more: object) -> Dialect:
    """An engine's dialect, as far as it is asked."""
    found: Any = SimpleNamespace(driver=name, **more)
    return found  # type: ignore[no-any-return]


def psycopg(status: int, *, autocommit: bool = False) -> Any:
    """A connection of psycopg 3."""
    return SimpleNamespace(pgconn=SimpleNamespace(transaction_status=status), autocommit=autocommit)


def psycopg2(status: int, *, autocommit: bool = False) -> Any:
    """A connection of psycopg2."""
    return SimpleNamespace(get_transaction_status=lambda: status, autocommit=autocommit)


@pytest.fixture
def driver() -> Iterator[sqlite3.Connection]:
    """A real connection to an empty database."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE rows (id)")
        yield connection


@pytest.mark.parametrize("name", ["pysqlite", "aiosqlite"])
def test_sqlite_says_whether_a_transaction_is_open(driver: sqlite3.Connection, name: str) -> None:
    """It opens with the first write and ends with COMMIT."""
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
    """Idle, active, in a transaction, in a failed one, unknown."""
    assert asker(dialect(name))(of(make(status))) is LIBPQ[status]


@pytest.mark.parametrize("is_open", [False, True])
def test_asyncpg_says_yes_or_no(is_open: bool) -> None:
    """It has no state for a transaction that failed."""
    connection = of(SimpleNamespace(is_in_transaction=lambda: is_open))
    assert asker(dialect("asyncpg"))(connection) is (OPEN if is_open else NONE)


@pytest.mark.parametrize("status", [0b0000, 0b0001, 0b0010, 0b0011, 0b1000_0000_0000_0010])
def test_mysql_sets_one_bit(status: int) -> None:
    """SERVER_STATUS_IN_TRANS is the lowest; the others say something else."""
    found = asker(dialect("pymysql"))(of(SimpleNamespace(server_status=status)))
    assert found is (OPEN if status & 1 else NONE)


@pytest.mark.parametrize("detected", [False, True])
def test_of_another_driver_sqlalchemy_may_detect_autocommit(detected: bool) -> None:
    """No transaction where it commits by itself; otherwise nobody knows."""
    other = dialect("other", detect_autocommit_setting=lambda _connection: detected)
    assert asker(other)(of(object())) is (NONE if detected else UNKNOWN)
    # It has no transaction then, so a write is committed with its statement.
    assert committer(other)(of(object()), "INSERT") is detected


def test_a_known_driver_is_asked_itself() -> None:
    """SQLAlchemy's setting would say that nothing is open."""
    known = dialect("psycopg", detect_autocommit_setting=lambda _connection: True)
    assert asker(known)(of(psycopg(2))) is OPEN
    asyncpg = dialect("asyncpg", detect_autocommit_setting=lambda _connection: True)
    for is_open in (False, True):
        connection = of(SimpleNamespace(is_in_transaction=lambda is_open=is_open: is_open))
        assert committer(asyncpg)(connection, "INSERT") is not is_open


def test_a_driver_that_nobody_knows_is_unknown_and_commits_nothing() -> None:
    """A dialect of one's own may have neither a driver's name nor a setting."""
    nameless: Any = SimpleNamespace()
    assert asker(nameless)(of(object())) is UNKNOWN
    assert committer(nameless)(of(object()), "INSERT") is False


@pytest.mark.parametrize("name", ["pysqlite", "psycopg", "psycopg2", "asyncpg", "pymysql"])
def test_a_connection_that_fails_to_answer_is_unknown(name: str) -> None:
    """A closed one, for example; nothing is raised, and nothing counts as committed."""
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
    """The others are committed with themselves; in a transaction that is open, nothing is."""
    driver.isolation_level = isolation_level
    ask = committer(dialect("pysqlite"))
    assert ask(of(driver), statement) is commits
    driver.execute("BEGIN")
    assert ask(of(driver), statement) is False


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has `autocommit` since Python 3.12")
@pytest.mark.parametrize("autocommit", [True, False])
def test_sqlite_has_a_setting_of_its_own(autocommit: bool) -> None:
    """With it every statement commits, without it a transaction is always open."""
    connection: Any = sqlite3.connect(":memory:", autocommit=autocommit)  # type: ignore[call-overload]
    with contextlib.closing(connection):
        ask = committer(dialect("pysqlite"))
        assert ask(of(connection), "INSERT INTO rows VALUES (1)") is autocommit


@pytest.mark.parametrize("value", [True, False, -1])
def test_the_setting_counts_only_where_it_is_true(value: object) -> None:
    """-1 is sqlite3's way to say that the isolation level counts."""
    connection = of(SimpleNamespace(in_transaction=False, autocommit=value, isolation_level=""))
    assert committer(dialect("pysqlite"))(connection, "INSERT") is (value is True)


@pytest.mark.parametrize("status", range(5))
@pytest.mark.parametrize("autocommit", [False, True])
@pytest.mark.parametrize(("name", "make"), [("psycopg", psycopg), ("psycopg2", psycopg2)])
def test_postgresql_commits_a_statement_outside_of_a_transaction(
    name: str, make: Any, autocommit: bool, status: int
) -> None:
    """With autocommit, and where no BEGIN was sent."""
    connection = of(make(status, autocommit=autocommit))
    assert committer(dialect(name))(connection, "INSERT") is (autocommit and status == 0)
