"""`leadlog.capture` on every kind of target, beside the application's own code."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

import leadlog

Logged = Callable[..., list[dict[str, Any]]]


class Base(DeclarativeBase):
    """The tests' own metadata."""


class Customer(Base):
    """A mapped class of an application that knows nothing of leads."""

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
    """Event name, entity and outcome of every record, in order."""
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
    """With the outcome that the database had; other classes are left alone."""
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
    """The same on aiosqlite and on psycopg's asynchronous side."""
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
    """The classes are the same, the handle is one engine's."""
    other = sa.create_engine(f"sqlite:///{tmp_path}/other.db")
    Base.metadata.create_all(other)
    handle = leadlog.capture(engine, Customer)
    with Session(other) as session:
        session.add(Customer(name="Ana"))
        session.commit()
    assert outcomes(logged) == []
    handle.release()
    other.dispose()


def test_a_second_capture_says_what_to_do(engine: sa.Engine) -> None:
    """Rather than two records of one call."""
    handle = leadlog.capture(engine, Customer)
    with pytest.raises(ValueError, match="captured already; release its handle"):
        leadlog.capture(engine, Unwatched)
    handle.release()
    handle.release()
    leadlog.capture(engine, Unwatched).release()


@pytest.mark.parametrize(
    ("target", "classes", "message"),
    [
        (sa.create_engine("sqlite://"), (), "name the mapped classes"),
        (sa.create_engine("sqlite://"), (dict,), "no mapped class"),
        (sa.create_engine("sqlite://"), (Customer(name="A"),), "no mapped class"),
        ("sqlite://", (Customer,), "give an Engine"),
        (Session, (Customer,), "give an Engine"),
        (sessionmaker(), (Customer,), "with a bind"),
    ],
)
def test_what_cannot_be_captured(target: Any, classes: Any, message: str) -> None:
    """The error names the value and what to give."""
    with pytest.raises(TypeError, match=message):
        leadlog.capture(target, *classes)


def test_every_way_to_the_driver_is_counted(engine: sa.Engine, logged: Logged) -> None:
    """Semi-private in SQLAlchemy: one, many, without parameters, and one that fails."""
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
