"""The input of each program: a database with six seats, and an independent view of it."""

import sqlite3
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

SEATS = 6


class Base(DeclarativeBase):
    """The programs' own metadata."""


class Seat(Base):
    """A row that the programs write."""

    __tablename__ = "seats"

    id: Mapped[int] = mapped_column(primary_key=True)
    taken: Mapped[bool] = mapped_column(default=False)
    label: Mapped[str | None] = mapped_column(unique=True)
    bookings: Mapped[list["Booking"]] = relationship(
        back_populates="seat", cascade="all, delete-orphan"
    )


class Booking(Base):
    """A row that belongs to a seat."""

    __tablename__ = "bookings"

    id: Mapped[int] = mapped_column(primary_key=True)
    seat_id: Mapped[int] = mapped_column(sa.ForeignKey("seats.id"))
    seat: Mapped[Seat] = relationship(back_populates="bookings")


class Shop:
    """A program's engine, with methods that report the state of its database.

    Args:
        kind: kind of the database, see `KINDS` of the test.
        url: URL of the database with a synchronous driver.
        engine: the program's engine, synchronous or the synchronous part of an asynchronous one.
    """

    def __init__(self, kind: str, url: str, engine: sa.Engine) -> None:
        self.kind = kind
        self.url = url
        self.engine = engine
        self.kept: list[Any] = []
        """Objects that a program keeps until the interpreter clears its modules."""

    def session(self, **options: Any) -> Session:
        """Return a new Session on the engine."""
        return Session(self.engine, **options)

    def say(self, *words: Any) -> None:
        """Print and flush, since a program may end in any way."""
        print(*words, flush=True)

    def attempt(self, name: str, call: Callable[[], Any]) -> Any:
        """Run a call, and print the exception it raised, if any."""
        try:
            found = call()
        except Exception as error:  # noqa: BLE001 - any exception must be the same in both runs
            first = str(error).partition("\n")[0]
            self.say(name, type(error).__name__, first)
            return None
        self.say(name, "ok")
        return found

    def look(self) -> None:
        """Print the rows that others see, whether they can write, and the connections in use."""
        lent = getattr(self.engine.pool, "checkedout", lambda: "-")()
        self.say("seats", *eyes(self.kind, self.url, self.engine), "lent", lent)


def eyes(kind: str, url: str, engine: sa.Engine | None = None) -> tuple[Any, str]:
    """Return the committed rows and `free` or `locked`, using only the driver's connection."""
    query = "SELECT id, taken, label FROM seats ORDER BY id"
    if kind == "sqlite_memory":
        if engine is None:
            return [], "gone"
        raw: Any = engine.raw_connection().driver_connection
        return raw.execute(query).fetchall(), "open" if raw.in_transaction else "free"
    if kind.startswith(("sqlite", "aiosqlite")):
        path = sa.make_url(url).database
        connection = sqlite3.connect(str(path), timeout=0, isolation_level=None)
        try:
            rows = connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            return str(error), "locked"
        try:
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return rows, "locked"
        finally:
            connection.close()
        return rows, "free"
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as other:
        rows = [(row[0], int(row[1]), row[2]) for row in other.execute(query).fetchall()]
        try:
            with other.transaction():
                other.execute("LOCK TABLE seats IN ACCESS EXCLUSIVE MODE NOWAIT")
        except psycopg.errors.LockNotAvailable:
            return rows, "locked"
        return rows, "free"


def fill(engine: sa.Engine) -> None:
    """Create the tables and the seats."""
    with engine.begin() as connection:
        Base.metadata.drop_all(connection)
        Base.metadata.create_all(connection)
        rows = [
            {"id": number, "taken": False, "label": f"s{number}"} for number in range(1, SEATS + 1)
        ]
        connection.execute(sa.insert(Seat.__table__), rows)
        connection.execute(sa.insert(Booking.__table__), [{"id": n, "seat_id": n} for n in (1, 2)])
