"""One record per statement that no other call owns: one test for each trap of the hooks."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, joinedload, selectinload

import leadlog
from leadlog.recording.capture.operation import operation
from leadlog.recording.capture.targets import attach
from tests.capture.people import Base, Customer, Log, Note, Person

PEOPLE = Person.__table__


def fill(engine: sa.Engine, log: Log, *emails: str) -> None:
    """Add people with ids from 1."""
    with Session(engine) as session:
        session.add_all([Person(id=i, email=email) for i, email in enumerate(emails, 1)])
        session.commit()
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT setval('people_id_seq', {len(emails)})")
    log.clear()


def only(log: Log) -> dict[str, Any]:
    """Return the only record so far."""
    (record,) = log.records()
    return record


def shape(record: dict[str, Any]) -> tuple[Any, ...]:
    """Return event, rows, `bulk`, key, keys and change of a record."""
    details, who = record["operation_details"], record["lead_identifier"]
    return (
        record["event_name"],
        details["records_affected"],
        details["bulk"],
        who["lead_id"],
        who.get("lead_ids"),
        record["data_details"].get("change"),
    )


# ------------------------------------------------------------------------------- unit of work


def test_an_object_without_a_net_change_is_no_update(people: sa.Engine, log: Log) -> None:
    """Set to its current value, or dirty by a relationship only: no SQL, no record."""
    fill(people, log, "a")
    with Session(people) as session:
        person = session.get(Person, 1)
        assert person is not None
        person.score = person.score
        person.notes.append(Note(body="x"))
        session.commit()
    assert log.told() == [("note.create", "committed", 1)]


def test_what_the_database_or_sqlalchemy_sets_is_in_the_record(people: sa.Engine, log: Log) -> None:
    """Defaults, onupdate and version are known; the value of an SQL expression is not."""
    with Session(people) as session:
        person = Person(email="a", touched=None)
        session.add(person)
        session.commit()
        created = log.records()[-1]["data_details"]["fields_changed"]
        assert created["score"] == {"new": 0}
        assert created["origin"] in ({"new": "import"}, {})
        assert created["version"] == {"new": 1}
        person.score = Person.score + 1
        session.commit()
    changed = log.records()[-1]["data_details"]["fields_changed"]
    assert changed == {"score": {}, "touched": {"new": 7}, "version": {"new": 2}}


def test_an_old_value_is_what_the_database_had(people: sa.Engine, log: Log) -> None:
    """Not loaded: left out. Changed but not flushed before a delete: the saved one."""
    fill(people, log, "a")
    with Session(people) as session:
        person = session.get(Person, 1)
        assert person is not None
        session.expire(person)
        person.score = 5
        session.commit()
        assert log.records()[-1]["data_details"]["fields_changed"]["score"] == {"new": 5}
        session.refresh(person)
        person.score = 6
        with session.no_autoflush:
            session.delete(person)
        session.commit()
    assert log.records()[-1]["data_details"]["fields_changed"]["score"] == {"old": 5}


def test_a_joined_subclass_is_one_record(people: sa.Engine, log: Log) -> None:
    """It has two statements; a change in its own table updates the version in the other."""
    with Session(people) as session:
        customer = Customer(email="a", level=1)
        session.add(customer)
        session.commit()
        customer.level = 2
        session.commit()
        session.delete(customer)
        session.commit()
    assert [event for event, _, _ in log.told()] == [
        "customer.create",
        "customer.update",
        "customer.delete",
    ]
    changed = log.records()
    assert changed[0]["data_details"]["fields_changed"]["level"] == {"new": 1}
    update = next(r for r in changed if r["event_name"] == "customer.update")
    assert update["data_details"]["fields_changed"]["version"] == {"new": 2}


def test_a_new_object_in_place_of_a_deleted_one_is_an_update(people: sa.Engine, log: Log) -> None:
    """The unit of work combines a delete and an insert with the same key into one UPDATE."""
    fill(people, log, "a")
    with Session(people) as session:
        old = session.get(Person, 1)
        assert old is not None
        session.delete(old)
        session.add(Person(id=1, email="b", version=old.version))
        session.commit()
    record = log.records()[-1]
    assert shape(record) == ("person.update", 1, False, "1", None, "update")
    assert record["data_details"]["fields_changed"]["email"]["new"] == "b"


def test_cascades_are_records_of_their_own(people: sa.Engine, log: Log) -> None:
    """Deleting a person deletes the notes, with one record each."""
    with Session(people) as session:
        person = Person(email="a", notes=[Note(body="x"), Note(body="y")])
        session.add(person)
        session.commit()
        log.clear()
        session.delete(person)
        session.commit()
    assert log.outcomes() == {("note.delete", "committed"): 2, ("person.delete", "committed"): 1}


def test_merge_is_what_it_writes(people: sa.Engine, log: Log) -> None:
    """`merge` is recorded as its write; its SELECT is internal."""
    fill(people, log, "a")
    with Session(people) as session:
        session.merge(Person(id=1, score=3))
        session.merge(Person(id=2, email="b"))
        session.commit()
    assert sorted(log.told(reads=True)) == [
        ("person.create", "committed", 1),
        ("person.update", "committed", 1),
    ]


def test_a_statement_of_a_listener_inside_a_flush_is_its_own(people: sa.Engine, log: Log) -> None:
    """Statements of the unit of work belong to the objects; those of a listener do not."""

    def audit(mapper: Any, connection: sa.Connection, target: Person) -> None:
        connection.execute(sa.insert(Note.__table__).values(body="audit", person_id=target.id))

    sa.event.listen(Person, "after_insert", audit)
    try:
        with Session(people) as session:
            session.add(Person(email="a"))
            session.commit()
    finally:
        sa.event.remove(Person, "after_insert", audit)
    assert log.outcomes() == {("note.create", "committed"): 1, ("person.create", "committed"): 1}


# --------------------------------------------------------------------------------- statements


def test_one_row_by_statement_replays_like_an_object(people: sa.Engine, log: Log) -> None:
    """INSERT of one row, UPDATE and DELETE by key record key, values and rows."""
    with Session(people) as session:
        session.execute(sa.insert(Person).values(email="a", version=1))
        session.commit()
        created = log.records()[-1]
        assert shape(created) == ("person.create", 1, False, "1", None, "create")
        assert created["data_details"]["fields_changed"]["id"] == {"new": 1}
        session.execute(sa.update(Person).where(Person.id == 1).values(score=4))
        session.commit()
        updated = log.records()[-1]
        assert shape(updated) == ("person.update", 1, False, "1", None, "update")
        assert updated["data_details"]["fields_changed"]["score"] == {"new": 4}
        session.execute(sa.update(PEOPLE).where(PEOPLE.c.id == 99).values(score=4))
        session.commit()
        assert shape(log.records()[-1]) == ("person.update", 0, False, "99", None, None)
        session.execute(sa.delete(Person).where(Person.id == 1, Person.score == 4))
        session.commit()
        assert shape(log.records()[-1]) == ("person.delete", 1, False, "1", None, "delete")


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_many_rows_are_one_record(people: sa.Engine, log: Log, page: int) -> None:
    """The count is correct however SQLAlchemy sends them; keys only if they were returned."""
    rows = [{"email": str(i), "version": 1} for i in range(5)]
    options = {"insertmanyvalues_page_size": page}
    with Session(people) as session:
        session.execute(sa.insert(Person), rows, execution_options=options)
        session.commit()
        assert shape(only(log)) == ("person.create", 5, True, None, None, None)
        log.clear()
        more = [{"email": str(i), "version": 1} for i in range(5, 8)]
        found = session.scalars(
            sa.insert(Person).returning(Person.id), more, execution_options=options
        ).all()
        session.commit()
    assert only(log)["lead_identifier"]["lead_ids"] == [str(key) for key in found]
    assert only(log)["operation_details"]["records_affected"] == 3


def test_set_based_statements_count_rows(people: sa.Engine, log: Log) -> None:
    """Reads made for `synchronize_session` do not matter."""
    fill(people, log, "a", "b", "c")
    for sync in ("evaluate", "fetch", False):
        with Session(people) as session:
            session.scalars(sa.select(Person)).all()
            log.clear()
            session.execute(
                sa.update(Person).where(Person.score < 9).values(score=1),
                execution_options={"synchronize_session": sync},
            )
            session.commit()
        assert log.told(reads=True) == [("person.update", "committed", 3)]
    log.clear()
    with Session(people) as session:
        session.execute(sa.delete(Person).where(Person.email != "a"))
        session.commit()
    assert shape(only(log)) == ("person.delete", 2, True, None, None, None)


def test_returning_counts_what_was_fetched(people: sa.Engine, log: Log) -> None:
    """Fetched completely: exact, with keys. Not fetched: the driver's count, null on SQLite."""
    fill(people, log, "a", "b", "c")
    with Session(people) as session:
        statement = sa.update(Person).values(score=1).returning(Person.id)
        session.execute(statement).all()
        session.commit()
        record = only(log)
        assert sorted(record["lead_identifier"]["lead_ids"]) == ["1", "2", "3"]
        assert record["operation_details"]["records_affected"] == 3
        log.clear()
        session.execute(statement, execution_options={"synchronize_session": False}).close()
        session.commit()
    expected = 3 if people.dialect.name == "postgresql" else None
    assert only(log)["operation_details"]["records_affected"] == expected


