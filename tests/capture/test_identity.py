"""Rows are attributed correctly: tables by schema and name, association tables, bases, keys."""

import enum
import json
import uuid
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any, Literal

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
)

import leadlog
from leadlog.core.records.keys import key_text
from leadlog.reading.replay import replay, rows_of
from tests.capture.people import Log


class Base(DeclarativeBase):
    """The tests' own metadata."""


class Tag(Base):
    """One side of many-to-many."""

    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True)


LINK = sa.Table(
    "post_tag",
    Base.metadata,
    sa.Column("post_id", sa.ForeignKey("posts.id"), primary_key=True),
    sa.Column("tag_id", sa.ForeignKey("tags.id"), primary_key=True),
)
BARE = sa.Table(  # without a primary key, as many are written
    "post_mark",
    Base.metadata,
    sa.Column("post_id", sa.ForeignKey("posts.id")),
    sa.Column("tag_id", sa.ForeignKey("tags.id")),
)
LOOSE = sa.Table("loose", Base.metadata, sa.Column("id", sa.Integer, primary_key=True))


class Post(Base):
    """The other side of many-to-many."""

    __tablename__ = "posts"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None]
    tags: Mapped[list[Tag]] = relationship(secondary=LINK)
    marks: Mapped[list[Tag]] = relationship(secondary="post_mark")


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, log: Log) -> Iterator[sa.Engine]:
    """Databases with the tables; nothing is captured yet."""
    del log
    if request.param == "sqlite":
        engine = sa.create_engine(f"sqlite:///{tmp_path}/posts.db")
    else:
        engine = sa.create_engine(request.getfixturevalue("postgres_database"))
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def told(log: Log) -> list[tuple[str, str]]:
    """Return entity and operation of each record."""
    details = [record["operation_details"] for record in log.records()]
    return [(one["entity"], one["operation_type"]) for one in details]


# ------------------------------------------------------------------------------- other Tables


def test_every_object_that_stands_for_a_table_is_that_table(engine: sa.Engine, log: Log) -> None:
    """Reflected, copied, hand-made, with the default schema, from a migration, or as text."""
    handle = leadlog.capture(engine, Post)
    default = sa.inspect(engine).default_schema_name
    reflected = sa.Table("posts", sa.MetaData(), autoload_with=engine)
    copied = Post.__table__.to_metadata(sa.MetaData())
    light = sa.table("posts", sa.column("id"), sa.column("title"))
    named = sa.table("posts", sa.column("id"), sa.column("title"), schema=default)
    with engine.begin() as connection:
        for place, table in enumerate((reflected, copied, light, named)):
            connection.execute(table.insert().values(id=place, title="first"))
            connection.execute(table.update().where(table.c.id == place).values(title="second"))
            connection.execute(sa.select(table)).all()
            connection.execute(table.delete().where(table.c.id == place))
        connection.execute(sa.text(f'DELETE FROM {default}."posts"'))
    handle.release()
    assert told(log) == [
        *[("Post", kind) for kind in ("create", "update", "read", "delete")] * 4,
        ("Post", "delete"),
    ]
    rows = [r for r in log.records() if r["operation_details"]["operation_type"] != "read"]
    assert [r["lead_identifier"]["lead_id"] for r in rows[:-1]] == [
        str(place) for place in range(4) for _ in range(3)
    ]
    assert list(rows_of(replay(log.records()).tables["Post"])) == []


