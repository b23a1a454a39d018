"""Transactions that end unnoticed by SQLAlchemy, and captures that end before them."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

import leadlog
from leadlog.recording.capture.targets import Handle
from tests.capture.people import Log, Note, Person

PEOPLE = Person.__table__

End = Callable[[sa.Connection], Any]


def _driver(name: str) -> End:
    return lambda connection: getattr(connection.connection.driver_connection, name)()


def _cursor(sql: str) -> End:
    def run(connection: sa.Connection) -> None:
        cursor = connection.connection.cursor()
        cursor.execute(sql)
        cursor.close()

    return run


ENDS = {
    "commit": _driver("commit"),
    "rollback": _driver("rollback"),
    "pool's commit": lambda connection: connection.connection.commit(),
    "COMMIT": _cursor("COMMIT"),
    "ROLLBACK": _cursor("ROLLBACK"),
}


def insert(connection: sa.Connection, email: str) -> None:
    connection.execute(sa.insert(PEOPLE).values(email=email, version=1, kind="person"))


def there(engine: sa.Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.scalars(sa.select(PEOPLE.c.email)))


def outcomes(log: Log) -> dict[str, str]:
    """Return the recorded outcome of each row, by its address."""
    return {
        record["data_details"]["fields_changed"]["email"]["new"]: record["operation_details"][
            "outcome"
        ]
        for record in log.records()
        if record["operation_details"]["operation_type"] == "create"
    }


def assert_never_the_opposite(engine: sa.Engine, log: Log, *emails: str) -> None:
    rows, told = there(engine), outcomes(log)
    assert told.keys() == set(emails)
    for email, outcome in told.items():
        assert outcome in (
            {"committed", "unknown"} if email in rows else {"rolled_back", "unknown"}
        )


@pytest.mark.parametrize("theirs", ["commit", "rollback"])
@pytest.mark.parametrize("end", ENDS)
def test_the_driver_ends_a_transaction(people: sa.Engine, log: Log, end: str, theirs: str) -> None:
    """The outcome that SQLAlchemy reports later is not applied to the earlier rows."""
    with people.connect() as connection:
        insert(connection, "before")
        ENDS[end](connection)
        getattr(connection, theirs)()
    assert_never_the_opposite(people, log, "before")


@pytest.mark.parametrize("theirs", ["commit", "rollback"])
@pytest.mark.parametrize("end", ENDS)
def test_work_goes_on_after_the_driver_ended_a_transaction(
    people: sa.Engine, log: Log, end: str, theirs: str
) -> None:
    """The earlier rows do not get the outcome of the later ones, which is known."""
    with people.connect() as connection:
        insert(connection, "before")
        ENDS[end](connection)
        if people.dialect.name == "sqlite" and connection.connection.isolation_level is None:  # type: ignore[attr-defined]
            connection.exec_driver_sql("BEGIN")  # nothing else sends it in this mode
        insert(connection, "after")
        getattr(connection, theirs)()
    assert_never_the_opposite(people, log, "before", "after")
    assert outcomes(log)["after"] == ("committed" if theirs == "commit" else "rolled_back")


def test_a_failed_transaction_that_the_driver_ended_poisons_none(
    people: sa.Engine, log: Log
) -> None:
    """On PostgreSQL an error makes COMMIT a rollback, but not in the next transaction."""
    with people.connect() as connection:
        insert(connection, "before")
        with pytest.raises(sa.exc.DBAPIError):
            connection.exec_driver_sql("SELECT nothing FROM nowhere")
        connection.connection.rollback()
        if people.dialect.name == "sqlite" and connection.connection.isolation_level is None:  # type: ignore[attr-defined]
            connection.exec_driver_sql("BEGIN")
        insert(connection, "after")
        connection.commit()
    assert_never_the_opposite(people, log, "before", "after")
    assert outcomes(log)["after"] == "committed"


def test_a_failure_that_only_the_driver_saw_makes_commit_a_rollback(
    people: sa.Engine, log: Log
) -> None:
    """PostgreSQL answers COMMIT of such a transaction with a rollback, even COMMIT as text."""
    with people.connect() as connection:
        insert(connection, "before")
        with pytest.raises(Exception, match=r"nothing|nowhere"):
            _cursor("SELECT nothing FROM nowhere")(connection)
        connection.exec_driver_sql("COMMIT")
    assert_never_the_opposite(people, log, "before")
    assert outcomes(log)["before"] == ("committed" if there(people) else "rolled_back")


def test_sqlite_rolls_back_by_itself(people: sa.Engine, log: Log) -> None:
    """`OR ROLLBACK` ends the transaction; the next one has its own outcome."""
    if people.dialect.name != "sqlite":
        pytest.skip("PostgreSQL has no such conflict clause")
    with people.connect() as connection:
        insert(connection, "taken")
        connection.commit()
        insert(connection, "before")
        with pytest.raises(sa.exc.IntegrityError):
            connection.exec_driver_sql(
                "INSERT OR ROLLBACK INTO people (email, version, kind) VALUES ('taken', 1, 'x')"
            )
        connection.commit()
    assert there(people) == {"taken"}
    assert log.outcomes() == {
        ("person.create", "committed"): 1,
        ("person.create", "rolled_back"): 1,
        ("person.create", "failed"): 1,
    }


# -------------------------------------------------------------------------------------- release


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_a_capture_that_ends_in_a_transaction(
    people: sa.Engine, log: Log, capture: Handle, end: str
) -> None:
    """Earlier writes get their outcome, later ones have no record, and the hooks are removed."""
    with Session(people) as session:
        session.add(Person(email="before"))
        session.flush()
        capture.release()
        session.add(Person(email="after"))
        session.flush()
        getattr(session, end)()
    assert log.told() == [("person.create", "committed" if end == "commit" else "rolled_back", 1)]
    assert not {"do_commit", "do_execute", "execution_ctx_cls"} & vars(people.dialect).keys()


def test_a_released_capture_follows_savepoints_to_the_end(
    people: sa.Engine, log: Log, capture: Handle
) -> None:
    """The outcome of a row in a savepoint is that of the savepoint."""
    with Session(people) as session:
        session.add(Person(email="outer"))
        session.flush()
        nested = session.begin_nested()
        session.add(Person(email="inner"))
        session.flush()
        capture.release()
        nested.rollback()
        session.commit()
    assert sorted(outcome for _, outcome, _ in log.told()) == [
        "committed",
        "savepoint_rolled_back",
    ]


def test_a_new_capture_takes_over_the_hooks_of_one_that_ended(
    people: sa.Engine, log: Log, capture: Handle
) -> None:
    """Both rows have the outcome of their single transaction, each from its own capture."""
    with Session(people) as session:
        session.add(Person(email="first"))
        session.flush()
        capture.release()
        handle = leadlog.capture(people, Note, Person)
        session.add(Person(email="second"))
        session.commit()
    assert log.told() == [("person.create", "committed", 1)] * 2
    with Session(people) as session:
        session.add(Person(email="third"))
        session.flush()
        session.rollback()
    assert log.told()[2:] == [("person.create", "rolled_back", 1)]
    handle.release()
    assert not {"do_commit", "do_execute", "execution_ctx_cls"} & vars(people.dialect).keys()
