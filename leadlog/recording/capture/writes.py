"""Description of a statement's write, and attribution of its outcome.

The outcome is known at once, or reported by the connection's journal. A write that commits at once
is noted before it is executed, so that a kill between the write and its record leaves a trace.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.engine.default import DefaultExecutionContext

from leadlog.core.clock import now_us
from leadlog.core.records.keys import key_text
from leadlog.recording.capture import journal, seam
from leadlog.recording.capture.emit import emit
from leadlog.recording.capture.entities import Entity, captured
from leadlog.recording.capture.journal import TransactionState
from leadlog.recording.capture.meter import Spent
from leadlog.recording.capture.operation import IDS_LISTED, CountedChanges, Operation
from leadlog.recording.capture.statements import StatementTarget, targets_of
from leadlog.recording.capture.values import UNKNOWN, Changes, StorageTypes, zone_of
from leadlog.recording.pipeline import report_failure


def safely(hook: Callable[..., None]) -> Callable[..., None]:
    """Return a listener that reports exceptions instead of raising them.

    A hook must not raise: that would fail the user's statement, or reach the application although
    its data is committed.
    """

    @functools.wraps(hook)
    def listener(*args: Any, **kwargs: Any) -> None:
        try:
            hook(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - see above
            report_failure(error)

    return listener


def info_of(connection: Any) -> journal.Info:
    """Return a pooled connection's `info`; a temporary mapping if it is not available."""
    try:
        info: journal.Info = connection.info
    except Exception:  # noqa: BLE001 - it may be closed, invalidated, or not from a pool
        return {}
    return info


def record(
    connection: Connection,
    state: TransactionState,
    kind: str,
    entity: Entity,
    make: Callable[[], Operation],
) -> Operation | None:
    """Create the operation of an executed write, and register it for its outcome.

    Args:
        connection: the connection that wrote.
        state: state of its transaction, as reported by the driver right after the write.
        kind: create, update, delete or upsert.
        entity: the written class.
        make: creates the operation; not called if the transaction has too many already.

    Returns:
        The operation, not yet closed; None if it is only counted.
    """
    if state is TransactionState.NONE:
        operation = make()
        operation.settle(journal.COMMITTED)
        return operation
    transaction = journal.transaction_of(info_of(connection), connection.dialect)
    if transaction.count < entity.options.transaction_records:
        operation = make()
        operation.wrote(transaction, connection)
        return operation
    key = (entity.name, kind)
    rest = transaction.rest(key)
    if rest is None:
        rest = CountedChanges(kind, entity.events[kind], entity.name, emit, bulk=True)
        rest.stand_in(transaction, key)
    rest.absorb(1)
    return None


def settle(operation: Operation, connection: Connection, state: TransactionState) -> None:
    """Register a write for its outcome, or note the outcome if it is known.

    Args:
        operation: the operation that wrote.
        connection: the connection that wrote.
        state: state of its transaction, as reported by the driver right after the write.
    """
    if state is TransactionState.NONE:
        operation.settle(journal.COMMITTED)
    else:
        operation.wrote(journal.transaction_of(info_of(connection), connection.dialect), connection)


_FORESEEN = "_leadlog_foreseen"


def parameters(context: DefaultExecutionContext) -> Sequence[Any]:
    """Return the values given to a statement, one mapping per execution."""
    return context.compiled_parameters if context.compiled is not None else ()


def given_count(context: DefaultExecutionContext, target: StatementTarget) -> int:
    """Return the number of rows of values that a statement was given."""
    return target.value_rows or len(parameters(context))


def _given(context: DefaultExecutionContext, target: StatementTarget, place: int) -> Any:
    """Return one row of the values given to a statement."""
    if target.value_rows:
        return seam.of_value_row(parameters(context)[0], target.columns, place)
    return parameters(context)[place]


def is_wanted(target: StatementTarget) -> bool:
    """Return whether the operation of a statement is one that is captured."""
    kind = "create" if target.kind == "upsert" else target.kind
    return kind in target.main.options.operations


def new(target: StatementTarget, spent: Spent | None = None) -> Operation:
    """Return a new operation of a statement.

    Args:
        target: the statement's target.
        spent: its cost; None if it has not run yet.
    """
    entity = target.main
    wall_us = 0 if spent is None else spent.wall_ns // 1000
    operation = Operation(
        target.kind, entity.events[target.kind], entity.name, emit, started_us=now_us() - wall_us
    )
    operation.schema = target.schema
    operation.database = target.main.options.database
    operation.watch = operation.meter = spent
    return operation


def write(
    context: DefaultExecutionContext, number: int, target: StatementTarget, spent: Spent
) -> Operation:
    """Return the operation of a statement that has run.

    Args:
        context: the statement's execution.
        number: position of the target among the statement's targets.
        target: the statement's target.
        spent: its cost.
    """
    return _continued(context, (number, None), new(target, spent))