def test_bulk_methods(people: sa.Engine, log: Log) -> None:
    """`session.bulk_…` fires only the engine's events."""
    with Session(people) as session:
        session.bulk_save_objects([Person(email="a"), Person(email="b")])
        session.bulk_insert_mappings(sa.inspect(Note), [{"body": "x"}, {"body": "y"}])
        session.bulk_update_mappings(sa.inspect(Person), [{"id": 1, "score": 3, "version": 1}])
        session.commit()
    assert log.outcomes().keys() == {
        ("person.create", "committed"),
        ("note.create", "committed"),
        ("person.update", "committed"),
    }
    assert log.told()[-1] == ("person.update", "committed", 1)


def test_bulk_update_by_key_of_a_row_that_is_missing(people: sa.Engine, log: Log) -> None:
    """SQLAlchemy raises after the database succeeded: the record shows the actual change."""
    fill(people, log, "a")
    with Session(people) as session:
        rows = [{"id": 1, "score": 3, "version": 1}, {"id": 9, "score": 3, "version": 1}]
        with pytest.raises(sa.orm.exc.StaleDataError):
            session.execute(sa.update(Person), rows)
        session.rollback()
    assert log.told()[0][:2] == ("person.update", "rolled_back")


def test_a_stale_object_is_a_failed_update(people: sa.Engine, log: Log) -> None:
    """It is no error of the database: the row with that version no longer exists."""
    fill(people, log, "a")
    with Session(people) as session:
        person = session.get(Person, 1)
        assert person is not None
        session.execute(sa.update(PEOPLE).values(version=9))
        person.score = 5
        with pytest.raises(sa.orm.exc.StaleDataError):
            session.commit()
    assert log.told() == [("person.update", "failed", None), ("person.update", "rolled_back", 1)]
    (error,) = log.records("error_logs")
    assert error["error_details"]["exception_class"].endswith("StaleDataError")


