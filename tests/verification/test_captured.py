"""Captured classes of an application, with every type of value, verified against their table."""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import leadlog
from leadlog.core.errors import ReadError
from leadlog.reading.merged import read_merged
from leadlog.reading.replay import replay, rows_of
from leadlog.verification import VerificationReport, verify

Verified = Callable[..., VerificationReport]
Execute = Callable[..., None]


class Base(DeclarativeBase):
    pass


class Colour(enum.Enum):
    RED = "#f00"
    BLUE = "#00f"


class Shade:
    """An enumeration for SQLAlchemy that is not a Python Enum."""

    __members__: ClassVar[dict[str, Shade]] = {}

    def __init__(self, name: str) -> None:
        self.name = name


Shade.__members__.update((name, Shade(name)) for name in ("PALE", "DEEP"))


class Company(Base):
    """A table with a column of every type."""

    __tablename__ = "companies"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(10, 2))
    ratio: Mapped[float | None]
    big: Mapped[int | None] = mapped_column(sa.BigInteger)
    active: Mapped[bool | None]
    colour: Mapped[Colour | None]
    shade: Mapped[Any] = mapped_column(sa.Enum(Shade), nullable=True)
    born: Mapped[dt.date | None]
    met: Mapped[dt.datetime | None]
    seen: Mapped[dt.datetime | None] = mapped_column(sa.DateTime(timezone=True))
    payload: Mapped[bytes | None]
    extra: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)
    code: Mapped[str | None] = mapped_column(sa.CHAR(8))
    made: Mapped[int] = mapped_column(server_default=sa.text("7"))


class SalesOrder(Base):
    """A table whose name differs from the class's."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    total: Mapped[int | None]


class Seat(Base):
    """A table with a composite key."""

    __tablename__ = "seats"

    hall: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    guest: Mapped[str | None]


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """An engine whose classes are captured."""
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":  # whose driver begins no transaction at a savepoint
        event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    Base.metadata.create_all(engine)
    leadlog.configure()
    handle = leadlog.capture(engine, Company, SalesOrder)
    yield engine
    handle.release()
    engine.dispose()


VALUES = {
    "name": "naïve \x07 007",
    "price": Decimal("1.5"),
    "ratio": 0.1,
    "big": 2**53 + 1,
    "active": True,
    "colour": Colour.BLUE,
    "shade": Shade.__members__["PALE"],
    "born": dt.date(2001, 2, 3),
    "met": dt.datetime(2026, 1, 2, 3, 4, 5, 6),
    "seen": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
    "payload": b"\xff\x00text",
    "extra": {"a": [1, 2.5, None, {"b": "ü"}]},
    "code": "ab",
}


def test_values_of_every_type_are_the_same_in_the_log_and_in_the_table(
    engine: sa.Engine, verified: Verified
) -> None:
    """Values of every column type, and nulls, verify."""
    with Session(engine) as session:
        company = Company(id=uuid.uuid4(), **VALUES)
        session.add_all([company, Company(id=uuid.uuid4())])
        session.commit()
        company.price = Decimal("2.50")
        session.commit()
        company.price = Decimal(3)
        company.met = dt.datetime(2027, 1, 1)
        company.colour = Colour.RED
        session.commit()
        blue = sa.update(Company).where(Company.id == company.id).values(colour=Colour.BLUE)
        session.execute(blue)
        session.commit()
    report = verified(entity="Company", ignore=["made"])
    assert report.differences == []
    assert report.gaps == []
    assert (report.rows_found, report.rows_equal) == (2, 2)
    assert report.values_compared == 2 * len(VALUES)


def test_another_value_of_any_type_is_a_difference(
    engine: sa.Engine, verified: Verified, behind_the_back: Execute
) -> None:
    """A changed value of every type is reported as a difference."""
    with Session(engine) as session:
        session.add(Company(id=uuid.uuid4(), **VALUES))
        session.commit()
    others = {
        "name": "naïve \x07 7",
        "price": Decimal("1.51"),
        "ratio": 0.2,
        "big": 2**53,
        "active": False,
        "colour": "RED",
        "shade": "DEEP",
        "born": "2001-02-04",
        "met": "2026-01-02 03:04:05.000007",
        "seen": "2026-01-02 03:04:06.000000",
        "payload": b"\xff\x01text",
        "extra": '{"a": [1, 2.5, null, {"b": "u"}]}',
        "code": "ac",
    }
    if engine.dialect.name == "postgresql":
        others["seen"] += "+00"
    else:
        others["price"] = 1.51
    for column, value in others.items():
        cast = f"CAST(:value AS {Company.__table__.c[column].type.compile(engine.dialect)})"
        place = cast if engine.dialect.name == "postgresql" else ":value"
        behind_the_back(f"UPDATE companies SET {column} = {place}", value=value)
    report = verified(entity="Company", ignore=["made"])
    assert {one.column for one in report.differences} == set(VALUES)
    assert report.causes == {"unexplained": len(VALUES)}


def test_a_table_that_has_to_be_named(
    engine: sa.Engine, verified: Verified, behind_the_back: Execute
) -> None:
    """If no table's name matches the class, the error lists the tables."""
    with Session(engine) as session:
        session.add_all([SalesOrder(id=n, total=n) for n in range(3)])
        session.commit()
    with pytest.raises(ReadError, match="with `table=`: there are companies, orders, seats"):
        verified(entity="SalesOrder")
    assert verified(entity="SalesOrder", table="orders").rows_equal == 3
    behind_the_back("DELETE FROM orders WHERE id = 1")
    (difference,) = verified(entity="SalesOrder", table="orders").differences
    assert (difference.key, difference.what) == ("1", "missing")


