"""From a finished execution to its operation: one per statement that no other call owns."""

import random
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from sqlalchemy.engine import Connection, CursorResult
from sqlalchemy.engine.default import DefaultExecutionContext

from leadlog.core.clock import now_us
from leadlog.core.records.keys import key_text
from leadlog.recording.capture import journal, seam
from leadlog.recording.capture.drivers import State, zone_of
from leadlog.recording.capture.emit import emit
from leadlog.recording.capture.entities import captured
from leadlog.recording.capture.meter import current_meter
from leadlog.recording.capture.operation import IDS_LISTED, Operation
from leadlog.recording.capture.reads import Tally, count
from leadlog.recording.capture.rows import Changes
from leadlog.recording.capture.statements import Target, is_internal, targets_of, targets_of_text
from leadlog.recording.capture.values import UNKNOWN, Store
from leadlog.recording.capture.writing import info_of, record, settle

_LAZY_LOADS = "leadlog_lazy_loads"
_MANY_LOADS = 10


class Spent:
    """What one statement cost.

    Attributes:
        wall_ns: from its start to its result, and every fetch, nanoseconds.
        database_ns: thereof inside the driver.
        queries: executions; several where SQLAlchemy sends rows in batches.
        cpu_ms: not measured.
    """

    __slots__ = ("database_ns", "queries", "started_ns", "wall_ns")

    cpu_ms: float | None = None

    def __init__(self, started_ns: int) -> None:
        self.started_ns = started_ns
        self.wall_ns = 0
        self.database_ns = 0
        self.queries = 0

    def executed(self, elapsed_ns: int) -> None:
        """Counts an execution in the driver."""
        self.queries += 1
        self.database_ns += elapsed_ns

    def add(self, other: "Spent") -> None:
        """Adds what another statement cost."""
        self.queries += other.queries
        self.wall_ns += other.wall_ns
        self.database_ns += other.database_ns

    def ready(self) -> None:
        """The result is there; rows may be still to fetch."""
        self.wall_ns = time.perf_counter_ns() - self.started_ns

    def fetched(self, tally: Tally) -> None:
        """Adds what it took to fetch rows."""
        self.wall_ns += tally.fetch_ns
        self.database_ns += tally.fetch_ns

    @property
    def wall_ms(self) -> float:
        """Wall time, milliseconds."""
        return self.wall_ns / 1e6


class Internal:
    """Owner of what SQLAlchemy reads on behalf of a call, such as `merge`."""


INTERNAL = Internal()


def spent_on(context: DefaultExecutionContext, started_ns: int) -> Spent:
    """What an execution has cost so far."""
    spent: Spent | None = vars(context).get("_leadlog_spent")
    if spent is None:
        spent = vars(context)["_leadlog_spent"] = Spent(started_ns)
    return spent


def finished(
    context: DefaultExecutionContext,
    result: CursorResult[Any],
    state: Callable[[], State],
    *,
    flushing: bool,
) -> None:
    """Makes the operation of a statement that has run.

    Args:
        context: its execution.
        result: its result, from which nothing was fetched yet.
        state: asks the driver for the state of the transaction.
        flushing: whether a flush is under way.
    """
    for place, target in enumerate(targets_of(context)):
        if flushing and _is_the_flushs(context, target):
            continue
        spent = spent_on(context, time.perf_counter_ns())
        spent.ready()
        if not _is_wanted(target):
            continue
        if target.kind == "read":
            if seam.is_lazy_load(context):
                _lazily_loaded(context, target, spent)
            if target.main.options.internal or not _is_internal(context):
                _read(context, result, target, spent)
        elif flushing and target.main.mapper is None and target.table is not None:
            _wrote_links(context, target, state())
        else:
            make = partial(_new, target, spent)
            connection = context.root_connection
            operation = record(connection, state(), target.kind, target.main, make)
            if operation is None:
                continue
            if place:  # the driver counts for one table only
                operation.bulk = True
                operation.close()
            else:
                keep = itemgetter(*target.returned) if target.returned else None
                # Not the result: it holds its count; only the collector would part the two.
                tally = count(result, partial(_wrote, context, target, operation), keep)
                operation.unread = None if tally is None else weakref.ref(tally)


def _wrote_links(context: DefaultExecutionContext, target: Target, state: State) -> None:
    """Makes an operation of each row of an association table that a flush wrote."""
    entity, parameters = target.main, _parameters(context)
    rows = context.rowcount
    known = target.kind == "create" or rows == len(parameters)
    for place in range(len(parameters)):
        make = partial(_link, context, target, place)
        operation = record(context.root_connection, state, target.kind, entity, make)
        if operation is not None:
            operation.records_affected = 1 if known else None
            operation.close()


