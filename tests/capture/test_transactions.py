"""The recorded outcome is the database's: one test for each trap of transactions."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import leadlog
from tests.capture.people import LATE, Base, Late, Log, Note, Person


def there(engine: sa.Engine, kind: type[Base] = Person) -> int:
    """Return the number of rows that another connection sees."""
    plain = sa.create_engine(engine.url)
    with plain.connect() as connection:
        count = connection.execute(sa.select(sa.func.count()).select_from(kind.__table__)).scalar()
    plain.dispose()
    return int(count or 0)


def test_a_released_savepoint_is_not_committed(people: sa.Engine, log: Log) -> None:
    """The outcome of a released savepoint waits for the enclosing transaction."""
    with Session(people) as session:
        session.add(Person(email="a"))
        session.flush()
        with session.begin_nested():
            session.add(Person(email="b"))
        assert log.told() == []
        session.rollback()
    assert log.told() == [("person.create", "rolled_back", 1)] * 2
    assert there(people) == 0


def test_close_without_commit_is_a_rollback(people: sa.Engine, log: Log) -> None:
    """No event of the Session reports it."""
    with Session(people) as session:
        session.add(Person(email="a"))
        session.flush()
    assert log.told() == [("person.create", "rolled_back", 1)]


def test_an_external_transaction_decides(people: sa.Engine, log: Log) -> None:
    """A Session's commit on a connection whose transaction it did not begin commits nothing."""
    with people.connect() as connection:
        transaction = connection.begin()
        with Session(connection, join_transaction_mode="rollback_only") as session:
            session.add(Person(email="a"))
            session.commit()
        assert log.told() == []
        transaction.rollback()
    assert log.told() == [("person.create", "rolled_back", 1)]
    assert there(people) == 0


def test_two_binds_have_an_end_each(people: sa.Engine, tmp_path: Path, log: Log) -> None:
    """The second COMMIT fails: what the first database committed stays committed."""
    if people.dialect.name != "postgresql":
        pytest.skip("SQLite checks every constraint at once, so its COMMIT does not fail")
    with people.begin() as connection:
        connection.exec_driver_sql(LATE)
    other = sa.create_engine(f"sqlite:///{tmp_path}/other.db")
    Base.metadata.create_all(other)
    handle = leadlog.capture(other, Person)
    with Session(binds={Person: other, Late: people}) as session:
        session.add(Person(email="a"))
        session.flush()
        session.add_all([Late(code=1), Late(code=1)])
        with pytest.raises(sa.exc.IntegrityError):
            session.commit()
    first = "committed" if there(other) else "rolled_back"  # the order is not defined by SQLAlchemy
    assert log.outcomes() == {("person.create", first): 1, ("late.create", "commit_failed"): 2}
    assert there(people, Late) == 0
    handle.release()
    other.dispose()


def test_textual_transaction_control_counts(people: sa.Engine, log: Log) -> None:
    """COMMIT as text commits, whatever a later `rollback()` does; savepoints too."""
    insert = sa.insert(Person.__table__).values(email="a", kind="person", version=1)
    with people.connect() as connection:
        connection.execute(insert)
        connection.exec_driver_sql("COMMIT")
        assert log.told() == [("person.create", "committed", 1)]
        connection.rollback()
        connection.execute(insert.values(email="b"))
        connection.execute(sa.text("savepoint Mine"))
        connection.execute(insert.values(email="c"))
        connection.execute(sa.text("ROLLBACK  TO Mine;"))
        connection.execute(sa.text("release savepoint Mine"))
        connection.execute(sa.text("commit work" if people.name == "postgresql" else "end"))
        connection.rollback()
    assert log.told()[1:] == [
        ("person.create", "savepoint_rolled_back", 1),
        ("person.create", "committed", 1),
    ]
    assert there(people) == 2


