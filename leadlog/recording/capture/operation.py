"""Operations: one call on a captured class, and everything that is learnt about it.

An operation is a store's method under way, a flushed object, or a statement. Its record is
written when the call has ended and every write in it has an outcome. `operation` makes a method
one call: the hooks attribute statements, times, changes and the outcome to it; the method adds
the facts that only it can know.
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
"""Writes the record of an operation; never raises."""

_CATEGORY = CATEGORIES[DATABASE_OPERATION]
IDS_LISTED = 100
"""Keys that `lead_ids` names at most."""


class Operation:
    """One call, while it runs and until its outcome is known.

    Attributes:
        operation_type: add_lead, get_lead, …; create, read, update, delete or upsert.
        event_name: dotted name of its record.
        entity: name of the mapped class; None where a statement does not tell.
        schema: of its table; None for the engine's default one.
        database: its name, where `capture` was given one.
        operation_id: joins its record to its error; also the event_id of its record, so that
            one written again after an interrupt is known.
        session: the session that it was made in.
        context: what was bound when it was made; None where nothing was.
        started_us: when it began, microseconds since 1970.
        ended_us: when it ended.
        watch: its wall and CPU time; None where its share of a flush is not known.
        meter: its statements and database time; None as for `watch`.
        bulk: whether it touches many rows.
        change: create, update or delete, where it is about one row.
        records_affected: rows written or read; None while unknown.
        statement: its SQL without values.
        statement_fingerprint: the same for the same SQL.
        load: `lazy` where SQLAlchemy read for attributes that were not loaded yet.
        records_cut: changes that it stands for, left out because the transaction had too many.
        duplicate_detected: whether the lead was there already; None where it was not
            looked for.
        duplicate_action: none, created, updated, merged or rejected.
        duplicate_matched_on: the key that matched.
        fields_processed: columns that the call was given or wrote.
        fields_changed: column to old and new value.
        data_size_bytes: size of the data as JSON.
        lead: the row that it is about, as a mapping.
        lead_id: its primary key as text, where `lead` does not tell it by the name `id`.
        previous_lead_id: the same before the call, where that changed it.
        whole: whether these are all the fields of a lead, so that it can be scored.
        lead_ids: the first keys, where it is about many.
        lead_count: how many it is about.
        lead_outcomes: the outcomes of a batch's leads; keys of `data_details`.
        sample_rate: share of such calls that is recorded; None for all of them.
        error: what it raised.
        transaction_id: the database transaction of its writes.
        follows: False; see `journal.Pending`.
        doubtful: whether it failed when some of its rows may have been written.
        unread: gives what counts the rows of its result, while somebody may still fetch them.
        closed: whether the call has ended.
        recorded: whether the record is written.
        known: what does not depend on the outcome, rendered; None until the call has ended.
        intents: what was noted before COMMIT and is struck out when the record is written.
    """

    # What most calls leave as it is stands in the class, which costs a new one nothing.
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
        self._lock = RLock()  # a finaliser may come in between
        self._outcomes: list[str] = []

    def identify(self, lead: Mapping[str, Any], *, whole: bool = True) -> None:
        """Say which row the call is about.

        Args:
            lead: the row; names it.
            whole: whether these are all the fields of a lead, so that it can be scored.
        """
        self.lead = lead
        self.whole = whole

    def identify_many(self, ids: Iterable[str], count: int | None) -> None:
        """Say which rows the call is about.

        Args:
            ids: their keys; the first 100 are kept.
            count: how many there are; None where that is not known.
        """
        self.lead_ids = [str(key) for key, _ in zip(ids, range(IDS_LISTED), strict=False)]
        self.lead_count = count

    def changed(self, kind: str, columns: Mapping[str, Any]) -> None:
        """Note a written row.

        Changes of several objects are not merged: a call that writes more than one keeps
        none, since they could not be distinguished.

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
        """Return whether the last write of a connection's open transaction is this call's."""
        last = self._last
        return last is not None and last[0] == id(connection) and last[1].last() is self

    def wrote(self, transaction: journal.Transaction, connection: Any) -> None:
        """Note a write whose outcome that transaction will tell.

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
        """Note the outcome of a write; called by the journal."""
        with self._lock:
            self._outcomes.append(outcome)
            self._pending -= 1
            self.transaction_id = transaction_id
            decided = self._pending == 0
        if decided and not self.closed and self.unread is not None:
            tally = self.unread()  # nobody has read its rows, and perhaps nobody will
            if tally is not None:
                tally.close()
        with self._lock:
            ready = self.closed and self._pending == 0 and not self.recorded
        if ready:
            self._emit(self)

    def intended(self, *, brief: bool = False) -> tuple[str, bytes]:
        """Category and frame of the record that it gets if this process dies now.

        Args:
            brief: without the values.
        """
        if brief:
            return _CATEGORY, frame(self, "warning", journal.UNKNOWN, known(self, brief=True))
        if self.closed and self.known is None:
            self.known = known(self)
        return _CATEGORY, frame(self, "warning", journal.UNKNOWN, self.known)

    def replace(self, noted: "Operation | None") -> None:
        """Take the place of what was noted before the write, so that recovery knows its record."""
        if noted is not None:
            self.operation_id, self.intents = noted.operation_id, noted.intents

    def written(self) -> None:
        """Told that its record is written."""
        self.recorded = True
        for intent in self.intents:
            intent.strike_out()

    def follow(self, transaction: journal.Transaction) -> None:
        """Have the record of a read wait for those of the writes before it.

        Args:
            transaction: the journal of the connection.
        """
        self._pending += 1
        transaction.follow(_Follower(self))

    def written_before(self) -> None:
        """Note that the writes before a read have their records."""
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
        """Forget what was learnt of writes that a retried transaction has undone."""
        with self._lock:
            self._outcomes.clear()
        self.fields_changed = self.change = self.known = None
        self.bulk = self._was_bulk

    def ran(self, text: str, *, secret: bool = False) -> None:
        """Note the SQL that ran.

        Args:
            text: a statement; values in it are left out.
            secret: whether only its fingerprint may be kept.
        """
        statement, self.statement_fingerprint = sql.normalised(text)
        self.statement = None if secret else statement

    def fail(self, error: BaseException, *, concealed: bool = False) -> None:
        """Note what the call raised; see `error_facts`."""
        self.error = error_facts(error, concealed=concealed)

    def close(self) -> None:
        """End the call; its record is written now, or when the last write is resolved.

        May be called again where an interrupt got in between; the record is written once.
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
        """What the database did with the call's writes; `completed` where it wrote none."""
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
    """A read in the journal of a connection, which keeps its place among the writes."""

    follows = True

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    def resolve(self, outcome: str, transaction_id: str) -> None:
        """Told that the transaction or savepoint has ended."""
        del outcome, transaction_id  # a read has neither
        self._operation.written_before()


