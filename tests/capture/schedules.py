"""Random schedules of all operations on a table, and the comparison of the log with the tables.

A schedule is a list of sessions, each a list of `(action, a, b)` with two small numbers that choose
rows and values. `replay` follows the log alone; `table` reads the database.
"""

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session, selectinload

from tests.capture.people import Customer, Note, Person, Shade, Topic, topic_links

UNKNOWN = object()

ACTIONS = (
    "add",
    "add_customer",
    "add_two",
    "set",
    "set_nothing",
    "set_expired",
    "set_expression",
    "set_level",
    "delete",
    "merge",
    "merge_new",
    "replace",
    "note",
    "unnote",
    "flush",
    "expire",
    "commit",
    "rollback",
    "nest",
    "release",
    "undo",
    "insert",
    "insert_many",
    "insert_returning",
    "insert_unread",
    "update_half_read",
    "update_one",
    "update_set",
    "update_expression",
    "update_keys",
    "delete_one",
    "delete_set",
    "upsert",
    "ignore",
    "bulk_insert",
    "bulk_update",
    "text_update",
    "driver_sql",
    "textual_savepoint",
    "bad_statement",
    "read",
    "stream",
    # Comments in front of SQL, and SQL given as text.
    "trace",
    "insert_commented",
    "text_insert",
    "text_delete",
    "text_upsert",
    "text_with",
    # Other Table objects for the same tables.
    "other_table",
    "bare_table",
    "other_update",
    "other_delete",
    # Mutable values and a custom type.
    "topic",
    "mutate",
    "mutate_after_flush",
    "shade",
    "topic_update",
    "topic_delete",
    # The rows of an association table.
    "relate",
    "unrelate",
    "clear",
    "relate_anew",
    "link_insert",
    "link_delete",
    # Changes that bypass SQLAlchemy, and failures in the application's own code.
    "driver_end",
    "listener_raises",
    "statement_listener_raises",
    "object_listener_raises",
)

schedules = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.sampled_from(ACTIONS), st.integers(0, 7), st.integers(0, 7)),
            min_size=1,
            max_size=12,
        ),
        st.sampled_from(("commit", "rollback", "close")),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


def random_schedule(rng: random.Random) -> list[Any]:
    """Return a schedule of one to five sessions, without hypothesis, which takes twice as long."""
    return [
        (
            [
                (rng.choice(ACTIONS), rng.randint(0, 7), rng.randint(0, 7))
                for _ in range(rng.randint(1, 12))
            ],
            rng.choice(("commit", "rollback", "close")),
            rng.random() < 0.5,
        )
        for _ in range(rng.randint(1, 5))
    ]


PEOPLE = Person.__table__
OTHER: Any = PEOPLE.to_metadata(sa.MetaData())  # type: ignore[attr-defined]  # it is a Table
BARE = sa.table("people", *(sa.column(name) for name in ("email", "score", "version", "kind")))


class BoomError(Exception):
    """The exception raised by a listener of the application."""


def boom(*_: Any, **__: Any) -> None:
    """A listener that raises."""
    raise BoomError


