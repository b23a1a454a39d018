"""The ORM calls of an application, one by one; needs only SQLAlchemy, 2.0 or 2.1.

Each engine has its own mapped class, so that listeners of one class do not add to the time of the
other.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import orm

ROWS = 10
OBJECTS = 100
WRITES = ("add + commit", "update + commit", "delete + commit")
SINGLE_CALLS = ("add + commit", "get, a miss", "update + commit", "delete + commit", "query")
FLUSH = f"flush of {OBJECTS} objects"


def mapped_class() -> type:
    """Return a new mapped class: contacts, as an application has them."""

    class Base(orm.DeclarativeBase):
        pass

    class Contact(Base):
        __tablename__ = "contacts"
        id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
        name: orm.Mapped[str]
        company: orm.Mapped[str | None]
        email: orm.Mapped[str | None] = orm.mapped_column(index=True)
        score: orm.Mapped[int]
        visits: orm.Mapped[int] = orm.mapped_column(default=0)

    return Contact


def memory() -> sa.Engine:
    """Return an engine on a separate database in memory."""
    return sa.create_engine("sqlite://", poolclass=sa.StaticPool)


def file(path: Path) -> sa.Engine:
    """Return an engine on a file, whose COMMIT returns once the disk has the data."""
    engine = sa.create_engine(f"sqlite:///{path}")

    def prepare(connection, record):
        connection.execute("PRAGMA synchronous=FULL")

    sa.event.listen(engine, "connect", prepare)
    return engine


@dataclass
class Application:
    """An engine, a mapped class and the calls that are measured.

    Args:
        engine: an engine on an empty database.
        spare: number of objects that can be deleted.
    """

    engine: sa.Engine
    spare: int

    def __post_init__(self) -> None:
        self.contact = mapped_class()
        self.contact.metadata.create_all(self.engine)
        self._numbers = itertools.count()

    def calls(self) -> dict[str, Callable[[], object]]:
        """Return the calls by name; their rows are in the database and loaded already."""
        contact, engine = self.contact, self.engine
        with orm.Session(engine) as session:
            session.add_all([self._new() for _ in range(ROWS)])
            session.commit()
        kept = orm.Session(engine, expire_on_commit=False)
        changed = kept.get(contact, 1)
        kept.commit()
        gone = self._to_delete()
        some = sa.select(contact).where(contact.id <= ROWS)

        def add():
            with orm.Session(engine) as session:
                session.add(self._new())
                session.commit()

        def get():
            with orm.Session(engine) as session:
                return session.get(contact, 3)

        def update():
            changed.visits += 1
            kept.commit()

        def delete():
            session, condemned = next(gone)
            session.delete(condemned)
            session.commit()

        def query():
            with orm.Session(engine) as session:
                return session.scalars(some).all()

        def flush():
            with orm.Session(engine) as session:
                session.add_all([self._new() for _ in range(OBJECTS)])
                session.commit()

        calls = dict(zip(SINGLE_CALLS, (add, get, update, delete, query), strict=True))
        return {**calls, FLUSH: flush}

    def _new(self) -> object:
        i = next(self._numbers)
        return self.contact(
            name=f"Ana {i}", company=f"Acme {i}", email=f"ana{i}@acme.example", score=i % 100
        )

    def _to_delete(self) -> Iterator[tuple[orm.Session, object]]:
        session = orm.Session(self.engine, expire_on_commit=False)
        condemned = [self._new() for _ in range(self.spare)]
        session.add_all(condemned)
        session.commit()
        return ((session, one) for one in condemned)
