"""Analysis of statements: their operation and captured classes, cached per compiled statement."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import attrs
import sqlalchemy as sa
from sqlalchemy import Delete, Insert, Select, TextClause, Update
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import BinaryExpression, BindParameter, BooleanClauseList
from sqlalchemy.sql.selectable import CompoundSelect, FromClause, Join

from leadlog.recording.capture import seam, sql
from leadlog.recording.capture.entities import Entities, Entity, captured, is_guessed

_KINDS: Mapping[type, str] = {Insert: "create", Update: "update", Delete: "delete"}
_REPLACES = re.compile(r"\breplace\b", re.IGNORECASE)
_IGNORES = re.compile(r"\bignore\b", re.IGNORECASE)


@attrs.frozen(eq=False)
class StatementTarget:
    """A captured class or table that a statement reads or writes.

    Attributes:
        kind: create, read, update, delete or upsert.
        main: the captured class or table; for a read, the first one.
        schema: schema of the table, after `schema_translate_map`; None for the engine's default.
        table: the table that is written; None for reads and for SQL given as text.
        columns: parameter to attribute, for the columns that a write may set.
        unknown: names of columns that may get a value that only the database knows.
        keys: parameters with the primary key of the one row that WHERE selects, in key order.
        conflicts: whether an existing row may be kept or updated instead.
        many: whether one execution may write any number of rows.
        returned: positions of the primary key in the rows of RETURNING, if it is included.
        counted: whether the driver's row count is about this table.
        value_rows: number of rows of `values([…])`; 0 if each execution writes one row.
        completes: whether it is the INSERT into a further table of rows that are already counted.
    """

    kind: str
    main: Entity
    schema: str | None = None
    table: Any = None
    columns: Mapping[str, str] = attrs.field(factory=dict)
    unknown: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()
    conflicts: bool = False
    many: bool = True
    returned: tuple[int, ...] = ()
    counted: bool = True
    value_rows: int = 0
    completes: bool = False


_known: WeakKeyDictionary[Any, tuple[Entities, dict[Any, tuple[StatementTarget, ...]]]] = (
    WeakKeyDictionary()
)


def targets_of(context: DefaultExecutionContext) -> tuple[StatementTarget, ...]:
    """Return the targets of an execution's statement; none if it has no captured class.

    There are several if it writes several captured classes, as SQL text and a CTE may.
    """
    compiled = context.compiled
    entities = captured.on(context.dialect)
    translate = context.execution_options.get("schema_translate_map")
    if compiled is None:
        text = sql.as_text(context.statement or "")
        return _of_text(text, context.dialect.name, entities, translate)
    if not isinstance(compiled, SQLCompiler):
        return ()
    known = _known.get(compiled)
    if known is None or known[0] is not entities:
        known = _known[compiled] = entities, {}
    key = tuple(translate.items()) if translate else None
    if key not in known[1]:
        known[1][key] = _Analysis(compiled, entities, translate).targets()
    return known[1][key]


class _Analysis:
    """The analysis of one compiled statement."""

    def __init__(self, compiled: SQLCompiler, entities: Entities, translate: Any) -> None:
        self._compiled = compiled
        self._entities = entities
        self._translate: Mapping[Any, Any] = translate or {}

    def targets(self) -> tuple[StatementTarget, ...]:
        compiled = self._compiled
        statement: Any = compiled.statement
        if isinstance(statement, TextClause):
            text, dialect = compiled.string, compiled.dialect.name
            return _of_text(text, dialect, self._entities, self._translate)
        found = []
        if isinstance(statement, UpdateBase):
            target = self._write(statement)
            found += [] if target is None else [target]
        if compiled.ctes:
            for inner in visitors.iterate(statement):
                if isinstance(inner, UpdateBase) and inner is not statement:
                    entity = self._written(inner)
                    if entity is not None:
                        schema = self._schema(inner.table)
                        kind = _kind(inner)
                        found.append(StatementTarget(kind, entity, schema, counted=False))
        if not found:
            read = self._read(statement)
            if read is not None:
                table, entity = read
                found.append(StatementTarget("read", entity, self._schema(table)))
        return tuple(found)

    def _schema(self, table: Any) -> str | None:
        schema = getattr(table, "schema", None)
        schema = self._translate.get(schema, schema)
        return None if schema is None else str(schema)

    def _of(self, table: Any) -> Entity | None:
        return self._entities.of(table, self._translate)

    def _subject(self, statement: Any) -> tuple[Any, Entity] | None:
        """Return the table and entity of the class that an ORM statement is about."""
        mapper = seam.subject_of(statement)
        entity = None if mapper is None else self._entities[mapper]
        return None if entity is None else (entity.tables[0], entity)

    def _written(self, statement: Any) -> Entity | None:
        subject = self._subject(statement)
        return self._of(statement.table) if subject is None else subject[1]

    def _read(self, statement: Any) -> tuple[Any, Entity] | None:
        """Return the subject of a query: its entity, a column's class, or the first in FROM."""
        if isinstance(statement, Insert):
            return None if statement.select is None else self._read(statement.select)
        found = self._subject(statement)
        if found is not None:
            return found
        if isinstance(statement, CompoundSelect):
            return next(filter(None, map(self._read, statement.selects)), None)
        if not isinstance(statement, Select):
            return None
        tables: list[FromClause] = [
            column.table for column in statement.selected_columns if hasattr(column, "table")
        ]
        tables += [table for start in statement.get_final_froms() for table in _in(start)]
        for table in tables:
            entity = self._of(table)
            if entity is not None:
                return table, entity
        return None

    def _write(self, statement: Any) -> StatementTarget | None:
        entity = self._written(statement)
        if entity is None:
            return None
        kind, conflicts = _kind(statement), _conflicts(statement)
        table, schema = statement.table, self._schema(statement.table)
        if len(entity.tables) > 1 or not hasattr(table, "c"):
            # The row of such a table is never complete.
            mapper = entity.mapper if kind == "create" else None
            of_bulk = seam.inserted_table(statement)
            completes = (
                mapper is not None
                and of_bulk is not None
                and hash(of_bulk) != hash(mapper.base_mapper.local_table)
            )
            return StatementTarget(kind, entity, schema, conflicts=conflicts, completes=completes)
        compiled = self._compiled
        values = seam.given_values(statement)
        unknown = {
            _name(key) for key, value in values.items() if not isinstance(value, BindParameter)
        }
        unknown.update(column.name for column in compiled.postfetch or ())
        many, value_rows = True, 0
        if isinstance(statement, Insert):
            unknown.update(column.name for column in entity.tables[0].c if is_guessed(column))
            unknown |= entity.hidden
            many = statement.select is not None
            given = seam.value_rows(statement)
            value_rows = len(given)
            if given:  # an expression in a row has no parameter
                named = isinstance(given[0], Mapping)
                unknown.update(map(_name, given[0] if named else table.c))
        attributes = {name: key for key, name in entity.names.items()}
        columns = {c.key: attributes[c.name] for c in table.c if c.name in attributes}
        if isinstance(statement, Insert):  # also if the statement's Table object lacks some columns
            rest = attributes.keys() & unknown - {c.name for c in table.c}
            columns |= {name: attributes[name] for name in rest}
        return StatementTarget(
            kind,
            entity,
            schema,
            table,
            columns,
            frozenset(unknown),
            () if isinstance(statement, Insert) else _keys(statement, entity, compiled),
            conflicts,
            many,
            _returned(entity, compiled),
            value_rows=value_rows,
        )


