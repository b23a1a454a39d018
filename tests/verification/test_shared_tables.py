"""Classes that share a table through inheritance are verified together."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import leadlog
from leadlog.cli import root
from leadlog.verification import VerificationReport

Verified = Callable[..., VerificationReport]


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    waits: Mapped[dt.timedelta | None] = mapped_column(sa.Interval)

    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012


class Manager(Person):
    """Joined-table inheritance: its own columns are in a separate table."""

    __tablename__ = "managers"

    id: Mapped[int] = mapped_column(sa.ForeignKey("people.id"), primary_key=True)
    budget: Mapped[int]

    __mapper_args__ = {"polymorphic_identity": "manager"}  # noqa: RUF012


class Guest(Person):
    """Single-table inheritance: it has no separate table."""

    host: Mapped[str | None]

    __mapper_args__ = {"polymorphic_identity": "guest"}  # noqa: RUF012


class Stranger(Base):
    """A class in another table with equal keys."""

    __tablename__ = "strangers"

    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """An engine with a row of each class."""
    engine = sa.create_engine(url)
    Base.metadata.create_all(engine)
    leadlog.configure()
    handle = leadlog.capture(engine, Base)
    with Session(engine) as session:
        session.add_all(
            [
                Person(id=1, name="Ana", waits=dt.timedelta(days=-1, seconds=5, microseconds=7)),
                Manager(id=2, name="Bo", budget=7, waits=dt.timedelta(hours=30)),
                Guest(id=3, name="Cy", host="Bo"),
                Stranger(id=4),
            ]
        )
        session.commit()
        session.get_one(Manager, 2).name = "Bob"
        session.execute(sa.update(Person).where(Person.id == 3).values(name="Cyd"))
        session.commit()
    yield engine
    handle.release()
    engine.dispose()


def test_the_classes_of_one_table_are_compared_with_it_together(
    engine: sa.Engine, verified: Verified
) -> None:
    """Every row is found, whatever its class and whichever class changed it."""
    report = verified(entity=["Person", "Manager", "Guest"], table="people")
    assert report.differences == []
    assert (report.rows_equal, report.values_unknown) == (3, {})
    assert verified(entity="Manager", table="managers").difference_count == 0


def test_a_row_of_a_class_that_was_not_asked_for_is_explained(
    engine: sa.Engine, verified: Verified, behind_the_back: Callable[..., None]
) -> None:
    """A row of another class is explained, with the option to include that class."""
    behind_the_back("INSERT INTO people (id, kind, name) VALUES (4, 'person', 'Di')")
    report = verified(entity="Person", table="people")
    found = {one.key: (one.what, one.cause) for one in report.differences}
    assert found == {"2": ("extra", "other_class"), "4": ("extra", "unexplained")}
    assert "`--entity Manager`" in report.differences[0].explanation


def test_the_command_takes_several_classes(engine: sa.Engine, url: str) -> None:
    """`--entity` may be repeated."""
    assert leadlog.flush()
    names = [part for name in ("Person", "Manager", "Guest") for part in ("--entity", name)]
    result = CliRunner().invoke(root, ["verify", *names, "--table", "people", "--database", url])
    assert result.exit_code == 0, result.output
    assert "3 in the log, 3 in people" in result.stdout
