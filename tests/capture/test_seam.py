"""Each private name of SQLAlchemy that capture relies on, and what breaks without it.

All of them are in `leadlog.recording.capture.seam`; no other module uses one.
"""

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import (
    DeclarativeBase,
    InstanceState,
    Mapped,
    Session,
    mapped_column,
    relationship,
)

import leadlog.recording.capture
from leadlog.recording.capture import seam


class Base(DeclarativeBase):
    """The tests' own metadata."""


class Tag(Base):
    """The other side of the relationship."""

    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True)


LINK = sa.Table(
    "doc_tag",
    Base.metadata,
    sa.Column("doc_id", sa.ForeignKey("docs.id"), primary_key=True),
    sa.Column("tag_id", sa.ForeignKey("tags.id"), primary_key=True),
)


class Doc(Base):
    """A class to write and read."""

    __tablename__ = "docs"

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str | None]
    data: Mapped[Any | None] = mapped_column(sa.JSON)
    tags: Mapped[list[Tag]] = relationship(secondary="doc_tag")


class Letter(Doc):
    """Whose rows lie in two tables."""

    __tablename__ = "letters"

    id: Mapped[int] = mapped_column(sa.ForeignKey("docs.id"), primary_key=True)


class Seen:
    """The executions and results of an engine, as reported by its dialect."""

    def __init__(self, engine: sa.Engine) -> None:
        self.contexts: list[Any] = []
        self.results: list[Any] = []
        self.closed: list[bool] = []
        engine.dialect.execution_ctx_cls = seam.telling(
            engine.dialect.execution_ctx_cls, self._note
        )

    def _note(self, context: Any, result: Any) -> None:
        self.contexts.append(context)
        self.results.append(result)
        self.closed.append(seam.is_soft_closed(result))


@pytest.fixture
def engine() -> Iterator[sa.Engine]:
    """An uncaptured engine."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def state_of(instance: object) -> InstanceState[Any]:
    """Return an object's state."""
    found = sa.inspect(instance)
    assert isinstance(found, InstanceState)
    return found


def test_a_result_is_told_when_it_is_there(engine: sa.Engine) -> None:
    """`_setup_result_proxy`, `_soft_closed`: without them no statement has a record."""
    seen = Seen(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(Doc), {"id": 1})
        connection.execute(sa.select(Doc.id)).all()
    assert seen.closed == [True, False]
    assert isinstance(seen.results[1].cursor_strategy, seam.ResultFetchStrategy)
    assert issubclass(seam.CursorFetchStrategy, seam.ResultFetchStrategy)


def test_what_a_flush_writes(engine: sa.Engine) -> None:
    """`UOWTransaction.execute`, `.states`, `.transaction`: without them objects have no record."""
    owner, name = seam.FLUSH
    original = getattr(owner, name)
    told: list[Any] = []

    def watching(context: Any) -> None:
        original(context)
        states = seam.flushes(context)
        told.append(dict(states))
        told.extend(seam.used_connection(context, state) for state in states)
        assert list(seam.post_updated(context)) == []

    setattr(owner, name, watching)
    try:
        with Session(engine) as session:
            doc = Doc(id=1)
            session.add(doc)
            session.flush()
            assert told == [{state_of(doc): (False, False)}, session.connection()]
            assert seam.identity_of(state_of(doc)) == state_of(doc).key
    finally:
        setattr(owner, name, original)


def test_the_statements_of_a_flush(engine: sa.Engine) -> None:
    """`compiled_cache`, `_compiled_cache`, `_label`: without them flushed rows count twice."""
    seen = Seen(engine)
    with Session(engine) as session:
        session.add(Doc(id=1))
        session.flush()
        session.execute(sa.update(Doc).values(body="x"))
        session.get_one(Doc, 1).body = "y"
        session.flush()
    insert, bulk, *_, last = seen.contexts
    assert seam.is_of_a_flush(insert)
    assert not seam.is_of_a_flush(bulk)
    assert insert.execution_options["compiled_cache"] is seam.cache_of(sa.inspect(Doc))
    assert last.compiled_parameters[0][seam.label_of(Doc.__table__.c.id)] == 1


