"""What a statement does to which captured class, found out once per compiled statement."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import attrs
from sqlalchemy import Delete, Insert, Select, Table, TextClause, Update
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import BinaryExpression, BindParameter, BooleanClauseList
from sqlalchemy.sql.selectable import CompoundSelect, FromClause, Join

from leadlog.recording.capture.entities import Entities, Entity, captured, is_guessed

_KINDS: Mapping[type, str] = {Insert: "create", Update: "update", Delete: "delete"}


@attrs.frozen(eq=False)
class Target:
    """What a statement is about.

    Attributes:
        kind: create, read, update, delete or upsert.
        entity: the captured class; None where only its table's name says that it is read.
        main: the class whose options hold; `entity`, or one of several that are named.
        table: the table that is written; None for reads and for SQL given as text.
        columns: parameter to column name, of the columns that a write may set.
        unknown: columns that may get a value that only the database knows.
        keys: parameters that hold the primary key of the one row that WHERE names.
        conflicts: whether a row that is there already may be left or updated instead.
        many: whether one execution writes any number of rows.
        returned: where RETURNING gives the primary key, its places in a row.
    """

    kind: str
    entity: Entity | None
    main: Entity
    table: Table | None = None
    columns: Mapping[str, str] = attrs.field(factory=dict)
    unknown: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()
    conflicts: bool = False
    many: bool = True
    returned: tuple[int, ...] = ()


_known: WeakKeyDictionary[Any, tuple[Entities, Target | None]] = WeakKeyDictionary()


def target_of(context: DefaultExecutionContext) -> Target | None:
    """What the statement of an execution is about; None where it concerns no captured class."""
    compiled = context.compiled
    entities = captured.on(context.dialect)
    if compiled is None:
        return _of_text(context.statement or "", entities)
    if not isinstance(compiled, SQLCompiler):
        return None
    known = _known.get(compiled)
    if known is None or known[0] is not entities:
        known = _known[compiled] = entities, _analyse(compiled, entities)
    return known[1]


def _analyse(compiled: SQLCompiler, entities: Entities) -> Target | None:
    statement: Any = compiled.statement
    if isinstance(statement, TextClause):
        return _of_text(statement.text, entities)
    if isinstance(statement, UpdateBase):
        return _of_write(statement, compiled, entities)
    if compiled.ctes:
        for inner in visitors.iterate(statement):
            if isinstance(inner, UpdateBase):
                entity = _written(inner, entities)
                if entity is not None:
                    return Target(_kind(inner), entity, entity)
    entity = _read(statement, entities)
    return None if entity is None else Target("read", entity, entity)


def _subject(statement: Any, entities: Entities) -> Entity | None:
    """The class that an ORM statement is about."""
    subject = statement._propagate_attrs.get("plugin_subject")
    return None if subject is None else entities[subject.mapper]


def _written(statement: Any, entities: Entities) -> Entity | None:
    return _subject(statement, entities) or entities.tables[statement.table]


def _kind(statement: Any) -> str:
    for kind, name in _KINDS.items():
        if isinstance(statement, kind):
            return name
    return "update"


def _read(statement: Any, entities: Entities) -> Entity | None:
    """The captured class that a query reads: its subject, a column's, or the first in FROM."""
    entity = _subject(statement, entities)
    if entity is not None:
        return entity
    if isinstance(statement, CompoundSelect):
        return next(filter(None, (_read(one, entities) for one in statement.selects)), None)
    if not isinstance(statement, Select):
        return None
    tables: list[FromClause] = [
        column.table for column in statement.selected_columns if hasattr(column, "table")
    ]
    for table in tables + [table for start in statement.get_final_froms() for table in _in(start)]:
        entity = entities.tables[table]
        if entity is not None:
            return entity
    return None


def _in(start: FromClause) -> Iterator[FromClause]:
    """The tables of a FROM, left before right."""
    if isinstance(start, Join):
        yield from _in(start.left)
        yield from _in(start.right)
    else:
        yield start


