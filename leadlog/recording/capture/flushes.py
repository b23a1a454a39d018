"""Flushes of Sessions: one operation per object, snapshotted when its SQL has run.

The unit of work's `execute` is wrapped: right after it, whether it succeeded or not, SQLAlchemy
still knows which objects are new, changed and deleted, and their old values; at commit they expire.
Flushes without work, and those that a listener refuses beforehand, never call it, and nothing of a
flush is kept however it ends.

A column that is absent from a created row was written as NULL; a column whose value only the
database knows, such as a server default or an SQL expression, is present without a value.
"""

import datetime as dt
import functools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import attrs
from sqlalchemy.engine import Connection
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import InstanceState, UOWTransaction
from sqlalchemy.sql import ClauseElement

from leadlog.core.records.keys import key_text
from leadlog.recording.capture import journal, seam
from leadlog.recording.capture.emit import emit, error_facts
from leadlog.recording.capture.entities import Entity, captured
from leadlog.recording.capture.journal import TransactionState
from leadlog.recording.capture.meter import Meter
from leadlog.recording.capture.operation import Call, Operation, current_operation
from leadlog.recording.capture.values import UNKNOWN, Changes, StorageTypes, zone_of
from leadlog.recording.capture.writes import record, safely
from leadlog.recording.pipeline import is_enabled

_MUTABLE = (list, dict)
_INFO = "leadlog_written"


class Written:
    """The values that a flush sent for its rows, and the columns that it let the database compute.

    Args:
        executions: the flush's INSERTs and UPDATEs, of any object; read on first use.
    """

    def __init__(self, executions: Iterable[DefaultExecutionContext]) -> None:
        self._executions = executions
        self._rows: dict[tuple[str, Any], tuple[dict[str, Any], set[str]]] | None = None

    def _row(self, table: Any, identity: Any) -> tuple[dict[str, Any], set[str]]:
        """Return a row's sent values by parameter, and the columns that an UPDATE computed."""
        if self._rows is None:
            self._rows = {}
            for execution in self._executions:
                self._read(execution, self._rows)
        return self._rows.get((table.key, identity), ({}, set()))

    def _read(self, execution: DefaultExecutionContext, rows: dict[Any, Any]) -> None:
        compiled: Any = execution.compiled
        table = compiled.statement.table
        labels = [seam.label_of(key) for key in table.primary_key]
        computed = [column.name for column in compiled.postfetch or () if execution.isupdate]
        for place, given in enumerate(execution.compiled_parameters):
            if execution.isinsert:
                made = execution.inserted_primary_key_rows
                identity = tuple(made[place]) if place < len(made) else ()
            else:
                identity = tuple(given.get(label) for label in labels)
            sent, names = rows.setdefault((table.key, identity), ({}, set()))
            sent.update(seam.sent(execution, place))
            names.update(computed)

    def of(self, entity: Entity, state: InstanceState[Any], key: str) -> Any:
        """Return the value sent for an attribute; `UNKNOWN` if it was not seen."""
        now = tuple(state.dict.get(name) for name in entity.keys)
        before = () if state.key is None else state.key[1]
        for table, name in entity.parameters[key]:
            for identity in (before, now):
                sent, _computed = self._row(table, identity)
                if name in sent:
                    return sent[name]
        return UNKNOWN

    def computed(self, entity: Entity, state: InstanceState[Any]) -> Iterator[str]:
        """Return the attributes that an UPDATE set to a value only the database knows.

        They are expired by then, as are other attributes that were not changed.
        """
        identity = () if state.key is None else state.key[1]
        names = {name for table in entity.tables for name in self._row(table, identity)[1]}
        return (key for key in state.expired_attributes if entity.names.get(key) in names)


