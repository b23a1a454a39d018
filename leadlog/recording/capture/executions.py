"""Operations of finished statements: one per statement that no enclosing call owns.

Rows are counted as they are fetched. SQLAlchemy fetches rows from the driver through the result's
cursor strategy, for ORM and Core, buffered and streamed, sync and async. The strategy is
semi-private: tests pin its behaviour.
"""

import random
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Any, NoReturn

from sqlalchemy.engine import Connection, CursorResult
from sqlalchemy.engine.default import DefaultExecutionContext

from leadlog.recording.capture import journal, seam, sql, writes
from leadlog.recording.capture.entities import captured
from leadlog.recording.capture.journal import TransactionState
from leadlog.recording.capture.meter import Spent, current_meter, spent_on
from leadlog.recording.capture.operation import IDS_LISTED, Operation
from leadlog.recording.capture.statements import (
    StatementTarget,
    is_internal,
    targets_of,
    targets_of_text,
)
from leadlog.recording.capture.writes import info_of, record, settle
from leadlog.recording.pipeline import report_failure


class FetchTally:
    """Counts of the rows fetched from one result.

    Args:
        end: function called once, when there are no more rows to fetch.
        keep: function that selects what to keep of the first rows, in the driver's form.

    Attributes:
        rows: rows fetched.
        fetch_ns: time spent fetching, nanoseconds.
        exhausted: whether all rows were fetched.
        error: exception raised by a fetch.
        kept: values kept, of at most 100 rows.
    """

    __slots__ = (
        "__weakref__",
        "_busy",
        "_closed",
        "_end",
        "_keep",
        "error",
        "exhausted",
        "fetch_ns",
        "kept",
        "rows",
    )

    def __init__(
        self, end: "Callable[[FetchTally], None]", keep: Callable[[Any], Any] | None = None
    ) -> None:
        self._keep = keep
        self.kept: list[Any] = []
        self.rows = 0
        self.fetch_ns = 0
        self.exhausted = False
        self.error: BaseException | None = None
        self._end: Callable[[FetchTally], None] | None = end
        self._busy = 0
        self._closed = False

    def fetched(self, fetch: Callable[[], Any], rows_of: Callable[[Any], Sequence[Any]]) -> Any:
        """Fetch and count rows, and measure the time; count them before the result is closed."""
        self._busy += 1
        started = time.perf_counter_ns()
        try:
            found = fetch()
            rows = rows_of(found)
            self.rows += len(rows)
            if self._keep is not None:
                self.kept += map(self._keep, islice(rows, max(0, IDS_LISTED - len(self.kept))))
            self.exhausted = self._closed
            return found
        finally:
            self.fetch_ns += time.perf_counter_ns() - started
            self._busy -= 1
            if self._closed:
                self.close()

    def close(self) -> None:
        """Close the count, once a fetch under way has been counted."""
        self._closed = True
        if not self._busy and self._end is not None:
            end, self._end = self._end, None
            try:
                end(self)
            except Exception as error:  # noqa: BLE001 - the application has its rows
                report_failure(error)
            self.error = None  # its frames hold this object


def _one(row: Any) -> Sequence[Any]:
    return () if row is None else (row,)


def _all(rows: Sequence[Any]) -> Sequence[Any]:
    return rows


class Counting(seam.CursorFetchStrategy):
    """Wrapper of a result's strategy that counts the rows fetched.

    Args:
        inner: the wrapped strategy.
        tally: the counter.
    """

    __slots__ = ("_inner", "_tally", "alternate_cursor_description")

    def __init__(self, inner: seam.ResultFetchStrategy, tally: FetchTally) -> None:
        self._inner = inner
        self._tally = tally
        self.alternate_cursor_description = inner.alternate_cursor_description

    def fetchone(self, result: Any, dbapi_cursor: Any, hard_close: bool = False) -> Any:
        """Return one row, or None."""
        return self._tally.fetched(
            lambda: self._inner.fetchone(result, dbapi_cursor, hard_close), _one
        )

    def fetchmany(self, result: Any, dbapi_cursor: Any, size: int | None = None) -> Any:
        """Return some rows."""
        return self._tally.fetched(lambda: self._inner.fetchmany(result, dbapi_cursor, size), _all)

    def fetchall(self, result: Any, dbapi_cursor: Any) -> Any:
        """Return the rest of the rows."""
        return self._tally.fetched(lambda: self._inner.fetchall(result, dbapi_cursor), _all)

    def soft_close(self, result: Any, dbapi_cursor: Any) -> None:
        """Note that all rows were fetched."""
        self._inner.soft_close(result, dbapi_cursor)
        self._tally.close()

    def hard_close(self, result: Any, dbapi_cursor: Any) -> None:
        """Note that the result is closed."""
        self._inner.hard_close(result, dbapi_cursor)
        self._tally.close()

    def yield_per(self, result: Any, dbapi_cursor: Any, num: int) -> None:
        """Switch to the streaming strategy, and keep counting."""
        self._inner.yield_per(result, dbapi_cursor, num)
        if result.cursor_strategy is not self:
            self._inner = result.cursor_strategy
            result.cursor_strategy = self

    def handle_exception(self, result: Any, dbapi_cursor: Any, err: BaseException) -> NoReturn:
        """Note that a fetch failed, and raise its error."""
        self._tally.error = err
        self._tally.close()
        self._inner.handle_exception(result, dbapi_cursor, err)
        raise err

    def __del__(self) -> None:
        """Close the count of a result that was dropped before all rows were fetched."""
        self._tally.close()


