"""What a flush wrote of an object: its values, and which of them are known.

A column that is absent from a created row was written as NULL; one whose value only the
database knows, such as a server default or an SQL expression, is there without a value.
"""

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import InstanceState
from sqlalchemy.orm.base import PASSIVE_NO_INITIALIZE, LoaderCallableStatus
from sqlalchemy.sql import ClauseElement

from leadlog.recording.capture.entities import Entity

Changes = dict[str, Any]
"""Column to its change: `{"old": …, "new": …}`; what is not known is left out."""


def row_of(entity: Entity, state: InstanceState[Any]) -> dict[str, Any]:
    """The loaded columns of an object; loads none."""
    loaded = state.dict
    return {name: loaded[key] for key, name in entity.columns.items() if key in loaded}


def key_of(entity: Entity, state: InstanceState[Any]) -> str | None:
    """The primary key as text, parts of a composite one joined by `,`; None where unknown."""
    loaded = state.dict
    if not all(loaded.get(key) is not None for key in entity.keys):
        return None
    return key_text([loaded[key] for key in entity.keys])


def key_text(parts: Any) -> str:
    """The parts of a primary key as the records have them."""
    return ",".join([str(part) for part in parts])


def created(entity: Entity, state: InstanceState[Any]) -> Changes:
    """The columns of a new row."""
    loaded, expired = state.dict, state.expired_attributes
    changes: Changes = {}
    for key, name in entity.columns.items():
        if key in loaded:
            value = loaded[key]
            if value is None:
                continue
            changes[name] = {} if isinstance(value, ClauseElement) else {"new": value}
        elif key in expired or key in entity.guessed:
            changes[name] = {}
    for key in entity.excluded:
        changes[entity.names[key]] = {}
    return as_stored(entity, changes)


def deleted(entity: Entity, state: InstanceState[Any]) -> Changes:
    """The columns of a deleted row, as far as they were loaded."""
    loaded, unsaved = state.dict, state.committed_state
    changes: Changes = {}
    for key, name in entity.columns.items():
        value = unsaved[key] if key in unsaved else loaded.get(key)
        if value is not None and not isinstance(value, LoaderCallableStatus):
            changes[name] = {"old": value}
    return as_stored(entity, changes)


def updated(
    entity: Entity, state: InstanceState[Any], updates: Iterable[DefaultExecutionContext] = ()
) -> Changes:
    """The columns that an UPDATE changed; none where there was no UPDATE.

    Args:
        entity: the object's class.
        state: the object.
        updates: the UPDATE statements of the flush, of any object.
    """
    changes: Changes = {}
    changed = []
    # What was set since the last flush; asking each attribute costs as much as the UPDATE.
    for key in state.committed_state:
        if key in entity.table_of:
            history = state.get_history(key, PASSIVE_NO_INITIALIZE)
            if history.added:
                changed.append(key)
                changes[entity.names[key]] = _change(entity, key, history)
    if updates and state.expired_attributes:
        for key in _computed(entity, state, updates):
            changed.append(key)
            changes[entity.names[key]] = {}
    if changed and entity.touched:
        for key in _touched(entity, changed):
            if entity.names[key] not in changes:
                known = key in state.dict and key in entity.columns
                changes[entity.names[key]] = {"new": state.dict[key]} if known else {}
    return as_stored(entity, changes)


def as_stored(entity: Entity, changes: Changes) -> Changes:
    """The changes, with what the database stores for members of an enumeration."""
    for name, labels in entity.labels.items():
        for side, value in changes.get(name, {}).items():
            if isinstance(value, Hashable):
                changes[name][side] = labels.get(value, value)
    return changes


def _change(entity: Entity, key: str, history: Any) -> dict[str, Any]:
    if key not in entity.columns:
        return {}
    change: dict[str, Any] = {"old": history.deleted[0]} if history.deleted else {}
    if not isinstance(history.added[0], ClauseElement):
        change["new"] = history.added[0]
    return change


def _computed(entity: Entity, state: InstanceState[Any], updates: Iterable[Any]) -> Iterator[str]:
    """The attributes that an UPDATE set to what only the database knows.

    They are expired by then, as are others that nobody changed.
    """
    key: Any = state.key
    identity = () if key is None else key[1]
    for execution in updates:
        compiled: Any = execution.compiled
        # What the unit of work names the parameters of its WHERE; a test pins it.
        labels = [column._label for column in compiled.statement.table.primary_key]
        if any(
            tuple(parameters.get(label) for label in labels) == identity
            for parameters in execution.compiled_parameters
        ):
            names = {column.name for column in compiled.postfetch or ()}
            for attribute in state.expired_attributes:
                if entity.names.get(attribute) in names:
                    yield attribute


def _touched(entity: Entity, changed: list[str]) -> Iterator[str]:
    """The attributes that changed along with others of their table."""
    tables = {table for key in changed for table in entity.table_of[key]}
    tables.update(entity.versioned)
    for key, table in entity.touched:
        if table in tables:
            yield key