@attrs.define(eq=False)
class CapturedRow:
    """One object in the form in which the database stores it.

    Attributes:
        entity: its class.
        state: the object.
        _store: the storage types of its class.
        _zone: the time zone of the database session, if known.
        _written: the values sent for it.
    """

    entity: Entity
    state: InstanceState[Any]
    _store: StorageTypes
    _zone: dt.tzinfo | None = None
    _written: Written | None = None

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
        """Return the values of loaded columns by name; loads nothing."""
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
        """Return the primary key as text; None if it is unknown or excluded."""
        entity, loaded = self.entity, self.state.dict
        if any(loaded.get(key) is None or key in entity.excluded for key in entity.keys):
            return None
        parts = [self._side("new", key, loaded[key]).get("new", UNKNOWN) for key in entity.keys]
        return None if UNKNOWN in parts else key_text(parts)

    def previous_key(self) -> str | None:
        """Return the primary key before an UPDATE that changed it; None if it was not changed."""
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
        """Keep the written values that the application may change in place later."""
        for key, name in self.entity.columns.items():
            new = changes.get(name, {}).get("new")
            if isinstance(new, _MUTABLE):
                self.state.info.setdefault(_INFO, {})[key] = self.state.dict.get(key), new

    def created(self) -> Changes:
        """Return the columns of a new row."""
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
        """Return the loaded columns of a deleted row."""
        loaded, unsaved = self.state.dict, self.state.committed_state
        changes: Changes = {}
        for key, name in self.entity.columns.items():
            value = unsaved[key] if key in unsaved else loaded.get(key)
            if value is not None and not isinstance(value, seam.LoaderCallableStatus):
                changes[name] = self._side("old", key, value)
        return changes

    def updated(self) -> Changes:
        """Return the columns that an UPDATE changed; none if there was no UPDATE."""
        entity, state = self.entity, self.state
        changes: Changes = {}
        changed = []
        # Attributes set since the last flush; checking every attribute costs as much as the UPDATE.
        for key in state.committed_state:
            if key in entity.table_of:
                history = seam.history_of(state, key)
                if history.added:
                    changed.append(key)
                    changes[entity.names[key]] = self._change(key, history)
        if self._written is not None and state.expired_attributes:
            for key in self._written.computed(entity, state):
                changed.append(key)
                changes[entity.names[key]] = {}
        if changed and entity.touched:
            for key in _touched(entity, changed):
                if entity.names[key] not in changes:
                    known = key in state.dict and key in entity.columns
                    change = self._side("new", key, state.dict[key]) if known else {}
                    changes[entity.names[key]] = change
        return changes

    def changes(self, kind: str) -> Changes:
        """Return the columns written by a create, update or delete."""
        if kind == "update":
            return self.updated()
        return self.created() if kind == "create" else self.deleted()

    def _change(self, key: str, history: Any) -> dict[str, Any]:
        if key in self.entity.excluded:
            return {}
        change = self._side("old", key, history.deleted[0]) if history.deleted else {}
        return change | self._side("new", key, history.added[0])


def _touched(entity: Entity, changed: list[str]) -> Iterator[str]:
    """Yield the attributes that change with any other column of their table."""
    tables = {table for key in changed for table in entity.table_of[key]}
    tables.update(entity.versioned)
    for key, table in entity.touched:
        if table in tables:
            yield key


