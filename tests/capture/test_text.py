"""SQL text is recorded by its effect on tables and transactions, whatever surrounds it."""

import logging
from typing import Any

import psycopg
import psycopg.sql
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

import leadlog
from leadlog.recording.capture import sql
from tests.capture.people import Base, Log, Note

PG, LITE, MY = "postgresql", "sqlite", "mysql"

WRITES = [
    (PG, "INSERT INTO notes VALUES (%(id)s, %s::jsonb)", "create", False),
    (PG, "INSERT INTO notes VALUES (1) ON CONFLICT DO NOTHING", "create", True),
    (
        PG,
        "INSERT INTO notes (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET id = 2",
        "upsert",
        True,
    ),
    (PG, "insert into notes as n (id) overriding system value values (1)", "create", False),
    (
        PG,
        "UPDATE ONLY notes AS n SET body = 'x' FROM people WHERE people.id = n.id",
        "update",
        False,
    ),
    (PG, "DELETE FROM ONLY notes n USING people p WHERE p.id = n.id RETURNING *", "delete", False),
    (PG, "TRUNCATE TABLE ONLY notes RESTART IDENTITY CASCADE", "delete", False),
    (PG, "truncate notes", "delete", False),
    (PG, "COPY notes (id, body) FROM '/tmp/x' WITH (FORMAT csv)", "create", False),
    (PG, "COPY notes FROM STDIN", "create", False),
    (
        PG,
        (
            "MERGE INTO notes n USING s ON s.id = n.id WHEN MATCHED THEN UPDATE SET body = s.body "
            "WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'DELETE FROM notes')"
        ),
        "upsert",
        True,
    ),
    (PG, "MERGE INTO notes n USING s ON s.id = n.id WHEN MATCHED THEN DELETE", "delete", True),
    (PG, "EXPLAIN (ANALYZE, BUFFERS) DELETE FROM notes", "delete", False),
    (LITE, "REPLACE INTO notes VALUES (?, ?)", "upsert", True),
    (LITE, "INSERT OR REPLACE INTO notes(id) VALUES (?1, :x, @y, $z)", "upsert", True),
    (LITE, "INSERT OR IGNORE INTO notes VALUES (?, ?)", "create", True),
    (LITE, "UPDATE OR IGNORE notes SET body = ?", "update", False),
    (LITE, "DELETE FROM \"notes\" WHERE body = '-- no comment'", "delete", False),
    (MY, "INSERT INTO notes VALUES (%s) ON DUPLICATE KEY UPDATE body = 'x'", "upsert", True),
    (MY, "INSERT IGNORE INTO `notes` VALUES (1)", "create", True),
    (MY, "REPLACE notes SET body = 'x'", "upsert", True),
    (MY, "DELETE n FROM notes n JOIN people p ON p.id = n.id", "delete", False),
    (MY, "UPDATE notes n JOIN people p ON p.id = n.id SET n.body = 'x'", "update", False),
    (
        "mssql",
        "MERGE TOP (1) INTO notes AS t USING x ON a = b WHEN MATCHED THEN UPDATE SET a = 1;",
        "upsert",
        True,
    ),
    ("oracle", "INSERT INTO notes (id) VALUES (:1)", "create", False),
    ("unheard_of", "DELETE FROM notes WHERE id = :id", "delete", False),
]

READS = [
    (PG, "SELECT * INTO TEMP t FROM notes"),
    (PG, "CREATE TABLE t AS SELECT * FROM notes"),
    (PG, "COPY (SELECT * FROM notes) TO STDOUT"),
    (PG, "COPY notes TO '/tmp/x'"),
    (PG, "TABLE notes"),
    (PG, "SELECT * FROM notes WHERE a ? 'x' FOR UPDATE SKIP LOCKED"),
    (PG, "((SELECT * FROM notes) UNION SELECT 1)"),
    (PG, "SELECT $$ DELETE FROM people $$, 'a;b', E'it\\'s' FROM notes"),
    (PG, "WITH a AS (SELECT 1 AS id) SELECT * FROM a JOIN notes USING (id)"),
    (LITE, "SELECT count(*) FROM [notes]"),
    (MY, "SELECT /*+ INDEX(a) */ * FROM `notes` # DELETE FROM people"),
]


def told(text: str, dialect: str, table: str = "notes") -> list[tuple[str, bool]]:
    """Return what a text does to one table."""
    return [(m.kind, m.conflicts) for m in sql.mentions(text, dialect) if m.table == table]


