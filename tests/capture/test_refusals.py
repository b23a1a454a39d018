"""Failures before the database was called, and the place in the application where one began."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import leadlog
from tests.capture.people import Base, Log, Note, Person

PEOPLE = Person.__table__


class Even(sa.types.TypeDecorator[int]):
    """Type that refuses odd numbers, as a date column refuses text."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Any) -> int | None:
        if value is not None and value % 2:
            raise ValueError(f"{value} is odd")
        return value


def _wrong_value_in_a_flush(session: Session) -> None:
    session.add(Note(person_id=object(), body="x"))
    session.flush()


def _wrong_value(session: Session) -> None:
    statement = sa.insert(Note).values(body=sa.bindparam("odd", 1, type_=Even()))
    session.execute(statement)


def _missing_parameter(session: Session) -> None:
    session.execute(sa.text("INSERT INTO notes (body) VALUES (:body)"), {})


def _wrong_value_in_text(session: Session) -> None:
    statement = sa.text("INSERT INTO notes (person_id) VALUES (:odd)")
    session.execute(statement.bindparams(sa.bindparam("odd", 3, type_=Even())))


def _refused_by_a_mapper_event(session: Session) -> None:
    def refuse(*_: Any) -> None:
        raise ValueError("refused")

    sa.event.listen(Note, "before_insert", refuse)
    try:
        session.add(Note(body="x"))
        session.flush()
    finally:
        sa.event.remove(Note, "before_insert", refuse)


REFUSED = [
    _wrong_value_in_a_flush,
    _wrong_value,
    _missing_parameter,
    _wrong_value_in_text,
    _refused_by_a_mapper_event,
]


@pytest.mark.parametrize("attempt", REFUSED)
def test_what_is_refused_before_the_database_is_asked(
    people: sa.Engine, log: Log, attempt: Callable[[Session], None]
) -> None:
    """There is a failed record, and an error of the same operation that names the function."""
    with Session(people) as session:
        with pytest.raises(Exception, match=r"."):
            attempt(session)
        session.rollback()
    assert log.told() == [("note.create", "failed", None)]
    (record,), (error,) = log.records(), log.records("error_logs")
    assert error["context"]["operation_id"] == record["operation_details"]["operation_id"]
    assert error["context"]["operation_in_progress"] == "Note.create"
    assert f"in {attempt.__name__}" in error["context"]["called_from"]
    assert f"in {attempt.__name__}" in error["error_details"]["stack_trace"]


def _put(connection: sa.Connection, attempt: Any) -> None:
    connection.execute(sa.insert(PEOPLE).values(email="a", version=1, kind="person"))
    with pytest.raises(Exception, match=r"."):
        attempt(connection)
    connection.commit()


UNSENT = {
    "type": lambda connection: connection.execute(
        sa.insert(PEOPLE).values(email="b", score=sa.bindparam("odd", 1, type_=Even()))
    ),
    "driver": lambda connection: connection.exec_driver_sql(
        "INSERT INTO people (email) VALUES (%(v)s)"
        if connection.dialect.driver == "psycopg"
        else "INSERT INTO people (email) VALUES (?)",
        {"v": object()} if connection.dialect.driver == "psycopg" else (object(),),
    ),
}


@pytest.mark.parametrize("attempt", UNSENT)
def test_what_was_never_sent_poisons_no_transaction(
    people: sa.Engine, log: Log, attempt: str
) -> None:
    """PostgreSQL commits the earlier rows, since it never saw the failure."""
    with people.connect() as connection:
        _put(connection, UNSENT[attempt])
        assert connection.scalar(sa.select(sa.func.count()).select_from(PEOPLE)) == 1
    assert log.outcomes()["person.create", "committed"] == 1