def _link(context: DefaultExecutionContext, target: Target, place: int) -> Operation:
    entity, store = target.main, captured.on(context.dialect).store(target.main)
    operation = Operation(target.kind, entity.events[target.kind], entity.name, emit)
    operation.schema = target.schema
    _identify(operation, store, target, _parameters(context)[place], zone_of(context))
    changes = _changes(context, target, place)
    if target.kind == "delete":
        given = _parameters(context)[place]
        names = zip(entity.keys, target.keys, strict=False)
        stored = {key: store.value(key, given[name], zone_of(context)) for key, name in names}
        changes = {
            entity.columns[key]: {"old": value}
            for key, value in stored.items()
            if key in entity.columns and value is not UNKNOWN
        }
    operation.changed("create" if target.kind == "upsert" else target.kind, changes)
    operation.fields_processed = list(changes)
    return operation


def _lazily_loaded(context: DefaultExecutionContext, target: Target, spent: Spent) -> None:
    """Adds a read to those of its class in its transaction; together they are told as one."""
    loads: dict[str, tuple[Operation, Spent]]
    loads = info_of(context.root_connection).setdefault(_LAZY_LOADS, {})
    found = loads.get(target.main.name)
    if found is None:
        total = Spent(spent.started_ns)
        operation = _new(target, total)
        operation.load, operation.bulk = "lazy", True
        found = loads[target.main.name] = operation, total
    found[1].add(spent)


def tell_lazy_loads(info: journal.Info) -> None:
    """Records the lazy loads of a transaction that has ended, where they are many."""
    loads: dict[str, tuple[Operation, Spent]] = info.pop(_LAZY_LOADS, {})
    for operation, total in loads.values():
        if total.queries >= _MANY_LOADS:
            operation.close()


def _show(operation: Operation, target: Target, context: DefaultExecutionContext) -> None:
    """Says which SQL ran, where the call failed or took long."""
    least, watch = target.main.options.statement_ms, operation.watch
    slow = least is not None and watch is not None and watch.wall_ms >= least
    if context.statement and (slow or operation.error is not None):
        by_hand = context.compiled is None or target.table is None
        operation.ran(context.statement, secret=by_hand and target.main.conceals)


def _is_wanted(target: Target) -> bool:
    kind = "create" if target.kind == "upsert" else target.kind
    return kind in target.main.options.operations


def _parameters(context: DefaultExecutionContext) -> Sequence[Any]:
    """The values given to a statement, a mapping for each of its executions."""
    return context.compiled_parameters if context.compiled is not None else ()


def _is_the_flushs(context: DefaultExecutionContext, target: Target) -> bool:
    """Whether a statement is the unit of work's own, rather than one of a listener to it."""
    cache = context.execution_options.get("compiled_cache")
    return cache is not None and cache is target.main.cache


def failed(context: DefaultExecutionContext, error: BaseException, state: State) -> None:
    """Makes the operation of a statement that the database refused.

    Args:
        context: its execution.
        error: why.
        state: what the driver says of the transaction.
    """
    for target in targets_of(context):
        if not _is_wanted(target) or (target.kind == "read" and _is_internal(context)):
            continue
        spent = spent_on(context, time.perf_counter_ns())
        spent.ready()
        operation = _new(target, spent)
        operation.fail(error, concealed=target.main.conceals)
        _show(operation, target, context)
        if target.kind != "read":
            _describe(operation, context, target, ())
            operation.duplicate_detected = operation.error is not None and operation.error.duplicate
            if len(_parameters(context)) > 1 and state is not State.FAILED:
                # The rows before the bad one lie in a transaction that goes on, or are committed.
                operation.doubtful = True
                settle(operation, context.root_connection, state)
        operation.close()


def link_failed(context: DefaultExecutionContext, error: BaseException, state: State) -> None:
    """Makes an operation of each row of an association table that a flush could not write.

    The flush tells of its objects, which the Session rolls back with these rows.

    Args:
        context: the execution of the statement that the database refused.
        error: why.
        state: what the driver says of the transaction.
    """
    for target in targets_of(context):
        if target.main.mapper is not None or target.table is None or not _is_wanted(target):
            continue
        rows = len(_parameters(context))
        for place in range(rows):
            operation = _link(context, target, place)
            operation.fail(error, concealed=target.main.conceals)
            _show(operation, target, context)
            if rows == 1:  # else nobody knows which one it was
                operation.duplicate_detected = bool(operation.error and operation.error.duplicate)
            elif state is State.NONE:  # with AUTOCOMMIT those before the bad one are committed
                operation.settle(journal.UNKNOWN)
            operation.close()


