"""Operations: one call on a captured class, with all facts known about it.

An operation is a running method of a store, a flushed object, or a statement. Its record is
written when the call has ended and every write in it has an outcome. The decorator `operation`
makes a method one call: the hooks attribute statements, times, changes and the outcome to it, and
the method adds the facts that only it knows.
"""

import functools
import inspect
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from sqlalchemy.engine import Dialect

from leadlog.core.clock import new_id, now_us
from leadlog.core.native import RLock
from leadlog.recording.capture import journal, sql
from leadlog.recording.capture.emit import ErrorFacts, error_facts, frame, known
from leadlog.recording.capture.meter import Meter, Spent, current_meter
from leadlog.recording.pipeline.facts import context_of
from leadlog_processors.fields import CATEGORIES, DATABASE_OPERATION
from leadlog_processors.session import current_session

if TYPE_CHECKING:
    from leadlog.recording.capture.targets import Handle

Emit = Callable[["Operation"], None]
"""Function that writes the record of an operation; never raises."""

_CATEGORY = CATEGORIES[DATABASE_OPERATION]
IDS_LISTED = 100
"""Maximum number of keys in `lead_ids`."""


class Operation:
    """One call, while it runs and until its outcome is known.

    Attributes:
        operation_type: add_lead, get_lead, …; create, read, update, delete or upsert.
        event_name: event name of its record.
        entity: name of the mapped class; None if the statement does not show it.
        schema: schema of its table; None for the engine's default one.
        database: the name that was given to `capture`, if any.
        operation_id: joins its record to its error; also the event_id of its record, which
            identifies a record that is written twice after an interrupt.
        session: the session in which it was made.
        context: values bound when it was made; None if there were none.
        started_us: time when it began, microseconds since 1970.
        ended_us: time when it ended, microseconds since 1970.
        watch: its wall and CPU time; None if its share of a flush is unknown.
        meter: its statements and database time; None if its share of a flush is unknown.
        bulk: whether it touches many rows.
        change: create, update or delete, if it is about one row.
        records_affected: rows written or read; None while unknown.
        statement: its SQL without values.
        statement_fingerprint: identical for identical SQL.
        load: `lazy` if SQLAlchemy read attributes that were not loaded yet.
        records_cut: changes that it summarises because the transaction had too many.
        duplicate_detected: whether the store had the lead already; None if that was not checked.
        duplicate_action: none, created, updated, merged or rejected.
        duplicate_matched_on: the key that matched.
        fields_processed: columns that the call was given or wrote.
        fields_changed: column to its old and new value.
        data_size_bytes: size of the data as JSON, bytes.
        lead: the row that it is about, as a mapping.
        lead_id: its primary key as text, if `lead` does not have it under the name `id`.
        previous_lead_id: the key before the call, if the call changed it.
        whole: whether `lead` has all fields of a lead, so that it can be scored.
        lead_ids: the first keys, if it is about many rows.
        lead_count: number of rows it is about.
        lead_outcomes: the outcomes of a batch's leads; keys of `data_details`.
        sample_rate: share of such calls that is recorded; None for all of them.
        error: the exception it raised.
        transaction_id: the database transaction of its writes.
        follows: False; see `journal.Pending`.
        doubtful: whether it failed when some of its rows may have been written.
        unread: returns the counter of its result's rows, while they may still be fetched.
        closed: whether the call has ended.
        recorded: whether the record is written.
        known: facts that do not depend on the outcome, rendered; None until the call has ended.
        intents: notes made before COMMIT, withdrawn when the record is written.
    """

    # Defaults are class attributes, so that they cost nothing per instance.
    schema: str | None = None
    database: str | None = None
    watch: Meter | Spent | None = None
    meter: Meter | Spent | None = None
    change: str | None = None
    records_affected: int | None = None
    statement: str | None = None
    statement_fingerprint: str | None = None
    load: str | None = None
    records_cut: int | None = None
    duplicate_detected: bool | None = None
    duplicate_action: str | None = None
    duplicate_matched_on: str | None = None
    fields_processed: list[str] | None = None
    fields_changed: dict[str, Any] | None = None
    data_size_bytes: int | None = None
    lead: Mapping[str, Any] | None = None
    lead_id: str | None = None
    previous_lead_id: str | None = None
    whole = True
    lead_ids: list[str] | None = None
    lead_count: int | None = None
    lead_outcomes: Mapping[str, Any] | None = None
    sample_rate: float | None = None
    error: ErrorFacts | None = None
    transaction_id: str | None = None
    doubtful = False
    follows = False
    unread: Callable[[], Any] | None = None
    closed = False
    recorded = False
    known: bytes | None = None
    intents: Sequence[journal.Intent] = ()
    _pending = 0
    _last: tuple[int, journal.Transaction] | None = None

    def __init__(
        self,
        operation_type: str,
        event_name: str,
        entity: str | None,
        emit: Emit,
        *,
        bulk: bool = False,
        started_us: int | None = None,
    ) -> None:
        self.operation_type = operation_type
        self.event_name = event_name
        self.entity = entity
        self.started_us = self.ended_us = started = started_us or now_us()
        self.operation_id = new_id(started)
        self.session = current_session()
        self.context = context_of(self.session)
        self.bulk = self._was_bulk = bulk
        self._emit = emit
        self._lock = RLock()  # a finaliser may interrupt this
        self._outcomes: list[str] = []

    def identify(self, lead: Mapping[str, Any], *, whole: bool = True) -> None:
        """Set the row that the call is about.

        Args:
            lead: the row.
            whole: whether it has all fields of a lead, so that it can be scored.
        """
        self.lead = lead
        self.whole = whole

    def identify_many(self, ids: Iterable[str], count: int | None) -> None:
        """Set the rows that the call is about.

        Args:
            ids: their keys; the first 100 are kept.
            count: the number of rows; None if unknown.
        """
        self.lead_ids = [str(key) for key, _ in zip(ids, range(IDS_LISTED), strict=False)]
        self.lead_count = count

    def changed(self, kind: str, columns: Mapping[str, Any]) -> None:
        """Note a written row.

        Changes of several objects are not merged: a call that writes more than one object keeps no
        changes, because they could not be distinguished.

        Args:
            kind: create, update or delete.
            columns: `{column: {"old": …, "new": …}}`.
        """
        if self.bulk:
            return
        if self.fields_changed is None:
            self.fields_changed = dict(columns)
            self.change = kind
        else:
            self.bulk = True
            self.fields_changed = self.change = None

    def wrote_last(self, connection: Any) -> bool:
        """Return whether this call made the last write of a connection's open transaction."""
        last = self._last
        return last is not None and last[0] == id(connection) and last[1].last() is self

    def wrote(self, transaction: journal.Transaction, connection: Any) -> None:
        """Note a write whose outcome the transaction will report.

        Args:
            transaction: the journal of the connection.
            connection: the connection; no reference to it is kept.
        """
        self._last = id(connection), transaction
        if transaction.add(self):
            with self._lock:
                self._pending += 1
                self.transaction_id = transaction.transaction_id

    def resolve(self, outcome: str, transaction_id: str) -> None:
        """Note the outcome of a write; called by the journal."""
        with self._lock:
            self._outcomes.append(outcome)
            self._pending -= 1
            self.transaction_id = transaction_id
            decided = self._pending == 0
        if decided and not self.closed and self.unread is not None:
            tally = self.unread()  # its rows were not fetched, and may never be
            if tally is not None:
                tally.close()
        with self._lock:
            ready = self.closed and self._pending == 0 and not self.recorded
        if ready:
            self._emit(self)

    def intended(self, *, brief: bool = False) -> tuple[str, bytes]:
        """Return category and frame of the record that is written if this process dies now.

        Args:
            brief: whether to leave out values.
        """
        if brief:
            return _CATEGORY, frame(self, "warning", journal.UNKNOWN, known(self, brief=True))
        if self.closed and self.known is None:
            self.known = known(self)
        return _CATEGORY, frame(self, "warning", journal.UNKNOWN, self.known)

    def replace(self, noted: "Operation | None") -> None:
        """Take over the id and notes of the operation that was noted before the write."""
        if noted is not None:
            self.operation_id, self.intents = noted.operation_id, noted.intents

    def written(self) -> None:
        """Note that the record is written, and withdraw its notes."""
        self.recorded = True
        for intent in self.intents:
            intent.strike_out()

    def follow(self, transaction: journal.Transaction) -> None:
        """Make the record of a read wait for those of the writes before it.

        Args:
            transaction: the journal of the connection.
        """
        self._pending += 1
        transaction.follow(_Follower(self))

    def written_before(self) -> None:
        """Note that the records of the writes before a read are written."""
        with self._lock:
            self._pending -= 1
            ready = self.closed and self._pending == 0 and not self.recorded
        if ready:
            self._emit(self)

    def settle(self, outcome: str) -> None:
        """Note a write whose outcome is known already, as with AUTOCOMMIT."""
        with self._lock:
            self._outcomes.append(outcome)

    def start_over(self) -> None:
        """Discard the facts of writes that a retried transaction has undone."""
        with self._lock:
            self._outcomes.clear()
        self.fields_changed = self.change = self.known = None
        self.bulk = self._was_bulk

    def ran(self, text: str, *, secret: bool = False) -> None:
        """Note the SQL that ran.

        Args:
            text: a statement; its values are left out.
            secret: whether only its fingerprint may be kept.
        """
        statement, self.statement_fingerprint = sql.normalised(text)
        self.statement = None if secret else statement

    def fail(self, error: BaseException, *, concealed: bool = False) -> None:
        """Note the exception that the call raised; see `error_facts`."""
        self.error = error_facts(error, concealed=concealed)

    def close(self) -> None:
        """End the call; its record is written now, or when its last write is resolved.

        May be called again if an interrupt stopped it; the record is written once.
        """
        if not self.closed:
            self.ended_us = now_us()
            self.closed = True
        with self._lock:
            ready = self._pending == 0 and not self.recorded
            if self._pending and self.known is None:
                self.known = known(self)
        if ready:
            self._emit(self)

    @property
    def outcome(self) -> str:
        """The outcome of the call's writes in the database; `completed` if it made none."""
        if self.error is None and len(self._outcomes) == 1:
            return self._outcomes[0]
        found = set(self._outcomes)
        for decisive in (journal.UNKNOWN, journal.COMMIT_FAILED):
            if decisive in found:
                return decisive
        if self.error is not None and found != {journal.COMMITTED}:
            return journal.FAILED
        for outcome in (journal.ROLLED_BACK, journal.COMMITTED, journal.SAVEPOINT_ROLLED_BACK):
            if outcome in found:
                return journal.UNKNOWN if self.doubtful else outcome
        return "completed"


