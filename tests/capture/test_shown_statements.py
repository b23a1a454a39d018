"""The SQL of failed and slow calls is recorded, but never its values."""

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

import leadlog
from leadlog.recording.capture.sql import normalised
from tests.capture.people import Log, Note, Person


def shown(log: Log) -> list[Any]:
    """Return the statement of each record; None if it has none."""
    return [record["operation_details"].get("statement") for record in log.records()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT  a\n FROM t -- why\n WHERE b = 'x''y'", "SELECT a FROM t WHERE b = ?"),
        ("SELECT 1.5e3, -2, a1, t2.c FROM t2", "SELECT ?, ?, a1, t2.c FROM t2"),
        ("SELECT a FROM t WHERE b IN (?, ?, ?)", "SELECT a FROM t WHERE b IN (?, …)"),
        ("INSERT INTO t (a, b) VALUES (1, 2), (3, 4)", "INSERT INTO t (a, b) VALUES (?, …)"),
        ("UPDATE t SET a = %(a)s WHERE b = %(b)s", "UPDATE t SET a = ? WHERE b = ?"),
        ("UPDATE t SET a = $1::VARCHAR WHERE b = :b", "UPDATE t SET a = ? WHERE b = ?"),
        ('SELECT "a" FROM "t" WHERE b = "a@x.org"', 'SELECT "a" FROM "t" WHERE b = ?'),
        ("SELECT $$body$$, E'a\\'b'", "SELECT ?, ?"),
    ],
)
def test_a_statement_without_its_values(text: str, expected: str) -> None:
    """All notations of values give one text, so one fingerprint for every driver."""
    assert normalised(text)[0] == expected


@given(st.text(alphabet=st.characters(blacklist_characters="\x00"), min_size=1).map(repr))
def test_no_literal_stays(value: str) -> None:
    """Property: two literals give the same statement and fingerprint."""
    literal = "'" + value.replace("'", "''") + "'"
    expected = normalised("SELECT a FROM t WHERE b = 'x' AND c = 2")
    assert normalised(f"SELECT a FROM t WHERE b = {literal} AND c = 2") == expected


def test_a_long_statement_is_cut_and_its_fingerprint_is_not() -> None:
    """Two statements that differ after the cut have different fingerprints."""
    columns = ", ".join(f"column_{number}" for number in range(1_000))
    (first, one), (second, two) = (normalised(f"SELECT {columns} FROM {t}") for t in "ab")
    assert first == second
    assert len(first) == 2_000
    assert one != two


def test_failed_calls_say_what_ran(people: sa.Engine, log: Log) -> None:
    """True for objects, statements and text; parameters appear in none of them."""
    with Session(people) as session:
        session.add(Person(id=1, email="secret@x.org"))
        session.commit()
        log.clear()
        for attempt in (
            lambda: session.add(Person(id=2, email="secret@x.org")) or session.flush(),
            lambda: session.execute(
                sa.insert(Person).values(id=3, email="secret@x.org", version=1)
            ),
            lambda: session.execute(
                sa.text("INSERT INTO people (id, email) VALUES (4, 'secret@x.org')")
            ),
        ):
            with pytest.raises(sa.exc.IntegrityError):
                attempt()
            session.rollback()
    statements = shown(log)
    assert len(statements) == 3
    for statement in statements:
        assert statement.upper().startswith("INSERT INTO PEOPLE (")
        assert "VALUES (?, …)" in statement
        assert "secret" not in statement
    prints = [r["operation_details"]["statement_fingerprint"] for r in log.records()]
    assert all(len(one) == 16 for one in prints)


def test_quick_calls_that_succeed_say_nothing(people: sa.Engine, log: Log) -> None:
    """Their SQL would only clutter the log."""
    with Session(people) as session:
        session.add(Person(id=1, email="a"))
        session.commit()
        session.scalars(sa.select(Person)).all()
    assert shown(log) == [None, None]


def test_by_a_setting_all_calls_say_what_ran(database: sa.Engine, log: Log) -> None:
    """Each object has the statement that wrote its table."""
    handle = leadlog.capture(database, Person, Note, statement_ms=0)
    with Session(database) as session:
        session.add(Person(id=1, email="a", notes=[Note(body="x")]))
        session.commit()
        person = session.get_one(Person, 1)
        person.score = 7
        session.commit()
        session.execute(sa.delete(Note))
        session.commit()
    handle.release()
    starts = [" ".join(statement.split()[:3]) for statement in shown(log)]
    assert sorted(starts) == [
        "DELETE FROM notes",
        "INSERT INTO notes",
        "INSERT INTO people",
        "SELECT people.id AS",
        "UPDATE people SET",
    ] or sorted(starts)[3].startswith("SELECT people")


def test_a_class_with_excluded_columns_shows_no_text_by_hand(database: sa.Engine, log: Log) -> None:
    """SQL compiled by SQLAlchemy has parameters; SQL text may contain any value."""
    handle = leadlog.capture(database, Person, statement_ms=0, exclude=["email"])
    with database.connect() as connection:
        connection.exec_driver_sql("SELECT email FROM people WHERE email = 'secret@x.org'").all()
        connection.execute(sa.update(Person).values(score=1))
    handle.release()
    by_hand, compiled = log.records()
    assert "statement" not in by_hand["operation_details"]
    assert by_hand["operation_details"]["statement_fingerprint"]
    assert compiled["operation_details"]["statement"].startswith("UPDATE people SET score=?")