@pytest.mark.asyncio
async def test_what_asyncpg_refuses_poisons_no_transaction(
    postgres_database: str, log: Log
) -> None:
    """asyncpg checks types itself, which poisons no transaction; refusals of the server do."""
    engine = create_async_engine(postgres_database.replace("+psycopg", "+asyncpg"))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    handle = leadlog.capture(engine, Person)
    for wrong, kept in (("score = 'x'", False), ("score = :n", True)):
        async with engine.connect() as connection:
            await connection.execute(sa.insert(PEOPLE).values(version=1, kind="person", score=1))
            with pytest.raises(sa.exc.DBAPIError):
                await connection.execute(
                    sa.text(f"UPDATE people SET {wrong}").bindparams(
                        *([sa.bindparam("n", "not a number", type_=sa.Integer)] if kept else [])
                    )
                )
            await connection.commit()
            there = await connection.scalar(sa.select(sa.func.count()).select_from(PEOPLE))
            assert there == int(kept)
    outcomes = [outcome for event, outcome, _ in log.told() if event == "person.create"]
    assert outcomes == ["rolled_back", "committed"]
    handle.release()
    await engine.dispose()


def test_a_database_that_cannot_be_reached_is_asked_once(log: Log) -> None:
    """A flush that failed to connect does not make capture connect again."""
    tried = []

    def connect() -> Any:
        tried.append(1)
        raise ConnectionError("nobody there")

    engine = sa.create_engine("sqlite://", creator=connect)
    handle = leadlog.capture(engine, Person)
    with Session(engine) as session:
        session.add(Person(email="a"))
        with pytest.raises(ConnectionError):
            session.commit()
    handle.release()
    assert len(tried) == 1
    assert log.told() == [("person.create", "failed", None)]


def save_note(session: Session) -> None:
    session.execute(sa.text("INSERT INTO notes (id, body) VALUES (1, NULL), (1, NULL)"))


def _flush_note(session: Session) -> None:
    session.add_all([Note(id=1), Note(id=1)])
    session.flush()


@pytest.mark.filterwarnings("ignore:New instance")
@pytest.mark.parametrize("attempt", [save_note, _flush_note])
def test_an_error_of_the_database_shows_the_callers_own_frames_first(
    people: sa.Engine, log: Log, attempt: Callable[[Session], None]
) -> None:
    """Not only SQLAlchemy's frames; and an error at two places has two fingerprints."""
    with Session(people) as session, pytest.raises(sa.exc.IntegrityError):
        attempt(session)
    error = log.records("error_logs")[0]
    lines = error["error_details"]["stack_trace"].splitlines()
    own = next(place for place, line in enumerate(lines) if f"in {attempt.__name__}" in line)
    theirs = [place for place, line in enumerate(lines) if "sqlalchemy" in line and "File" in line]
    assert theirs
    assert own < theirs[0]
    assert error["context"]["called_from"].endswith(f" in {attempt.__name__}")
    assert __file__ in error["context"]["called_from"]


def test_two_places_of_one_failure_are_two_bugs(people: sa.Engine, log: Log) -> None:
    """The same place twice is one bug."""

    def again(session: Session) -> None:
        save_note(session)

    def other(session: Session) -> None:
        session.execute(sa.text("INSERT INTO notes (id, body) VALUES (1, NULL), (1, NULL)"))

    for attempt in (save_note, again, other):
        with Session(people) as session, pytest.raises(sa.exc.IntegrityError):
            attempt(session)
    first, second, third = (
        record["error_details"]["fingerprint"] for record in log.records("error_logs")
    )
    assert first == second != third


def test_an_awaited_call_shows_the_coroutine(tmp_path: Any, log: Log) -> None:
    """SQLAlchemy runs it in a greenlet, whose stack ends where the coroutine waits."""

    async def main() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/people.db")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        handle = leadlog.capture(engine, Note)
        async with AsyncSession(engine) as session:
            with pytest.raises(sa.exc.IntegrityError):
                await refuse_in_a_coroutine(session)
        handle.release()
        await engine.dispose()

    async def refuse_in_a_coroutine(session: AsyncSession) -> None:
        await session.execute(sa.insert(Note), [{"id": 1}, {"id": 1}])

    asyncio.run(main())
    (error,) = log.records("error_logs")
    assert error["context"]["called_from"].endswith("refuse_in_a_coroutine")
    assert "in refuse_in_a_coroutine" in error["error_details"]["stack_trace"]