def _kind(statement: Any) -> str:
    clause = seam.conflict_clause(statement)
    if isinstance(statement, Insert) and (
        (clause is not None and "update" in clause.__visit_name__)
        or _REPLACES.search(seam.prefixes(statement))
    ):
        return "upsert"
    return next((name for kind, name in _KINDS.items() if isinstance(statement, kind)), "update")


def _conflicts(statement: Any) -> bool:
    words = seam.prefixes(statement)
    return (
        seam.conflict_clause(statement) is not None
        or _REPLACES.search(words) is not None
        or _IGNORES.search(words) is not None
    )


def _in(start: FromClause) -> Iterator[FromClause]:
    """Yield the tables of a FROM clause, left before right."""
    if isinstance(start, Join):
        yield from _in(start.left)
        yield from _in(start.right)
    else:
        yield start


def _returned(entity: Entity, compiled: SQLCompiler) -> tuple[int, ...]:
    """Return the positions of the primary key in RETURNING; empty if not the driver's values."""
    columns = seam.result_columns(compiled)
    places = []
    for key in entity.primary_key if columns else ():
        if seam.has_result_processor(key.type, compiled.dialect):
            return ()
        for place, column in enumerate(columns):
            if any(getattr(found, "name", None) == key.name for found in column.objects):
                places.append(place)
                break
        else:
            return ()
    return tuple(places)


def _name(column: Any) -> str:
    return str(getattr(column, "name", column))


def _keys(statement: Any, entity: Entity, compiled: SQLCompiler) -> tuple[str, ...]:
    """Return the parameters of `WHERE key = …`; none if it does not select one row."""
    found: dict[str, str] = {}
    names = seam.binds(compiled)
    for clause in seam.where(statement):
        for left, bind in _equalities(clause):
            name = names.get(bind)
            if left.table is not None and hash(left.table) == hash(statement.table) and name:
                found[left.name] = name
    keys = [column.name for column in entity.primary_key]
    return tuple(found[key] for key in keys) if keys and set(keys) <= set(found) else ()


def _equalities(clause: Any) -> Iterator[tuple[Any, BindParameter[Any]]]:
    if isinstance(clause, BooleanClauseList) and clause.operator is operators.and_:
        for inner in clause.clauses:
            yield from _equalities(inner)
    elif isinstance(clause, BinaryExpression) and clause.operator is operators.eq:
        for column, bind in ((clause.left, clause.right), (clause.right, clause.left)):
            if isinstance(bind, BindParameter) and hasattr(column, "table"):
                yield column, bind


def _of_text(
    text: str, dialect: str, entities: Entities, translate: Mapping[Any, Any] | None
) -> tuple[StatementTarget, ...]:
    """Return the targets of textual SQL, determined by the tables that it names."""
    if not entities.may_name(sql.names_in(text)):
        return ()
    written: list[StatementTarget] = []
    read: list[StatementTarget] = []
    for mention in sql.mentions(text, dialect):
        entity = entities.of(sa.table(mention.table, schema=mention.schema), translate)
        if entity is not None:
            schema = mention.schema or entity.schema
            found = StatementTarget(mention.kind, entity, schema)
            if mention.kind == "read":
                read.append(found)
            else:
                written.append(
                    attrs.evolve(found, conflicts=mention.conflicts, counted=mention.counted)
                )
    return tuple(written or read[:1])


def targets_of_text(
    text: str, dialect: Dialect, translate: Mapping[Any, Any] | None
) -> tuple[StatementTarget, ...]:
    """Return the targets of SQL text without an execution."""
    return _of_text(text, dialect.name, captured.on(dialect), translate)


def is_internal(context: DefaultExecutionContext) -> bool:
    """Return whether a read is SQLAlchemy's own: a lazy load, a refresh, a bulk write's keys."""
    return (
        seam.is_of_a_bulk_write(context)
        or seam.is_on_a_path(context)
        or seam.is_for_refresh(context)
    )
