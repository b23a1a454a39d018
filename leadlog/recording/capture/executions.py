"""From a finished execution to its operation: one per statement that no other call owns."""

import random
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from sqlalchemy.engine import CursorResult
from sqlalchemy.engine.default import DefaultExecutionContext

from leadlog.core.clock import now_us
from leadlog.recording.capture.drivers import State
from leadlog.recording.capture.emit import emit
from leadlog.recording.capture.meter import current_meter
from leadlog.recording.capture.operation import IDS_LISTED, Operation
from leadlog.recording.capture.reads import Tally, count
from leadlog.recording.capture.rows import Changes, as_stored, key_text
from leadlog.recording.capture.statements import Target, is_internal, target_of
from leadlog.recording.capture.writing import record, settle


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
    target = target_of(context)
    if target is None or (flushing and _is_the_flushs(context, target)):
        return
    spent = spent_on(context, time.perf_counter_ns())
    spent.ready()
    if not _is_wanted(target):
        return
    if target.kind == "read":
        if target.main.options.internal or not _is_internal(context):
            _read(context, result, target, spent)
        return
    operation = record(
        context.root_connection, state(), target.kind, target.main, partial(_new, target, spent)
    )
    if operation is not None:
        keep = None if not target.returned else itemgetter(*target.returned)
        # Not the result: it holds its count, and nothing but the collector would part the two.
        tally = count(result, partial(_wrote, context, target, operation), keep)
        operation.unread = None if tally is None else weakref.ref(tally)


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
    target = target_of(context)
    if target is None or not _is_wanted(target):
        return
    if target.kind == "read" and _is_internal(context):
        return
    spent = spent_on(context, time.perf_counter_ns())
    spent.ready()
    operation = _new(target, spent)
    operation.fail(error)
    if target.kind != "read":
        _describe(operation, context, target, ())
        operation.duplicate_detected = operation.error is not None and operation.error.duplicate
        if len(_parameters(context)) > 1 and state is not State.FAILED:
            # The rows before the bad one lie in a transaction that goes on, or are committed.
            operation.doubtful = True
            settle(operation, context.root_connection, state)
    operation.close()


def _new(target: Target, spent: Spent) -> Operation:
    entity = target.entity
    name = target.main.events[target.kind] if entity else f"database.{target.kind}"
    started = now_us() - spent.wall_ns // 1000
    operation = Operation(
        target.kind, name, None if entity is None else entity.name, emit, started_us=started
    )
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
    sampled = rate >= 1 or random.random() < rate  # noqa: S311 - no secret
    if not sampled and slow_ms is None:
        return
    operation = _new(target, spent)
    # What `Session.get` names its parameters; semi-private, pinned by a test.
    parameters: Mapping[str, Any] = next(iter(_parameters(context)), {})
    if "pk_1" in parameters:
        keys = [parameters.get(f"pk_{place + 1}") for place in range(len(target.main.keys))]
        operation.lead_id = key_text(keys)

    def end(tally: Tally) -> None:
        spent.fetched(tally)
        slow = slow_ms is not None and spent.wall_ms >= slow_ms
        if not (sampled or slow or tally.error):
            return
        operation.sample_rate = rate if rate < 1 and not slow and not tally.error else None
        operation.records_affected = tally.rows
        if tally.error is not None:
            operation.fail(tally.error)
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
    operation.close()


def _rows(context: DefaultExecutionContext, target: Target, returned: int | None) -> int | None:
    """How many rows were written; None where the database did not tell."""
    if target.kind == "create" and not target.many and not target.conflicts:
        return len(_parameters(context))
    if returned is not None:
        return returned
    if context.returned_default_rows is not None:
        return len(context.returned_default_rows)
    if context.dialect.name == "sqlite" and context._is_explicit_returning:
        return None  # its driver counts no rows of RETURNING
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
        operation.fields_changed = changes = _changes(target, parameters[0])
        operation.fields_processed = list(changes)
    if returned and len(target.returned) == 1:
        returned = [(key,) for key in returned]
    ids = _texts(returned) if returned else _ids(context, target, rows)
    if not operation.bulk and ids:
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
    changes = operation.fields_changed or {}
    row = {name: change["new"] for name, change in changes.items() if "new" in change}
    if target.kind == "create":
        keys = returned[0] if returned else context.inserted_primary_key_rows[0]
        for column, value in zip(target.main.mapper.primary_key, keys, strict=True):
            hidden = column.name in target.main.options.exclude
            if value is not None and not hidden and not changes.get(column.name):
                changes[column.name] = {"new": value}
    operation.identify(row, whole=target.kind == "create" and target.main.is_lead)


def _changes(target: Target, parameters: Any) -> Changes:
    entity = target.main
    hidden = {entity.names[key] for key in entity.excluded}
    changes: Changes = {}
    for key, name in target.columns.items():
        if key in parameters:
            value = parameters[key]
            if name in hidden:
                changes[name] = {}
            elif value is not None or target.kind != "create":
                changes[name] = {"new": value}
        elif name in target.unknown:
            changes[name] = {}
    return as_stored(entity, changes)


def _ids(context: DefaultExecutionContext, target: Target, rows: int | None) -> Sequence[str]:
    """The primary keys of the rows, where the database or the statement's WHERE tells them."""
    if target.kind == "create":
        if target.many or (target.conflicts and rows != len(_parameters(context))):
            return ()
        return _texts(context.inserted_primary_key_rows)
    if target.keys:
        return _texts([[one.get(key) for key in target.keys] for one in _parameters(context)])
    return ()


def _texts(keys: Iterable[Any]) -> Sequence[str]:
    texts = []
    for parts in keys:
        if parts is None or any(part is None for part in parts):
            return ()
        texts.append(key_text(parts))
    return texts