@pytest.mark.parametrize(("dialect", "text", "kind", "conflicts"), WRITES)
def test_a_write_in_text_has_the_operation_that_it_is(
    dialect: str, text: str, kind: str, conflicts: bool
) -> None:
    """Each statement that may change rows, in the syntax of its server."""
    assert told(text, dialect) == [(kind, conflicts)]
    assert sql.writes(text)


@pytest.mark.parametrize(("dialect", "text"), READS)
def test_a_read_in_text_is_a_read(dialect: str, text: str) -> None:
    """A read is a read, even if it exports rows or if a comment or literal looks like a write."""
    assert told(text, dialect) == [("read", False)]
    assert told(text, dialect, "people") == []
    assert not sql.writes(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'notes'",
        "WITH notes AS (SELECT 1) SELECT * FROM notes",
        "EXPLAIN DELETE FROM notes",
        "DROP TABLE notes",
        "VALUES (1)",
        "SET search_path TO notes",
        "",
    ],
)
def test_what_touches_no_row_of_a_table_is_nothing(text: str) -> None:
    """A name in a literal, a CTE of that name, a plan, DDL, and no statement at all."""
    assert told(text, PG) == []


def test_several_tables_and_statements_of_one_text() -> None:
    """Every write counts; its table has the schema that the text names."""
    text = (
        "WITH gone AS (DELETE FROM a.notes RETURNING *) INSERT INTO b.old SELECT * FROM gone; "
        "TRUNCATE people, c.marks"
    )
    assert [m[:3] for m in sql.mentions(text, PG)] == [
        ("create", "b", "old"),
        ("delete", "a", "notes"),
        ("delete", None, "people"),
        ("delete", "c", "marks"),
    ]


COMMENTS = st.lists(
    st.sampled_from(
        ["/* route='/notes' */", "-- a\n", "/*+ hint */", "/* ; COMMIT */", "\n", " ", "/* ' */"]
    ),
    max_size=3,
).map("".join)

CONTROL = [
    ("SAVEPOINT one", ("savepoint", "one")),
    ('SAVEPOINT "Two words"', ("savepoint", "two words")),
    ("RELEASE SAVEPOINT one", ("release", "one")),
    ("RELEASE one", ("release", "one")),
    ("ROLLBACK TO SAVEPOINT one", ("rollback_to", "one")),
    ("rollback work to one", ("rollback_to", "one")),
    ("COMMIT", ("commit", "")),
    ("END", ("commit", "")),
    ("ABORT", ("rollback", "")),
    ("ROLLBACK AND CHAIN", ("rollback", "")),
    ("BEGIN IMMEDIATE", ("begin", "")),
    ("START TRANSACTION", ("begin", "")),
]


@given(COMMENTS, st.sampled_from(CONTROL), COMMENTS)
def test_comments_hide_no_transaction_control(
    before: str, control: tuple[str, tuple[str, str]], behind: str
) -> None:
    """In front, behind, and with another statement inside."""
    text, expected = control
    assert sql.controls(f"{before}{text} {behind}") == (expected,)


@given(COMMENTS, st.sampled_from(WRITES), COMMENTS)
def test_comments_hide_no_write(before: str, write: Any, behind: str) -> None:
    """The records are the same as without comments."""
    dialect, text, kind, conflicts = write
    text = f"{before}{text}\n{behind}"
    assert told(text, dialect) == [(kind, conflicts)]
    assert sql.writes(text)


@pytest.mark.parametrize(
    "text", ["SELECT 'COMMIT'", "COMMIT PREPARED 'x'", "UPDATE t SET a = '; ROLLBACK'", "/* COMMIT"]
)
def test_what_only_looks_like_transaction_control(text: str) -> None:
    """A literal, an unclosed comment, and the end of another transaction."""
    assert sql.controls(text) == ()


def test_a_nested_comment_ends_where_postgresql_ends_it() -> None:
    """If the inner one is not closed, it ends at the first end."""
    assert sql.writes("/* a /* b */ c */ DELETE FROM notes")
    assert sql.writes("/* a /* b */ DELETE FROM notes")


@given(st.text())
def test_any_text_can_be_asked(text: str) -> None:
    """A text that is not SQL touches nothing, and raises nothing."""
    sql.mentions(text, LITE)
    sql.controls(text)
    sql.writes(text)


def test_the_parser_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    """The application could not do anything about its warnings."""
    with caplog.at_level(logging.DEBUG):
        sql.mentions("REPLACE INTO notes VALUES (17, 'silent')", LITE)
        sql.mentions("CALL silent(1)", PG)
    assert caplog.records == []


TAGS = [
    "/* route='/notes' */ {}",
    "-- a ' b\n{}",
    "{} /* behind */",
    "{} -- behind",
    "/*+ SET */{}",
]


