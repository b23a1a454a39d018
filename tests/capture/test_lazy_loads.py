"""Lazy loads are internal reads, but many of them are recorded."""

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

import leadlog
from tests.capture.people import Log, Note, Person


def notes(people: sa.Engine, log: Log, count: int) -> None:
    """Add persons with a note each."""
    with Session(people) as session:
        session.add_all(Person(email=f"p{number}", notes=[Note()]) for number in range(count))
        session.commit()
    log.clear()


def lazy(log: Log) -> list[tuple[str, bool, int]]:
    """Return class, `bulk` flag and statement count of each record of lazy loads."""
    return [
        (
            record["operation_details"]["entity"],
            record["operation_details"]["bulk"],
            record["performance_metrics"]["database_queries"],
        )
        for record in log.records()
        if record["operation_details"].get("load") == "lazy"
    ]


@pytest.mark.parametrize(("count", "told"), [(9, []), (10, [("Note", True, 10)])])
def test_ten_lazy_loads_of_a_class_in_a_transaction_are_told(
    people: sa.Engine, log: Log, count: int, told: list[tuple[str, bool, int]]
) -> None:
    """They make one record when the transaction ends; nine make none."""
    notes(people, log, count)
    with Session(people) as session:
        for person in session.scalars(sa.select(Person)):
            assert len(person.notes) == 1
        assert lazy(log) == []
    assert lazy(log) == told


def test_each_transaction_counts_for_itself(people: sa.Engine, log: Log) -> None:
    """So does each class; eager loads are not counted."""
    notes(people, log, 12)
    for _ in range(2):
        with Session(people) as session:
            found = session.scalars(sa.select(Note)).all()
            for note in found[:6]:
                assert note.person is not None
    assert lazy(log) == []
    with Session(people) as session:
        for person in session.scalars(sa.select(Person).options(selectinload(Person.notes))):
            assert person.notes
    assert lazy(log) == []
    with Session(people) as session:
        for note in session.scalars(sa.select(Note)):
            assert note.person is not None
        session.commit()
        assert lazy(log) == [("Person", True, 12)]


def test_with_the_option_internal_each_has_a_record_too(database: sa.Engine, log: Log) -> None:
    """The record has the load's kind."""
    handle = leadlog.capture(database, Person, Note, internal=True)
    notes(database, log, 10)
    with Session(database) as session:
        for person in session.scalars(sa.select(Person)):
            assert person.notes
    handle.release()
    assert sorted(lazy(log)) == [("Note", False, 1)] * 10 + [("Note", True, 10)]
