"""What the unit of work writes: one snapshot per flushed object.

Taken in the mapper's `after_…` events, never at commit, when attributes are expired.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.base import PASSIVE_NO_INITIALIZE, instance_dict

from leadlog.capturing.scope import Operation, current_operation
from leadlog.pipeline import report_failure

Begin = Callable[[str, str], Operation | None]
Wrote = Callable[[Connection, Operation], None]


@lru_cache(maxsize=256)
def _columns(mapper: Mapper[Any]) -> dict[str, str]:
    """Attribute to column name."""
    return {attribute.key: attribute.columns[0].name for attribute in mapper.column_attrs}


def row_of(mapper: Mapper[Any], target: Any) -> dict[str, Any]:
    """The loaded columns of an object; loads none."""
    loaded = instance_dict(target)
    return {name: loaded[key] for key, name in _columns(mapper).items() if key in loaded}


def changes_of(mapper: Mapper[Any], target: Any) -> dict[str, Any]:
    """The columns that a flush changed, `{column: {"old": …, "new": …}}`.

    `old` is left out where the attribute was not loaded.
    """
    state = sa.inspect(target)
    columns = _columns(mapper)
    changes: dict[str, Any] = {}
    # What was set since the last flush; asking each attribute costs as much as the UPDATE.
    for key in state.committed_state:
        if key in columns:
            history = state.get_history(key, PASSIVE_NO_INITIALIZE)
            if history.added:
                change = {"old": history.deleted[0]} if history.deleted else {}
                changes[columns[key]] = {**change, "new": history.added[0]}
    return changes


class MapperHooks:
    """The mapper events of the captured classes on one engine.

    Args:
        engine: flushes on other engines are not ours.
        classes: the mapped classes, their subclasses included.
        begin: opens the operation of an object flushed outside any call of the store.
        wrote: told of each write.
    """

    def __init__(
        self, engine: Engine, classes: tuple[type, ...], begin: Begin, wrote: Wrote
    ) -> None:
        self._engine = engine
        self._begin = begin
        self._wrote = wrote
        self._listeners = [
            (captured, name, getattr(self, f"_{name}"))
            for captured in classes
            for name in ("after_insert", "after_update", "after_delete")
        ]
        for captured, name, hook in self._listeners:
            event.listen(captured, name, hook, propagate=True)

    def release(self) -> None:
        """Removes the hooks."""
        for captured, name, hook in self._listeners:
            event.remove(captured, name, hook)
        self._listeners = []

    def _after_insert(self, mapper: Mapper[Any], connection: Connection, target: Any) -> None:
        self._note("create", mapper, connection, target)

    def _after_update(self, mapper: Mapper[Any], connection: Connection, target: Any) -> None:
        self._note("update", mapper, connection, target)

    def _after_delete(self, mapper: Mapper[Any], connection: Connection, target: Any) -> None:
        self._note("delete", mapper, connection, target)

    def _note(self, kind: str, mapper: Mapper[Any], connection: Connection, target: Any) -> None:
        try:
            if connection.dialect is self._engine.dialect:
                self._capture(kind, mapper, connection, target)
        except Exception as error:  # noqa: BLE001 - a hook that raises would fail the flush
            report_failure(error)

    def _capture(self, kind: str, mapper: Mapper[Any], connection: Connection, target: Any) -> None:
        row = row_of(mapper, target)
        # A column without a value is left out of a new or deleted row: it was and is null.
        if kind == "create":
            changes: dict[str, Any] = {
                name: {"new": value} for name, value in row.items() if value is not None
            }
        elif kind == "delete":
            changes = {name: {"old": value} for name, value in row.items() if value is not None}
        else:
            changes = changes_of(mapper, target)
            if not changes:
                return  # a dirty object without a changed column: no SQL ran
        operation = current_operation()
        if operation is not None:
            operation.changed(changes)
            if not operation.bulk:
                operation.identify(row)
            return
        operation = self._begin(kind, mapper.class_.__name__)
        if operation is None:
            return
        operation.changed(changes)
        operation.identify(row)
        operation.fields_processed = list(changes)
        operation.records_affected = 1
        self._wrote(connection, operation)
        operation.close()