@pytest.mark.handmade_lines
def test_the_parts_of_a_composite_key_are_told_apart(
    engine: sa.Engine, verified: Verified, behind_the_back: Execute, tmp_path: Path
) -> None:
    """Commas inside the parts of a composite key are escaped, as in the log."""
    path = tmp_path / "database_logs" / "database_operations" / "2026-11-23.w7.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    key = {"hall": {"new": "a,b"}, "number": {"new": 7}}
    record = {
        "timestamp": "2026-11-23T10:00:00.000000Z",
        "log_type": "database_operation",
        "event_id": "1",
        "operation_details": {
            "operation_type": "create",
            "outcome": "committed",
            "entity": "Seat",
            "records_affected": 1,
        },
        "lead_identifier": {"lead_id": "a\\,b,7"},
        "data_details": {"fields_changed": {**key, "guest": {"new": "Ana"}}, "change": "create"},
    }
    path.write_text(json.dumps(record) + "\n")
    behind_the_back("INSERT INTO seats (hall, number, guest) VALUES ('a,b', 7, 'Ana')")
    report = verified(entity="Seat")
    assert (report.rows_equal, report.values_compared, report.differences) == (1, 1, [])


Step = tuple[str, int, int]
STEP = st.tuples(
    st.sampled_from(["add", "set", "delete", "savepoint", "release", "undo"]),
    st.integers(0, 3),
    st.integers(0, 9),
)
TRANSACTIONS = st.lists(
    st.tuples(st.sampled_from(["commit", "rollback", "close"]), st.lists(STEP, max_size=8)),
    max_size=6,
)


DEPTH = 3  # savepoints that are open at once


def play(engine: sa.Engine, transactions: list[tuple[str, list[Step]]]) -> None:
    """Run transactions of ORM calls with savepoints on four rows."""
    for end, steps in transactions:
        with Session(engine) as session:
            nested = []
            for what, number, total in steps:
                if what == "savepoint":
                    if len(nested) < DEPTH:
                        nested.append(session.begin_nested())
                elif what in ("release", "undo"):
                    if nested:
                        point = nested.pop()
                        point.commit() if what == "release" else point.rollback()
                else:
                    found = session.get(SalesOrder, number)
                    if what == "add" and found is None:
                        session.add(SalesOrder(id=number, total=total))
                    elif what == "set" and found is not None:
                        found.total = total
                    elif what == "delete" and found is not None:
                        session.delete(found)
                    session.flush()
            if end == "commit":
                session.commit()
            elif end == "rollback":
                session.rollback()


