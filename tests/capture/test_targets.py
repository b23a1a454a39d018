"""`leadlog.capture` works on every kind of target, alongside the application's own code."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    UOWTransaction,
    mapped_column,
    relationship,
    scoped_session,
    sessionmaker,
)

import leadlog

Logged = Callable[..., list[dict[str, Any]]]

SQLALCHEMYS_EXECUTE = UOWTransaction.execute


class Base(DeclarativeBase):
    """The tests' own metadata."""


class Customer(Base):
    """A mapped class of an application without leads."""

    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Unwatched(Base):
    """A mapped class that is not captured."""

    __tablename__ = "unwatched"

    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def engine(tmp_path: Any) -> Iterator[sa.Engine]:
    """A database with empty tables."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/app.db")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def outcomes(logged: Logged) -> list[tuple[str, str, str]]:
    """Return event name, entity and outcome of every record, in order."""
    return [
        (
            event["event_name"],
            event["operation_details"]["entity"],
            event["operation_details"]["outcome"],
        )
        for event in logged("database_operations")
    ]


@pytest.mark.parametrize("kind", ["engine", "sessionmaker"])
def test_what_a_session_writes_is_recorded(engine: sa.Engine, kind: str, logged: Logged) -> None:
    """The outcome is the database's; other classes are not captured."""
    sessions = sessionmaker(engine)
    handle = leadlog.capture(engine if kind == "engine" else sessions, Customer)
    with sessions() as session:
        session.add_all([Customer(name="Ana"), Unwatched()])
        session.commit()
        session.add(Customer(name="Bo"))
        session.flush()
        session.rollback()
    handle.release()
    with sessions.begin() as session:
        session.add(Customer(name="Cy"))
    assert outcomes(logged) == [
        ("customer.create", "Customer", "committed"),
        ("customer.create", "Customer", "rolled_back"),
    ]


@pytest.mark.parametrize("kind", ["engine", "sessionmaker"])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.asyncio
async def test_async_sessions(
    kind: str, database: str, tmp_path: Any, request: pytest.FixtureRequest, logged: Logged
) -> None:
    """The same is true for aiosqlite and psycopg's asynchronous mode."""
    url = f"sqlite+aiosqlite:///{tmp_path}/app.db"
    if database == "postgresql":
        url = request.getfixturevalue("postgres_database")
    engine = create_async_engine(url)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    handle = leadlog.capture(engine if kind == "engine" else sessions, Customer)
    async with sessions() as session:
        customer = Customer(name="Ana")
        session.add(customer)
        await session.commit()
        customer.name = "Eva"
        await session.flush()
        await session.rollback()
    handle.release()
    await engine.dispose()
    assert outcomes(logged) == [
        ("customer.create", "Customer", "committed"),
        ("customer.update", "Customer", "rolled_back"),
    ]
    update = logged("database_operations")[1]
    assert update["data_details"]["fields_changed"] == {"name": {"old": "Ana", "new": "Eva"}}


def test_two_engines_do_not_mix(engine: sa.Engine, tmp_path: Any, logged: Logged) -> None:
    """The classes are the same, but the handle is for one engine."""
    other = sa.create_engine(f"sqlite:///{tmp_path}/other.db")
    Base.metadata.create_all(other)
    handle = leadlog.capture(engine, Customer)
    with Session(other) as session:
        session.add(Customer(name="Ana"))
        session.commit()
    assert outcomes(logged) == []
    handle.release()
    other.dispose()


def test_captured_twice_is_recorded_once(engine: sa.Engine, logged: Logged) -> None:
    """Two captures of an engine share its hooks; the last release removes them."""
    first = leadlog.capture(engine, Customer)
    second = leadlog.capture(engine, Customer, Unwatched)
    with Session(engine) as session:
        session.add_all([Customer(name="Ana"), Unwatched(id=1)])
        session.commit()
    assert Counter(outcomes(logged)) == {
        ("customer.create", "Customer", "committed"): 1,
        ("unwatched.create", "Unwatched", "committed"): 1,
    }
    first.release()
    first.release()
    with Session(engine) as session:
        session.add(Customer(name="Bo"))
        session.commit()
    assert len(outcomes(logged)) == 3
    second.release()
    assert not {"do_execute", "do_commit", "execution_ctx_cls"} & vars(engine.dialect).keys()


def test_a_class_is_captured_on_engines_made_later(tmp_path: Any, logged: Logged) -> None:
    """`capture(MyModel)` names no engine: it applies to any, including later ones."""
    handle = leadlog.capture(Customer)
    engines = [sa.create_engine(f"sqlite:///{tmp_path}/{name}.db") for name in ("one", "two")]
    for engine in engines:
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            session.add(Customer(name="Ana"))
            session.commit()
    assert outcomes(logged) == [("customer.create", "Customer", "committed")] * 2
    handle.release()
    for engine in engines:
        with Session(engine) as session:
            session.add(Customer(name="Bo"))
            session.commit()
        assert "do_commit" not in vars(engine.dialect)
        engine.dispose()
    assert len(outcomes(logged)) == 2


class OwnSession(Session):
    """A session class as defined by applications."""


@pytest.mark.parametrize("target", [OwnSession, sessionmaker(class_=OwnSession)])
def test_a_session_class_stands_for_its_engines(
    target: Any, engine: sa.Engine, tmp_path: Any, logged: Logged
) -> None:
    """The engines of its sessions are captured from their first use; other sessions' are not."""
    other = sa.create_engine(f"sqlite:///{tmp_path}/other.db")
    Base.metadata.create_all(other)
    handle = leadlog.capture(target, Customer)
    with Session(other) as session:
        session.add(Customer(name="Ana"))
        session.commit()
    assert outcomes(logged) == []
    with target(bind=engine) as session:
        session.add(Customer(name="Bo"))
        session.commit()
    assert outcomes(logged) == [("customer.create", "Customer", "committed")]
    handle.release()
    with target(bind=engine) as session:
        session.add(Customer(name="Cy"))
        session.commit()
    assert len(outcomes(logged)) == 1
    other.dispose()


