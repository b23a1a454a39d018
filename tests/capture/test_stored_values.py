"""Logged values are the stored ones: new, old and in keys, for every kind of type."""

import base64
import dataclasses
import datetime as dt
import enum
import json
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.mutable import MutableDict, MutableList
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import leadlog
from leadlog.recording.capture.values import plain
from tests.capture.people import Log


class Base(DeclarativeBase):
    """The tests' own metadata."""


class Colour(enum.Enum):
    """An enumeration whose names and values differ."""

    RED = "r"
    BLUE = "b"


class Rank(enum.IntEnum):
    """A number with a name."""

    LOW = 1


class Salted(sa.TypeDecorator[str]):
    """Type that encrypts, with a different text each time."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Salt and encode."""
        del dialect
        if value is None:
            return None
        return f"{uuid.uuid4().hex}:{base64.b64encode(value.encode()).decode()}"

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Decode."""
        del dialect
        return None if value is None else base64.b64decode(value.partition(":")[2]).decode()


class SaltedBytes(Salted):
    """The same, if the sent value is not what the type's own code returns."""

    impl = sa.JSON


class Lower(sa.TypeDecorator[str]):
    """Type that normalises."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Strip and fold."""
        del dialect
        return None if value is None else value.strip().lower()


class ByValue(sa.TypeDecorator[Colour]):
    """An enumeration inside a custom type."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: Colour | None, dialect: sa.Dialect) -> str | None:
        """Return the value."""
        del dialect
        return None if value is None else value.value

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Colour | None:
        """Return the member."""
        del dialect
        return None if value is None else Colour(value)


class Point(sa.types.UserDefinedType[tuple[int, int]]):
    """A custom type without a base type."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return TEXT."""
        return "VARCHAR(20)"

    def bind_processor(self, dialect: sa.Dialect) -> Any:
        """Convert two numbers to text."""
        del dialect
        return lambda value: None if value is None else f"{value[0]};{value[1]}"

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """Convert text to two numbers."""
        del dialect, coltype
        return lambda text: None if text is None else tuple(map(int, text.split(";")))


class Shouted(sa.TypeDecorator[str]):
    """Type whose stored value is computed by the database."""

    impl = sa.String
    cache_ok = True

    def bind_expression(self, bindvalue: Any) -> Any:
        """Convert to capitals."""
        return sa.func.upper(bindvalue)


class Thing(Base):
    """A class with a column for each type that every database supports."""

    __tablename__ = "things"

    id: Mapped[int] = mapped_column(primary_key=True)
    diary: Mapped[str | None] = mapped_column(Salted)
    sealed: Mapped[str | None] = mapped_column(SaltedBytes)
    nick: Mapped[str | None] = mapped_column(Lower)
    colour: Mapped[Colour | None] = mapped_column(ByValue)
    hue: Mapped[Colour | None]
    rank: Mapped[int | None]
    place: Mapped[Any | None] = mapped_column(Point)
    loud: Mapped[str | None] = mapped_column(Shouted)
    data: Mapped[Any | None] = mapped_column(sa.JSON)
    box: Mapped[Any | None] = mapped_column(MutableDict.as_mutable(sa.JSON))
    row: Mapped[Any | None] = mapped_column(MutableList.as_mutable(sa.JSON))
    dump: Mapped[Any | None] = mapped_column(sa.PickleType)
    blob: Mapped[Any | None] = mapped_column(sa.LargeBinary)
    key: Mapped[uuid.UUID | None]
    cost: Mapped[Decimal | None] = mapped_column(sa.Numeric(8, 2))
    ratio: Mapped[float | None]
    ready: Mapped[bool | None]
    day: Mapped[dt.date | None]
    at: Mapped[dt.datetime | None]


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, log: Log) -> Iterator[sa.Engine]:
    """Captured databases."""
    del log
    if request.param == "sqlite":
        engine = sa.create_engine(f"sqlite:///{tmp_path}/things.db")
    else:
        engine = sa.create_engine(request.getfixturevalue("postgres_database"))
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Base)
    yield engine
    handle.release()
    engine.dispose()


def changes(log: Log) -> dict[str, Any]:
    """Return the changes of the last write."""
    told = [record["data_details"]["fields_changed"] for record in log.records()]
    found: dict[str, Any] = [one for one in told if one is not None][-1]
    return found


class OwnId(uuid.UUID):
    """A subclass, as used for value objects."""


class Word(str):
    """A subclass of str."""

    __slots__ = ()


KEY = "6f0d1c1e-55aa-4f0c-9b52-0b0f4d3f9a11"

