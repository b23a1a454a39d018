"""Multiple rows written at a time are recorded, whatever the idiom."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import leadlog
from tests.capture.people import Log


class Base(DeclarativeBase):
    """The tests' own metadata."""


class Part(Base):
    """A class with a default of Python's and one of the database's."""

    __tablename__ = "parts"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    size: Mapped[int | None] = mapped_column(default=7)
    note: Mapped[str | None] = mapped_column(server_default="new")


class PartCopy(Base):
    """The target of copied parts."""

    __tablename__ = "copies"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]


PARTS, COPIES = Part.__table__, PartCopy.__table__
TWO = [{"id": 1, "name": "bolt"}, {"id": 2, "name": "nut"}]
NAMES = [{"name": "bolt"}, {"name": "nut"}]


@pytest.fixture(params=["sqlite", "postgresql"])
def parts(request: pytest.FixtureRequest, tmp_path: Path, log: Log) -> Iterator[sa.Engine]:
    """Captured databases with the tables."""
    del log
    if request.param == "sqlite":
        engine = sa.create_engine(f"sqlite:///{tmp_path}/parts.db")
    else:
        engine = sa.create_engine(request.getfixturevalue("postgres_database"))
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Base)
    yield engine
    handle.release()
    engine.dispose()


Idiom = Callable[[Session], Any]
KEYED: dict[str, Idiom] = {
    "values of many rows": lambda session: session.execute(sa.insert(PARTS).values(TWO)),
    "values of many rows, of a class": lambda session: session.execute(sa.insert(Part).values(TWO)),
    "values of tuples": lambda session: session.execute(
        sa.insert(COPIES).values([(1, "bolt"), (2, "nut")])
    ),
    "executemany": lambda session: session.execute(sa.insert(PARTS), TWO),
    "bulk_insert_mappings": lambda session: session.bulk_insert_mappings(Part, TWO),
    "bulk_save_objects": lambda session: session.bulk_save_objects(
        [Part(id=1, name="bolt"), Part(id=2, name="nut")]
    ),
    "executemany with RETURNING": lambda session: session.execute(
        sa.insert(PARTS).returning(PARTS.c.id, PARTS.c.note), NAMES
    ).all(),
    "the class returned": lambda session: session.scalars(
        sa.insert(Part).returning(Part, sort_by_parameter_order=True), NAMES
    ).all(),
    "values of many rows with RETURNING": lambda session: session.execute(
        sa.insert(PARTS).values(NAMES).returning(PARTS.c.id)
    ).all(),
    "bulk_save_objects with defaults": lambda session: session.bulk_save_objects(
        [Part(name="bolt"), Part(name="nut")], return_defaults=True
    ),
}


@pytest.mark.parametrize("idiom", KEYED)
@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_rows_of_one_statement_are_one_record_with_their_keys(
    parts: sa.Engine, log: Log, idiom: str, ends: str
) -> None:
    """True for every idiom; no record claims the values of a single row."""
    with Session(parts) as session:
        KEYED[idiom](session)
        getattr(session, ends)()
    (record,) = log.records()
    assert (
        record["operation_details"]["outcome"]
        == {
            "commit": "committed",
            "rollback": "rolled_back",
        }[ends]
    )
    assert record["operation_details"]["records_affected"] == 2
    assert record["lead_identifier"]["lead_ids"] == ["1", "2"]
    assert record["data_details"]["fields_changed"] is None


@pytest.mark.parametrize("table", [PARTS, sa.table("parts", sa.column("id"), sa.column("name"))])
def test_values_of_one_row_are_the_rows_own(parts: sa.Engine, log: Log, table: Any) -> None:
    """A list of one row also gives keys, values and defaults, even if the Table lacks columns."""
    with parts.begin() as connection:
        connection.execute(sa.insert(table).values([{"id": 1, "name": None}]))
        connection.execute(sa.insert(table).values([{"id": 2, "name": "nut"}]))
        connection.execute(sa.insert(table).values(id=3, name=sa.func.lower("BOLT")))
        connection.execute(sa.insert(table).values([{"id": 4, "name": sa.func.lower("BOLT")}]))
    size = {"new": 7} if table is PARTS else {}
    rest = {"size": size, "note": {}}
    assert [
        (record["lead_identifier"]["lead_id"], record["data_details"]["fields_changed"])
        for record in log.records()
    ] == [
        ("1", {"id": {"new": 1}, **rest}),
        ("2", {"id": {"new": 2}, "name": {"new": "nut"}, **rest}),
        ("3", {"id": {"new": 3}, "name": {}, **rest}),
        ("4", {"id": {"new": 4}, "name": {}, **rest}),
    ]


