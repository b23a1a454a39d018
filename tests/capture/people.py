"""Mapped classes and databases that the tests of capture share."""

import enum
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

import leadlog
from leadlog.recording.sinks import MemorySink


class Base(DeclarativeBase):
    """The tests' own metadata."""


class Person(Base):
    """A class with every kind of default, a version and a subclass."""

    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str | None] = mapped_column(unique=True)
    score: Mapped[int | None] = mapped_column(default=0)
    kind: Mapped[str] = mapped_column(default="person")
    origin: Mapped[str | None] = mapped_column(server_default="import")
    touched: Mapped[int | None] = mapped_column(onupdate=7)
    version: Mapped[int] = mapped_column()
    notes: Mapped[list["Note"]] = relationship(
        back_populates="person", cascade="all, delete-orphan"
    )
    __mapper_args__ = {  # noqa: RUF012 - SQLAlchemy's own form
        "polymorphic_on": "kind",
        "polymorphic_identity": "person",
        "version_id_col": version,
    }


class Customer(Person):
    """Joined inheritance: its rows are stored in two tables."""

    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(sa.ForeignKey("people.id"), primary_key=True)
    level: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "customer"}  # noqa: RUF012


class Note(Base):
    """The other side of a relationship."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int | None] = mapped_column(sa.ForeignKey("people.id"))
    body: Mapped[str | None]
    person: Mapped[Person | None] = relationship(back_populates="notes")


class Shade(enum.Enum):
    """An enumeration stored by value, with a custom type."""

    LIGHT = "l"
    DARK = "d"


class ShadeType(sa.types.TypeDecorator[Shade]):
    """Stores a shade by its value."""

    impl = sa.String(1)
    cache_ok = True

    def process_bind_param(self, value: Shade | None, dialect: sa.Dialect) -> str | None:
        """Return the stored value."""
        return None if value is None else value.value

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Shade | None:
        """Return the value held by an object."""
        return None if value is None else Shade(value)


topic_links = sa.Table(
    "topic_links",
    Base.metadata,
    sa.Column("topic_id", sa.ForeignKey("topics.id"), primary_key=True),
    sa.Column("related_id", sa.ForeignKey("topics.id"), primary_key=True),
)


class Topic(Base):
    """Mutable values, a custom type, and an association table without a class."""

    __tablename__ = "topics"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    labels: Mapped[dict[str, Any] | None] = mapped_column(MutableDict.as_mutable(sa.JSON))
    marks: Mapped[list[int] | None] = mapped_column(sa.JSON)
    shade: Mapped[Shade | None] = mapped_column(ShadeType)
    related: Mapped[list["Topic"]] = relationship(
        secondary=topic_links,
        primaryjoin=lambda: Topic.id == topic_links.c.topic_id,
        secondaryjoin=lambda: Topic.id == topic_links.c.related_id,
    )


class Late(Base):
    """A class whose unique constraint is checked at COMMIT, if the database supports that."""

    __tablename__ = "late"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[int | None]


LATE = "ALTER TABLE late ADD CONSTRAINT late_code UNIQUE (code) DEFERRABLE INITIALLY DEFERRED"


def begin_recipe(engine: sa.Engine) -> sa.Engine:
    """Make SQLite begin transactions when SQLAlchemy does; see SQLAlchemy's documentation."""

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


class Log:
    """The log in memory, parsed on request."""

    def __init__(self) -> None:
        self.sink = MemorySink()

    def records(self, category: str = "database_operations") -> list[dict[str, Any]]:
        """Return all records of a category so far, in order."""
        return [json.loads(line) for name, line in self.sink.lines if name == category]

    def told(self, *, reads: bool = False) -> list[tuple[str, str, int | None]]:
        """Return event, outcome and rows of each record."""
        return [
            (
                record["event_name"],
                record["operation_details"]["outcome"],
                record["operation_details"]["records_affected"],
            )
            for record in self.records()
            if reads or record["operation_details"]["operation_type"] != "read"
        ]

    def outcomes(self) -> Counter[tuple[str, str]]:
        """Return the number of records by event and outcome, without reads."""
        return Counter((event, outcome) for event, outcome, _ in self.told())

    def clear(self) -> None:
        """Discard the log."""
        self.sink.lines.clear()


@contextmanager
def logging_to_memory() -> Iterator[Log]:
    """Log to memory for the block."""
    log = Log()
    with leadlog.configure(sink=log.sink):
        yield log
        assert leadlog.stats().failures == 0