class _Follower:
    """A read in the journal of a connection, kept for its place among the writes."""

    follows = True

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    def resolve(self, outcome: str, transaction_id: str) -> None:
        """Note that the transaction or savepoint has ended."""
        del outcome, transaction_id  # neither applies to a read
        self._operation.written_before()


class CountedChanges(Operation):
    """Summary of the changes of one class and kind beyond those with a record each."""

    def stand_in(self, transaction: journal.Transaction, kind: Hashable) -> None:
        """Wait for the end of a transaction, and count its further changes of that kind."""
        self._pending = 1
        self.closed = True
        self.records_cut = 0
        transaction.add_rest(kind, self)

    def absorb(self, other: "int | CountedChanges") -> None:
        """Count more changes, or add the count of another summary."""
        count = other if isinstance(other, int) else other.records_cut or 0
        self.records_cut = self.records_affected = (self.records_cut or 0) + count
        self.known = None


class Call(Operation):
    """A running method: everything that its code does while it is entered belongs to it.

    Attributes:
        dialect: dialect of the engine whose classes it writes.
        span: its meter.
    """

    def __init__(
        self,
        operation_type: str,
        event_name: str,
        entity: str,
        emit: Emit,
        dialect: Dialect,
        *,
        bulk: bool = False,
    ) -> None:
        super().__init__(operation_type, event_name, entity, emit, bulk=bulk)
        self.dialect = dialect
        self.span = Meter(self, timed=True)
        self.watch = self.meter = self.span

    def close(self) -> None:
        """End the call, and add its counts to the enclosing meter."""
        if not self.closed:
            self.span.close()
        super().close()


