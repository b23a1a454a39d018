"""A row whose primary key changes remains one row in the log and in the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import leadlog
from leadlog.cli import root
from leadlog.reading.history import history
from leadlog.reading.merged import read_merged
from leadlog.verification import VerificationReport

Verified = Callable[..., VerificationReport]


class Base(DeclarativeBase):
    pass


class Country(Base):
    """A table with a key of one column."""

    __tablename__ = "countries"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]


class Seat(Base):
    """A table with a key of two columns."""

    __tablename__ = "seats"

    hall: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    guest: Mapped[str | None]


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """An engine with three countries and three seats."""
    engine = sa.create_engine(url)
    Base.metadata.create_all(engine)
    leadlog.configure()
    handle = leadlog.capture(engine, Base)
    with Session(engine) as session:
        session.add_all(Country(code=code, name=code * 2) for code in ("a", "b", "c"))
        session.add_all(Seat(hall="h", number=number) for number in (1, 2, 3))
        session.commit()
    yield engine
    handle.release()
    engine.dispose()


def _orm(session: Session) -> None:
    country = session.get_one(Country, "a")
    country.code = "A"
    seat = session.get_one(Seat, ("h", 1))
    seat.number, seat.guest = 10, "Ana"
    session.commit()
    country.name = "later"
    seat.hall = "H"


def _swapped(session: Session) -> None:
    session.delete(session.get_one(Seat, ("h", 2)))
    session.flush()
    session.get_one(Seat, ("h", 1)).number = 2
    session.flush()
    session.add(Seat(hall="h", number=1, guest="new"))


def _core(session: Session) -> None:
    session.execute(sa.update(Country).where(Country.code == "a").values(code="A"))
    session.execute(
        sa.update(Seat.__table__)
        .where(Seat.hall == "h", Seat.number == 1)
        .values(number=11, guest="Bo")
    )


def _returning(session: Session) -> None:
    changing = sa.update(Country).where(Country.code == "a").values(code="A")
    session.execute(changing.returning(Country.code)).all()
    changing = sa.update(Seat).where(Seat.hall == "h", Seat.number == 1).values(hall="R")
    session.execute(changing.returning(Seat.hall, Seat.number)).all()


def _undone(session: Session) -> None:
    savepoint = session.begin_nested()
    session.get_one(Country, "a").code = "gone"
    session.flush()
    savepoint.rollback()
    session.get_one(Country, "b").code = "B"


@pytest.mark.parametrize("change", [_orm, _swapped, _core, _returning, _undone])
def test_the_log_follows_a_row_to_its_new_key(
    engine: sa.Engine, verified: Verified, change: Callable[[Session], None]
) -> None:
    """However the key was changed, the replay equals the table, without doubts."""
    with Session(engine) as session:
        change(session)
        session.commit()
    for entity, table in (("Country", "countries"), ("Seat", "seats")):
        report = verified(entity=entity, table=table)
        assert report.differences == []
        assert report.gaps == []
        assert report.rows_equal == 3


def _by_the_database(session: Session) -> None:
    session.execute(sa.update(Country).where(Country.code == "a").values(code=Country.code + "x"))


def _many(session: Session) -> None:
    session.execute(sa.update(Country).values(code=sa.func.upper(Country.code)))


def _each(session: Session) -> None:
    changing = sa.update(Country.__table__).where(Country.code == sa.bindparam("old"))
    pairs = [{"old": "a", "code": "A"}, {"old": "b", "code": "B"}]
    session.connection().execute(changing, pairs)


def _text(session: Session) -> None:
    session.execute(sa.text("UPDATE countries SET code = 'T' WHERE code = 'a'"))


@pytest.mark.parametrize("change", [_by_the_database, _many, _each, _text])
def test_a_new_key_that_the_record_does_not_know_is_its_explanation(
    engine: sa.Engine, verified: Verified, change: Callable[[Session], None]
) -> None:
    """Missing and unknown rows are explained by the call that changed their keys."""
    with Session(engine) as session:
        change(session)
        session.commit()
    report = verified(entity="Country", table="countries")
    assert report.difference_count > 0
    assert {difference.cause for difference in report.differences} == {"blind_spot"}


def test_a_row_that_left_its_key_unknowably_is_not_told_to_be_there(
    engine: sa.Engine, verified: Verified
) -> None:
    """A row whose new key the database computed no longer exists under the old key."""
    with Session(engine) as session:
        _by_the_database(session)
        session.commit()
    report = verified(entity="Country", table="countries")
    assert [(one.what, one.key) for one in report.differences] == [("extra", "ax")]


@pytest.fixture
def renamed(engine: sa.Engine, tmp_path: Path) -> Path:
    """The log of a country whose code was changed."""
    with Session(engine) as session:
        session.get_one(Country, "a").code = "A"
        session.commit()
        session.get_one(Country, "A").name = "later"
        session.commit()
    assert leadlog.flush()
    return tmp_path / "database_logs"


def test_both_histories_tell_of_the_change(renamed: Path) -> None:
    """The history of the old key ends, and that of the new key begins, with the change."""

    def entries(key: str) -> list[tuple[Any, Any]]:
        events = read_merged(renamed, ("database_operations",))
        (row,) = history((event.data for event in events), key).rows
        return [(entry.kind, entry.renamed) for entry in row.entries]

    change = {"from": "a", "to": "A"}
    assert entries("a") == [("create", None), ("update", change)]
    assert entries("A") == [("update", change), ("update", None)]


def test_the_command_shows_the_same_with_and_without_the_index(renamed: Path) -> None:
    """`leadlog history` of the old key shows the same with and without the index."""
    for _ in range(2):  # the second reads by the index that the first made
        result = CliRunner().invoke(
            root, ["history", "a", "--entity", "Country", "--directory", str(renamed)]
        )
        assert "key: a → A" in result.stdout
        assert "later" not in result.stdout
    plain = CliRunner().invoke(root, ["history", "A", "--json", "--directory", str(renamed)])
    assert [entry["renamed"] for entry in json.loads(plain.stdout)[0]["entries"]] == [
        {"from": "a", "to": "A"},
        None,
    ]