def count(
    result: CursorResult[Any],
    end: Callable[[FetchTally], None],
    keep: Callable[[Any], Any] | None = None,
) -> FetchTally | None:
    """Count the rows fetched from a result; the count of a result without rows ends at once.

    Args:
        result: a result that was not fetched from yet.
        end: function called once, with the count.
        keep: function that selects what to keep of the first rows.

    Returns:
        The counter, which lives as long as the result; None if there are no rows to fetch.
    """
    tally = FetchTally(end, keep)
    if seam.is_soft_closed(result):
        tally.close()
        return None
    result.cursor_strategy = Counting(result.cursor_strategy, tally)
    return tally


_LAZY_LOADS = "leadlog_lazy_loads"
_MANY_LOADS = 10


def finished(
    context: DefaultExecutionContext,
    result: CursorResult[Any],
    state: Callable[[], TransactionState],
    *,
    flushing: bool,
) -> None:
    """Create the operations of a statement that has run.

    Args:
        context: the statement's execution.
        result: its result, not fetched from yet.
        state: function that asks the driver for the state of the transaction.
        flushing: whether a flush is in progress.
    """
    for place, target in enumerate(targets_of(context)):
        if target.completes or (flushing and _is_the_flushs(context, target)):
            continue
        spent = spent_on(context, time.perf_counter_ns())
        spent.ready()
        if not writes.is_wanted(target):
            continue
        if target.kind == "read":
            if seam.is_lazy_load(context):
                _lazily_loaded(context, target, spent)
            if target.main.options.internal or not _is_internal(context):
                _read(context, result, target, spent)
        elif flushing and target.main.mapper is None and target.table is not None:
            _wrote_links(context, place, target, state())
        else:
            make = partial(writes.write, context, place, target, spent)
            connection = context.root_connection
            operation = record(connection, state(), target.kind, target.main, make)
            if operation is None:
                continue
            if place:  # the driver counts the rows of one table only
                operation.bulk = True
                operation.close()
            else:
                keep = itemgetter(*target.returned) if target.returned else None
                # Not the result: with its counter, it would be a cycle for the garbage collector.
                tally = count(result, partial(_wrote, context, target, operation), keep)
                operation.unread = None if tally is None else weakref.ref(tally)


def _wrote_links(
    context: DefaultExecutionContext, number: int, target: StatementTarget, state: TransactionState
) -> None:
    """Create an operation for each row of an association table that a flush wrote."""
    entity, parameters = target.main, writes.parameters(context)
    rows = context.rowcount
    known = target.kind == "create" or rows == len(parameters)
    for place in range(len(parameters)):
        make = partial(writes.link, context, number, target, place)
        operation = record(context.root_connection, state, target.kind, entity, make)
        if operation is not None:
            operation.records_affected = 1 if known else None
            operation.close()


def _lazily_loaded(context: DefaultExecutionContext, target: StatementTarget, spent: Spent) -> None:
    """Add a lazy load to the record shared by those of its class in its transaction."""
    loads: dict[str, tuple[Operation, Spent]]
    loads = info_of(context.root_connection).setdefault(_LAZY_LOADS, {})
    found = loads.get(target.main.name)
    if found is None:
        total = Spent(spent.started_ns)
        operation = writes.new(target, total)
        operation.load, operation.bulk = "lazy", True
        found = loads[target.main.name] = operation, total
    found[1].add(spent)


def tell_lazy_loads(info: journal.Info) -> None:
    """Record the lazy loads of a transaction that has ended, if a class has ten or more."""
    loads: dict[str, tuple[Operation, Spent]] = info.pop(_LAZY_LOADS, {})
    for operation, total in loads.values():
        if total.queries >= _MANY_LOADS:
            operation.close()


def _show(operation: Operation, target: StatementTarget, context: DefaultExecutionContext) -> None:
    """Add the SQL to the operation of a call that failed or was slow."""
    least, watch = target.main.options.statement_ms, operation.watch
    slow = least is not None and watch is not None and watch.wall_ms >= least
    if context.statement and (slow or operation.error is not None):
        by_hand = context.compiled is None or target.table is None
        operation.ran(sql.as_text(context.statement), secret=by_hand and target.main.conceals)


def _is_the_flushs(context: DefaultExecutionContext, target: StatementTarget) -> bool:
    """Return whether the unit of work itself sent a statement, rather than an event listener."""
    cache = context.execution_options.get("compiled_cache")
    return cache is not None and cache is target.main.cache