class Actor:
    """Performs the actions of a schedule in one session.

    Args:
        session: the session.
        recover: whether an error rolls the session back, or is ignored where possible.
    """

    def __init__(self, session: Session, *, recover: bool) -> None:
        self.session = session
        self.recover = recover
        self.nested: list[Any] = []
        self.errors: list[str] = []
        self.traced = False

    def run(self, actions: Iterable[tuple[str, int, int]], end: str) -> None:
        """Perform the actions, and end the session."""
        for name, a, b in actions:
            try:
                getattr(self, f"do_{name}")(a, b)
            except (sa.exc.SQLAlchemyError, BoomError) as error:
                self.errors.append(type(error).__name__)
                if self.recover or not self.session.is_active:
                    self.do_rollback(a, b)
        if end == "commit":
            try:
                self.session.commit()
            except sa.exc.SQLAlchemyError:
                self.session.rollback()
        elif end == "rollback":
            self.session.rollback()

    def _any(self, a: int, kind: type[Person] = Person) -> Any:
        with self.session.no_autoflush:
            found = self.session.scalars(sa.select(kind).order_by(kind.id)).all()
        return found[a % len(found)] if found else None

    @property
    def _insert(self) -> Callable[..., Any]:
        postgres = self.session.get_bind().dialect.name == "postgresql"
        return postgresql_insert if postgres else sqlite_insert

    # ------------------------------------------------------------------------- unit of work

    def do_add(self, a: int, b: int) -> None:
        self.session.add(Person(email=f"p{a}", score=b or None))

    def do_add_customer(self, a: int, b: int) -> None:
        self.session.add(Customer(email=f"p{a}", level=b))

    def do_add_two(self, a: int, b: int) -> None:
        self.session.add_all([Person(email=f"p{a}"), Person(email=f"p{b}")])
        self.session.flush()

    def do_set(self, a: int, b: int) -> None:
        if (person := self._any(a)) is not None:
            person.score = b

    def do_set_nothing(self, a: int, b: int) -> None:
        if (person := self._any(a)) is not None:
            person.score = person.score
            self.session.flush()

    def do_set_expired(self, a: int, b: int) -> None:
        if (person := self._any(a)) is not None and sa.inspect(person).persistent:
            self.session.flush()
            self.session.expire(person)
            person.email = f"p{b}"

    def do_set_expression(self, a: int, b: int) -> None:
        if (person := self._any(a)) is not None:
            person.score = Person.score + b

    def do_set_level(self, a: int, b: int) -> None:
        if (person := self._any(a, Customer)) is not None:
            person.level = b

    def do_delete(self, a: int, b: int) -> None:
        if (person := self._any(a)) is not None:
            self.session.delete(person)
            if b > 3:
                self.session.flush()

    def do_merge(self, a: int, b: int) -> None:
        if (person := self._any(a)) is not None:
            self.session.merge(type(person)(id=person.id, score=b))

    def do_merge_new(self, a: int, b: int) -> None:
        self.session.merge(Person(id=900 + a, email=f"p{b}"))

    def do_replace(self, a: int, b: int) -> None:
        if (person := self._any(a)) is not None and type(person) is Person:
            self.session.delete(person)
            self.session.add(Person(id=person.id, email=f"p{b}", version=person.version))
            self.session.flush()

    def do_note(self, a: int, b: int) -> None:
        if (person := self._any(a)) is not None:
            person.notes.append(Note(body=f"n{b}"))

    def do_unnote(self, a: int, b: int) -> None:
        if (person := self._any(a)) is not None and person.notes:
            person.notes.pop()

    def do_flush(self, a: int, b: int) -> None:
        self.session.flush()

    def do_expire(self, a: int, b: int) -> None:
        self.session.flush()
        self.session.expire_all()

    # ------------------------------------------------------------------------- transactions

    def do_commit(self, a: int, b: int) -> None:
        self.nested.clear()
        self.session.commit()

    def do_rollback(self, a: int, b: int) -> None:
        self.nested.clear()
        self.session.rollback()

    def do_nest(self, a: int, b: int) -> None:
        self.nested.append(self.session.begin_nested())

    def do_release(self, a: int, b: int) -> None:
        if self.nested:
            self.nested.pop().commit()

    def do_undo(self, a: int, b: int) -> None:
        if self.nested:
            self.nested.pop().rollback()

    def do_textual_savepoint(self, a: int, b: int) -> None:
        connection = self.session.connection()
        if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            return
        connection.exec_driver_sql("SAVEPOINT by_hand")
        try:
            values = {"email": f"t{a}", "version": 1, "kind": "person"}
            connection.execute(sa.insert(PEOPLE).values(values))
        except sa.exc.DBAPIError:
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT by_hand")
        if b > 3:
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT by_hand")
        connection.exec_driver_sql("RELEASE SAVEPOINT by_hand")

    def do_bad_statement(self, a: int, b: int) -> None:
        self.session.execute(sa.text("SELECT nothing FROM nowhere"))

    # --------------------------------------------------------------------------- statements

    def do_insert(self, a: int, b: int) -> None:
        self.session.execute(sa.insert(Person).values(email=f"p{a}", score=b, version=1))

    def do_insert_many(self, a: int, b: int) -> None:
        rows = [{"email": f"m{a}", "version": 1}, {"email": f"m{b}", "version": 1}]
        self.session.execute(sa.insert(Person), rows)

    def do_insert_returning(self, a: int, b: int) -> None:
        self.session.execute(
            sa.insert(Person).values(email=f"p{a}", version=1).returning(Person.id, Person.email)
        ).all()

    def do_insert_unread(self, a: int, b: int) -> None:
        self.session.execute(
            sa.insert(Person).values(email=f"p{a}", version=1).returning(Person.id)
        )

    def do_update_half_read(self, a: int, b: int) -> None:
        statement = sa.update(Person).where(Person.score <= a).values(score=b)
        statement = statement.execution_options(synchronize_session=False)
        self.session.execute(statement.returning(Person.id)).fetchone()

    def do_update_one(self, a: int, b: int) -> None:
        if (person := self._any(a)) is not None:
            self.session.execute(sa.update(Person).where(Person.id == person.id).values(score=b))

    def do_update_set(self, a: int, b: int) -> None:
        statement = sa.update(Person).where(Person.score <= a).values(score=b)
        sync = ("fetch", "evaluate", False)[b % 3]
        self.session.execute(statement.execution_options(synchronize_session=sync))

    def do_update_expression(self, a: int, b: int) -> None:
        self.session.execute(
            sa.update(Person).where(Person.score <= a).values(score=Person.score + b)
        )

    def do_update_keys(self, a: int, b: int) -> None:
        if (person := self._any(a)) is not None:
            rows = [{"id": person.id, "score": b, "version": person.version}]
            if b > 3:
                rows.append({"id": 900 + b, "score": a, "version": 1})
            self.session.execute(sa.update(Person), rows)

    def do_delete_one(self, a: int, b: int) -> None:
        if (person := self._any(a)) is not None and type(person) is Person and not person.notes:
            self.session.execute(sa.delete(Person).where(Person.id == person.id))

    def do_delete_set(self, a: int, b: int) -> None:
        plain = sa.and_(Person.kind == "person", ~Person.notes.any())
        self.session.execute(sa.delete(Person).where(plain, Person.score == a))

    def do_upsert(self, a: int, b: int) -> None:
        statement = self._insert(Person).values(email=f"p{a}", score=b, version=1)
        self.session.execute(
            statement.on_conflict_do_update(index_elements=["email"], set_={"score": b})
        )

    def do_ignore(self, a: int, b: int) -> None:
        statement = self._insert(Person).values(email=f"p{a}", score=b, version=1)
        self.session.execute(statement.on_conflict_do_nothing())

    def do_bulk_insert(self, a: int, b: int) -> None:
        rows = [{"email": f"b{a}", "version": 1}, {"email": f"b{b}", "version": 1}]
        self.session.bulk_insert_mappings(sa.inspect(Person), rows)

    def do_bulk_update(self, a: int, b: int) -> None:
        if (person := self._any(a)) is not None:
            row = {"id": person.id, "score": b, "version": person.version}
            self.session.bulk_update_mappings(sa.inspect(Person), [row])

    def do_text_update(self, a: int, b: int) -> None:
        statement = sa.text("UPDATE people SET score = :b WHERE score = :a")
        self.session.execute(statement, {"a": a, "b": b})

    def do_driver_sql(self, a: int, b: int) -> None:
        connection = self.session.connection()
        connection.exec_driver_sql(f"UPDATE people SET score = {a} WHERE score = {b}")

    # ------------------------------------------------------------------- comments, text, tables

    def do_trace(self, a: int, b: int) -> None:
        comment = ("/* trace='1' */ ", "-- why; INSERT INTO people\n", "/* /* nested */ */")[a % 2]

        def traced(_on: Any, _cursor: Any, statement: str, given: Any, *_: Any) -> tuple[str, Any]:
            return f"{comment}{statement}", given

        connection = self.session.connection()
        sa.event.listen(connection, "before_cursor_execute", traced, retval=True)

    def do_insert_commented(self, a: int, b: int) -> None:
        statement = sa.insert(Person).prefix_with("/* SELECT */")
        self.session.execute(statement.values(email=f"c{a}", score=b, version=1))

    def do_text_insert(self, a: int, b: int) -> None:
        text = "-- by hand\nINSERT INTO people (email, score, version, kind) "
        self.session.execute(
            sa.text(text + "VALUES (:email, :score, 1, 'person')"), {"email": f"p{a}", "score": b}
        )

    def do_text_delete(self, a: int, b: int) -> None:
        self.session.execute(
            sa.text("/* a */ DELETE FROM notes WHERE body = :body /* b */"), {"body": f"n{b}"}
        )

    def do_text_upsert(self, a: int, b: int) -> None:
        text = (
            "INSERT INTO people (email, score, version, kind) VALUES (:email, :score, 1, 'person') "
        )
        action = "NOTHING" if b > 3 else "UPDATE SET score = excluded.score"
        self.session.execute(
            sa.text(f"{text} ON CONFLICT (email) DO {action}"), {"email": f"p{a}", "score": b}
        )

    def do_text_with(self, a: int, b: int) -> None:
        text = "WITH one AS (SELECT :b AS n) INSERT INTO notes (body) SELECT :body FROM one"
        self.session.execute(sa.text(text), {"b": b, "body": f"n{a}"})

    def do_other_table(self, a: int, b: int) -> None:
        values = {"email": f"o{a}", "score": b, "version": 1, "kind": "person"}
        self.session.execute(sa.insert(OTHER).values(values))

    def do_bare_table(self, a: int, b: int) -> None:
        rows = [
            {"email": f"t{a}{n}", "score": b, "version": 1, "kind": "person"}
            for n in range(1 + b % 3)
        ]
        self.session.execute(sa.insert(BARE), rows)

    def do_other_update(self, a: int, b: int) -> None:
        if (person := self._any(a)) is not None:
            self.session.execute(sa.update(OTHER).where(OTHER.c.id == person.id).values(score=b))

    def do_other_delete(self, a: int, b: int) -> None:
        self.session.execute(
            sa.delete(OTHER).where(OTHER.c.email == f"o{a}", OTHER.c.kind == "person")
        )

    # ------------------------------------------------------------------------- topics and links

    def _topic(self, a: int) -> Any:
        with self.session.no_autoflush:
            found = self.session.scalars(sa.select(Topic).order_by(Topic.id)).all()
        return found[a % len(found)] if found else None

    def do_topic(self, a: int, b: int) -> None:
        self.session.add(Topic(name=f"t{a}", labels={"n": b}, marks=[a], shade=Shade.DARK))

    def do_mutate(self, a: int, b: int) -> None:
        if (topic := self._topic(a)) is not None:
            if topic.labels is None:
                topic.labels = {}
            topic.labels[f"k{b % 3}"] = b
            topic.marks = [*(topic.marks or []), b]

    def do_mutate_after_flush(self, a: int, b: int) -> None:
        marks = [a]
        topic = Topic(name=f"m{a}", marks=marks)
        self.session.add(topic)
        self.session.flush()
        marks.append(b)  # not noticed: it was written already
        topic.labels = {"later": b}

    def do_shade(self, a: int, b: int) -> None:
        if (topic := self._topic(a)) is not None:
            topic.shade = (None, Shade.LIGHT, Shade.DARK)[b % 3]

    def do_topic_update(self, a: int, b: int) -> None:
        if (topic := self._topic(a)) is not None:
            self.session.execute(
                sa.update(Topic)
                .where(Topic.id == topic.id)
                .values(marks=[b, {"a": None}], shade=Shade.LIGHT, labels={"b": b})
            )

    def do_topic_delete(self, a: int, b: int) -> None:
        if (topic := self._topic(a)) is not None:
            self.session.delete(topic)
            if b > 3:
                self.session.flush()

    def do_relate(self, a: int, b: int) -> None:
        topic, other = self._topic(a), self._topic(b)
        if topic is not None and other not in topic.related:
            topic.related.append(other)

    def do_unrelate(self, a: int, b: int) -> None:
        if (topic := self._topic(a)) is not None and topic.related:
            topic.related.pop()

    def do_clear(self, a: int, b: int) -> None:
        if (topic := self._topic(a)) is not None:
            topic.related.clear()

    def do_relate_anew(self, a: int, b: int) -> None:
        topic, other = self._topic(a), self._topic(b)
        if topic is not None:
            topic.related = [Topic(name=f"r{b}"), other]

    def do_link_insert(self, a: int, b: int) -> None:
        topic, other = self._topic(a), self._topic(b)
        if topic is not None and topic.id is not None and other.id is not None:
            row = {"topic_id": topic.id, "related_id": other.id}
            self.session.execute(sa.insert(topic_links), [row])

    def do_link_delete(self, a: int, b: int) -> None:
        if (topic := self._topic(a)) is not None:
            self.session.execute(sa.delete(topic_links).where(topic_links.c.topic_id == topic.id))

    # --------------------------------------------------------------- past SQLAlchemy, and raising

    def do_driver_end(self, a: int, b: int) -> None:
        # Rarely: the outcome of earlier writes is unknown then.
        if a == 7 and not self.session.in_nested_transaction():
            driver = self.session.connection().connection.dbapi_connection
            driver.commit() if b > 3 else driver.rollback()
            self.session.expire_all()

    def _raising(self, target: Any, name: str) -> None:
        sa.event.listen(target, name, boom)
        try:
            self.session.flush()
        finally:
            sa.event.remove(target, name, boom)

    def do_listener_raises(self, a: int, b: int) -> None:
        self.session.add(Note(body=f"x{b}"))
        names = ("before_flush", "after_flush", "after_flush_postexec", "before_attach")
        self._raising(self.session, names[a % 3])

    def do_statement_listener_raises(self, a: int, b: int) -> None:
        connection = self.session.connection()
        name = ("before_cursor_execute", "after_cursor_execute", "before_execute")[a % 3]
        sa.event.listen(connection, name, boom)
        try:
            if b > 3:
                self.session.add(Note(body=f"y{b}"))
                self.session.flush()
            else:
                connection.execute(sa.insert(Note.__table__).values(body=f"y{b}"))
        finally:
            sa.event.remove(connection, name, boom)

    def do_object_listener_raises(self, a: int, b: int) -> None:
        self.session.add_all([Note(body=f"z{a}"), Note(body=f"z{b}")])
        self._raising(Note, ("before_insert", "after_insert", "before_update")[a % 3])

    # -------------------------------------------------------------------------------- reads

    def do_read(self, a: int, b: int) -> None:
        options = (selectinload(Person.notes),) if a > 3 else ()
        self.session.scalars(sa.select(Person).options(*options).limit(b)).all()

    def do_stream(self, a: int, b: int) -> None:
        found = self.session.execute(sa.select(Person).execution_options(yield_per=2))
        found.fetchmany(a + 1)
        found.close()