@attrs.define(eq=False)
class Flush:
    """A flush in progress, outside any call of the store.

    Attributes:
        context: SQLAlchemy's unit of work.
        connections: the connections on captured engines that it wrote to, with the state of the
            transaction that the driver reported after the last statement.
        persisted: whether the rows of a statement were committed at once.
        writes: its INSERT and UPDATE statements.
        failing: the SQL of the statement that failed.
        foreseen: the operations noted before their SQL ran, because no COMMIT will follow.
        statements: SQL by operation and table.
        meter: meter of its cost.
    """

    context: UOWTransaction
    connections: dict[Connection, TransactionState] = attrs.field(init=False, factory=dict)
    persisted: bool = attrs.field(init=False, default=False)
    writes: list[DefaultExecutionContext] = attrs.field(init=False, factory=list)
    failing: str | None = attrs.field(init=False, default=None)
    foreseen: dict[InstanceState[Any], Operation] = attrs.field(init=False, factory=dict)
    statements: dict[tuple[str, Any], str] = attrs.field(init=False, factory=dict)
    meter: Meter = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.meter = Meter(self, timed=True)

    def wrote(
        self, execution: DefaultExecutionContext, state: TransactionState, *, done: bool
    ) -> None:
        """Note a statement of the flush.

        Args:
            execution: execution of the statement.
            state: state of the transaction, as the driver reports it now.
            done: whether it succeeded.
        """
        self.connections[execution.root_connection] = state
        self.persisted = self.persisted or (done and state is TransactionState.NONE)
        if not done:
            self.failing = execution.statement
        if execution.compiled is not None and execution.statement:
            kind = "create" if execution.isinsert else "update" if execution.isupdate else "delete"
            table = getattr(execution.compiled.statement, "table", None)
            self.statements[kind, table] = execution.statement
        writes = self.writes
        if (
            (execution.isupdate or execution.isinsert)
            and execution.compiled is not None
            and seam.is_of_a_flush(execution)
            and not (writes and writes[-1] is execution)
        ):
            writes.append(execution)

    def foresee(self, connection: Connection) -> None:
        """Note the rows about to be written where no COMMIT will follow.

        Args:
            connection: the connection; an object written on another one is noted, too, if its class
                is captured on both.
        """
        entities, found = captured.on(connection.dialect), {}
        for state, kind in states_of(self.context):
            entity = None if state in self.foreseen else entities[state.mapper]
            if entity is None or kind not in entity.options.operations:
                continue
            row = CapturedRow(entity, state, entities.store(entity))
            changes = row.changes(kind)
            if changes or kind != "update":
                schema = _schema(connection, entity)
                found[state] = _operation(kind, row, changes, schema)
        self.foreseen |= found
        journal.note(found.values())

    def forget(self) -> None:
        """Withdraw the noted operations that did not become records."""
        for operation in self.foreseen.values():
            operation.written()
        self.foreseen.clear()


def states_of(context: UOWTransaction) -> Iterator[tuple[InstanceState[Any], str]]:
    """Yield the states that a flush writes, each with create, update or delete."""
    states = seam.flushes(context)
    replaced = None
    for state, (is_delete, listed_only) in states.items():
        if listed_only:
            continue
        if is_delete:
            yield state, "delete"
        elif state.key is not None:
            yield state, "update"
        else:
            # A new object in place of a deleted one with its key is an UPDATE of that row.
            if replaced is None:
                replaced = {gone.key for gone, flags in states.items() if flags == (True, True)}
            key = replaced and seam.identity_of(state)
            yield state, "update" if key in replaced else "create"
    for state in seam.post_updated(context):
        if states.get(state) == (False, True):
            yield state, "update"


def watched(execute: Callable[[UOWTransaction], None]) -> Callable[[UOWTransaction], None]:
    """Return `UOWTransaction.execute` wrapped to make an operation for each object written."""

    @functools.wraps(execute)
    def run(self: UOWTransaction) -> None:
        call = current_operation()
        if isinstance(call, Call) and not call.closed:
            execute(self)
            _tell(call, self)
            return
        flush = Flush(self)
        failure: BaseException | None = None
        try:
            with flush.meter:
                execute(self)
        except BaseException as error:
            failure = error
            raise
        finally:
            flush.meter.close()
            if flush.connections or flush.foreseen or failure is not None:
                _end(flush, failure)
            failure = None  # its frames hold this one

    return run


@safely
def _end(flush: Flush, failure: BaseException | None) -> None:
    try:
        if failure is not None and is_enabled():
            _note_failure(flush, failure)
        elif flush.connections and is_enabled():
            _note(flush)
    finally:
        flush.forget()


