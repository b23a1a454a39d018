"""Values quoted in databases' messages are not logged."""

import json
import time
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import leadlog
from leadlog_processors.quoted import without_quoted_values
from tests.capture.people import Log

MESSAGES = [
    ('invalid input syntax for type integer: "%s"', 'invalid input syntax for type integer: "***"'),
    (
        "invalid input value for enum mood: \"%s\"\nLINE 1: SELECT '%s'::mood\n               ^",
        'invalid input value for enum mood: "***"\nLINE 1: ***\n               ^',
    ),
    ('value "%s" is out of range for type integer', 'value "***" is out of range for type integer'),
    ('syntax error at or near "%s"', 'syntax error at or near "***"'),
    (
        'duplicate key violates "people_name_key"\nDETAIL:  Key (name)=(%s) already exists.',
        'duplicate key violates "people_name_key"\nDETAIL: ***',
    ),
    (
        'invalid text for integer: "%s"\nCONTEXT:  COPY people, column age: "%s"\nHINT:  none',
        'invalid text for integer: "***"\nCONTEXT: ***\nHINT:  none',
    ),
    (
        "invalid input for query argument $1: '%s' (an integer is required (got type str))",
        "invalid input for query argument $1: ***",
    ),
    (
        "(1062, \"Duplicate entry '%s' for key 'people.name'\")",
        "(1062, \"Duplicate entry '***' for key 'people.name'\")",
    ),
    (
        "1366 (HY000): Incorrect integer value: '%s' for column 'age' at row 1",
        "1366 (HY000): Incorrect integer value: '***' for column 'age' at row 1",
    ),
    (
        "(1292, \"Truncated incorrect DOUBLE value: '%s'\")",
        "(1292, \"Truncated incorrect DOUBLE value: '***'\")",
    ),
    (
        "for the right syntax to use near '%s' at line 1",
        "for the right syntax to use near '***' at line 1",
    ),
    (
        "Conversion failed when converting the varchar value '%s' to data type int.",
        "Conversion failed when converting the varchar value '***' to data type int.",
    ),
    ("The duplicate key value is (%s).", "The duplicate key value is (***)."),
]
VALUES = ["Ana Gomez", 'Ana "Bo" Gomez', "Ana O'Gomez", "Ana\nGomez", "Ana (Gomez)"]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(("message", "left"), MESSAGES)
def test_what_a_database_says_stays_without_the_value(message: str, left: str, value: str) -> None:
    """Quotes, brackets and line breaks in a value do not reveal a part of it."""
    if "LINE 1" in message:
        value = value.replace("\n", " ")
    said = without_quoted_values(message.replace("%s", value))
    assert "Ana" not in said
    assert "Gomez" not in said
    assert said == left
    assert without_quoted_values(said) == said
    wrapped = (
        f"(psycopg.DataError) {message.replace('%s', value)}\n[SQL: SELECT 1]\n[parameters: 1]"
    )
    assert "Gomez" not in without_quoted_values(wrapped)
    assert without_quoted_values(wrapped).endswith("\n[SQL: SELECT 1]\n[parameters: 1]")


@pytest.mark.parametrize(
    "text",
    [
        'relation "people" does not exist',
        'column "nam" of relation "people" does not exist\nHINT:  Perhaps you meant "people.name".',
        'null value in column "name" of relation "people" violates not-null constraint',
        "UNIQUE constraint failed: people.email",
        "(1054, \"Unknown column 'nam' in 'field list'\")",
        "(1406, \"Data too long for column 'name' at row 1\")",
    ],
)
def test_names_of_columns_and_constraints_stay(text: str) -> None:
    """They name the problem, and reveal no personal data."""
    assert without_quoted_values(text) == text


def test_a_long_message_that_begins_a_quote_again_and_again_is_read_at_once() -> None:
    """No input makes the patterns slow."""
    began = time.process_time()
    for piece in (': "', "Duplicate entry '", "CONTEXT: ", "argument $1: ", "near '"):
        without_quoted_values(piece * 700)
    assert time.process_time() - began < 1


class Base(DeclarativeBase):
    """The tests' own metadata."""


class Aged(Base):
    """A person with a number and a unique name."""

    __tablename__ = "aged"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    age: Mapped[int | None]


WHO = "Zoe Quartz"  # not in the source lines that a stack trace shows
STATEMENTS = [
    "INSERT INTO aged (id, name, age) VALUES (2, 'x', CAST(:value AS integer))",
    "SELECT CAST(:value AS date)",
    "SELECT CAST(:value AS json)",
    "INSERT INTO aged (id, name) VALUES (2, :value)",
]


@pytest.mark.postgres
@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
@pytest.mark.parametrize("statement", STATEMENTS)
def test_postgresqls_own_messages_have_no_value(
    postgres_database: str, log: Log, driver: str, statement: str
) -> None:
    """The value is in neither the failed record nor its error, with any driver."""
    if driver == "asyncpg":
        from sqlalchemy.ext.asyncio import create_async_engine

        url = postgres_database.replace("+psycopg", "+asyncpg")
        asynchronous: Any = create_async_engine(url)
        engine = asynchronous.sync_engine
    else:
        asynchronous, engine = None, sa.create_engine(postgres_database)
    plain = sa.create_engine(postgres_database)
    Base.metadata.create_all(plain)
    with Session(plain) as session:
        session.add(Aged(id=1, name=WHO))
        session.commit()
    handle = leadlog.capture(engine, Aged)
    found: list[BaseException] = []

    def run(connection: sa.Connection) -> None:
        try:
            connection.execute(sa.text(statement), {"value": WHO})
        except sa.exc.DBAPIError as error:
            found.append(error)

    if asynchronous is None:
        with engine.connect() as connection:
            run(connection)
    else:
        import asyncio

        async def main() -> None:
            async with asynchronous.connect() as connection:
                await connection.run_sync(run)
            await asynchronous.dispose()

        asyncio.run(main())
    handle.release()
    engine.dispose()
    plain.dispose()
    (error,) = found
    leadlog.get_logger().error("import.failed", exc_info=error)
    leadlog.flush()
    told = json.dumps([log.records(), log.records("error_logs")])
    assert driver in told
    assert "Zoe" not in told