VALUES: list[tuple[str, Any, Any]] = [
    ("nick", "  Ann ", "ann"),
    ("nick", Word("Bo"), "bo"),
    ("colour", Colour.RED, "r"),
    ("hue", Colour.BLUE, "BLUE"),
    ("rank", Rank.LOW, 1),
    ("rank", True, 1),
    ("place", (3, 4), "3;4"),
    ("data", {"a": [1, None, {"b": "c"}]}, {"a": [1, None, {"b": "c"}]}),
    ("data", (1, 2), [1, 2]),
    ("data", {1: 2}, {"1": 2}),
    ("data", "text", "text"),
    ("blob", b"abc", "abc"),
    ("key", OwnId(KEY), KEY),
    ("cost", Decimal("1.5"), "1.50"),
    ("cost", 2.25, "2.25"),
    ("ratio", 0.5, 0.5),
    ("ready", True, True),
    ("day", dt.date(2026, 3, 1), "2026-03-01"),
    ("at", dt.datetime(2026, 3, 1, 10), "2026-03-01T10:00:00.000000Z"),
]


@pytest.mark.parametrize(("column", "value", "stored"), VALUES)
def test_what_was_stored_is_logged_by_every_way_and_again_as_old(
    engine: sa.Engine, log: Log, column: str, value: Any, stored: Any
) -> None:
    """By flush and by Core; as new value, and as old value of a row another session loaded."""
    with Session(engine) as session:
        session.add(Thing(id=1, **{column: value}))
        session.commit()
    assert changes(log)[column] == {"new": stored}
    with Session(engine) as session:
        session.execute(sa.insert(Thing.__table__).values(id=2, **{column: value}))
        session.commit()
    assert changes(log)[column] == {"new": stored}
    for key in (1, 2):
        with Session(engine) as session:
            thing = session.get_one(Thing, key)
            _loaded = getattr(thing, column)
            setattr(thing, column, None)
            session.commit()
        assert changes(log)[column]["old"] == stored


def test_a_sealed_value_is_nowhere_in_plain(engine: sa.Engine, log: Log) -> None:
    """The sent value is logged if it was seen; a value that differs each time has no old value."""
    with Session(engine) as session:
        session.add(Thing(id=1, diary="tulip", sealed="daisy"))
        session.commit()
    sent = changes(log)["diary"]["new"]
    with engine.connect() as connection:
        row = connection.exec_driver_sql("SELECT diary FROM things").one()
    assert sent == row.diary
    assert changes(log)["sealed"] == {}  # SQLAlchemy converts it once more before sending
    with Session(engine) as session:
        session.get_one(Thing, 1).diary = "rose"
        session.flush()
        session.execute(sa.update(Thing).where(Thing.id == 1).values(diary="violet"))
        session.commit()
    first, second = (
        change["diary"]
        for record in log.records()[2:]
        if (change := record["data_details"]["fields_changed"])
    )
    assert first.keys() == {"new"}
    assert second["new"].endswith(base64.b64encode(b"violet").decode())
    text = json.dumps(log.records())
    assert not any(flower in text for flower in ("tulip", "daisy", "rose", "violet"))


def test_what_the_database_computes_from_a_value_is_unknown(engine: sa.Engine, log: Log) -> None:
    """`bind_expression`: the sent value is not the stored one."""
    with Session(engine) as session:
        session.add(Thing(id=1, loud="hey"))
        session.commit()
    assert changes(log)["loud"] == {}
    assert "hey" not in json.dumps(log.records())


def test_a_value_that_changes_later_is_logged_as_it_was_written(
    engine: sa.Engine, log: Log
) -> None:
    """Dictionaries, lists, bytes and pickled objects; each flush logs its own state."""
    blob = bytearray(b"one")
    with Session(engine) as session:
        thing = Thing(id=1, data={"n": 1}, box={"n": 1}, row=[1], dump={"n": 1}, blob=blob)
        session.add(thing)
        session.flush()
        dump = thing.dump
        thing.box["n"] = 2
        thing.row.append(2)
        session.flush()
        thing.data["n"] = dump["n"] = 99  # plain dictionaries: the change is never written
        blob += b"x"
        session.commit()
    created, updated = (r["data_details"]["fields_changed"] for r in log.records())
    assert created["data"] == created["box"] == {"new": {"n": 1}}
    assert created["row"] == {"new": [1]}
    assert created["blob"] == {"new": "one"}
    assert updated == {"box": {"new": {"n": 2}}, "row": {"new": [1, 2]}}
    with engine.connect() as connection:
        stored = connection.exec_driver_sql("SELECT dump FROM things").scalar_one()
    assert created["dump"] == {"new": bytes(stored).decode("utf-8", "backslashreplace")}


def test_json_null_is_null(engine: sa.Engine, log: Log) -> None:
    """JSON null is recorded as null, not as the text of a Python object."""
    with Session(engine) as session:
        session.add(Thing(id=1, data=sa.JSON.NULL))
        session.commit()
    assert changes(log)["data"] == {"new": None}


@dataclasses.dataclass(frozen=True)
class Money:
    """A value object that SQLite's driver can adapt."""

    cents: int

    def __conform__(self, protocol: object) -> int | None:
        """Return the amount in cents."""
        return self.cents if protocol is sqlite3.PrepareProtocol else None