COLUMNS = ("email", "score", "kind", "origin", "touched", "version", "level")


class Replay:
    """A table as reconstructed from the log.

    Args:
        entities: names of the classes with rows in the table.
        columns: columns except those of the key.
        keys: columns of the key, which are numbers.

    Attributes:
        rows: key to column to value; UNKNOWN if the log does not contain it.
        unnamed: whether rows were added or removed that the log does not name.
        vague: columns that changed in rows that the log does not name; None for all.
        count: expected number of rows; None once the log does not determine it.
        problems: contradictions found in the log.
    """

    def __init__(
        self,
        entities: Iterable[str],
        columns: Iterable[str] = COLUMNS,
        keys: Iterable[str] = ("id",),
    ) -> None:
        self.entities = frozenset(entities)
        self.columns = tuple(columns)
        self.keys = tuple(keys)
        self.rows: dict[str, dict[str, Any]] = {}
        self.unnamed = False
        self.vague: set[str] = set()
        self.count: int | None = 0
        self.problems: list[str] = []

    def follow(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Apply records in order."""
        for record in records:
            details, data = record["operation_details"], record["data_details"]
            if details["entity"] not in self.entities or details["operation_type"] == "read":
                continue
            if details["outcome"] == "unknown":
                self.unnamed, self.count = True, None
                self.vague |= set(self.columns)
            elif details["outcome"] == "committed":
                self._apply(details, data, record["lead_identifier"])

    def _apply(self, details: Any, data: Any, who: Any) -> None:
        change, rows, key = data.get("change"), details["records_affected"], who["lead_id"]
        fields = data["fields_changed"] or {}
        new = {name: one.get("new", UNKNOWN) for name, one in fields.items()}
        if change == "create":
            self._count(1)
            if key in self.rows and not self.unnamed:
                self.problems.append(f"{key} was there when it was created")
            self.rows[key] = {**self._named(key), **new}
        elif change == "delete":
            self._count(-1)
            self._old(key, fields)
            self.rows.pop(key, None)
        elif change == "update":
            self._old(key, fields)
            self.rows.setdefault(key, self._unseen(key)).update(new)
        elif rows != 0:
            self._many(details["operation_type"], rows, who, new)

    def _many(self, kind: str, rows: int | None, who: Any, new: Mapping[str, Any]) -> None:
        if kind == "update":
            self.vague |= new.keys() or {"score"}
            return
        named = who.get("lead_ids") or ()
        if kind == "upsert":
            self.unnamed, self.count = True, None
            self.vague |= {"email", "score"}
            return
        self._count(None if rows is None else rows if kind == "create" else -rows)
        if kind == "create" and len(named) == rows:
            for key in named:
                self.rows[key] = self._unseen(key)
        else:
            self.unnamed = True
            for key in self.rows:  # it may be deleted by now, and its key reused
                self.rows[key] = self._unseen(key)

    def _named(self, key: str) -> dict[str, Any]:
        return dict(zip(self.keys, map(int, key.split(",")), strict=True))

    def _unseen(self, key: str) -> dict[str, Any]:
        return {**self._named(key), **dict.fromkeys(self.columns, UNKNOWN)}

    def _count(self, more: int | None) -> None:
        self.count = None if more is None or self.count is None else self.count + more

    def _old(self, key: str, fields: Mapping[str, Any]) -> None:
        """Compare the old values of a record with the values known from earlier records."""
        row = self.rows.get(key)
        if row is None:
            if not self.unnamed:
                self.problems.append(f"{key} is not there, but was written")
            return
        for name, one in fields.items():
            known = row.get(name)
            if "old" in one and known is not UNKNOWN and name not in self.vague:
                if one["old"] != known:
                    self.problems.append(f"{key}.{name}: {one['old']!r}, not {known!r} was there")

    def differences(self, table: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Return differences between log and table, except for values the log marks as unknown."""
        found = list(self.problems)
        if self.count is not None and self.count != len(table):
            found.append(f"{len(table)} rows, the log says {self.count}")
        if not self.unnamed and self.rows.keys() != table.keys():
            found.append(f"rows {sorted(table)}, the log says {sorted(self.rows)}")
        for key in self.rows.keys() & table.keys():
            for name, value in table[key].items():
                told = self.rows[key].get(name)
                if told is not UNKNOWN and name not in self.vague and told != value:
                    found.append(f"{key}.{name} is {value!r}, the log says {told!r}")
        return found


def disagreements(records: Iterable[Mapping[str, Any]], connection: sa.Connection) -> list[str]:
    """Return the differences between the log and the tables."""
    records = list(records)
    people, notes = Replay(("Person", "Customer")), Replay(("Note",), ("person_id", "body"))
    topics = Replay(("Topic",), ("name", "labels", "marks", "shade"))
    links = Replay(("topic_links",), (), ("topic_id", "related_id"))
    found: list[str] = []
    for replay, table in (
        (people, table_of_people(connection)),
        (notes, table_of(connection, Note.__table__)),
        (topics, table_of(connection, Topic.__table__)),
        (links, table_of(connection, topic_links)),
    ):
        replay.follow(records)
        found += replay.differences(table)
    return found


def table_of_people(connection: sa.Connection) -> dict[str, dict[str, Any]]:
    """Return the table of people and customers as read from the database."""
    customers = Customer.__table__
    joined = PEOPLE.outerjoin(customers, PEOPLE.c.id == customers.c.id)
    rows = connection.execute(sa.select(*PEOPLE.c, customers.c.level).select_from(joined))
    return {str(row.id): dict(row._mapping) for row in rows}


def table_of(connection: sa.Connection, table: Any) -> dict[str, dict[str, Any]]:
    """Return a table as read from the database, by key; a shade in its stored form."""
    found = {}
    for row in connection.execute(sa.select(*table.c)):
        key = ",".join(str(row._mapping[column]) for column in table.primary_key)
        found[key] = {
            name: value.value if isinstance(value, Shade) else value
            for name, value in row._mapping.items()
        }
    return found