def refused(connection: Connection, text: str, error: BaseException) -> None:
    """Makes the operation of a statement that SQLAlchemy refused before it asked the driver.

    Args:
        connection: where it was to run.
        text: its SQL.
        error: why.
    """
    translate = connection.get_execution_options().get("schema_translate_map")
    for target in targets_of_text(text, connection.dialect, translate):
        if _is_wanted(target):
            operation = _new(target, Spent(time.perf_counter_ns()))
            operation.fail(error, concealed=target.main.conceals)
            operation.ran(text, secret=target.main.conceals)
            operation.close()


def _new(target: Target, spent: Spent) -> Operation:
    entity = target.main
    operation = Operation(
        target.kind,
        entity.events[target.kind],
        entity.name,
        emit,
        started_us=now_us() - spent.wall_ns // 1000,
    )
    operation.schema = target.schema
    operation.watch = operation.meter = spent
    return operation


def _is_internal(context: DefaultExecutionContext) -> bool:
    meter = current_meter()
    return (meter is not None and meter.owner is not None) or is_internal(context)


def _read(
    context: DefaultExecutionContext, result: CursorResult[Any], target: Target, spent: Spent
) -> None:
    options = target.main.options
    rate, slow_ms = options.read_sample, options.slow_read_ms
    most = options.transaction_records
    sampled = rate >= 1 or random.random() < rate  # noqa: S311 - no secret
    if not sampled and slow_ms is None:
        return
    operation = _new(target, spent)
    operation.load = "lazy" if seam.is_lazy_load(context) else None
    returns = result.returns_rows  # COPY TO and SELECT INTO do not
    parameters: Mapping[str, Any] = next(iter(_parameters(context)), {})
    names = seam.key_parameters(len(target.main.keys))
    if names and names[0] in parameters:
        store = captured.on(context.dialect).store(target.main)
        operation.lead_id = _text(store, target, [parameters.get(name) for name in names])

    def end(tally: Tally) -> None:
        spent.fetched(tally)
        slow = slow_ms is not None and spent.wall_ms >= slow_ms
        if not (sampled or slow or tally.error):
            return
        operation.sample_rate = rate if rate < 1 and not slow and not tally.error else None
        transaction = journal.find(info_of(context.root_connection))
        if transaction is not None and transaction.count and transaction.followers < most:
            operation.follow(transaction)
        operation.records_affected = tally.rows if returns else _counted(context)
        if tally.error is not None:
            operation.fail(tally.error, concealed=target.main.conceals)
        _show(operation, target, context)
        operation.close()

    count(result, end)


def _wrote(
    context: DefaultExecutionContext,
    target: Target,
    operation: Operation,
    tally: Tally,
) -> None:
    spent = spent_on(context, 0)
    spent.fetched(tally)
    returned = tally.rows if tally.exhausted else None
    operation.records_affected = rows = _rows(context, target, returned)
    _describe(operation, context, target, tally.kept)
    if target.conflicts and target.kind == "create" and rows is not None:
        operation.duplicate_detected = rows < len(_parameters(context))
    _show(operation, target, context)
    operation.close()


def _rows(context: DefaultExecutionContext, target: Target, returned: int | None) -> int | None:
    """How many rows were written; None where the database did not tell."""
    if target.kind == "create" and not target.many and not target.conflicts:
        return len(_parameters(context))
    if returned is not None and target.counted:
        return returned
    if context.returned_default_rows is not None:
        return len(context.returned_default_rows)
    if context.dialect.name == "sqlite" and seam.returns_explicitly(context):
        return None  # its driver counts no rows of RETURNING
    return _counted(context) if target.counted else None


def _counted(context: DefaultExecutionContext) -> int | None:
    rows = context.rowcount
    return rows if rows >= 0 else None