def test_upserts(people: sa.Engine, log: Log) -> None:
    """Insert and update are indistinguishable; a row left unchanged is a duplicate."""
    fill(people, log, "a")
    insert = postgresql_insert if people.dialect.name == "postgresql" else sqlite_insert
    with Session(people) as session:
        statement = insert(Person).values(email="a", version=1)
        session.execute(statement.on_conflict_do_nothing())
        session.commit()
        record = only(log)
        assert shape(record) == ("person.create", 0, True, None, None, None)
        assert record["operation_details"]["duplicate_detected"] is True
        log.clear()
        session.execute(statement.values(email="b").on_conflict_do_nothing())
        session.commit()
        assert only(log)["operation_details"]["duplicate_detected"] is False
        assert only(log)["operation_details"]["records_affected"] == 1
        log.clear()
        session.execute(
            statement.on_conflict_do_update(index_elements=["email"], set_={"score": 3})
        )
        session.commit()
    assert shape(only(log)) == ("person.upsert", 1, True, None, None, None)


def test_sql_as_text(people: sa.Engine, log: Log) -> None:
    """The class is found by the written or read table, not by names in comments or literals."""
    fill(people, log, "a", "b")
    with people.connect() as connection:
        connection.execute(sa.text("UPDATE people SET score = 3 -- of notes"))
        connection.exec_driver_sql("DELETE FROM \"people\" WHERE email = 'b'")
        connection.execute(sa.text("SELECT count(*) FROM people")).all()
        connection.execute(
            sa.text("SELECT 1 FROM (SELECT 1) AS t JOIN people ON true JOIN notes ON true")
        ).all()
        connection.execute(sa.text("SELECT 'people and notes'")).all()
        connection.commit()
    records = log.records()
    assert [(r["event_name"], r["operation_details"]["entity"]) for r in records] == [
        ("person.update", "Person"),
        ("person.delete", "Person"),
        ("person.read", "Person"),
        ("person.read", "Person"),
    ]
    assert log.told() == [("person.update", "committed", 2), ("person.delete", "committed", 1)]


