"""Operations: one call on the store, and everything that is learnt about it.

`operation` opens a scope around a method. The hooks attribute statements, times, changes
and the outcome to it; the method adds the facts that only it can know. The record is
written when the call has ended and every write in it has an outcome.
"""

import functools
import inspect
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from leadlog.capturing import journal
from leadlog.capturing.meter import Meter, Stopwatch, current_meter
from leadlog.clock import new_id, now_us

P = ParamSpec("P")
R = TypeVar("R")

Emit = Callable[["Operation"], None]
"""Writes the record of an operation; never raises."""

IDS_LISTED = 100
"""Keys that `lead_ids` names at most."""


class Operation:
    """One call on the store, while it runs and until its outcome is known.

    Attributes:
        operation_type: add_lead, get_lead, …
        event_name: dotted name of its record.
        entity: name of the mapped class.
        operation_id: joins its record to its error; also the event_id of its record, so that
            one written again after an interrupt is known.
        started_us: when it began, microseconds since 1970.
        ended_us: when it ended.
        watch: its wall and CPU time; None for a single flushed object, whose share of
            the flush is not known.
        meter: its statements and database time; None as above.
        bulk: whether it touches many leads.
        records_affected: rows written or read; None while unknown.
        duplicate_detected: whether the lead was there already; None where it was not
            looked for.
        duplicate_action: none, created, updated, merged or rejected.
        duplicate_matched_on: the key that matched.
        fields_processed: columns that the call was given or wrote.
        fields_changed: column to old and new value.
        data_size_bytes: size of the data as JSON.
        lead: the lead that it is about, as a mapping.
        whole: whether these are all its fields.
        lead_ids: the first keys, where it is about many.
        lead_count: how many it is about.
        lead_outcomes: what became of the leads of a batch; keys of `data_details`.
        error: what it raised.
        transaction_id: the database transaction of its writes.
        closed: whether the call has ended.
        recorded: whether the record is written.
    """

    # What most calls leave as it is stands in the class, which costs a new one nothing.
    records_affected: int | None = None
    duplicate_detected: bool | None = None
    duplicate_action: str | None = None
    duplicate_matched_on: str | None = None
    fields_processed: list[str] | None = None
    fields_changed: dict[str, Any] | None = None
    data_size_bytes: int | None = None
    lead: Mapping[str, Any] | None = None
    whole = True
    lead_ids: list[str] | None = None
    lead_count: int | None = None
    lead_outcomes: Mapping[str, Any] | None = None
    error: BaseException | None = None
    transaction_id: str | None = None
    closed = False
    recorded = False
    _pending = 0
    _last: tuple[int, journal.Transaction] | None = None

    def __init__(
        self,
        operation_type: str,
        event_name: str,
        entity: str,
        emit: Emit,
        *,
        bulk: bool = False,
        measured: bool = True,
    ) -> None:
        self.operation_type = operation_type
        self.event_name = event_name
        self.entity = entity
        self.started_us = self.ended_us = started_us = now_us()
        self.operation_id = new_id(started_us)
        self.watch = Stopwatch() if measured else None
        self.meter = Meter(self) if measured else None
        self.bulk = self._was_bulk = bulk
        self._emit = emit
        self._lock = threading.Lock()
        self._outcomes: list[str] = []

    def identify(self, lead: Mapping[str, Any], *, whole: bool = True) -> None:
        """Says which lead the call is about.

        Args:
            lead: the lead; names it.
            whole: whether these are all its fields, so that it can be scored.
        """
        self.lead = lead
        self.whole = whole

    def identify_many(self, ids: Iterable[str], count: int | None) -> None:
        """Says which leads the call is about.

        Args:
            ids: their keys; the first 100 are kept.
            count: how many there are; None where that is not known.
        """
        self.lead_ids = [str(key) for key, _ in zip(ids, range(IDS_LISTED), strict=False)]
        self.lead_count = count

    def changed(self, columns: Mapping[str, Any]) -> None:
        """Notes written columns, `{column: {"old": …, "new": …}}`.

        Changes of several objects are not merged: a call that writes more than one keeps
        none, since they could not be told apart.
        """
        if self.bulk:
            return
        if self.fields_changed is None:
            self.fields_changed = dict(columns)
        else:
            self.bulk = True
            self.fields_changed = None

    def wrote_last(self, connection: Any) -> bool:
        """Whether the last write on a connection, in a transaction still open, is this call's."""
        last = self._last
        return last is not None and last[0] == id(connection) and last[1].last() is self

    def wrote(self, transaction: journal.Transaction, connection: Any) -> None:
        """Notes a write whose outcome that transaction will tell.

        Args:
            transaction: the journal of the connection.
            connection: the connection; not held, since nobody else may.
        """
        self._last = id(connection), transaction
        if transaction.add(self):
            with self._lock:
                self._pending += 1
                self.transaction_id = transaction.transaction_id

    def resolve(self, outcome: str, transaction_id: str) -> None:
        """Told by the journal what became of a write."""
        with self._lock:
            self._outcomes.append(outcome)
            self._pending -= 1
            self.transaction_id = transaction_id
            ready = self.closed and self._pending == 0 and not self.recorded
        if ready:
            self._emit(self)

    def persisted(self) -> None:
        """Notes a write that is committed already, as with AUTOCOMMIT."""
        with self._lock:
            self._outcomes.append(journal.COMMITTED)

    def start_over(self) -> None:
        """Forgets what was learnt of writes that a retried transaction has undone."""
        with self._lock:
            self._outcomes.clear()
        self.fields_changed = None
        self.bulk = self._was_bulk

    def fail(self, error: BaseException) -> None:
        """Notes what the call raised."""
        self.error = error

    def close(self) -> None:
        """Ends the call; its record is written now, or when the last write is resolved.

        May be called again where an interrupt got in between; the record is written once.
        """
        if not self.closed:
            self.ended_us = now_us()
            self.closed = True
            if self.meter is not None:
                self.meter.close()
        with self._lock:
            ready = self._pending == 0 and not self.recorded
        if ready:
            self._emit(self)

    @property
    def outcome(self) -> str:
        """What the database did with the call's writes; `completed` where it wrote none."""
        found = set(self._outcomes)
        for decisive in (journal.UNKNOWN, journal.COMMIT_FAILED):
            if decisive in found:
                return decisive
        if self.error is not None and found != {journal.COMMITTED}:
            return "failed"
        for outcome in (journal.ROLLED_BACK, journal.COMMITTED, journal.SAVEPOINT_ROLLED_BACK):
            if outcome in found:
                return outcome
        return "completed"


