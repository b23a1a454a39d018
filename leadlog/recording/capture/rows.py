"""What a flush wrote of an object: its values as stored, and which of them are known.

A column that is absent from a created row was written as NULL; one whose value only the
database knows, such as a server default or an SQL expression, is there without a value.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import InstanceState
from sqlalchemy.sql import ClauseElement

from leadlog.core.records.keys import key_text
from leadlog.recording.capture import seam
from leadlog.recording.capture.entities import Entity
from leadlog.recording.capture.values import UNKNOWN, StorageTypes

_MUTABLE = (list, dict)
_INFO = "leadlog_written"

Changes = dict[str, Any]
"""Column to its change: `{"old": …, "new": …}`; what is not known is left out."""


class Written:
    """What a flush sent for the columns whose stored value the object does not tell.

    Args:
        executions: the INSERTs and UPDATEs of the flush, of any object.
    """

    def __init__(self, executions: Iterable[DefaultExecutionContext] = ()) -> None:
        self._rows: dict[tuple[str, Any], dict[str, Any]] = {}
        for execution in executions:
            compiled: Any = execution.compiled
            table = compiled.statement.table
            keys = list(table.primary_key)
            for place, given in enumerate(execution.compiled_parameters):
                sent = seam.sent(execution, place)
                if execution.isinsert:
                    made = execution.inserted_primary_key_rows
                    identity = tuple(made[place]) if place < len(made) else ()
                else:
                    identity = tuple(given.get(seam.label_of(key)) for key in keys)
                self._rows.setdefault((table.key, identity), {}).update(sent)

    def of(self, entity: Entity, state: InstanceState[Any], key: str) -> Any:
        """What was sent for an attribute; `UNKNOWN` where it was not seen."""
        now = tuple(state.dict.get(name) for name in entity.keys)
        before = () if state.key is None else state.key[1]
        for table, name in entity.parameters[key]:
            for identity in (before, now):
                sent = self._rows.get((table.key, identity), {})
                if name in sent:
                    return sent[name]
        return UNKNOWN


class CapturedRow:
    """One object as the database has it.

    Args:
        entity: its class.
        state: the object.
        store: how its values are stored.
        zone: the time zone of the database session, where it is known.
        written: what was sent for it.
    """

    def __init__(
        self,
        entity: Entity,
        state: InstanceState[Any],
        store: StorageTypes,
        zone: dt.tzinfo | None = None,
        written: Written | None = None,
    ) -> None:
        self.entity = entity
        self.state = state
        self._store = store
        self._zone = zone
        self._written = written

    def _side(self, side: str, key: str, value: Any) -> dict[str, Any]:
        if isinstance(value, ClauseElement | seam.LoaderCallableStatus):
            return {}
        if side == "old" and isinstance(value, _MUTABLE):
            # It may have been changed in place since it was written.
            written, was = self.state.info.get(_INFO, {}).get(key, (None, None))
            if written is value:
                return {"old": was}
        store = self._store
        if side == "new" and self._written is not None and key in store.sealed:
            sent = self._written.of(self.entity, self.state, key)
            stored = store.written(key, value, sent, self._zone)
        else:
            stored = store.value(key, value, self._zone)
        return {} if stored is UNKNOWN else {side: stored}

    def values(self) -> dict[str, Any]:
        """The loaded columns, by name; loads none."""
        loaded, sealed = self.state.dict, self._store.sealed
        found: dict[str, Any] = {}
        for key, name in self.entity.columns.items():
            if key in sealed and key in loaded:
                side = self._side("new", key, loaded[key])
                if side:
                    found[name] = side["new"]
            elif key in loaded:
                found[name] = loaded[key]
        return found

    def key(self) -> str | None:
        """The primary key as text; None where it is unknown or excluded."""
        entity, loaded = self.entity, self.state.dict
        if any(loaded.get(key) is None or key in entity.excluded for key in entity.keys):
            return None
        parts = [self._side("new", key, loaded[key]).get("new", UNKNOWN) for key in entity.keys]
        return None if UNKNOWN in parts else key_text(parts)

    def previous_key(self) -> str | None:
        """The primary key before an UPDATE that changed it; None where none did."""
        entity, state = self.entity, self.state
        old: dict[str, Any] = {}
        for key in entity.keys:
            if key in state.committed_state:
                history = seam.history_of(state, key)
                if history.added and history.deleted:
                    old[key] = history.deleted[0]
        if not old or entity.excluded & {*entity.keys}:
            return None
        values = [old.get(key, state.dict.get(key)) for key in entity.keys]
        parts = [
            None if value is None else self._side("old", key, value).get("old", UNKNOWN)
            for key, value in zip(entity.keys, values, strict=True)
        ]
        return None if None in parts or UNKNOWN in parts else key_text(parts)

    def remember(self, changes: Changes) -> None:
        """Keep what was written of values that the application may change in place."""
        for key, name in self.entity.columns.items():
            new = changes.get(name, {}).get("new")
            if isinstance(new, _MUTABLE):
                self.state.info.setdefault(_INFO, {})[key] = self.state.dict.get(key), new

    def created(self) -> Changes:
        """The columns of a new row."""
        entity = self.entity
        loaded, expired = self.state.dict, self.state.expired_attributes
        changes: Changes = {}
        for key, name in entity.columns.items():
            if key in loaded:
                if loaded[key] is not None:
                    changes[name] = self._side("new", key, loaded[key])
            elif key in expired or key in entity.guessed:
                changes[name] = {}
        for name in entity.hidden:
            changes[name] = {}
        return changes

    def deleted(self) -> Changes:
        """The columns of a deleted row, as far as they were loaded."""
        loaded, unsaved = self.state.dict, self.state.committed_state
        changes: Changes = {}
        for key, name in self.entity.columns.items():
            value = unsaved[key] if key in unsaved else loaded.get(key)
            if value is not None and not isinstance(value, seam.LoaderCallableStatus):
                changes[name] = self._side("old", key, value)
        return changes

    def updated(self, updates: Iterable[DefaultExecutionContext] = ()) -> Changes:
        """The columns that an UPDATE changed; none where there was no UPDATE.

        Args:
            updates: the UPDATE statements of the flush, of any object.
        """
        entity, state = self.entity, self.state
        changes: Changes = {}
        changed = []
        # What was set since the last flush; asking each attribute costs as much as the UPDATE.
        for key in state.committed_state:
            if key in entity.table_of:
                history = seam.history_of(state, key)
                if history.added:
                    changed.append(key)
                    changes[entity.names[key]] = self._change(key, history)
        if updates and state.expired_attributes:
            for key in _computed(entity, state, updates):
                changed.append(key)
                changes[entity.names[key]] = {}
        if changed and entity.touched:
            for key in _touched(entity, changed):
                if entity.names[key] not in changes:
                    known = key in state.dict and key in entity.columns
                    change = self._side("new", key, state.dict[key]) if known else {}
                    changes[entity.names[key]] = change
        return changes

    def _change(self, key: str, history: Any) -> dict[str, Any]:
        if key in self.entity.excluded:
            return {}
        change = self._side("old", key, history.deleted[0]) if history.deleted else {}
        return change | self._side("new", key, history.added[0])


def _computed(
    entity: Entity, state: InstanceState[Any], updates: Iterable[DefaultExecutionContext]
) -> Iterator[str]:
    """The attributes that an UPDATE set to what only the database knows.

    They are expired by then, as are others that nobody changed.
    """
    key: Any = state.key
    identity = () if key is None else key[1]
    for execution in updates:
        compiled: Any = execution.compiled
        labels = [seam.label_of(column) for column in compiled.statement.table.primary_key]
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