def test_a_cte_that_writes_is_a_write(postgres_database: str, log: Log) -> None:
    """A CTE that writes is recorded as a write, though it starts like a SELECT."""
    engine = sa.create_engine(postgres_database)
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Person, Note)
    fill(engine, log, "a")
    with engine.begin() as connection:
        gone = sa.delete(PEOPLE).where(PEOPLE.c.id == 1).returning(PEOPLE.c.id).cte("gone")
        connection.execute(sa.select(gone.c.id)).all()
    handle.release()
    engine.dispose()
    assert log.told(reads=True)[0][:2] == ("person.delete", "committed")


# -------------------------------------------------------------------------------------- reads


def test_reads_count_rows_as_they_are_fetched(people: sa.Engine, log: Log) -> None:
    """All, one, none or some rows; buffered and streamed; ORM, Core and driver SQL."""
    fill(people, log, *"abcde")
    every = sa.select(Person).order_by(Person.id)
    with Session(people) as session:
        session.scalars(every).all()
        session.scalars(every).first()  # the ORM fetches every row of a result at once
        session.get(Person, 99)
        session.execute(sa.select(PEOPLE)).first()
        with pytest.raises(sa.exc.MultipleResultsFound):
            session.execute(sa.select(PEOPLE)).one()
        session.scalar(sa.select(sa.func.count()).select_from(Person))
        list(session.scalars(every.execution_options(yield_per=2)))
        part = session.execute(every.execution_options(yield_per=2))
        next(part)
        part.close()
        session.execute(sa.select(PEOPLE)).fetchmany(3)
        session.connection().exec_driver_sql("SELECT * FROM people").mappings().all()
    with people.connect().execution_options(stream_results=True) as streaming:
        list(streaming.execute(sa.select(PEOPLE)).partitions(2))
    rows = [rows for _, _, rows in log.told(reads=True)]
    assert rows[:5] == [5, 5, 0, 1, 2]
    assert sorted(rows[5:]) == [1, 2, 3, 5, 5, 5]  # those left open end with their session
    assert {outcome for _, outcome, _ in log.told(reads=True)} == {"completed"}
    missing = log.records()[2]
    assert missing["lead_identifier"]["lead_id"] == "99"
    assert missing["performance_metrics"]["database_queries"] == 1
    assert missing["performance_metrics"]["database_time_ms"] > 0


def test_a_result_that_is_dropped_ends_its_read(people: sa.Engine, log: Log) -> None:
    """Dropping a result without closing it ends its read."""
    fill(people, log, *"abc")
    with Session(people) as session:
        result = session.execute(sa.select(PEOPLE))
        result.fetchone()
        assert log.told(reads=True) == []
        del result
        assert log.told(reads=True) == [("person.read", "completed", 1)]


