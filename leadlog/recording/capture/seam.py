"""Every private or semi-private name of SQLAlchemy that capture relies on, for 2.0 and 2.1 alike.

No other module uses them. `tests/capture/test_seam.py` has a test for each, which names the
feature that breaks if SQLAlchemy renames it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, inspect
from sqlalchemy.engine import CursorResult, Dialect
from sqlalchemy.engine.cursor import CursorFetchStrategy, ResultFetchStrategy
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import InstanceState, Mapper, RelationshipProperty, Session, UOWTransaction
from sqlalchemy.orm.base import PASSIVE_NO_INITIALIZE, LoaderCallableStatus
from sqlalchemy.orm.mapper import _all_registries
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import (
    ReleaseSavepointClause,
    RollbackToSavepointClause,
    SavepointClause,
)
from sqlalchemy.util import langhelpers

__all__ = [
    "FLUSH",
    "SAVEPOINTS",
    "CursorFetchStrategy",
    "LoaderCallableStatus",
    "ResultFetchStrategy",
    "attribute_warnings",
    "bind_expression",
    "binds",
    "cache_of",
    "conflict_clause",
    "flushes",
    "given_values",
    "has_result_processor",
    "history_of",
    "identity_of",
    "inserted_table",
    "is_for_refresh",
    "is_lazy_load",
    "is_of_a_bulk_write",
    "is_of_a_flush",
    "is_on_a_path",
    "is_soft_closed",
    "json_serializer",
    "key_parameters",
    "label_of",
    "mappers",
    "merges",
    "of_value_row",
    "post_updated",
    "prefixes",
    "registry_tables",
    "result_columns",
    "returns_explicitly",
    "secondaries",
    "sent",
    "subject_of",
    "telling",
    "used_connection",
    "value_rows",
    "where",
]

# ---------------------------------------------------------------------------------- unit of work


def attribute_warnings() -> None:
    """Make SQLAlchemy attribute its warnings to the application, not to capture's frames.

    A warning names the innermost line outside SQLAlchemy, and warning filters match that module.
    """
    pattern = getattr(langhelpers, "_not_sa_pattern", None)
    if pattern is not None and "leadlog" not in pattern.pattern:
        widened = re.compile(rf"{pattern.pattern}|^leadlog\.recording\.")
        langhelpers._not_sa_pattern = widened


def flushes(context: UOWTransaction) -> Mapping[InstanceState[Any], tuple[bool, bool]]:
    """Return the states of a flush, each with the flags (is deleted, is only listed)."""
    return context.states


def post_updated(context: UOWTransaction) -> Iterator[InstanceState[Any]]:
    """Yield the states that a flush updates after their INSERT (`post_update`)."""
    for states, _columns in context.post_update_states.values():
        yield from states


def used_connection(context: UOWTransaction, state: InstanceState[Any]) -> Any:
    """Return the connection on which a flush writes an object."""
    choose = context.session.connection_callable
    if choose is not None:  # several databases for one class
        return choose(state.mapper, state.obj())
    return context.transaction.connection(state.mapper)


FLUSH = UOWTransaction, "execute"
"""The class and the name of the method that runs the statements of every flush."""


def is_of_a_flush(context: DefaultExecutionContext) -> bool:
    """Return whether the unit of work itself sent an execution."""
    return "compiled_cache" in context.execution_options


def identity_of(state: InstanceState[Any]) -> Any:
    """Return the identity key of a new object, built from its values."""
    return state.mapper._identity_key_from_state(state)


def history_of(state: InstanceState[Any], key: str) -> Any:
    """Return the history of an attribute; loads nothing."""
    return state.get_history(key, PASSIVE_NO_INITIALIZE)


def cache_of(mapper: Mapper[Any]) -> object:
    """Return the cache in which the unit of work keeps its own statements for a class."""
    return mapper.base_mapper._compiled_cache


def label_of(column: Column[Any]) -> str:
    """Return the unit of work's name for the parameter of `WHERE column = …`."""
    return str(column._label)


# ------------------------------------------------------------------------------------- mappings


def mappers() -> Iterator[Mapper[Any]]:
    """Yield every mapper of the process, except half-built and disposed ones."""
    for registry in list(_all_registries()):
        for mapper in registry.mappers:
            if inspect(mapper.class_, raiseerr=False) is mapper:
                yield mapper


def merges() -> Iterator[str]:
    """Return the names of Session's methods that merge; `merge_all` was added in 2.1."""
    return (name for name in ("merge", "merge_all") if hasattr(Session, name))


def secondaries(mapper: Mapper[Any]) -> Iterator[Any]:
    """Yield the association tables of a class's relationships; configures no mapper.

    A table given as a callable is not known until the mappers are configured.
    """
    for relation in list(mapper._init_properties.values()) + list(mapper._props.values()):
        if isinstance(relation, RelationshipProperty):
            table: Any = relation._init_args.secondary.resolved
            if table is None:
                table = relation._init_args.secondary.argument
            if isinstance(table, str):
                table = registry_tables(mapper).get(table)
            if table is not None and not callable(table):
                yield table


def registry_tables(mapper: Mapper[Any]) -> Mapping[str, Any]:
    """Return the tables of a class's registry, by name."""
    return mapper.registry.metadata.tables


# ------------------------------------------------------------------------------------ statements

SAVEPOINTS: dict[type, str] = {
    SavepointClause: "savepoint",
    ReleaseSavepointClause: "release",
    RollbackToSavepointClause: "rollback_to",
}
"""SQLAlchemy's savepoint statements; `ident` is the savepoint's name."""