class CountedChanges(Operation):
    """Stands for the changes of one class and kind beyond those that have a record each."""

    def stand_in(self, transaction: journal.Transaction, kind: Hashable) -> None:
        """Wait for the end of a transaction, whose further changes of that kind it counts."""
        self._pending = 1
        self.closed = True
        self.records_cut = 0
        transaction.add_rest(kind, self)

    def absorb(self, other: "int | CountedChanges") -> None:
        """Count more changes, or take over what another one counted."""
        count = other if isinstance(other, int) else other.records_cut or 0
        self.records_cut = self.records_affected = (self.records_cut or 0) + count
        self.known = None


class Call(Operation):
    """A method under way: everything that its code does while it is entered belongs to it.

    Attributes:
        dialect: of the engine whose classes it writes.
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
        """End the call, and add what it counted to the meter around it."""
        if not self.closed:
            self.span.close()
        super().close()


def current_operation() -> Operation | None:
    """Return the operation that the running code belongs to, or None outside any."""
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
    """End the call; where Ctrl-C comes in the middle of that, its record is written all the same.

    Raises:
        BaseException: whatever came in the middle.
    """
    try:
        call.close()
    except BaseException:
        call.close()
        raise


def _steps(items: Generator[Any, None, None], call: Call) -> Generator[Any, None, None]:
    """Iterate with the operation in force only while the generator itself runs."""
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