def test_loads_of_sqlalchemys_own_are_internal(people: sa.Engine, log: Log) -> None:
    """Lazy loads, eager loads by a second SELECT and refreshes are recorded only on request."""
    with Session(people) as session:
        session.add(Person(email="a", notes=[Note(body="x")]))
        session.commit()
    log.clear()

    def load() -> None:
        with Session(people) as session:
            (person,) = session.scalars(sa.select(Person)).all()
            assert len(person.notes) == 1
            session.expire(person)
            assert person.email == "a"
            session.refresh(person)
            session.scalars(sa.select(Person).options(selectinload(Person.notes))).all()
            session.scalars(sa.select(Person).options(joinedload(Person.notes))).unique().all()

    load()
    assert [event for event, _, _ in log.told(reads=True)] == ["person.read"] * 3
    log.clear()


def test_internal_loads_can_be_asked_for(tmp_path: Path, log: Log) -> None:
    """The option is `internal=True`."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/people.db")
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Person, Note, internal=True)
    with Session(engine) as session:
        session.add(Person(email="a", notes=[Note(body="x")]))
        session.commit()
        log.clear()
        (person,) = session.scalars(sa.select(Person)).all()
        assert len(person.notes) == 1
    handle.release()
    engine.dispose()
    assert [event for event, _, _ in log.told(reads=True)] == ["person.read", "note.read"]


def test_a_hit_of_the_identity_map_can_be_asked_for(tmp_path: Path, log: Log) -> None:
    """The option is `hits=True`; no statement is sent, so none is counted."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/people.db")
    Base.metadata.create_all(engine)
    original = Session.get
    handle = leadlog.capture(engine, Person, hits=True)
    fill(engine, log, "a")
    with Session(engine) as session:
        kept = session.get(Person, 1)
        assert session.get(Person, 1) is kept
        assert session.get(Person, 2) is None
    handle.release()
    engine.dispose()
    assert Session.get is original
    queries = [
        (r["lead_identifier"]["lead_id"], r["performance_metrics"]["database_queries"])
        for r in log.records()
    ]
    assert queries == [("1", 1), ("1", 0), ("2", 1)]


@pytest.mark.parametrize("driver", ["aiosqlite", "psycopg", "asyncpg"])
def test_async_reads_and_streams(
    driver: str, request: pytest.FixtureRequest, tmp_path: Path, log: Log
) -> None:
    """The counts are the same with every asynchronous driver."""
    if driver == "aiosqlite":
        url = f"sqlite+aiosqlite:///{tmp_path}/people.db"
    else:
        url = request.getfixturevalue("postgres_database").replace("+psycopg:", f"+{driver}:")

    async def work() -> None:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        handle = leadlog.capture(engine, Person)
        async with AsyncSession(engine) as session:
            session.add_all([Person(email=email) for email in "abc"])
            await session.commit()
            log.clear()
            (await session.scalars(sa.select(Person))).all()
            async for _ in await session.stream_scalars(sa.select(Person)):
                pass
            await session.execute(sa.update(Person).values(score=3))
            await session.commit()
        handle.release()
        await engine.dispose()

    asyncio.run(work())
    assert log.told(reads=True) == [
        ("person.read", "completed", 3),
        ("person.read", "completed", 3),
        ("person.update", "committed", 3),
    ]


def test_a_query_with_a_cte_is_a_read_inside_a_call(tmp_path: Path, log: Log) -> None:
    """WITH alone writes nothing, so the call completes."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/people.db")
    Base.metadata.create_all(engine)
    handle = attach(engine, Person)

    class Store:
        _capture = handle

        @operation("count", event_name="person.count")
        def count(self) -> None:
            some = sa.select(PEOPLE.c.id).where(PEOPLE.c.score > 1).cte("some")
            with engine.connect() as connection:
                connection.execute(sa.select(sa.func.count()).select_from(some)).scalar()

    Store().count()
    handle.release()
    engine.dispose()
    assert log.told(reads=True) == [("person.count", "completed", None)]