def current_operation() -> Operation | None:
    """Return the operation that the running code belongs to; None if there is none."""
    meter = current_meter()
    owner = None if meter is None else meter.owner
    return owner if isinstance(owner, Operation) else None


P = ParamSpec("P")
R = TypeVar("R")


class Capturing(Protocol):
    """A class whose methods may be operations."""

    @property
    def _capture(self) -> "Handle | None": ...


S = TypeVar("S", bound=Capturing)


def operation(
    operation_type: str, *, event_name: str, bulk: bool = False
) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """Make a method one operation: each call of it is one record.

    A call made inside another operation is part of that operation. A generator function is one
    operation from its first item to its end; only the time spent inside it counts.

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
                call = _open(self, operation_type, event_name, bulk)
                return items if call is None else _steps(items, call)

            return iterate

        @functools.wraps(method)
        def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            call = _open(self, operation_type, event_name, bulk)
            if call is None:
                return method(self, *args, **kwargs)
            try:
                with call.span:
                    return method(self, *args, **kwargs)
            except BaseException as error:
                call.fail(error)
                raise
            finally:
                _close(call)

        return run

    return decorate


def _open(owner: Capturing, operation_type: str, event_name: str, bulk: bool) -> Call | None:
    scopes = owner._capture
    if scopes is None:
        return None
    outer = current_operation()
    if outer is not None and not outer.closed:
        return None
    return scopes.begin(operation_type, event_name, bulk=bulk)


def _close(call: Call) -> None:
    """End the call; if Ctrl-C interrupts that, write its record nevertheless.

    Raises:
        BaseException: the interrupt.
    """
    try:
        call.close()
    except BaseException:
        call.close()
        raise


def _steps(items: Generator[Any, None, None], call: Call) -> Generator[Any, None, None]:
    """Iterate with the operation active only while the generator itself runs."""
    try:
        while True:
            with call.span:
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item
    except GeneratorExit:
        with call.span:
            items.close()
        raise
    except BaseException as error:
        call.fail(error)
        raise
    finally:
        _close(call)