def subject_of(statement: Any) -> Mapper[Any] | None:
    """Return the mapper that an ORM statement is about."""
    subject = statement._propagate_attrs.get("plugin_subject")
    return None if subject is None else subject.mapper


def inserted_table(statement: Any) -> Any:
    """Return the table of one statement of the ORM's bulk INSERT; None for any other INSERT.

    The bulk INSERT sends a statement for each table of the class.
    """
    return statement._annotations.get("_emit_insert_table")


def conflict_clause(statement: Any) -> Any:
    """Return the ON CONFLICT or ON DUPLICATE KEY clause of an INSERT; None if it has none."""
    return getattr(statement, "_post_values_clause", None)


def prefixes(statement: Any) -> str:
    """Return the text that `prefix_with` added to a statement, such as OR REPLACE."""
    return " ".join(str(clause) for clause, _dialect in getattr(statement, "_prefixes", ()))


def given_values(statement: Any) -> dict[Any, Any]:
    """Return the values that a statement itself sets, by column or name."""
    values = dict(getattr(statement, "_values", None) or ())
    values.update(getattr(statement, "_ordered_values", None) or ())
    return values


def value_rows(statement: Any) -> list[Any]:
    """Return the rows of `values([…])`; none for an INSERT of one row by its parameters."""
    return [row for rows in statement._multi_values for row in rows]


def of_value_row(parameters: Mapping[str, Any], names: Iterable[str], place: int) -> dict[str, Any]:
    """Return the parameters of one row of `values([…])`, under their names in a single row."""
    found = {name: f"{name}_m{place}" for name in names}
    # In the first row, a column's default has the column's name without a suffix.
    return {
        name: parameters[key if key in parameters else name]
        for name, key in found.items()
        if key in parameters or (place == 0 and name in parameters)
    }


def where(statement: Any) -> tuple[Any, ...]:
    """Return the criteria of an UPDATE or DELETE."""
    return tuple(statement._where_criteria)


def binds(compiled: SQLCompiler) -> Mapping[Any, str]:
    """Return a mapping from bound parameter to its name in the compiled statement."""
    return compiled.bind_names


def result_columns(compiled: SQLCompiler) -> Sequence[Any]:
    """Return the columns of a statement's rows."""
    return compiled._result_columns if compiled.effective_returning else ()


def has_result_processor(column_type: Any, dialect: Dialect) -> bool:
    """Return whether SQLAlchemy converts the driver's value of a column."""
    return column_type._cached_result_processor(dialect, None) is not None


def json_serializer(dialect: Dialect) -> Any:
    """Return the JSON serializer of an engine; None for the standard library's."""
    return getattr(dialect, "_json_serializer", None)


def bind_expression(column_type: Any) -> bool:
    """Return whether the database computes the stored value from the sent one."""
    return bool(column_type._has_bind_expression)


def is_of_a_bulk_write(context: DefaultExecutionContext) -> bool:
    """Return whether an execution reads the keys of an ORM UPDATE or DELETE."""
    return "_sa_orm_update_options" in context.execution_options


def is_on_a_path(context: DefaultExecutionContext) -> bool:
    """Return whether an execution loads a relationship."""
    options = getattr(context.invoked_statement, "_compile_options", None)
    return bool(getattr(options, "_current_path", None))


def is_for_refresh(context: DefaultExecutionContext) -> bool:
    """Return whether an execution reads expired or deferred columns of an object."""
    options = getattr(context.invoked_statement, "_compile_options", None)
    return bool(getattr(options, "_for_refresh_state", False))


def is_lazy_load(context: DefaultExecutionContext) -> bool:
    """Return whether an execution lazily loads the target of an object's attribute."""
    options = context.execution_options.get("_sa_orm_load_options")
    return getattr(options, "_lazy_loaded_from", None) is not None


# ------------------------------------------------------------------------------------ executions


def telling(
    base: type[Any], finished: Callable[[DefaultExecutionContext, CursorResult[Any]], None]
) -> type[Any]:
    """Return a subclass of a dialect's execution class that reports each result to `finished`."""

    class ObservedExecution(base):  # type: ignore[misc]  # the base is the dialect's
        leadlog_rowcount: int | None = None

        def _setup_result_proxy(self) -> Any:
            if self.isinsert:  # psycopg closes its cursor before the count could be read
                self.leadlog_rowcount = self.cursor.rowcount
            result = super()._setup_result_proxy()
            finished(self, result)
            return result

    return ObservedExecution


def key_parameters(count: int) -> list[str]:
    """Return the parameter names that `Session.get` uses for a key with `count` parts."""
    return [f"pk_{place + 1}" for place in range(count)]


def returns_explicitly(context: DefaultExecutionContext) -> bool:
    """Return whether the statement itself has RETURNING, rather than one added by SQLAlchemy."""
    return bool(context._is_explicit_returning)


def is_soft_closed(result: CursorResult[Any]) -> bool:
    """Return whether a result has no rows left to fetch."""
    return bool(result._soft_closed)


def sent(context: DefaultExecutionContext, place: int) -> Mapping[str, Any]:
    """Return the values sent to the driver for one execution of a statement, by parameter.

    Empty if the driver's parameters cannot be matched to the statement's.
    """
    compiled, parameters = context.compiled, context.parameters
    if not isinstance(compiled, SQLCompiler) or len(parameters) <= place:
        return {}
    one: Any = parameters[place]
    if isinstance(one, Mapping):
        escaped = compiled.escaped_bind_names
        return {name: one[to] for name in compiled.binds if (to := escaped.get(name, name)) in one}
    names = compiled.positiontup or ()
    return dict(zip(names, one, strict=True)) if len(names) == len(one) else {}