def test_a_scoped_session_and_several_binds(
    engine: sa.Engine, tmp_path: Any, logged: Logged
) -> None:
    """Every engine that a sessionmaker is bound to is captured."""
    other = sa.create_engine(f"sqlite:///{tmp_path}/other.db")
    Base.metadata.create_all(other)
    sessions = scoped_session(sessionmaker(binds={Customer: engine, Unwatched: other}))
    handle = leadlog.capture(sessions, Customer, Unwatched)
    sessions.add_all([Customer(name="Ana"), Unwatched(id=1)])
    sessions.commit()
    sessions.remove()
    assert Counter(outcomes(logged)) == {
        ("customer.create", "Customer", "committed"): 1,
        ("unwatched.create", "Unwatched", "committed"): 1,
    }
    handle.release()
    other.dispose()


@pytest.mark.parametrize(
    ("target", "classes", "message"),
    [
        (sa.create_engine("sqlite://"), (), "nothing to capture"),
        (sa.create_engine("sqlite://"), (dict,), "is not a mapped class"),
        (sa.create_engine("sqlite://"), (Customer(name="A"),), "is not a mapped class"),
        ("sqlite://", (Customer,), "give an Engine"),
        (Session, (), "nothing to capture"),
    ],
)
def test_what_cannot_be_captured(target: Any, classes: Any, message: str) -> None:
    """The error names the value and the valid targets."""
    with pytest.raises(TypeError, match=message):
        leadlog.capture(target, *classes)
    assert UOWTransaction.execute is SQLALCHEMYS_EXECUTE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operations": ["creat"]}, "did you mean 'create'"),
        ({"read_sample": 2}, "read_sample = 2 is not a share"),
        ({"slow_read_ms": -1}, "slow_read_ms = -1 is below 0"),
        ({"transaction_records": -1}, "below 0"),
    ],
)
def test_bad_options(engine: sa.Engine, options: Any, message: str) -> None:
    """The error names the value and the valid ones, and nothing is captured."""
    with pytest.raises(ValueError, match=message):
        leadlog.capture(engine, Customer, **options)
    assert "do_commit" not in vars(engine.dialect)


def test_a_password_in_the_url_appears_nowhere(postgres_database: str, logged: Logged) -> None:
    """It is neither in the handle's repr nor in a record of a failed connection."""
    url = sa.make_url(postgres_database).set(password="hunter2secret", database="missing")
    engine = sa.create_engine(url)
    handle = leadlog.capture(engine, Customer)
    with pytest.raises(sa.exc.OperationalError), Session(engine) as session:
        session.scalars(sa.select(Customer)).all()
    handle.release()
    engine.dispose()
    assert "hunter2secret" not in f"{handle!r}{logged('database_operations')}{logged('error_logs')}"


def test_threads_and_tasks_do_not_mix(postgres_database: str, logged: Logged) -> None:
    """With sessions in many threads, each record has its own transaction and outcome."""
    engine = sa.create_engine(postgres_database)
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Customer)

    def work(number: int) -> None:
        for turn in range(10):
            with leadlog.session(worker=number), Session(engine) as session:
                session.add(Customer(name=f"{number}:{turn}"))
                session.flush()
                (session.commit if (number + turn) % 2 else session.rollback)()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    handle.release()
    engine.dispose()
    records = logged("database_operations")
    assert len(records) == 40
    assert len({r["operation_details"]["transaction_id"] for r in records}) == 40
    for record in records:
        number, turn = map(int, record["lead_identifier"]["name"].split(":"))
        expected = "committed" if (number + turn) % 2 else "rolled_back"
        assert record["operation_details"]["outcome"] == expected
        assert record["context"] == {"worker": number}


def test_every_way_to_the_driver_is_counted(engine: sa.Engine, logged: Logged) -> None:
    """Semi-private in SQLAlchemy: one row, many, no parameters, and a failure."""
    handle = leadlog.capture(engine, Customer)
    with leadlog.monitor_performance("queries"), engine.connect() as connection:
        insert = sa.insert(Customer)
        connection.execute(insert, {"name": "Ana"})
        connection.execute(insert, [{"id": 7, "name": "Bo"}, {"id": 8, "name": "Cy"}])
        plain = connection.execution_options(no_parameters=True)
        plain.exec_driver_sql("SELECT '%' FROM customers")
        with pytest.raises(sa.exc.OperationalError):
            connection.exec_driver_sql("SELECT nothing FROM nowhere")
    handle.release()
    assert not {"do_execute", "do_executemany", "do_commit"} & vars(engine.dialect).keys()
    (measured,) = logged("performance_metrics")
    assert measured["performance_data"]["database_queries"] == 4


def test_a_hook_configures_no_mapper(engine: sa.Engine, logged: Logged) -> None:
    """That is left to the application, once all of its classes are defined."""

    class Own(DeclarativeBase):
        pass

    class Early(Own):
        __tablename__ = "customers"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        later = relationship("Later")  # a class that does not exist yet

    handle = leadlog.capture(engine, Early)
    with engine.begin() as connection:
        connection.execute(sa.insert(Early.__table__).values(id=7, name="Ana"))
    handle.release()
    assert not sa.inspect(Early).configured
    assert outcomes(logged) == [("early.create", "Early", "committed")]
    Own.registry.dispose()
