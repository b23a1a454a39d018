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

from leadlog.recording.capture import journal
from leadlog.recording.capture.drivers import State
from leadlog.recording.capture.emit import emit
from leadlog.recording.capture.entities import Entity, captured
from leadlog.recording.capture.failures import error_facts
from leadlog.recording.capture.meter import Meter
from leadlog.recording.capture.operation import Call, Operation, current_operation
from leadlog.recording.capture.rows import Changes, created, deleted, key_of, row_of, updated
from leadlog.recording.capture.writing import record, safely
from leadlog.recording.pipeline import is_enabled

Flushed = tuple[InstanceState[Any], str, Entity]
"""An object, what was done to it, and its class."""


class Flush:
    """A flush under way, outside any call of the store.

    Args:
        context: SQLAlchemy's unit of work.

    Attributes:
        connections: those that it wrote to, on captured engines, with what the driver said of
            the transaction after the last statement.
        persisted: whether a statement's rows were committed at once.
        updates: its UPDATE statements.
        meter: what it costs.
    """

    __slots__ = ("connections", "context", "meter", "persisted", "updates")

    def __init__(self, context: UOWTransaction) -> None:
        self.context = context
        self.connections: dict[Connection, State] = {}
        self.persisted = False
        self.updates: list[DefaultExecutionContext] = []
        self.meter = Meter(self, timed=True)

    def wrote(self, execution: DefaultExecutionContext, state: State, *, done: bool) -> None:
        """Notes a statement.

        Args:
            execution: of the statement.
            state: what the driver says of the transaction now.
            done: whether it succeeded.
        """
        self.connections[execution.root_connection] = state
        self.persisted = self.persisted or (done and state is State.NONE)
        if execution.isupdate and execution.compiled is not None:
            self.updates.append(execution)


def states_of(context: UOWTransaction) -> Iterator[tuple[InstanceState[Any], str]]:
    """What a flush writes: states, and create, update or delete."""
    states: dict[InstanceState[Any], tuple[bool, bool]] = context.states
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
            key = replaced and state.mapper._identity_key_from_state(state)
            yield state, "update" if key in replaced else "create"
    for later, _ in context.post_update_states.values():
        for state in later:
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
            if flush.connections:
                _end(flush, failure)
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


def listen() -> None:
    """Follows every Session's flushes."""
    global _original  # noqa: PLW0603 - the class of SQLAlchemy is one, and so is what it had
    if _original is None:
        _original = UOWTransaction.execute
        UOWTransaction.execute = _watched(_original)  # type: ignore[assignment, method-assign]


def release() -> None:
    """Follows them no more."""
    global _original  # noqa: PLW0603 - see `listen`
    if _original is not None:
        UOWTransaction.execute = _original  # type: ignore[assignment, method-assign]
        _original = None


def _flushed(flush: Flush) -> Iterator[tuple[Connection, Flushed]]:
    """The captured objects of a flush, with the connection of each."""
    context = flush.context
    only = next(iter(flush.connections)) if len(flush.connections) == 1 else None
    for state, kind in states_of(context):
        connection = only or _connection_of(context, state)
        entity = captured.on(connection.dialect)[state.mapper]
        if entity is not None and kind in entity.options.operations:
            yield connection, (state, kind, entity)


def _connection_of(context: UOWTransaction, state: InstanceState[Any]) -> Connection:
    choose = context.session.connection_callable
    if choose is not None:  # several databases for one class
        return choose(state.mapper, state.obj())
    return context.transaction.connection(state.mapper)


def _changes(
    kind: str,
    entity: Entity,
    state: InstanceState[Any],
    updates: Iterable[DefaultExecutionContext] = (),
) -> Changes:
    if kind == "update":
        return updated(entity, state, updates)
    return created(entity, state) if kind == "create" else deleted(entity, state)


def _note(flush: Flush) -> None:
    noted = []
    for connection, (state, kind, entity) in _flushed(flush):
        changes = _changes(kind, entity, state, flush.updates)
        if kind == "update" and not changes:
            continue  # a dirty object without a changed column: no SQL ran
        make = partial(_operation, state, kind, entity, changes)
        known = flush.connections.get(connection, State.UNKNOWN)
        operation = record(connection, known, kind, entity, make)
        if operation is not None:
            operation.records_affected = 1
            noted.append(operation)
    if len(noted) == 1:  # else nobody knows an object's share
        noted[0].watch = noted[0].meter = flush.meter
    for operation in noted:
        operation.close()


def _operation(state: InstanceState[Any], kind: str, entity: Entity, changes: Changes) -> Operation:
    operation = Operation(kind, entity.events[kind], entity.name, emit)
    operation.changed(kind, changes)
    operation.identify(row_of(entity, state), whole=entity.is_lead)
    operation.lead_id = key_of(entity, state)
    operation.fields_processed = list(changes)
    return operation


def _note_failure(flush: Flush, error: BaseException) -> None:
    """Records what was not written; with AUTOCOMMIT some of it may have been."""
    failed = []
    for _, (state, kind, entity) in _flushed(flush):
        changes = _changes(kind, entity, state)
        if changes or kind != "update":
            failed.append(_operation(state, kind, entity, changes))
    automatic = State.NONE in flush.connections.values()
    unsure = flush.persisted or (automatic and len(failed) > 1)
    facts = error_facts(error)
    for operation in failed:
        operation.error = facts
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
        changes = None if entity is None else _changes(kind, entity, state)
        if entity is not None and changes:
            call.changed(kind, changes)
            if call.bulk:
                return
            call.identify(row_of(entity, state), whole=entity.is_lead)