def link(
    context: DefaultExecutionContext, number: int, target: StatementTarget, place: int
) -> Operation:
    """Return the operation of one row of an association table that a flush writes.

    Args:
        context: the execution of the statement.
        number: position of the target among the statement's targets.
        target: the association table.
        place: position of the row's parameters.
    """
    return _continued(context, (number, place), _link(context, target, place))


def _link(context: DefaultExecutionContext, target: StatementTarget, place: int) -> Operation:
    entity, store = target.main, captured.on(context.dialect).store(target.main)
    operation = new(target)
    _identify(operation, store, target, parameters(context)[place], zone_of(context))
    found = changes(context, target, place)
    if target.kind == "delete":
        given = parameters(context)[place]
        names = zip(entity.keys, target.keys, strict=False)
        stored = {key: store.value(key, given[name], zone_of(context)) for key, name in names}
        found = {
            entity.columns[key]: {"old": value}
            for key, value in stored.items()
            if key in entity.columns and value is not UNKNOWN
        }
    operation.changed("create" if target.kind == "upsert" else target.kind, found)
    operation.fields_processed = list(found)
    return operation


def foresee(context: DefaultExecutionContext, *, flushing: bool) -> None:
    """Note the rows a statement is about to write where no COMMIT will follow.

    Args:
        context: the statement's execution, which may send several batches.
        flushing: whether a flush is in progress.
    """
    if _FORESEEN in vars(context):
        return
    found: dict[tuple[int, int | None], Operation] = {}
    for number, target in enumerate(targets_of(context)):
        if target.kind == "read" or target.completes or not is_wanted(target):
            continue
        if flushing and target.main.mapper is None and target.table is not None:
            for place in range(len(parameters(context))):
                found[number, place] = _link(context, target, place)
        else:
            operation = found[number, None] = new(target)
            _expect(operation, context, target)
    vars(context)[_FORESEEN] = found
    journal.note(found.values())


def _expect(
    operation: Operation, context: DefaultExecutionContext, target: StatementTarget
) -> None:
    """Add the facts of a write that are known before it is executed."""
    _tell_changes(operation, context, target)
    if not operation.bulk and target.table is not None:
        store = captured.on(context.dialect).store(target.main)
        _identify(operation, store, target, _given(context, target, 0), zone_of(context))
        operation.change = target.kind


def _tell_changes(
    operation: Operation, context: DefaultExecutionContext, target: StatementTarget
) -> None:
    """Set whether at most one row is written, and its changes."""
    one = given_count(context, target) == 1 and not target.conflicts
    operation.bulk = not (one and (target.keys or (target.kind == "create" and not target.many)))
    selected = target.many and target.kind in ("create", "upsert")  # their values are never seen
    if target.table is not None and one and target.kind != "delete" and not selected:
        operation.fields_changed = changes(context, target, 0)
        operation.fields_processed = list(operation.fields_changed)


def _continued(
    context: DefaultExecutionContext, key: tuple[int, int | None], operation: Operation
) -> Operation:
    """Return the operation with the identity of the one noted before the statement, if any."""
    noted = vars(context).get(_FORESEEN)
    if noted:
        operation.replace(noted.pop(key, None))
    return operation


def forget(context: DefaultExecutionContext) -> None:
    """Withdraw the notes made before a statement that did not become operations."""
    for operation in vars(context).pop(_FORESEEN, {}).values():
        operation.written()


def rows(
    context: DefaultExecutionContext, target: StatementTarget, returned: int | None
) -> int | None:
    """Return the number of rows written; None if the database did not report it."""
    if target.kind == "create" and not target.many and not target.conflicts:
        return given_count(context, target)
    if returned is not None and target.counted:
        return returned
    if target.kind == "upsert" and context.dialect.name in ("mysql", "mariadb"):
        # The server counts a row twice if it was updated or replaced.
        return 1 if not target.many and given_count(context, target) == 1 else None
    if context.returned_default_rows is not None:
        return len(context.returned_default_rows)
    if context.dialect.name == "sqlite" and seam.returns_explicitly(context):
        return None  # its driver does not count the rows of RETURNING
    return counted(context) if target.counted else None


def counted(context: DefaultExecutionContext) -> int | None:
    """Return the driver's row count; None if it reports none."""
    known: int | None = getattr(context, "leadlog_rowcount", None)
    rows = context.rowcount if known is None else known
    return rows if rows >= 0 else None


def describe(
    operation: Operation,
    context: DefaultExecutionContext,
    target: StatementTarget,
    returned: Sequence[Any],
) -> None:
    """Add the rows and changes to an operation, as far as statement and database show them."""
    affected = operation.records_affected
    _tell_changes(operation, context, target)
    if target.table is None:
        return
    if returned and len(target.returned) == 1:
        returned = [(key,) for key in returned]
    store = captured.on(context.dialect).store(target.main)
    ids = _texts(store, target, returned) if returned else _ids(context, store, target, affected)
    if not operation.bulk and ids:
        _identify(operation, store, target, _given(context, target, 0), zone_of(context))
        if returned or target.kind == "create":
            operation.lead_id = ids[0]
        operation.change = target.kind if affected else None
        _name(operation, target, context, returned)
    elif ids and affected == len(ids):
        operation.identify_many(ids[:IDS_LISTED], affected)