def test_alembic_operations_are_recorded(engine: sa.Engine, log: Log) -> None:
    """Records `bulk_insert` and `execute` of a migration."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    handle = leadlog.capture(engine, Post)
    table = sa.table("posts", sa.column("id", sa.Integer), sa.column("title", sa.String))
    with engine.begin() as connection:
        migration = Operations(MigrationContext.configure(connection))
        migration.bulk_insert(table, [{"id": 1, "title": "a"}, {"id": 2, "title": "b"}])
        migration.execute("UPDATE posts SET title = 'c'")
    handle.release()
    assert log.told() == [("post.create", "committed", 2), ("post.update", "committed", 2)]


def test_a_namesake_in_another_schema_is_another_table(postgres_database: str, log: Log) -> None:
    """True for a Table object and for SQL text."""
    engine = sa.create_engine(postgres_database)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA other")
    Base.metadata.create_all(engine)
    other = Post.__table__.to_metadata(sa.MetaData(), schema="other")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE other.posts (id int PRIMARY KEY, title text)")
    handle = leadlog.capture(engine, Post)
    with engine.begin() as connection:
        connection.execute(other.insert().values(id=1))
        connection.execute(sa.text("DELETE FROM other.posts"))
        connection.execute(sa.text("DELETE FROM public.posts"))
    handle.release()
    engine.dispose()
    assert told(log) == [("Post", "delete")]


def test_schemas_are_told_apart(postgres_database: str, log: Log) -> None:
    """Tenants by `schema_translate_map` stay separate by flush, Core and text, and in replay."""
    engine = sa.create_engine(postgres_database)
    tenants = ("one", "two")
    with engine.begin() as connection:
        for tenant in tenants:
            connection.exec_driver_sql(f"CREATE SCHEMA {tenant}")
            connection.exec_driver_sql(
                f"CREATE TABLE {tenant}.posts (id int PRIMARY KEY, title text)"
            )
    handle = leadlog.capture(engine, Post)
    for tenant in tenants:
        bound = engine.execution_options(schema_translate_map={None: tenant})
        with Session(bound) as session:
            session.add(Post(id=1, title=tenant))
            session.commit()
            session.execute(sa.insert(Post.__table__).values(id=2, title=tenant))
            session.execute(sa.text(f"UPDATE {tenant}.posts SET title = 'x' WHERE id = 2"))
            session.commit()
    handle.release()
    engine.dispose()
    details = [record["operation_details"] for record in log.records()]
    assert [one["schema"] for one in details] == ["one"] * 3 + ["two"] * 3
    tables = replay(log.records(), entities=["Post"]).tables
    assert tables.keys() == {"one.Post", "two.Post"}
    for tenant in tenants:
        assert [row["_key"] for row in rows_of(tables[f"{tenant}.Post"])] == ["1", "2"]


# -------------------------------------------------------------------------- association tables


def test_association_rows_go_with_their_class_and_replay_to_the_table(
    engine: sa.Engine, log: Log
) -> None:
    """Rows added, removed, replaced and cleared, with and without a primary key."""
    handle = leadlog.capture(engine, Post, Tag)
    with Session(engine) as session:
        tags = [Tag(id=number) for number in range(1, 6)]
        post = Post(id=1, tags=tags[:3], marks=tags[:2])
        session.add_all([post, *tags])
        session.commit()
        post.tags.remove(tags[0])
        post.tags.append(tags[4])
        session.commit()
        post.tags = [tags[1], tags[3]]
        post.marks.clear()
        session.flush()
        session.rollback()
        post.tags = [tags[1], tags[3]]
        post.marks.clear()
        session.commit()
    handle.release()
    with engine.connect() as connection:
        rows = connection.execute(sa.select(LINK)).all()
    replayed = replay(log.records()).tables
    links = sorted((row["post_id"], row["tag_id"]) for row in rows_of(replayed["post_tag"]))
    assert links == sorted(tuple(row) for row in rows) == [(1, 2), (1, 4)]
    assert list(rows_of(replayed["post_mark"])) == []
    assert {r["lead_identifier"]["lead_id"] for r in log.records() if "tag_id" in str(r)} >= {"1,2"}
    assert log.outcomes()["post_tag.create", "rolled_back"] == 1


def test_association_rows_in_bulk_are_one_record(engine: sa.Engine, log: Log) -> None:
    """They are recorded like rows of a class."""
    handle = leadlog.capture(engine, Post, Tag)
    with Session(engine) as session:
        session.add_all([Post(id=1), Tag(id=1), Tag(id=2)])
        session.flush()
        session.execute(LINK.insert(), [{"post_id": 1, "tag_id": 1}, {"post_id": 1, "tag_id": 2}])
        session.execute(LINK.delete().where(LINK.c.post_id == 1))
        session.commit()
    handle.release()
    assert log.told()[-2:] == [
        ("post_tag.create", "committed", 2),
        ("post_tag.delete", "committed", 2),
    ]


@pytest.mark.parametrize("rows", [1, 2])
def test_association_rows_that_the_database_refuses_have_their_records(
    engine: sa.Engine, log: Log, rows: int
) -> None:
    """If another session has linked the two already, each refused row has a failed record."""
    handle = leadlog.capture(engine, Post, Tag)
    with Session(engine) as session:
        tags = [Tag(id=number) for number in range(1, rows + 1)]
        session.add_all([Post(id=1), *tags])
        session.commit()
        post = session.get_one(Post, 1)
        assert post.tags == []
        with Session(engine) as other:
            handle.release()
            if engine.dialect.name == "sqlite":
                session.rollback()  # lets the other session write
            other.execute(LINK.insert().values(post_id=1, tag_id=rows))
            other.commit()
            handle = leadlog.capture(engine, Post, Tag)
        with session.no_autoflush:
            sa.orm.attributes.set_committed_value(post, "tags", [])
            post.tags.extend(tags)
        with pytest.raises(sa.exc.IntegrityError):
            session.commit()
    handle.release()
    refused = [r for r in log.records() if r["event_name"] == "post_tag.create"]
    assert [r["operation_details"]["outcome"] for r in refused] == ["failed"] * rows
    assert [r["lead_identifier"]["lead_id"] for r in refused] == ["1,1", "1,2"][:rows]
    for record in refused:
        assert "INSERT INTO post_tag" in record["operation_details"]["statement"]
    errors = {error["context"]["operation_id"] for error in log.records("error_logs")}
    assert errors >= {r["operation_details"]["operation_id"] for r in refused}


@pytest.mark.asyncio
async def test_association_rows_of_an_async_session(postgres_database: str, log: Log) -> None:
    """The same is true for asyncpg."""
    engine = create_async_engine(postgres_database.replace("psycopg", "asyncpg"))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    handle = leadlog.capture(engine, Base)
    async with AsyncSession(engine) as session:
        session.add(Post(id=1, tags=[Tag(id=1), Tag(id=2)]))
        await session.commit()
    handle.release()
    await engine.dispose()
    assert log.outcomes()["post_tag.create", "committed"] == 2


def test_a_table_is_captured_by_itself(engine: sa.Engine, log: Log) -> None:
    """A table without a mapped class is captured."""
    handle = leadlog.capture(engine, LOOSE)
    with engine.begin() as connection:
        connection.execute(LOOSE.insert().values(id=7))
        connection.execute(sa.text("UPDATE loose SET id = 8"))
        connection.execute(sa.insert(Post.__table__).values(id=1))
    assert "loose" in repr(handle)
    handle.release()
    assert log.told() == [("loose.create", "committed", 1), ("loose.update", "committed", 1)]


@pytest.mark.parametrize("method", [None, "multi"])
def test_pandas_own_to_sql_writes_rows_of_the_class(
    engine: sa.Engine, log: Log, method: Literal["multi"] | None
) -> None:
    """pandas creates its own Table for it; a missing value in the frame is NULL in both."""
    import pandas as pd

    needed = [Requirement(one) for one in requires("pandas") or ()]
    if any(
        one.name.lower() == "sqlalchemy" and sa.__version__ not in one.specifier for one in needed
    ):
        pytest.skip(f"pandas {pd.__version__} does not take SQLAlchemy {sa.__version__}")
    handle = leadlog.capture(engine, Post)
    frame = pd.DataFrame({"id": [1, 2, 3], "title": ["a", None, "c"]})
    frame.to_sql("posts", engine, if_exists="append", index=False, method=method)
    with engine.begin() as connection, pytest.raises(pd.errors.DatabaseError):
        frame[:1].to_sql("posts", connection, if_exists="append", index=False, method=method)
    handle.release()
    created, failed = (one for one in log.records() if one["event_name"] == "post.create")
    assert log.told()[-1] == ("post.create", "failed", None)
    assert created["operation_details"]["outcome"] == "committed"
    assert created["operation_details"]["records_affected"] == 3
    assert created["lead_identifier"]["lead_ids"] == ["1", "2", "3"]
    assert created["data_details"]["fields_changed"] is None  # one record of several rows
    assert failed["operation_details"]["duplicate_detected"]


def test_a_table_whose_name_has_to_be_quoted(engine: sa.Engine, log: Log) -> None:
    """The name has spaces, hyphens, dollar signs and capitals."""
    for name in ("order lines-2", "Odd$Name", "ÜBER"):
        table = sa.Table(name, sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
        table.create(engine)
        handle = leadlog.capture(engine, table)
        with engine.begin() as connection:
            connection.execute(table.insert().values(id=1))
            connection.execute(sa.text(f'DELETE FROM "{name}" WHERE id = 1'))
        handle.release()
        assert told(log)[-2:] == [(name, "create"), (name, "delete")]


# ------------------------------------------------------------------------------------- bases


def test_a_base_stands_for_its_classes_also_those_mapped_later(tmp_path: Path, log: Log) -> None:
    """It includes the association tables between them, but no other base's tables."""

    class Own(DeclarativeBase):
        pass

    engine = sa.create_engine(f"sqlite:///{tmp_path}/own.db")
    handle = leadlog.capture(engine, Own)
    link = sa.Table(
        "pupil_course",
        Own.metadata,
        sa.Column("pupil_id", sa.ForeignKey("pupils.id")),
        sa.Column("course_id", sa.ForeignKey("courses.id")),
    )

    class Course(Own):
        __tablename__ = "courses"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Pupil(Own):
        __tablename__ = "pupils"
        id: Mapped[int] = mapped_column(primary_key=True)
        courses: Mapped[list[Course]] = relationship(secondary=link)

    for base in (Own, Base):
        base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Pupil(id=1, courses=[Course(id=1)]), Tag(id=1)])
        session.commit()
    handle.release()
    engine.dispose()
    assert {entity for entity, _kind in told(log)} == {"Course", "Pupil", "pupil_course"}