def test_a_savepoint_without_a_transaction(tmp_path: Path, log: Log) -> None:
    """Python's sqlite3 sends no BEGIN before SAVEPOINT, so the RELEASE is a COMMIT."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/people.db")
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Person)
    with Session(engine) as session:
        with session.begin_nested():
            session.add(Person(email="a"))
        session.rollback()
    handle.release()
    assert log.told() == [("person.create", "committed", 1)]
    assert there(engine) == 1
    engine.dispose()


@pytest.fixture
def autocommit(people: sa.Engine) -> sa.Engine:
    """The same database, with AUTOCOMMIT."""
    if people.dispatch.begin:
        pytest.skip("a BEGIN of one's own is none of AUTOCOMMIT")
    return people.execution_options(isolation_level="AUTOCOMMIT")


def test_with_autocommit_rollback_undoes_nothing(
    autocommit: sa.Engine, people: sa.Engine, log: Log
) -> None:
    """The row exists before and after `rollback()`."""
    with Session(autocommit) as session:
        session.add(Person(email="a"))
        session.flush()
        assert log.told() == [("person.create", "committed", 1)]
        session.rollback()
    assert there(people) == 1


def test_with_autocommit_a_failing_flush_may_have_written(
    autocommit: sa.Engine, people: sa.Engine, log: Log
) -> None:
    """With several rows it is unknown which were written: `unknown`; a single one is `failed`."""
    with Session(autocommit) as session:
        session.add(Person(id=1, email="a"))
        session.commit()
        log.clear()
        session.add_all([Note(id=1, body="first"), Person(id=1, email="b")])
        with pytest.raises(sa.exc.SQLAlchemyError):
            session.flush()
        session.rollback()
    with Session(autocommit) as session:
        session.add(Person(id=1, email="c"))
        with pytest.raises(sa.exc.IntegrityError):
            session.flush()
    found = log.outcomes()
    assert found["person.create", "failed"] == 1
    assert found["person.create", "unknown"] + found["note.create", "unknown"] in (0, 2)
    assert there(people) == 1


def test_a_connection_that_is_dropped_rolls_back(people: sa.Engine, log: Log) -> None:
    """Garbage collection and invalidation are visible only to the pool."""
    connection = people.connect()
    connection.execute(sa.insert(Person.__table__).values(email="a", kind="person", version=1))
    del connection
    gc.collect()
    assert log.told() == [("person.create", "rolled_back", 1)]
    with people.connect() as connection:
        connection.execute(sa.insert(Person.__table__).values(email="a", kind="person", version=1))
        connection.invalidate()
        connection.rollback()
    assert log.told()[1:] == [("person.create", "rolled_back", 1)]
    assert there(people) == 0


def test_a_pool_that_does_not_reset_keeps_the_transaction(tmp_path: Path, log: Log) -> None:
    """The next user of the connection commits the previous user's writes."""
    engine = sa.create_engine(
        f"sqlite:///{tmp_path}/people.db", poolclass=sa.pool.StaticPool, pool_reset_on_return=None
    )
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Person)
    values = {"email": "a", "kind": "person", "version": 1}
    raw = engine.connect()
    raw.execute(sa.insert(Person.__table__).values(values))
    raw._transaction = None  # like an application that forgets it, without a ROLLBACK
    raw.close()
    assert log.told() == []
    with engine.connect() as connection:
        connection.execute(sa.update(Person.__table__).values(score=1))
        connection.commit()
    handle.release()
    engine.dispose()
    assert log.told() == [("person.create", "committed", 1), ("person.update", "committed", 1)]