def failed(context: DefaultExecutionContext, error: BaseException, state: TransactionState) -> None:
    """Create the operations of a statement that the database refused.

    Args:
        context: the statement's execution.
        error: the exception.
        state: state of the transaction, as reported by the driver.
    """
    for place, target in enumerate(targets_of(context)):
        if not writes.is_wanted(target) or (target.kind == "read" and _is_internal(context)):
            continue
        spent = spent_on(context, time.perf_counter_ns())
        spent.ready()
        operation = writes.write(context, place, target, spent)
        operation.fail(error, concealed=target.main.conceals)
        _show(operation, target, context)
        if target.kind != "read":
            if spent.done:  # a listener raised afterwards
                operation.records_affected = None if place else writes.rows(context, target, None)
            writes.describe(operation, context, target, ())
            operation.duplicate_detected = operation.error is not None and operation.error.duplicate
            if spent.done:
                settle(operation, context.root_connection, state)
            elif len(writes.parameters(context)) > 1 and state is not TransactionState.FAILED:
                # The rows before the bad one are in a transaction that continues, or are committed.
                operation.doubtful = True
                settle(operation, context.root_connection, state)
        operation.close()


def link_failed(
    context: DefaultExecutionContext, error: BaseException, state: TransactionState
) -> None:
    """Create an operation for each row of an association table that a flush could not write.

    The flush records its objects, which the Session rolls back together with these rows.

    Args:
        context: the execution of the statement that the database refused.
        error: the exception.
        state: state of the transaction, as reported by the driver.
    """
    for number, target in enumerate(targets_of(context)):
        if target.main.mapper is not None or target.table is None or not writes.is_wanted(target):
            continue
        rows = len(writes.parameters(context))
        for place in range(rows):
            operation = writes.link(context, number, target, place)
            operation.fail(error, concealed=target.main.conceals)
            _show(operation, target, context)
            if rows == 1:  # with several rows, the bad one is unknown
                operation.duplicate_detected = bool(operation.error and operation.error.duplicate)
            elif (
                state is TransactionState.NONE
            ):  # with AUTOCOMMIT the rows before the bad one are committed
                operation.settle(journal.UNKNOWN)
            operation.close()


def refused(connection: Connection, text: str, error: BaseException) -> None:
    """Create the operations of a statement that SQLAlchemy refused before it called the driver.

    Args:
        connection: the connection that was to run it.
        text: the SQL of the statement.
        error: the exception.
    """
    translate = connection.get_execution_options().get("schema_translate_map")
    for target in targets_of_text(text, connection.dialect, translate):
        if writes.is_wanted(target):
            operation = writes.new(target, Spent(time.perf_counter_ns()))
            operation.fail(error, concealed=target.main.conceals)
            operation.ran(text, secret=target.main.conceals)
            operation.close()


def _is_internal(context: DefaultExecutionContext) -> bool:
    meter = current_meter()
    return (meter is not None and meter.owner is not None) or is_internal(context)


def _read(
    context: DefaultExecutionContext,
    result: CursorResult[Any],
    target: StatementTarget,
    spent: Spent,
) -> None:
    options = target.main.options
    rate, slow_ms = options.read_sample, options.slow_read_ms
    most = options.transaction_records
    sampled = rate >= 1 or random.random() < rate  # noqa: S311 - not security-relevant
    if not sampled and slow_ms is None:
        return
    operation = writes.new(target, spent)
    operation.load = "lazy" if seam.is_lazy_load(context) else None
    returns = result.returns_rows  # False for COPY TO and SELECT INTO
    parameters: Mapping[str, Any] = next(iter(writes.parameters(context)), {})
    names = seam.key_parameters(len(target.main.keys))
    if names and names[0] in parameters:
        store = captured.on(context.dialect).store(target.main)
        operation.lead_id = writes.key_of(store, target, [parameters.get(name) for name in names])

    def end(tally: FetchTally) -> None:
        spent.fetched(tally.fetch_ns)
        slow = slow_ms is not None and spent.wall_ms >= slow_ms
        if not (sampled or slow or tally.error):
            return
        operation.sample_rate = rate if rate < 1 and not slow and not tally.error else None
        transaction = journal.find(info_of(context.root_connection))
        if transaction is not None and transaction.count and transaction.followers < most:
            operation.follow(transaction)
        operation.records_affected = tally.rows if returns else writes.counted(context)
        if tally.error is not None:
            operation.fail(tally.error, concealed=target.main.conceals)
        _show(operation, target, context)
        operation.close()

    count(result, end)


def _wrote(
    context: DefaultExecutionContext,
    target: StatementTarget,
    operation: Operation,
    tally: FetchTally,
) -> None:
    spent = spent_on(context, 0)
    spent.fetched(tally.fetch_ns)
    returned = tally.rows if tally.exhausted else None
    operation.records_affected = rows = writes.rows(context, target, returned)
    writes.describe(operation, context, target, tally.kept)
    if target.conflicts and target.kind == "create" and rows is not None:
        operation.duplicate_detected = rows < writes.given_count(context, target)
    _show(operation, target, context)
    operation.close()