def current_operation() -> Operation | None:
    """The operation that the running code belongs to, or None outside any."""
    meter = current_meter()
    owner = None if meter is None else meter.owner
    return owner if isinstance(owner, Operation) else None


class Scopes(Protocol):
    """What opens operations: the handle of `leadlog.capturing.hooks.attach`."""

    def begin(self, operation_type: str, event_name: str, *, bulk: bool) -> Operation | None:
        """A new operation, or None where nothing is captured now."""
        ...


class Captured(Protocol):
    """A class whose methods may be operations."""

    @property
    def _capture(self) -> Scopes | None: ...


S = TypeVar("S", bound=Captured)


def operation(
    operation_type: str, *, event_name: str, bulk: bool = False
) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """Makes a method one operation: each call of it is one record.

    A call made inside another operation belongs to that one. A generator function is one
    operation from its first item to its end; only the time inside it counts.

    Args:
        operation_type: add_lead, get_lead, …
        event_name: dotted name of the record, such as `lead.add`.
        bulk: whether a call touches many leads.
    """

    def decorate(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        if inspect.isgeneratorfunction(method):

            @functools.wraps(method)
            def iterate(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Any:
                items = cast(Generator[Any, None, None], method(self, *args, **kwargs))
                scope = _open(self, operation_type, event_name, bulk)
                return items if scope is None else _steps(items, scope)

            return iterate

        @functools.wraps(method)
        def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            scope = _open(self, operation_type, event_name, bulk)
            if scope is None:
                return method(self, *args, **kwargs)
            try:
                with _Active(scope):
                    return method(self, *args, **kwargs)
            except BaseException as error:
                scope.fail(error)
                raise
            finally:
                _close(scope)

        return call

    return decorate


def _open(owner: Captured, operation_type: str, event_name: str, bulk: bool) -> Operation | None:
    scopes = owner._capture
    if scopes is None:
        return None
    outer = current_operation()
    if outer is not None and not outer.closed:
        return None
    return scopes.begin(operation_type, event_name, bulk=bulk)


def _close(scope: Operation) -> None:
    """Ends the call; where Ctrl-C comes in the middle of that, its record is written all the same.

    Raises:
        BaseException: whatever came in the middle.
    """
    try:
        scope.close()
    except BaseException:
        scope.close()
        raise


class _Active:
    """While entered, the running code belongs to the operation, and its time counts."""

    __slots__ = ("_meter", "_watch")

    def __init__(self, scope: Operation) -> None:
        self._meter = scope.meter
        self._watch = scope.watch

    def __enter__(self) -> None:
        if self._meter is not None:
            self._meter.__enter__()
        if self._watch is not None:
            self._watch.start()

    def __exit__(self, *_: object) -> None:
        if self._watch is not None:
            self._watch.stop()
        if self._meter is not None:
            self._meter.__exit__()


def _steps(items: Generator[Any, None, None], scope: Operation) -> Generator[Any, None, None]:
    """Iterates with the operation in force only while the generator itself runs."""
    try:
        while True:
            with _Active(scope):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item
    except GeneratorExit:
        with _Active(scope):
            items.close()
        raise
    except BaseException as error:
        scope.fail(error)
        raise
    finally:
        _close(scope)