def test_old_and_new_values_without_a_load(engine: sa.Engine) -> None:
    """`PASSIVE_NO_INITIALIZE`, `LoaderCallableStatus`: without them capture would run SQL."""
    with Session(engine) as session:
        session.add(Doc(id=1, body="a"))
        session.commit()
        doc = session.get_one(Doc, 1)
        doc.body = "b"
        history = seam.history_of(state_of(doc), "body")
        assert (list(history.added), list(history.deleted)) == (["b"], ["a"])
        session.expire(doc)
        doc.body = "c"
        seen = Seen(engine)
        assert not seam.history_of(state_of(doc), "body").deleted
        assert seen.contexts == []
    assert seam.LoaderCallableStatus.NO_VALUE


def test_mappers_and_association_tables() -> None:
    """`_all_registries`, `_init_args`, `_props`: without them a Base has no classes or links."""
    assert {sa.inspect(Doc), sa.inspect(Tag)} <= set(seam.mappers())
    assert set(seam.secondaries(sa.inspect(Doc))) == {LINK}
    assert seam.registry_tables(sa.inspect(Doc))["doc_tag"] is LINK
    assert "merge" in set(seam.merges())


def test_the_tables_of_a_bulk_insert(engine: sa.Engine) -> None:
    """`_emit_insert_table`: else its rows are counted once for each table of their class."""
    seen = Seen(engine)
    with Session(engine) as session:
        session.execute(sa.insert(Letter), [{"id": 1}, {"id": 2}])
    statements = [context.compiled.statement for context in seen.contexts]
    tables = [seam.inserted_table(one).name for one in statements]
    assert tables == ["docs", "letters"]
    assert seam.inserted_table(sa.insert(Letter)) is None


def test_what_a_statement_is_about() -> None:
    """`_propagate_attrs`, `_where_criteria`, `_values`, …: for the class and row of records."""
    dialect = postgresql.dialect()
    assert seam.subject_of(sa.select(Doc)) is sa.inspect(Doc)
    assert seam.subject_of(sa.select(Doc.__table__)) is None
    insert = postgresql.insert(Doc).on_conflict_do_nothing().values(id=1, body=sa.func.now())
    assert seam.conflict_clause(insert) is not None
    assert seam.conflict_clause(sa.insert(Doc)) is None
    assert len(seam.given_values(insert)) == 2
    ordered = sa.update(Doc).ordered_values((Doc.body, "x"))
    assert len(seam.given_values(ordered)) == 1
    many = sa.insert(Doc).values([{"id": 1, "body": "x"}, {"id": 2, "body": "y"}])
    assert len(seam.value_rows(many)) == 2
    assert seam.value_rows(sa.insert(Doc).values(id=1)) == []
    given = many.compile(dialect=dialect).params
    rows = [seam.of_value_row(given, ["id", "body", "other"], place) for place in (0, 1)]
    assert rows == [{"id": 1, "body": "x"}, {"id": 2, "body": "y"}]
    assert "OR REPLACE" in seam.prefixes(sa.insert(Doc).prefix_with("OR REPLACE"))
    update = sa.update(Doc).where(Doc.id == 7).returning(Doc.id)
    compiled: Any = update.compile(dialect=dialect)
    (criterion,) = seam.where(update)
    assert seam.binds(compiled)[criterion.right] == "id_1"
    assert [column.name for column in seam.result_columns(compiled)] == ["id"]
    assert not seam.result_columns(sa.update(Doc).compile(dialect=dialect))  # type: ignore[arg-type]


def test_what_a_type_does_to_values() -> None:
    """`_cached_result_processor`, `_has_bind_expression`, `_json_serializer`: for the values."""

    class Loud(sa.TypeDecorator[str]):
        impl = sa.String
        cache_ok = True

        def bind_expression(self, bindvalue: Any) -> Any:
            return sa.func.upper(bindvalue)

    dialect = sqlite.dialect()
    assert seam.has_result_processor(sa.JSON(), dialect)
    assert not seam.has_result_processor(sa.Integer(), dialect)
    assert seam.bind_expression(Loud())
    assert not seam.bind_expression(sa.String())
    assert seam.json_serializer(sa.create_engine("sqlite://", json_serializer=repr).dialect) is repr