def test_a_commit_that_sqlite_refuses(tmp_path: Path, log: Log) -> None:
    """A reader prevents the COMMIT: the transaction continues until it is rolled back."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/people.db", connect_args={"timeout": 0})
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Person)
    values = {"email": "a", "kind": "person", "version": 1}
    with engine.connect() as connection, engine.connect() as reader:
        connection.execute(sa.insert(Person.__table__).values(values))
        rows = reader.exec_driver_sql("SELECT name FROM sqlite_master")
        rows.fetchone()
        with pytest.raises(sa.exc.OperationalError, match="locked"):
            connection.commit()
        assert log.told() == []
        rows.close()
        reader.rollback()
        connection.rollback()
    handle.release()
    assert log.told() == [("person.create", "commit_failed", 1)]
    assert there(engine) == 0
    engine.dispose()


def test_two_phases(postgres_database: str, log: Log) -> None:
    """PREPARE decides nothing; COMMIT PREPARED and ROLLBACK PREPARED do."""
    engine = sa.create_engine(postgres_database)
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Person)
    for email, commits in (("a", True), ("b", False)):
        with Session(engine, twophase=True) as session:
            session.add(Person(email=email))
            session.flush()
            session.prepare()
            assert len(log.told()) == (0 if commits else 1)
            (session.commit if commits else session.rollback)()
    assert log.told() == [("person.create", "committed", 1), ("person.create", "rolled_back", 1)]
    assert there(engine) == 1
    handle.release()
    engine.dispose()


def killed(engine: sa.Engine, process: int) -> None:
    """Terminate a backend of PostgreSQL, as an administrator does."""
    with engine.connect() as connection:
        connection.execute(
            sa.text("SELECT pg_terminate_backend(:process, 5000)"), {"process": process}
        )


def test_a_killed_backend_has_rolled_back(postgres_database: str, log: Log) -> None:
    """No COMMIT was sent, so nothing can be stored; the interrupted statement failed."""
    engine = sa.create_engine(postgres_database)
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Person)
    with Session(engine) as session:
        session.add(Person(email="a"))
        session.flush()
        process = session.scalar(sa.text("SELECT pg_backend_pid()"))
        killed(engine, process)
        session.add(Person(email="b"))
        with pytest.raises(sa.exc.OperationalError):
            session.flush()
    assert log.told() == [("person.create", "rolled_back", 1), ("person.create", "failed", None)]
    assert there(engine) == 0
    handle.release()
    engine.dispose()


def test_a_backend_killed_before_commit_leaves_the_outcome_unknown(
    postgres_database: str, log: Log
) -> None:
    """COMMIT was sent without a response, so the outcome is unknown."""
    engine = sa.create_engine(postgres_database)
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Person)
    with Session(engine) as session:
        session.add(Person(email="a"))
        session.flush()
        killed(engine, session.scalar(sa.text("SELECT pg_backend_pid()")))
        with pytest.raises(sa.exc.OperationalError):
            session.commit()
    assert log.told() == [("person.create", "unknown", 1)]
    handle.release()
    engine.dispose()


@pytest.fixture(params=["psycopg", "asyncpg"])
def async_url(request: pytest.FixtureRequest, postgres_database: str) -> str:
    """PostgreSQL with both asynchronous drivers."""
    return postgres_database.replace("+psycopg:", f"+{request.param}:")


def in_two_phases(engine: sa.Engine, last: str) -> None:
    """Prepare a transaction, and then commit it, roll it back or lose its connection.

    If `last` is "refused", a deferred constraint makes the server refuse to prepare it.
    """
    with engine.connect() as connection:
        transaction = connection.begin_twophase("a")
        connection.execute(sa.insert(Person).values(email="a", version=1))
        if last == "refused":
            connection.execute(sa.insert(Late), [{"code": 1}, {"code": 1}])
        try:
            transaction.prepare()
        except sa.exc.DBAPIError:
            # Otherwise, with psycopg, the ROLLBACK PREPARED that follows fails, too, and SQLAlchemy
            # leaves the connection to the garbage collector.
            connection.invalidate()
            raise
        getattr(connection if last == "invalidate" else transaction, last)()
    if last == "invalidate":
        with engine.connect() as connection:
            connection.commit_prepared("a", recover=True)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("last", "outcome"),
    [
        ("commit", "committed"),
        ("rollback", "rolled_back"),
        ("invalidate", "unknown"),
        ("refused", "rolled_back"),
    ],
)
async def test_a_prepared_transaction_outlives_its_connection(
    async_url: str, log: Log, last: str, outcome: str
) -> None:
    """A client may still commit it, so its outcome is unknown; one that was refused has ended."""
    engine = create_async_engine(async_url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.exec_driver_sql(LATE)
    handle = leadlog.capture(engine, Person)
    fails = pytest.raises(sa.exc.DBAPIError) if last == "refused" else nullcontext()
    async with engine.connect() as connection:
        with fails:
            await connection.run_sync(lambda inner: in_two_phases(inner.engine, last))
    assert log.told() == [("person.create", outcome, 1)]
    handle.release()
    await engine.dispose()


@pytest.mark.asyncio
async def test_a_cancelled_statement(async_url: str, log: Log) -> None:
    """Cancellation closes the connection: rolled back, and no journal remains."""
    engine = create_async_engine(async_url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    handle = leadlog.capture(engine, Person)

    async def work() -> None:
        async with AsyncSession(engine) as session:
            session.add(Person(email="a"))
            await session.flush()
            await session.execute(sa.text("SELECT pg_sleep(30)"))

    task = asyncio.create_task(work())
    while not log.told() and not task.done():
        await asyncio.sleep(0.05)
        if await _sleeps(engine):
            break
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log.told() == [("person.create", "rolled_back", 1)]
    handle.release()
    await engine.dispose()


async def _sleeps(engine: Any) -> bool:
    async with engine.connect() as connection:
        found = await connection.scalar(
            sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        )
    return bool(found)


@pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning")
@pytest.mark.asyncio
async def test_an_async_connection_that_is_dropped(async_url: str, log: Log) -> None:
    """The collector cannot send a ROLLBACK; it terminates the connection, which rolls back."""
    engine = create_async_engine(async_url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    handle = leadlog.capture(engine, Person)
    dropped = await engine.connect()
    await dropped.execute(sa.insert(Person).values(email="a", version=1))
    del dropped
    with pytest.warns(sa.exc.SAWarning, match="garbage collector"):
        gc.collect()
    assert log.told() == [("person.create", "rolled_back", 1)]
    handle.release()
    await engine.dispose()


def test_no_journal_survives(people: sa.Engine, log: Log) -> None:
    """However a session ends, its connection is returned without pending writes."""
    ends: Iterator[str] = iter(("commit", "rollback", "close"))
    for end in ends:
        session = Session(people)
        session.add(Person(email=end))
        session.flush()
        getattr(session, end)()
        session.close()
        with people.connect() as connection:
            assert "leadlog_transaction" not in connection.info
    assert [outcome for _, outcome, _ in log.told()] == ["committed", "rolled_back", "rolled_back"]