class Account(Base):
    """A column whose type does not fit its values."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    worth: Mapped[Any] = mapped_column(sa.BigInteger)


def test_a_value_that_the_driver_adapts_is_logged_adapted(tmp_path: Path, log: Log) -> None:
    """True for SQLite's `__conform__` and for registered adapters."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/accounts.db")
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Account)
    with Session(engine) as session:
        session.add(Account(id=1, worth=Money(995)))
        session.commit()
    handle.release()
    engine.dispose()
    assert changes(log)["worth"] == {"new": 995}


class OnPostgres(DeclarativeBase):
    """Tables that only PostgreSQL supports."""


class Visit(OnPostgres):
    """Times with a zone, and arrays."""

    __tablename__ = "visits"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime | None] = mapped_column(sa.DateTime(timezone=True))
    local: Mapped[dt.datetime | None] = mapped_column(sa.DateTime())
    colours: Mapped[Any | None] = mapped_column(postgresql.ARRAY(sa.Enum(Colour)))
    grid: Mapped[Any | None] = mapped_column(postgresql.ARRAY(sa.Integer, dimensions=2))


@pytest.fixture
def in_new_york(postgres_database: str, log: Log) -> Iterator[sa.Engine]:
    """A captured database whose sessions use a time zone other than UTC."""
    del log
    options = {"options": "-c timezone=America/New_York"}
    engine = sa.create_engine(postgres_database, connect_args=options)
    OnPostgres.metadata.create_all(engine)
    handle = leadlog.capture(engine, Visit)
    yield engine
    handle.release()
    engine.dispose()


def test_a_time_without_a_zone_is_the_instant_that_the_table_has(
    in_new_york: sa.Engine, log: Log
) -> None:
    """Times without a zone, and columns without one, use the session's current time zone."""
    moment = dt.datetime(2026, 3, 1, 10)
    for zone in ("America/New_York", "Asia/Tokyo"):
        with Session(in_new_york) as session:
            session.execute(sa.text("SELECT set_config('TimeZone', :zone, false)"), {"zone": zone})
            session.add(Visit(at=moment, local=moment.replace(tzinfo=dt.UTC)))
            session.commit()
            with in_new_york.connect() as connection:
                connection.exec_driver_sql("SET TIME ZONE 'UTC'")
                rows = connection.execute(sa.text("SELECT at, local FROM visits ORDER BY id"))
                at, local = rows.all()[-1]
        new = {name: change.get("new") for name, change in changes(log).items()}
        assert dt.datetime.fromisoformat(new["at"]) == at
        assert dt.datetime.fromisoformat(new["local"]).replace(tzinfo=None) == local


def test_arrays_are_what_their_items_are(in_new_york: sa.Engine, log: Log) -> None:
    """Enumerations are logged by name, at any depth."""
    with Session(in_new_york) as session:
        session.add(Visit(colours=[Colour.RED, Colour.BLUE], grid=[[1, 2], [3, 4]]))
        session.commit()
    assert changes(log)["colours"] == {"new": ["RED", "BLUE"]}
    assert changes(log)["grid"] == {"new": [[1, 2], [3, 4]]}


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the process's time zone to Tokyo's."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    os.environ.pop("TZ", None)
    time.tzset()


@pytest.mark.asyncio
@pytest.mark.usefixtures("tokyo")
async def test_asyncpg_takes_a_time_without_a_zone_for_the_processs(
    postgres_database: str, log: Log
) -> None:
    """asyncpg converts a time without a zone itself, so the session's zone does not matter."""
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    engine = create_async_engine(postgres_database.replace("psycopg", "asyncpg"))
    async with engine.begin() as connection:
        await connection.run_sync(OnPostgres.metadata.create_all)
    handle = leadlog.capture(engine, Visit)
    async with AsyncSession(engine) as session:
        session.add(Visit(id=1, at=dt.datetime(2026, 3, 1, 10)))
        await session.commit()
        stored = (await session.execute(sa.text("SELECT at FROM visits"))).scalar_one()
    handle.release()
    await engine.dispose()
    assert dt.datetime.fromisoformat(changes(log)["at"]["new"]) == stored


class NAType:
    """pandas' missing value, recognised by its name."""


class NumpyLike:
    """The common interface of numpy's scalars and arrays."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def tolist(self) -> Any:
        """Return the plain value."""
        return self._value


NumpyLike.__module__ = "numpy"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (NAType(), None),
        (NumpyLike(7), 7),
        (NumpyLike([1, 2]), [1, 2]),
        (Rank.LOW, 1),
        (Word("x"), "x"),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        ((1, [Word("x")]), [1, ["x"]]),
        ({"a": (1,)}, {"a": [1]}),
        (OwnId(KEY), uuid.UUID(KEY)),
    ],
)
def test_nearly_plain_values_become_plain(value: Any, expected: Any) -> None:
    """The value is the same, of the plain base type."""
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)