@pytest.mark.parametrize("subject", ["registry", "base"])
def test_a_registry_stands_for_its_classes(tmp_path: Path, log: Log, subject: str) -> None:
    """Imperatively mapped classes are included although their base differs; also via the base."""

    class Own(DeclarativeBase):
        pass

    table = sa.Table("plain", Own.metadata, sa.Column("id", sa.Integer, primary_key=True))

    class Plain:
        pass

    Own.registry.map_imperatively(Plain, table)
    engine = sa.create_engine(f"sqlite:///{tmp_path}/own.db")
    Own.metadata.create_all(engine)
    handle = leadlog.capture(engine, Own if subject == "base" else Own.registry)
    with Session(engine) as session:
        session.add(Plain())
        session.commit()
    handle.release()
    engine.dispose()
    Own.registry.dispose()
    assert told(log) == [("Plain", "create")]


def test_an_abstract_base_stands_for_its_own_classes(tmp_path: Path, log: Log) -> None:
    """It does not stand for the registry that it shares with other classes."""

    class Own(DeclarativeBase):
        pass

    class Audited(Own):
        __abstract__ = True

    class Deal(Audited):
        __tablename__ = "deals"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Cache(Own):
        __tablename__ = "caches"
        id: Mapped[int] = mapped_column(primary_key=True)

    engine = sa.create_engine(f"sqlite:///{tmp_path}/own.db")
    Own.metadata.create_all(engine)
    handle = leadlog.capture(engine, Audited)
    with Session(engine) as session:
        session.add_all([Deal(), Cache()])
        session.commit()
    handle.release()
    engine.dispose()
    Own.registry.dispose()
    assert told(log) == [("Deal", "create")]