def _name(
    operation: Operation,
    target: StatementTarget,
    context: DefaultExecutionContext,
    returned: Sequence[Any],
) -> None:
    """Identify the row by the values that the statement wrote."""
    entity = target.main
    told = operation.fields_changed or {}
    row = {name: change["new"] for name, change in told.items() if "new" in change}
    made = returned or context.inserted_primary_key_rows if target.kind == "create" else ()
    if made and len(made[0]) == len(entity.keys):
        store = captured.on(context.dialect).store(entity)
        for key, value in zip(entity.keys, made[0], strict=True):
            name = entity.columns.get(key)
            if value is not None and name is not None and not told.get(name):
                stored = store.value(key, value)
                told[name] = {} if stored is UNKNOWN else {"new": stored}
    operation.identify(row, whole=target.kind == "create" and target.main.is_lead)


def changes(context: DefaultExecutionContext, target: StatementTarget, place: int) -> Changes:
    """Return the columns that one execution of a statement writes."""
    entity = target.main
    given = _given(context, target, place)
    sent = seam.sent(context, 0 if target.value_rows else place)
    if target.value_rows:
        sent = seam.of_value_row(sent, target.columns, place)
    store = captured.on(context.dialect).store(entity)
    zone = zone_of(context)
    found: Changes = {}
    for parameter, key in target.columns.items():
        name = entity.names[key]
        if parameter not in given:
            if name in target.unknown:
                found[name] = {}
        elif key in entity.excluded:
            found[name] = {}
        else:
            value = store.written(key, given[parameter], sent.get(parameter, UNKNOWN), zone)
            if value is UNKNOWN:
                found[name] = {}
            elif value is not None or target.kind != "create":
                found[name] = {"new": value}
    return found


def _ids(
    context: DefaultExecutionContext, store: StorageTypes, target: StatementTarget, rows: int | None
) -> Sequence[str]:
    """Return the rows' primary keys if the database or the statement's WHERE names them."""
    count, zone = given_count(context, target), zone_of(context)
    sets = [_given(context, target, place) for place in range(count)]
    if target.kind == "create":
        if target.many or (target.conflicts and rows != count):
            return ()
        made = context.inserted_primary_key_rows
        if not target.value_rows and made and len(made[0]) == len(target.main.keys):
            return _texts(store, target, made)
    elif not target.keys or (target.many and _sets_key(target, sets[0]) and len(sets) > 1):
        return ()
    texts = [_key(store, target, given, zone) for given in sets]
    return () if None in texts else [text for text in texts if text is not None]


def _key(store: StorageTypes, target: StatementTarget, given: Any, zone: Any) -> str | None:
    """Return the key of the row that a statement's parameters select."""
    names = target.keys
    if target.kind in ("create", "upsert"):
        by_attribute = {key: name for name, key in target.columns.items()}
        names = tuple(by_attribute.get(key, "") for key in target.main.keys)
    return key_of(store, target, [given.get(name) for name in names], zone)


def _identify(
    operation: Operation, store: StorageTypes, target: StatementTarget, given: Any, zone: Any
) -> None:
    """Set the key of the row that a statement's parameters select, and its previous key."""
    operation.lead_id = before = _key(store, target, given, zone)
    if target.kind != "update" or not _sets_key(target, given):
        return
    new = {key: given[name] for name, key in target.columns.items() if name in given}
    entity = target.main
    parts = [
        None
        if entity.names[key] in target.unknown and key not in new
        else new.get(key, given.get(name))
        for key, name in zip(entity.keys, target.keys, strict=True)
    ]
    operation.lead_id = key_of(store, target, parts, zone)
    if before != operation.lead_id:
        operation.previous_lead_id = before


def _sets_key(target: StatementTarget, given: Any) -> bool:
    """Return whether an UPDATE writes to the primary key."""
    entity = target.main
    return any(
        key in entity.keys and (name in given or entity.names[key] in target.unknown)
        for name, key in target.columns.items()
    )


def key_of(
    store: StorageTypes, target: StatementTarget, parts: Sequence[Any], zone: Any = None
) -> str | None:
    """Return a row's key as text; None if it is unknown or excluded."""
    entity = target.main
    if not parts or any(part is None for part in parts) or entity.excluded & set(entity.keys):
        return None
    stored = [store.value(key, part, zone) for key, part in zip(entity.keys, parts, strict=True)]
    return None if UNKNOWN in stored or None in stored else key_text(stored)


def _texts(store: StorageTypes, target: StatementTarget, keys: Iterable[Any]) -> Sequence[str]:
    texts = []
    for parts in keys:
        text = None if parts is None else key_of(store, target, tuple(parts))
        if text is None:
            return ()
        texts.append(text)
    return texts