def test_what_was_sent(engine: sa.Engine) -> None:
    """`positiontup`, `binds`, `parameters`: without them a sealed value is unknown."""
    seen = Seen(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(Doc), [{"id": 1, "data": {}}, {"id": 2, "data": [1]}])
        connection.execute(sa.insert(Doc).values(id=3).returning(Doc.id)).all()
        connection.exec_driver_sql("SELECT 1")
    many, returning, driver = seen.contexts
    assert [dict(seam.sent(many, place)) for place in range(2)] == [
        {"id": 1, "data": "{}"},
        {"id": 2, "data": "[1]"},
    ]
    assert seam.sent(many, 2) == {}
    assert seam.sent(driver, 0) == {}
    assert seam.returns_explicitly(returning)
    assert not seam.returns_explicitly(many)


def test_reads_of_sqlalchemys_own(engine: sa.Engine) -> None:
    """`_current_path`, `_for_refresh_state`, `_sa_orm_update_options`: without them, extra records.

    `_lazy_loaded_from` of `_sa_orm_load_options`: without it N+1 queries are not recorded.
    """
    with Session(engine) as session:
        session.add(Doc(id=1, tags=[Tag(id=1)]))
        session.commit()
        seen = Seen(engine)
        doc = session.get_one(Doc, 1)
        assert len(doc.tags) == 1
        session.expire(doc, ["body"])
        assert doc.body is None
        session.execute(
            sa.update(Doc).values(body="x").execution_options(synchronize_session="fetch")
        )
    told = [
        (seam.is_on_a_path(one), seam.is_for_refresh(one), seam.is_of_a_bulk_write(one))
        for one in seen.contexts
        if not one.isupdate
    ]
    assert (True, False, False) in told
    assert (False, True, False) in told
    assert [seam.is_lazy_load(one) for one in seen.contexts[:3]] == [False, True, False]
    get = seen.contexts[0]
    assert seam.key_parameters(1)[0] in get.compiled_parameters[0]


def test_savepoints_are_statements(engine: sa.Engine) -> None:
    """`SavepointClause` and its siblings, `ident`: without them rolled-back rows are committed."""
    seen: list[tuple[str, str]] = []

    @sa.event.listens_for(engine, "before_cursor_execute")
    def note(_conn: Any, _cursor: Any, _sql: str, _parameters: Any, context: Any, *_: Any) -> None:
        clause = context.compiled.statement
        seen.append((seam.SAVEPOINTS[type(clause)], clause.ident))

    with engine.connect() as connection:
        connection.begin_nested().commit()
        connection.begin_nested().rollback()
    first, second = seen[0][1], seen[2][1]
    assert seen == [
        ("savepoint", first),
        ("release", first),
        ("savepoint", second),
        ("rollback_to", second),
    ]


def test_a_warning_of_sqlalchemy_names_the_applications_line() -> None:
    """It does not name capture's frame in between, which no warning filter would match."""

    class Own(DeclarativeBase):
        pass

    class Shelf(Own):
        __tablename__ = "shelves"
        id: Mapped[int] = mapped_column(primary_key=True)
        books: Mapped[list[Any]] = relationship("Book", cascade="")

    class Book(Own):
        __tablename__ = "books"
        id: Mapped[int] = mapped_column(primary_key=True)
        shelf_id: Mapped[int | None] = mapped_column(sa.ForeignKey("shelves.id"))

    engine = sa.create_engine("sqlite://")
    Own.metadata.create_all(engine)
    capture = leadlog.capture(engine, Own)
    with warnings.catch_warnings(record=True) as caught, Session(engine) as session:
        warnings.simplefilter("always")
        session.add(Shelf(books=[Book()]))
        session.flush()
    capture.release()
    engine.dispose()
    assert [one.filename for one in caught] == [__file__]


OWN = {"_capture", "_watch", "_session_hook"}
"""Private names of leadlog that one class of the room uses of another."""


def test_no_other_module_names_what_is_private() -> None:
    """A new SQLAlchemy must require changes to one file only."""
    assert leadlog.recording.capture.__file__ is not None
    found: list[str] = []
    for path in Path(leadlog.recording.capture.__file__).parent.glob("*.py"):
        if path.stem == "seam":
            continue
        found += [
            f"{path.name}:{node.lineno}: {node.attr}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
            and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
            and node.attr not in OWN
        ]
    assert found == []
