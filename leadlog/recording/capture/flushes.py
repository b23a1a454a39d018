"""What Sessions flush: one operation per object, snapshotted when its SQL has run.

The unit of work's `execute` is wrapped: right after it, SQLAlchemy still knows which objects are
new, changed and deleted, and the old values, whether it succeeded or not; at commit they are
expired. Flushes without work and those that a listener refuses beforehand never get there, and
however it ends, nothing is left behind.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import InstanceState, UOWTransaction

from leadlog.recording.capture import journal, seam
from leadlog.recording.capture.drivers import TransactionState, zone_of
from leadlog.recording.capture.emit import emit
from leadlog.recording.capture.entities import Entity, captured
from leadlog.recording.capture.failures import error_facts
from leadlog.recording.capture.meter import Meter
from leadlog.recording.capture.operation import Call, Operation, current_operation
from leadlog.recording.capture.rows import CapturedRow, Changes, Written
from leadlog.recording.capture.writing import record, safely
from leadlog.recording.pipeline import is_enabled


class Flush:
    """A flush under way, outside any call of the store.

    Args:
        context: SQLAlchemy's unit of work.

    Attributes:
        connections: those that it wrote to, on captured engines, with what the driver said of
            the transaction after the last statement.
        persisted: whether a statement's rows were committed at once.
        writes: its INSERT and UPDATE statements.
        failing: the SQL of the statement that failed.
        statements: SQL by what it does to which table.
        foreseen: what was noted of objects before their SQL ran, where no COMMIT will follow.
        meter: what it costs.
    """

    __slots__ = (
        "connections",
        "context",
        "failing",
        "foreseen",
        "meter",
        "persisted",
        "statements",
        "writes",
    )

    def __init__(self, context: UOWTransaction) -> None:
        self.context = context
        self.connections: dict[Connection, TransactionState] = {}
        self.persisted = False
        self.writes: list[DefaultExecutionContext] = []
        self.failing: str | None = None
        self.foreseen: dict[InstanceState[Any], Operation] = {}
        self.statements: dict[tuple[str, Any], str] = {}
        self.meter = Meter(self, timed=True)

    def wrote(
        self, execution: DefaultExecutionContext, state: TransactionState, *, done: bool
    ) -> None:
        """Notes a statement.

        Args:
            execution: of the statement.
            state: what the driver says of the transaction now.
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
        """Note what it is about to write, where no COMMIT will follow.

        Args:
            connection: where; an object that is written on another one is noted, too, if its class
                is captured on both.
        """
        entities, found = captured.on(connection.dialect), {}
        for state, kind in states_of(self.context):
            entity = None if state in self.foreseen else entities[state.mapper]
            if entity is None or kind not in entity.options.operations:
                continue
            row = CapturedRow(entity, state, entities.store(entity))
            changes = _changes(kind, row)
            if changes or kind != "update":
                schema = _schema(connection, entity)
                found[state] = _operation(kind, row, changes, schema)
        self.foreseen |= found
        journal.note(found.values())

    def forget(self) -> None:
        """Strike out what was noted and became no record."""
        for operation in self.foreseen.values():
            operation.written()
        self.foreseen.clear()


def states_of(context: UOWTransaction) -> Iterator[tuple[InstanceState[Any], str]]:
    """What a flush writes: states, and create, update or delete."""
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


_original: Callable[[UOWTransaction], None] | None = None


def _watched(execute: Callable[[UOWTransaction], None]) -> Callable[[UOWTransaction], None]:
    """`UOWTransaction.execute`, with an operation for each object that it writes."""

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
            if flush.connections or failure is not None:
                _end(flush, failure)
            if flush.foreseen:
                _forget(flush)
            failure = None  # whose frames hold this one

    return run


@safely
def _end(flush: Flush, failure: BaseException | None) -> None:
    if not is_enabled():
        return
    if failure is None:
        _note(flush)
    else:
        _note_failure(flush, failure)


@safely
def _forget(flush: Flush) -> None:
    flush.forget()


def listen() -> None:
    """Follows every Session's flushes."""
    global _original  # noqa: PLW0603 - the class of SQLAlchemy is one, and so is what it had
    if _original is None:
        _original = seam.flush_method()
        seam.set_flush_method(_watched(_original))


def release() -> None:
    """Follows them no more."""
    global _original  # noqa: PLW0603 - see `listen`
    if _original is not None:
        seam.set_flush_method(_original)
        _original = None


def _flushed(flush: Flush) -> Iterator[tuple[Connection, str, CapturedRow]]:
    """The captured objects of a flush: the connection of each, what was done, and its row."""
    context = flush.context
    only = next(iter(flush.connections)) if len(flush.connections) == 1 else None
    zones = {execution.root_connection: zone_of(execution) for execution in flush.writes}
    written: Written | None = None
    for state, kind in states_of(context):
        connection: Any = only
        if not flush.connections:  # it failed before its first statement, perhaps to connect
            connection = context.session.get_bind(state.mapper)
        elif only is None:
            connection = seam.used_connection(context, state)
        entities = captured.on(connection.dialect)
        entity = entities[state.mapper]
        if entity is None or kind not in entity.options.operations:
            continue
        store = entities.store(entity)
        if store.sealed and written is None:
            written = Written(flush.writes)
        yield connection, kind, CapturedRow(entity, state, store, zones.get(connection), written)


def _changes(
    kind: str, row: CapturedRow, writes: Iterable[DefaultExecutionContext] = ()
) -> Changes:
    if kind == "update":
        return row.updated([execution for execution in writes if execution.isupdate])
    return row.created() if kind == "create" else row.deleted()


def _note(flush: Flush) -> None:
    noted = []
    for connection, kind, row in _flushed(flush):
        changes = _changes(kind, row, flush.writes)
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
    if len(noted) == 1:  # else nobody knows an object's share
        noted[0].watch = noted[0].meter = flush.meter
    for operation in noted:
        operation.close()


def _show(flush: Flush, operation: Operation, kind: str, entity: Entity) -> None:
    """Says which SQL wrote an object, where the flush took long."""
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
    """Records what was not written; with AUTOCOMMIT some of it may have been."""
    failed = []
    for connection, kind, row in _flushed(flush):
        changes = _changes(kind, row, flush.writes)
        if changes or kind != "update":
            operation = _operation(kind, row, changes, _schema(connection, row.entity))
            operation.replace(flush.foreseen.pop(row.state, None))
            failed.append(operation)
    automatic = TransactionState.NONE in flush.connections.values()
    unsure = flush.persisted or (automatic and len(failed) > 1)
    concealed = any(row.entity.conceals for _connection, _kind, row in _flushed(flush))
    facts = error_facts(error, concealed=concealed)
    for operation in failed:
        operation.error = facts
        if flush.failing is not None:
            operation.ran(flush.failing)
        if len(failed) == 1:  # else nobody knows which one it was
            operation.duplicate_detected = facts.duplicate
        operation.settle(journal.UNKNOWN if unsure else journal.FAILED)
        operation.close()


@safely
def _tell(call: Call, context: UOWTransaction) -> None:
    """Tells a call of the store what its flush wrote."""
    if call.bulk:
        return
    entities = captured.on(call.dialect)
    for state, kind in states_of(context):
        entity = entities[state.mapper]
        row = None if entity is None else CapturedRow(entity, state, entities.store(entity))
        changes = None if row is None else _changes(kind, row)
        if row is not None and changes:
            call.changed(kind, changes)
            if call.bulk:
                return
            call.identify(row.values(), whole=row.entity.is_lead)