def _flushed(flush: Flush) -> Iterator[tuple[Connection, str, CapturedRow]]:
    """Yield the captured objects of a flush: connection, operation and row of each."""
    context = flush.context
    only = next(iter(flush.connections)) if len(flush.connections) == 1 else None
    zones = {execution.root_connection: zone_of(execution) for execution in flush.writes}
    written = Written(flush.writes)
    for state, kind in states_of(context):
        connection: Any = only
        if not flush.connections:  # it failed before its first statement, perhaps when connecting
            connection = context.session.get_bind(state.mapper)
        elif only is None:
            connection = seam.used_connection(context, state)
        entities = captured.on(connection.dialect)
        entity = entities[state.mapper]
        if entity is None or kind not in entity.options.operations:
            continue
        store = entities.store(entity)
        yield connection, kind, CapturedRow(entity, state, store, zones.get(connection), written)


def _note(flush: Flush) -> None:
    noted = []
    for connection, kind, row in _flushed(flush):
        changes = row.changes(kind)
        if kind == "update" and not changes:
            continue  # a dirty object without a changed column: no SQL ran
        if row.entity.mutable:
            row.remember(changes)
        make = partial(_operation, kind, row, changes, schema=_schema(connection, row.entity))
        known = flush.connections.get(connection, TransactionState.UNKNOWN)
        operation = record(connection, known, kind, row.entity, make)
        if operation is not None:
            operation.replace(flush.foreseen.pop(row.state, None))
            operation.records_affected = 1
            _show(flush, operation, kind, row.entity)
            noted.append(operation)
    if len(noted) == 1:  # with several objects, the share of each is unknown
        noted[0].watch = noted[0].meter = flush.meter
    for operation in noted:
        operation.close()


def _show(flush: Flush, operation: Operation, kind: str, entity: Entity) -> None:
    """Add the SQL that wrote an object to its operation if the flush was slow."""
    least = entity.options.statement_ms
    if least is not None and flush.meter.wall_ms >= least:
        texts = (flush.statements.get((kind, table)) for table in entity.tables)
        text = next(filter(None, texts), None)
        if text is not None:
            operation.ran(text)


def _schema(connection: Connection, entity: Entity) -> str | None:
    schema = entity.schema
    translate = connection.get_execution_options().get("schema_translate_map") or {}
    found = translate.get(schema, schema)
    return None if found is None else str(found)


def _operation(kind: str, row: CapturedRow, changes: Changes, schema: str | None) -> Operation:
    entity = row.entity
    operation = Operation(kind, entity.events[kind], entity.name, emit)
    operation.schema = schema
    operation.database = entity.options.database
    operation.changed(kind, changes)
    operation.identify(row.values(), whole=entity.is_lead)
    operation.lead_id = row.key()
    if kind == "update":
        operation.previous_lead_id = row.previous_key()
    operation.fields_processed = list(changes)
    return operation


def _note_failure(flush: Flush, error: BaseException) -> None:
    """Record the rows that were not written; with AUTOCOMMIT some of them may have been."""
    failed, concealed = [], False
    for connection, kind, row in _flushed(flush):
        concealed = concealed or row.entity.conceals
        changes = row.changes(kind)
        if changes or kind != "update":
            operation = _operation(kind, row, changes, _schema(connection, row.entity))
            operation.replace(flush.foreseen.pop(row.state, None))
            failed.append(operation)
    automatic = TransactionState.NONE in flush.connections.values()
    unsure = flush.persisted or (automatic and len(failed) > 1)
    facts = error_facts(error, concealed=concealed)
    for operation in failed:
        operation.error = facts
        if flush.failing is not None:
            operation.ran(flush.failing)
        if len(failed) == 1:  # with several objects, the bad one is unknown
            operation.duplicate_detected = facts.duplicate
        operation.settle(journal.UNKNOWN if unsure else journal.FAILED)
        operation.close()


@safely
def _tell(call: Call, context: UOWTransaction) -> None:
    """Add the rows that its flush wrote to a call of the store."""
    if call.bulk:
        return
    entities = captured.on(call.dialect)
    for state, kind in states_of(context):
        entity = entities[state.mapper]
        row = None if entity is None else CapturedRow(entity, state, entities.store(entity))
        changes = None if row is None else row.changes(kind)
        if row is not None and changes:
            call.changed(kind, changes)
            if call.bulk:
                return
            call.identify(row.values(), whole=row.entity.is_lead)