def test_rows_that_the_database_chose_have_no_values(parts: sa.Engine, log: Log) -> None:
    """INSERT … SELECT: count known, with RETURNING the keys; a column left out is not NULL."""
    rows = sa.select(PARTS.c.id, PARTS.c.name)
    with parts.begin() as connection:
        connection.execute(sa.insert(PARTS), TWO)
    with parts.begin() as connection:
        connection.execute(sa.insert(COPIES).from_select(["id", "name"], rows))
        more = sa.select(PARTS.c.id + 10, PARTS.c.name)
        insert = sa.insert(COPIES).from_select(["id", "name"], more).returning(COPIES.c.id)
        connection.execute(insert).all()
    blind, told = (one for one in log.records() if one["event_name"] == "partcopy.create")
    assert blind["operation_details"]["records_affected"] == 2
    assert sorted(told["lead_identifier"]["lead_ids"]) == ["11", "12"]
    for record in (blind, told):
        assert record["data_details"]["fields_changed"] is None


def test_a_refused_statement_of_many_rows_has_failed_as_a_whole(parts: sa.Engine, log: Log) -> None:
    """One of its rows exists already; with ON CONFLICT the others are written and counted."""
    if parts.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert
    else:
        from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]
    with parts.begin() as connection:
        connection.execute(sa.insert(PARTS).values(TWO[:1]))
    log.clear()
    with parts.begin() as connection:
        with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
            connection.execute(sa.insert(PARTS).values(TWO))
        connection.execute(insert(PARTS).values(TWO).on_conflict_do_nothing())
    (failed, half) = log.records()
    assert failed["operation_details"]["outcome"] == "failed"
    assert failed["operation_details"]["duplicate_detected"]
    assert half["operation_details"]["outcome"] == "committed"
    assert half["operation_details"]["records_affected"] == 1
    assert half["operation_details"]["duplicate_detected"]
    assert half["data_details"]["fields_changed"] is None


class Stamped(Base):
    """A class whose `at` is set by each UPDATE."""

    __tablename__ = "stamped"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    at: Mapped[str | None] = mapped_column(onupdate=sa.func.upper("now"))


class Unstamped(Base):
    """A class with a column of the same name, set only by the application."""

    __tablename__ = "unstamped"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    at: Mapped[str | None]


def test_what_an_update_computed_belongs_to_its_table(parts: sa.Engine, log: Log) -> None:
    """An expired column of that name in another table's row with the same key is no change."""
    with Session(parts) as session:
        rows = [Stamped(id=1), Unstamped(id=1)]
        session.add_all(rows)
        session.commit()
        session.refresh(rows[1])
        session.refresh(rows[0])
        session.expire(rows[1], ["at"])
        for row in rows:
            row.name = "x"
        session.commit()
    updated = [one for one in log.records() if one["event_name"].endswith(".update")]
    changes = {one["event_name"]: one["data_details"]["fields_changed"] for one in updated}
    name = {"old": None, "new": "x"}
    assert changes == {
        "stamped.update": {"name": name, "at": {}},
        "unstamped.update": {"name": name},
    }


class Machine(Base):
    """A class whose subclass has a separate table."""

    __tablename__ = "machines"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "machine"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]


class Press(Machine):
    """Whose rows lie in two tables."""

    __tablename__ = "presses"
    __mapper_args__ = {"polymorphic_identity": "press"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(sa.ForeignKey("machines.id"), primary_key=True)
    tons: Mapped[int | None] = mapped_column(unique=True)


def test_rows_of_joined_inheritance_are_created_once(parts: sa.Engine, log: Log) -> None:
    """A bulk INSERT takes a statement for each table; its rows are counted in the first."""
    rows = [{"id": 1, "tons": 5}, {"id": 2, "tons": 6}]
    with Session(parts) as session:
        session.execute(sa.insert(Press), rows)
        session.commit()
        with pytest.raises(sa.exc.IntegrityError):
            session.execute(sa.insert(Press), [{"id": 3, "tons": 6}])
    assert log.told() == [
        ("press.create", "committed", 2),
        ("press.create", "failed", None),
        ("press.create", "rolled_back", 1),
    ]


PRESSES = sa.select(Machine.id.label("id"), sa.literal(5).label("tons")).where(Machine.id == 1)
SUBCLASS: dict[str, Idiom] = {
    "parameters, in Core": lambda session: session.connection().execute(
        sa.insert(Press), [{"id": 1, "tons": 5}]
    ),
    "values, in Core": lambda session: session.connection().execute(
        sa.insert(Press).values(id=1, tons=5)
    ),
    "values, in a Session": lambda session: session.execute(sa.insert(Press).values(id=1, tons=5)),
    "rows of a query": lambda session: session.execute(
        sa.insert(Press).from_select(["id", "tons"], PRESSES)
    ),
}


@pytest.mark.parametrize("idiom", SUBCLASS)
def test_an_insert_into_a_subclass_table_alone_is_recorded(
    parts: sa.Engine, log: Log, idiom: str
) -> None:
    """Only the ORM's bulk INSERT writes the base table too; here it is the only statement."""
    with Session(parts) as session:
        session.execute(sa.insert(Machine.__table__).values(id=1, kind="press"))
        session.commit()
        log.clear()
        SUBCLASS[idiom](session)
        session.commit()
    assert log.told() == [("press.create", "committed", 1)]