def test_everything_on_an_engine(engine: sa.Engine, log: Log) -> None:
    """Classes, association tables, Tables and tables named only in text, but no system tables."""
    handle = leadlog.capture.everything(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE unheard_of (id integer)")
    with Session(engine) as session:
        session.add(Post(id=1, tags=[Tag(id=1)]))
        session.flush()
        session.execute(LOOSE.insert().values(id=1))
        session.execute(sa.text("INSERT INTO unheard_of VALUES (1)"))
        sa.inspect(session.connection()).get_table_names()
        session.commit()
    assert "everything" in repr(handle)
    handle.release()
    assert set(told(log)) == {
        (entity, "create") for entity in ("Post", "Tag", "post_tag", "loose", "unheard_of")
    }


# -------------------------------------------------------------------------------------- keys


@given(st.lists(st.text(), min_size=1, max_size=3), st.lists(st.text(), min_size=1, max_size=3))
def test_two_keys_never_have_one_text(one: list[str], other: list[str]) -> None:
    """True for keys with the same number of parts, whatever their content."""
    if len(one) == len(other):
        assert (key_text(one) == key_text(other)) == (one == other)


class Kind(enum.Enum):
    """An enumeration that is stored by name."""

    WORK = "w"


class Composite(Base):
    """A key of several types."""

    __tablename__ = "composites"

    room: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[Kind] = mapped_column(primary_key=True)
    code: Mapped[bytes] = mapped_column(primary_key=True)
    uid: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    note: Mapped[str | None]


def test_one_row_has_one_key_by_every_way(engine: sa.Engine, log: Log) -> None:
    """Flush, Core, `get`, UPDATE and DELETE by key agree; enumerations are in stored form."""
    handle = leadlog.capture(engine, Composite)
    uid = uuid.UUID(int=7)
    key = {"room": "a,b\\", "kind": Kind.WORK, "code": b"\x00,", "uid": uid}
    where = [getattr(Composite, name) == value for name, value in key.items()]
    with Session(engine) as session:
        session.add(Composite(**key))
        session.commit()
        session.expunge_all()
        assert session.get(Composite, tuple(key.values())) is not None
        session.execute(sa.update(Composite).where(*where).values(note="x"))
        session.execute(sa.delete(Composite).where(*where))
        session.execute(sa.insert(Composite.__table__).values(**key))
        session.commit()
    handle.release()
    ids = {record["lead_identifier"]["lead_id"] for record in log.records()}
    assert ids == {f"a\\,b\\\\,WORK,0x002c,{uid}"}


class Item(Base):
    """A parent with a column of a common name."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    status: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "item"}  # noqa: RUF012


class Order(Item):
    """A child with a column of the same name."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(sa.ForeignKey("items.id"), primary_key=True)
    order_status: Mapped[str] = mapped_column("status")
    __mapper_args__ = {"polymorphic_identity": "order"}  # noqa: RUF012


def test_columns_of_one_name_in_parent_and_child_are_kept_apart(
    engine: sa.Engine, log: Log
) -> None:
    """The child's column is prefixed with its table's name, in new and old values."""

    handle = leadlog.capture(engine, Item)
    with Session(engine) as session:
        session.add(Order(id=1, status="visible", order_status="paid"))
        session.commit()
        session.get_one(Order, 1).order_status = "sent"
        session.commit()
    handle.release()
    first, last = (
        record["data_details"]["fields_changed"]
        for record in log.records()
        if record["data_details"]["fields_changed"]
    )
    assert (first["status"], first["orders.status"]) == ({"new": "visible"}, {"new": "paid"})
    assert last["orders.status"]["new"] == "sent"
    assert "status" not in last


# ------------------------------------------------------------------------------------ options


class Patient(Base):
    """A class with a value that must not be logged."""

    __tablename__ = "patients"

    id: Mapped[int] = mapped_column(primary_key=True)
    insurance: Mapped[str | None] = mapped_column("insurance_no", unique=True)
    weight: Mapped[int | None]


@pytest.mark.parametrize("name", ["insurance", "insurance_no"])
def test_an_excluded_column_is_known_by_attribute_and_by_column(
    engine: sa.Engine, log: Log, name: str
) -> None:
    """Its value is nowhere: not as old or new, in SQL, in parameters, or in an error's text."""
    handle = leadlog.capture(engine, Patient, exclude=[name])
    with Session(engine) as session:
        session.add(Patient(id=1, insurance="A-1234567"))
        session.commit()
        session.get_one(Patient, 1).insurance = "A-1234568"
        session.commit()
        failing: list[Any] = [
            sa.text("INSERT INTO patients (id, insurance_no) VALUES (2, 'A-1234568')"),
            sa.text("INSERT INTO patients VALUES (1, 'A-1234568', 1)"),
            sa.insert(Patient).values(id=1, insurance="A-1234568"),
            sa.text("UPDATE patients SET nothing = 'A-1234568'"),
        ]
        for statement in failing:
            with pytest.raises(sa.exc.DBAPIError):
                session.execute(statement)
            session.rollback()
        session.add(Patient(id=3, insurance="A-1234568"))
        with pytest.raises(sa.exc.IntegrityError):
            session.flush()
        session.rollback()
    handle.release()
    outcomes = [record["operation_details"]["outcome"] for record in log.records()]
    assert outcomes.count("failed") == 5
    errors = log.records("error_logs")
    assert len(errors) == 5
    assert "A-123456" not in json.dumps([log.records(), errors])


def test_an_excluded_key_is_in_no_record(engine: sa.Engine, log: Log) -> None:
    """True for flushes and for statements."""
    handle = leadlog.capture(engine, Composite, exclude=["room"])
    key = {"kind": Kind.WORK, "code": b"1", "uid": uuid.UUID(int=1)}
    with Session(engine) as session:
        session.add(Composite(room="cellar", **key))
        session.commit()
        session.execute(sa.insert(Composite.__table__).values(room="cellar 2", **key))
        session.commit()
    handle.release()
    assert "cellar" not in json.dumps(log.records())


@pytest.mark.parametrize("refused", ["'about 63 kilos'", "99999999999999", "'63 kilos' || 'x'"])
def test_an_excluded_value_that_postgresql_quotes_is_nowhere(
    postgres_database: str, log: Log, refused: str
) -> None:
    """True for `invalid input syntax`, `out of range`, and a type that does not fit."""
    engine = sa.create_engine(postgres_database)
    Base.metadata.create_all(engine)
    handle = leadlog.capture(engine, Patient, exclude=["weight"])
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError):
        connection.execute(sa.text(f"INSERT INTO patients (id, weight) VALUES (1, {refused})"))
    handle.release()
    engine.dispose()
    assert [r["operation_details"]["outcome"] for r in log.records()] == ["failed"]
    text = json.dumps([log.records(), log.records("error_logs")])
    assert "63 kilos" not in text
    assert "9999999" not in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exclude": ["insurence_no"]}, "did you mean 'insurance_no'"),
        ({"exclude": ["weigth", "insurance"]}, "did you mean 'weight'"),
        ({"operations": ["craete"]}, "did you mean 'create'"),
    ],
)
def test_a_misspelt_option_is_refused_with_the_nearest(
    engine: sa.Engine, options: Any, message: str
) -> None:
    """Nothing is captured then."""
    with pytest.raises(ValueError, match=message):
        leadlog.capture(engine, Patient, **options)
    assert "do_execute" not in vars(engine.dialect)
