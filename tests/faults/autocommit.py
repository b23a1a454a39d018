"""Writes outside a transaction until it is killed, right after a statement took effect.

autocommit.py DIRECTORY URL MODE…

Each mode is a child process, forked once everything is imported. It dies after the third statement
that makes a row permanent, before any code has seen its result:

flush      an object of a Session under AUTOCOMMIT
many       forty objects of a Session, in one flush
joined     a row of a joined subclass, in a bulk INSERT of a Session, which is two statements
linked     an object and a row of an association table, in one flush
core       an INSERT of Core
text       an INSERT given as text
update     an UPDATE of Core, after an INSERT
store      a method like the lead store's, which is one operation
with       WITH … INSERT, before which SQLite's driver does not begin a transaction
release    RELEASE of an outermost savepoint, which commits on SQLite
typed      COMMIT given as text
prepared   PREPARE TRANSACTION, after which any client may commit
phases     COMMIT PREPARED
"""

import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
import sqlglot  # noqa: F401 - once, rather than in each child that reads a text
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

import leadlog
from leadlog.recording.capture.operation import operation
from leadlog.recording.capture.targets import attach

DIRECTORY, URL, *MODES = sys.argv[1:]
KILLED = 3
DEADLY = {
    "joined": r"INSERT INTO memos",
    "linked": r"INSERT INTO links",
    "update": r"UPDATE",
    "with": r"WITH",
    "release": r"RELEASE",
    "typed": r"COMMIT",
    "prepared": r"PREPARE TRANSACTION",
    "phases": r"COMMIT PREPARED",
}


class Base(DeclarativeBase):
    """Base of the classes below."""


links = sa.Table(
    "links",
    Base.metadata,
    sa.Column("note_id", sa.ForeignKey("notes.id"), primary_key=True),
    sa.Column("tag_id", sa.ForeignKey("tags.id"), primary_key=True),
)


class Tag(Base):
    """The target of a note's link."""

    __tablename__ = "tags"
    id: Mapped[str] = mapped_column(primary_key=True)


class Note(Base):
    """The row to write."""

    __tablename__ = "notes"
    id: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]
    tags: Mapped[list[Tag]] = relationship(secondary=links)


class Memo(Note):
    """A joined subclass: its rows are in two tables."""

    __tablename__ = "memos"
    id: Mapped[str] = mapped_column(sa.ForeignKey("notes.id"), primary_key=True)
    topic: Mapped[str]


def arm(mode: str, kind: type) -> None:
    """Make the process kill itself."""
    deadly = re.compile(DEADLY.get(mode, "INSERT"))
    seen = 0

    def dying(method: Callable[..., None]) -> Callable[..., None]:
        def execute(self: Any, cursor: Any, statement: str, *rest: Any) -> None:
            nonlocal seen
            method(self, cursor, statement, *rest)
            seen += deadly.match(statement) is not None
            if seen == KILLED:
                os.kill(os.getpid(), signal.SIGKILL)

        return execute

    for name in ("do_execute", "do_execute_no_params", "do_executemany"):
        setattr(DefaultDialect, name, dying(getattr(DefaultDialect, name)))
    if mode in ("prepared", "phases"):
        method = "do_prepare_twophase" if mode == "prepared" else "do_commit_twophase"
        finish = getattr(kind, method)

        def finishing(self: Any, connection: Any, *rest: Any, **options: Any) -> None:
            finish(self, connection, *rest, **options)
            dying(lambda *_: None)(self, None, DEADLY[mode])

        setattr(kind, method, finishing)


class Store:
    """A class whose methods are operations."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._capture = attach(engine, Note)

    @operation("add_note", event_name="note.add")
    def add(self, key: str) -> None:
        """Make one call, whatever is inside."""
        with Session(self._engine) as session:
            session.add(Note(id=key, text="password=hunter2"))
            session.commit()


def write(engine: sa.Engine, mode: str, key: str) -> None:
    """Run a mode once."""
    values = {"id": key, "text": "password=hunter2"}
    if mode in ("flush", "many", "linked"):
        with Session(engine) as session:
            for at in range(40 if mode == "many" else 1):
                tags = [Tag(id=key)] if mode == "linked" else []
                session.add(Note(id=f"{key}-{at}", text="password=hunter2", tags=tags))
            session.commit()
        return
    if mode == "joined":
        with Session(engine) as session:
            row = {"id": key, "text": "password=hunter2", "topic": "x"}
            session.execute(sa.insert(Memo), [row])
        return
    with engine.connect() as connection:
        if mode == "with":
            text = sa.text("WITH one AS (SELECT 1) INSERT INTO notes SELECT :id, :text FROM one")
            connection.execute(text, values)
        elif mode == "text":
            connection.execute(sa.text("INSERT INTO notes VALUES (:id, :text)"), values)
        elif mode == "release":
            connection.exec_driver_sql("SAVEPOINT outermost")
            connection.execute(sa.insert(Note), values)
            connection.exec_driver_sql("RELEASE outermost")
        elif mode == "typed":
            connection.execute(sa.insert(Note), values)
            connection.exec_driver_sql("COMMIT")
        elif mode in ("prepared", "phases"):
            transaction = connection.begin_twophase()
            connection.execute(sa.insert(Note), values)
            transaction.prepare()
            transaction.commit()
        else:
            connection.execute(sa.insert(Note), values)
            if mode == "update":
                changed = sa.update(Note).where(Note.id == key).values(text=f"{key} changed")
                connection.execute(changed)


def run(mode: str) -> None:
    """Write until killed."""
    leadlog.configure(directory=DIRECTORY)
    leadlog.bind(mode=mode)
    in_transaction = mode in ("with", "release", "typed", "prepared", "phases")
    options: dict[str, Any] = {} if in_transaction else {"isolation_level": "AUTOCOMMIT"}
    engine = sa.create_engine(URL, **options)
    arm(mode, type(engine.dialect))  # inside our own
    store = Store(engine) if mode == "store" else None
    if store is None:
        leadlog.capture(engine, Note)
    for number in range(KILLED):
        if store is None:
            write(engine, mode, f"{mode}-{number}")
        else:
            store.add(f"{mode}-{number}")


def main() -> None:
    """Run each mode until it is dead."""
    engine = sa.create_engine(URL)
    Base.metadata.create_all(engine)
    engine.dispose()
    for mode in MODES:
        child = os.fork()
        if child == 0:
            try:
                run(mode)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), mode


if __name__ == "__main__":
    main()