@pytest.mark.parametrize("tag", TAGS)
def test_a_tagged_statement_is_recorded_as_without_the_tag(
    people: sa.Engine, log: Log, tag: str
) -> None:
    """A listener tags ORM, Core, text and savepoints; records and outcomes are unchanged."""

    def tagging(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> Any:
        return tag.format(statement), parameters

    sa.event.listen(people, "before_cursor_execute", tagging, retval=True)
    try:
        with Session(people) as session:
            with session.begin_nested() as savepoint:
                session.add(Note(id=1, body="undone"))
                session.flush()
                savepoint.rollback()
            with session.begin_nested():
                session.add(Note(id=2, body="kept"))
            session.commit()
            session.execute(sa.update(Note).values(body="x"))
            session.execute(sa.text("DELETE FROM notes"))
            session.connection().exec_driver_sql("INSERT INTO notes (id) VALUES (3)")
            session.commit()
    finally:
        sa.event.remove(people, "before_cursor_execute", tagging)
    assert [(event, outcome) for event, outcome, _ in log.told()] == [
        ("note.create", "savepoint_rolled_back"),
        ("note.create", "committed"),
        ("note.update", "committed"),
        ("note.delete", "committed"),
        ("note.create", "committed"),
    ]


MERGE = (
    "MERGE INTO notes n USING (SELECT 2 AS id) s ON s.id = n.id "
    "WHEN MATCHED THEN UPDATE SET body = 'y' WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)"
)


def test_statements_in_text_on_postgresql(postgres_database: str, log: Log) -> None:
    """TRUNCATE, an upsert, MERGE, COPY, a CTE that writes, SELECT INTO."""
    engine = sa.create_engine(postgres_database)
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Note)
    texts = [
        "INSERT INTO notes (id) VALUES (1), (2) ON CONFLICT (id) DO UPDATE SET body = 'x'",
        MERGE,
        "WITH gone AS (DELETE FROM notes WHERE id = 1 RETURNING id) SELECT count(*) FROM gone",
        "SELECT * INTO TEMP copied FROM notes",
        "COPY notes (id) FROM PROGRAM 'echo 7'",
        "COPY notes (id) TO PROGRAM 'cat >/dev/null'",
        "TRUNCATE notes",
    ]
    with engine.begin() as connection:
        for text in texts:
            result = connection.execute(sa.text(text))
            if result.returns_rows:
                result.all()
    handle.release()
    engine.dispose()
    assert log.told(reads=True) == [
        ("note.upsert", "committed", 2),
        ("note.upsert", "committed", 1),
        ("note.delete", "committed", None),
        ("note.read", "completed", 1),
        ("note.create", "committed", 1),
        ("note.read", "completed", 2),
        ("note.delete", "committed", None),
    ]


def test_statements_in_text_on_sqlite(tmp_path: Any, log: Log) -> None:
    """REPLACE and similar are upserts; TRUNCATE is a DELETE there."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/notes.db")
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Note)
    with engine.begin() as connection:
        connection.execute(sa.text("REPLACE INTO notes (id, body) VALUES (:id, 'a')"), {"id": 1})
        connection.execute(sa.insert(Note).prefix_with("OR REPLACE").values(id=1, body="b"))
        connection.execute(sa.insert(Note).prefix_with("OR IGNORE").values(id=1, body="c"))
        connection.exec_driver_sql("INSERT OR IGNORE INTO main.notes VALUES (?, ?, ?)", (1, 1, "d"))
    handle.release()
    engine.dispose()
    assert log.told() == [
        ("note.upsert", "committed", 1),
        ("note.upsert", "committed", 1),
        ("note.create", "committed", 0),
        ("note.create", "committed", 0),
    ]


@pytest.mark.parametrize("form", ["composed", "bytes"])
def test_sql_in_a_form_of_the_drivers_own(postgres_database: str, log: Log, form: str) -> None:
    """psycopg takes SQL that it has put together itself, and bytes; both are read."""
    composed = psycopg.sql.SQL("INSERT INTO {} (id) VALUES (1)").format(
        psycopg.sql.Identifier("notes")
    )
    statement: Any = composed if form == "composed" else b"INSERT INTO notes (id) VALUES (1)"
    engine = sa.create_engine(postgres_database)
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Note)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        connection.exec_driver_sql(statement)
    assert log.told() == [("note.create", "committed", 1), ("note.create", "failed", None)]
    assert log.records()[1]["operation_details"]["statement"] == (
        'INSERT INTO "notes" (id) VALUES (?)'
        if form == "composed"
        else "INSERT INTO notes (id) VALUES (?)"
    )
    handle.release()
    engine.dispose()