def statement(what: str, number: int, total: int) -> sa.Executable:
    """Return a statement that mostly touches none or several rows."""
    match what:
        case "set all":
            return sa.update(SalesOrder).values(total=total)
        case "raise some":
            return (
                sa.update(SalesOrder)
                .where(SalesOrder.id >= number)
                .values(total=SalesOrder.total + total)
            )
        case "set one":
            return sa.update(SalesOrder).where(SalesOrder.id == number).values(total=total)
        case "delete some":
            return sa.delete(SalesOrder).where(SalesOrder.total <= total)
        case "delete one":
            return sa.delete(SalesOrder).where(SalesOrder.id == number)
        case "insert":
            return sa.insert(SalesOrder).from_select(
                ["id", "total"],
                sa.select(sa.func.coalesce(sa.func.max(SalesOrder.id), 0) + 1, sa.literal(total)),
            )
        case _:
            return sa.text(f"UPDATE orders SET total = {total} WHERE id > {number}")


STATEMENTS = ("set all", "raise some", "set one", "delete some", "delete one", "insert", "text")
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("orm"), TRANSACTIONS.map(lambda found: found[:2])),
        st.tuples(
            st.booleans(),
            st.tuples(st.sampled_from(STATEMENTS), st.integers(0, 3), st.integers(0, 9)),
        ),
    ),
    max_size=8,
)
directories = count()

_ADDED = ("orm", [("commit", [("add", 0, 0)])])
# What a statement did without saying to which rows lies between two changes that tell their row,
# and another such statement follows.
DELETED_UNSEEN = [_ADDED, (True, ("delete some", 0, 0)), _ADDED, (True, ("set all", 0, 1))]
MADE_UNSEEN = [
    _ADDED,
    ("orm", [("commit", [("add", 1, 3), ("delete", 1, 0)])]),
    (True, ("insert", 0, 5)),
    ("orm", [("commit", [("set", 1, 7)])]),
    (True, ("raise some", 0, 1)),
]


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(calls=CALLS)
@example(calls=DELETED_UNSEEN)
@example(calls=MADE_UNSEEN)
def test_whatever_went_through_the_engine_is_in_the_log_or_explained_by_it(
    engine: sa.Engine,
    url: str,
    tmp_path: Path,
    behind_the_back: Execute,
    calls: list[tuple[Any, Any]],
) -> None:
    """Every difference is explained, at least by a statement that does not name its rows."""
    behind_the_back("DELETE FROM orders")
    leadlog.shutdown()
    directory = tmp_path / f"log{next(directories)}"
    leadlog.configure(directory=directory)
    for how, what in calls:
        if how == "orm":
            play(engine, what)
        else:
            with Session(engine) as session:
                session.execute(statement(*what))
                if how:
                    session.commit()
    assert leadlog.flush()
    report = verify(directory, url, entity="SalesOrder", table="orders")
    assert set(report.causes) <= {"blind_spot"}, report.differences


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(transactions=TRANSACTIONS)
def test_whatever_was_committed_or_rolled_back_the_replay_is_the_table(
    engine: sa.Engine, tmp_path: Path, transactions: list[tuple[str, list[Step]]]
) -> None:
    """The replay equals the table row by row, without uncertainty or gaps."""
    with engine.begin() as connection:
        connection.execute(sa.delete(SalesOrder.__table__))
    with leadlog.session() as session_id:
        play(engine, transactions)
    assert leadlog.flush()
    told = replay(
        one.data
        for one in read_merged(tmp_path / "database_logs", ("database_operations",))
        if one.data["session_id"] == session_id
    )
    with engine.connect() as connection:
        rows = connection.execute(sa.select(SalesOrder.__table__)).mappings().all()
    table = told.tables.get("SalesOrder")
    replayed = list(rows_of(table)) if table is not None else []
    expected = [{"_key": str(row["id"]), **row} for row in rows]
    assert replayed == sorted(expected, key=lambda row: row["_key"])
    assert table is None or table.gap_count == 0
