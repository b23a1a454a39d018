"""Operations, reads and columns can be left out, and excess changes are counted."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

import leadlog
from tests.capture.people import Base, Log, Note, Person


@pytest.fixture
def plain(tmp_path: Path) -> Any:
    """An uncaptured engine."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/people.db")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def work(engine: sa.Engine) -> None:
    """Create, read, change and delete, with objects and with statements."""
    with Session(engine) as session:
        person = Person(email="a")
        session.add(person)
        session.commit()
        session.scalars(sa.select(Person)).all()
        person.score = 2
        session.commit()
        session.execute(sa.update(Person).where(Person.id == 1).values(score=3))
        session.execute(sa.insert(Note).values(body="x"))
        session.commit()
        session.delete(person)
        session.commit()


@pytest.mark.parametrize("chosen", ["create", "read", "update", "delete"])
def test_operations_can_be_chosen(plain: sa.Engine, log: Log, chosen: str) -> None:
    """Only those are recorded, including failures."""
    handle = leadlog.capture(plain, Person, Note, operations=[chosen])
    work(plain)
    with Session(plain) as session, pytest.raises(sa.exc.IntegrityError):
        session.execute(sa.insert(Person), [{"id": 5, "version": 1}, {"id": 5, "version": 1}])
    handle.release()
    found = {event.partition(".")[2] for event, _, _ in log.told(reads=True)}
    assert found == {chosen}


def test_classes_can_be_chosen(plain: sa.Engine, log: Log) -> None:
    """Statements on other classes' tables are not recorded."""
    handle = leadlog.capture(plain, Note)
    work(plain)
    handle.release()
    assert log.told(reads=True) == [("note.create", "committed", 1)]


def test_values_of_excluded_columns_appear_nowhere(plain: sa.Engine, log: Log) -> None:
    """Their names do appear: it is no secret that they were written."""
    handle = leadlog.capture(plain, Person, exclude=["email"])
    secret = "hidden-value-4711"
    with Session(plain) as session:
        person = Person(email=secret)
        session.add(person)
        session.commit()
        person.email = secret + "b"
        session.commit()
        session.execute(sa.insert(Person).values(email=secret + "c", version=1))
        session.execute(sa.update(Person).where(Person.id == 2).values(email=secret + "d"))
        session.commit()
        session.add(Person(email=secret + "b"))
        with pytest.raises(sa.exc.IntegrityError):
            session.flush()
        session.rollback()
        with pytest.raises(sa.exc.IntegrityError):
            session.execute(sa.insert(Person).values(email=secret + "b", version=1))
        session.rollback()
        session.delete(person)
        session.commit()
    handle.release()
    text = json.dumps([log.records(), log.records("error_logs")])
    assert secret not in text
    assert len(log.records()) == 7
    changes = [record["data_details"]["fields_changed"] for record in log.records()]
    assert all(fields["email"] == {} for fields in changes[:4] if "email" in fields)
    assert "email" in changes[0]


def test_reads_can_be_sampled(plain: sa.Engine, log: Log) -> None:
    """The records contain the share of reads that they stand for."""
    handle = leadlog.capture(plain, Person, read_sample=0.25)
    random.seed(3)
    with Session(plain) as session:
        for _ in range(400):
            session.scalars(sa.select(Person)).all()
    handle.release()
    records = log.records()
    assert {record["sample_rate"] for record in records} == {0.25}
    assert 60 < len(records) < 140


def test_only_slow_reads(plain: sa.Engine, log: Log) -> None:
    """`read_sample=0` with a limit records only the slow reads, with a rate of 1."""
    handle = leadlog.capture(plain, Person, read_sample=0, slow_read_ms=50)
    slow = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) "
        "SELECT max(i) FROM n LEFT JOIN people ON people.id = i"
    )
    with Session(plain) as session:
        session.scalars(sa.select(Person)).all()
        session.execute(sa.text(slow)).all()
    handle.release()
    (record,) = log.records()
    assert record["operation_details"]["execution_time_ms"] >= 50
    assert record.get("sample_rate") is None


def test_a_transaction_with_too_many_changes_says_what_it_cut(plain: sa.Engine, log: Log) -> None:
    """The first changes have a record each; the others are counted by class and operation."""
    handle = leadlog.capture(plain, Person, Note, transaction_records=10)
    with Session(plain) as session:
        session.add_all([Person(email=str(i)) for i in range(25)])
        session.flush()
        with session.begin_nested():
            session.add_all([Note(body="x") for _ in range(5)])
        undone = session.begin_nested()
        session.add_all([Note(body="y") for _ in range(7)])
        session.flush()
        undone.rollback()
        session.add_all([Note(body="z") for _ in range(2)])
        session.commit()
    handle.release()
    cut: Counter[tuple[str, str]] = Counter()
    for record in log.records():
        details = record["operation_details"]
        cut[record["event_name"], details["outcome"]] += details.get("records_cut", 0)
    assert cut == {
        ("person.create", "committed"): 15,
        ("note.create", "savepoint_rolled_back"): 7,
        ("note.create", "committed"): 7,
    }
    assert log.outcomes()["person.create", "committed"] == 11


def test_a_disabled_pipeline_records_nothing(plain: sa.Engine) -> None:
    """The application is not affected."""
    handle = leadlog.capture(plain, Person, Note)
    with leadlog.configure(enabled=False):
        work(plain)
        assert leadlog.stats().accepted == {}
        assert leadlog.stats().failures == 0
    handle.release()