def _describe(
    operation: Operation,
    context: DefaultExecutionContext,
    target: Target,
    returned: Sequence[Any],
) -> None:
    """Which rows, and what was written, as far as the statement and the database tell."""
    parameters = _parameters(context)
    rows = operation.records_affected
    one = len(parameters) == 1 and not target.conflicts
    operation.bulk = not (one and (target.keys or (target.kind == "create" and not target.many)))
    if target.table is None:
        return
    if one and target.kind != "delete":
        operation.fields_changed = changes = _changes(context, target, 0)
        operation.fields_processed = list(changes)
    if returned and len(target.returned) == 1:
        returned = [(key,) for key in returned]
    store = captured.on(context.dialect).store(target.main)
    ids = _texts(store, target, returned) if returned else _ids(context, store, target, rows)
    if not operation.bulk and ids:
        _identify(operation, store, target, parameters[0], zone_of(context))
        if returned or target.kind == "create":
            operation.lead_id = ids[0]
        operation.change = target.kind if rows else None
        _name(operation, target, context, returned)
    elif ids and rows == len(ids):
        operation.identify_many(ids[:IDS_LISTED], rows)


def _name(
    operation: Operation,
    target: Target,
    context: DefaultExecutionContext,
    returned: Sequence[Any],
) -> None:
    """Tells who a row is about, where the statement wrote that."""
    entity = target.main
    changes = operation.fields_changed or {}
    row = {name: change["new"] for name, change in changes.items() if "new" in change}
    made = returned or context.inserted_primary_key_rows if target.kind == "create" else ()
    if made and len(made[0]) == len(entity.keys):
        store = captured.on(context.dialect).store(entity)
        for key, value in zip(entity.keys, made[0], strict=True):
            name = entity.columns.get(key)
            if value is not None and name is not None and not changes.get(name):
                stored = store.value(key, value)
                changes[name] = {} if stored is UNKNOWN else {"new": stored}
    operation.identify(row, whole=target.kind == "create" and target.main.is_lead)


def _changes(context: DefaultExecutionContext, target: Target, place: int) -> Changes:
    entity = target.main
    given, sent = _parameters(context)[place], seam.sent(context, place)
    store = captured.on(context.dialect).store(entity)
    zone = zone_of(context)
    changes: Changes = {}
    for parameter, key in target.columns.items():
        name = entity.names[key]
        if parameter not in given:
            if name in target.unknown:
                changes[name] = {}
        elif key in entity.excluded:
            changes[name] = {}
        else:
            value = store.written(key, given[parameter], sent.get(parameter, UNKNOWN), zone)
            if value is UNKNOWN:
                changes[name] = {}
            elif value is not None or target.kind != "create":
                changes[name] = {"new": value}
    return changes


def _ids(
    context: DefaultExecutionContext, store: Store, target: Target, rows: int | None
) -> Sequence[str]:
    """The primary keys of the rows, where the database or the statement's WHERE tells them."""
    parameters, zone = _parameters(context), zone_of(context)
    if target.kind == "create":
        if target.many or (target.conflicts and rows != len(parameters)):
            return ()
        made = context.inserted_primary_key_rows
        if made and len(made[0]) == len(target.main.keys):
            return _texts(store, target, made)
    elif not target.keys or (
        target.many and _sets_key(target, parameters[0]) and len(parameters) > 1
    ):
        return ()
    texts = [_key(store, target, given, zone) for given in parameters]
    return () if None in texts else [text for text in texts if text is not None]


def _key(store: Store, target: Target, given: Any, zone: Any) -> str | None:
    """The key of the row that a statement's parameters name."""
    names = target.keys
    if target.kind in ("create", "upsert"):
        by_attribute = {key: name for name, key in target.columns.items()}
        names = tuple(by_attribute.get(key, "") for key in target.main.keys)
    return _text(store, target, [given.get(name) for name in names], zone)


def _identify(operation: Operation, store: Store, target: Target, given: Any, zone: Any) -> None:
    """Say which row a statement's parameters name, and which key it has from now on."""
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
    operation.lead_id = _text(store, target, parts, zone)
    if before != operation.lead_id:
        operation.previous_lead_id = before


def _sets_key(target: Target, given: Any) -> bool:
    """Whether an UPDATE writes to the primary key."""
    entity = target.main
    return any(
        key in entity.keys and (name in given or entity.names[key] in target.unknown)
        for name, key in target.columns.items()
    )


def _text(store: Store, target: Target, parts: Sequence[Any], zone: Any = None) -> str | None:
    entity = target.main
    if not parts or any(part is None for part in parts) or entity.excluded & set(entity.keys):
        return None
    stored = [store.value(key, part, zone) for key, part in zip(entity.keys, parts, strict=True)]
    return None if UNKNOWN in stored or None in stored else key_text(stored)


def _texts(store: Store, target: Target, keys: Iterable[Any]) -> Sequence[str]:
    texts = []
    for parts in keys:
        text = None if parts is None else _text(store, target, tuple(parts))
        if text is None:
            return ()
        texts.append(text)
    return texts