def _of_write(statement: Any, compiled: SQLCompiler, entities: Entities) -> Target | None:
    entity = _written(statement, entities)
    if entity is None:
        return None
    clause = getattr(statement, "_post_values_clause", None)
    kind = _kind(statement)
    many = kind != "create" or bool(
        getattr(statement, "select", None) is not None or statement._multi_values
    )
    table: Any = entity.mapper.local_table
    if len(entity.mapper.tables) > 1 or not isinstance(table, Table):
        return Target(kind, entity, entity, conflicts=clause is not None)  # never the whole row
    values = dict(getattr(statement, "_values", None) or ())
    values.update(getattr(statement, "_ordered_values", None) or ())
    unknown = {_name(key) for key, value in values.items() if not isinstance(value, BindParameter)}
    unknown.update(column.name for column in compiled.postfetch or ())
    if kind == "create":
        unknown.update(column.name for column in table.c if is_guessed(column))
        unknown.update(entity.names[key] for key in entity.excluded)
    return Target(
        "upsert" if clause is not None and "update" in clause.__visit_name__ else kind,
        entity,
        entity,
        table,
        {column.key: column.name for column in table.c},
        frozenset(unknown),
        () if kind == "create" else _keys(statement, table, compiled),
        clause is not None,
        many,
        _returned(table, compiled),
    )


def _returned(table: Table, compiled: SQLCompiler) -> tuple[int, ...]:
    """Where RETURNING gives the primary key as the driver's own values; empty where it does not."""
    if not compiled.effective_returning:
        return ()
    places = []
    for key in table.primary_key:
        if key.type._cached_result_processor(compiled.dialect, None) is not None:
            return ()
        for place, column in enumerate(compiled._result_columns):
            if any(hash(found) == hash(key) for found in column.objects):
                places.append(place)
                break
        else:
            return ()
    return tuple(places)


def _name(column: Any) -> str:
    return str(getattr(column, "name", column))


def _keys(statement: Any, table: Table, compiled: SQLCompiler) -> tuple[str, ...]:
    """The parameters of `WHERE key = …`; none where it does not name one row."""
    found: dict[str, str] = {}
    for clause in statement._where_criteria:
        for left, bind in _equalities(clause):
            if left.table is not None and hash(left.table) == hash(table):
                name = compiled.bind_names.get(bind)
                if name is not None:
                    found[left.name] = name
    keys = [column.name for column in table.primary_key]
    return tuple(found[key] for key in keys) if keys and set(keys) <= set(found) else ()


def _equalities(clause: Any) -> Iterator[tuple[Any, BindParameter[Any]]]:
    if isinstance(clause, BooleanClauseList) and clause.operator is operators.and_:
        for inner in clause.clauses:
            yield from _equalities(inner)
    elif isinstance(clause, BinaryExpression) and clause.operator is operators.eq:
        for column, bind in ((clause.left, clause.right), (clause.right, clause.left)):
            if isinstance(bind, BindParameter) and hasattr(column, "table"):
                yield column, bind


_NOISE = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_FIRST = re.compile(
    r"\s*(select|with|insert|update|delete|replace|merge|values|table)\b", re.IGNORECASE
)
_IDENTIFIER = r'(?:"[^"]+"|[\w$]+)'
_NAME = rf"(?:{_IDENTIFIER}\s*\.\s*)*(?P<table>{_IDENTIFIER})"
_WRITES = re.compile(
    r"\b(?P<verb>insert|replace|update|delete|merge)\b(?:\s+or\s+\w+)?(?:\s+(?:into|from))?"
    rf"(?:\s+only)?\s+{_NAME}",
    re.IGNORECASE,
)
_FROM = re.compile(rf"\bfrom\s+{_NAME}", re.IGNORECASE)
_VERBS = {"insert": "create", "replace": "upsert", "merge": "upsert"}


@lru_cache(maxsize=512)
def _of_text(text: str, entities: Entities) -> Target | None:
    """What SQL given as text is about, by the tables that it names."""
    bare = _NOISE.sub("''", text)
    if _FIRST.match(bare) is None:
        return None
    named = entities.tables.named()
    for write in _WRITES.finditer(bare):
        entity = named.get(write["table"].strip('"').lower())
        if entity is not None:
            verb = write["verb"].lower()
            return Target(_VERBS.get(verb, verb), entity, entity, conflicts=verb != "insert")
    words = re.findall(r"[\w$]+", bare.lower())
    mentioned = [named[word] for word in dict.fromkeys(words) if word in named]
    if not mentioned or _WRITES.match(bare):
        return None
    first = _FROM.search(bare)
    entity = named.get(first["table"].strip('"').lower()) if first else None
    return Target("read", entity, entity or mentioned[0])


def is_internal(context: DefaultExecutionContext) -> bool:
    """Whether SQLAlchemy reads for itself: a lazy load, a refresh, the keys of a bulk write."""
    if "_sa_orm_update_options" in context.execution_options:
        return True
    options = getattr(context.invoked_statement, "_compile_options", None)
    if options is None:
        return False
    path = getattr(options, "_current_path", None)
    return bool(path) or bool(getattr(options, "_for_refresh_state", False))
