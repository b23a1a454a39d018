"""The hooks on one engine: on the methods by which its dialect calls the driver, and on its pool.

The hooks replace methods of the dialect, because SQLAlchemy's engine events fire before COMMIT is
sent, cost twice as much, and would include other listeners in the time measured. Attributes of the
instance take precedence over the class's methods; `release` deletes them again.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import TextClause, event
from sqlalchemy.engine import Connection, CursorResult, Dialect, Engine, ExceptionContext
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.pool import PoolProxiedConnection, PoolResetState

from leadlog.recording.capture import executions, journal, seam, sql, writes
from leadlog.recording.capture.flushes import Flush
from leadlog.recording.capture.journal import TransactionState, asker, committer
from leadlog.recording.capture.meter import current_meter, spent_on
from leadlog.recording.capture.operation import Operation
from leadlog.recording.capture.writes import info_of, safely, settle
from leadlog.recording.pipeline import is_enabled, report_failure

_EXECUTE = ("do_execute", "do_execute_no_params", "do_executemany")
_SELF = "leadlog_instrument"
_DEADLOCK, _SYNTAX = 1213, 1064
"""Error numbers of MySQL and MariaDB."""


class _Statement(NamedTuple):
    """What is known of a statement before it runs.

    Attributes:
        text: its SQL.
        control: the transaction control in it.
        may_write: whether it may write rows.
    """

    text: str
    control: tuple[sql.Control, ...]
    may_write: bool


def _understood(statement: Any, context: Any) -> _Statement:
    """Describe a statement before it runs; never raises."""
    try:
        return _read(sql.as_text(statement), context)
    except Exception as error:  # noqa: BLE001 - the application wants its statement
        report_failure(error)
        return _Statement("", (), may_write=False)


def _read(text: str, context: Any) -> _Statement:
    compiled = None if context is None else context.compiled
    clause = None if compiled is None else compiled.statement
    verb = seam.SAVEPOINTS.get(type(clause))
    if clause is not None and verb is not None:
        control = (sql.Control(verb, str(clause.ident).lower()),)
        return _Statement(text, control, may_write=False)
    if context is None or compiled is None or isinstance(clause, TextClause):
        return _Statement(text, sql.controls(text), sql.writes(text))
    may_write = context.isinsert or context.isupdate or context.isdelete
    if not may_write and getattr(compiled, "ctes", None):
        may_write = sql.writes(text)
    return _Statement(text, (), may_write)


class Instrument:
    """The hooks on one engine, in place until `release`.

    Args:
        engine: an engine; engines with other execution options share its dialect and the hooks.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._dialect = engine.dialect
        self._state = asker(engine.dialect)
        self._commits = committer(engine.dialect)
        self._poisons = engine.dialect.name == "postgresql"
        self._implicit = engine.dialect.name in ("mysql", "mariadb")
        self._retiring = False
        self._names: list[str] = []
        self._listeners: list[tuple[str, Callable[..., None]]] = []
        try:
            self._place()
        except BaseException:
            self._remove()
            raise

    def _place(self) -> None:
        dialect = self._dialect
        # The dialect keeps its hooks, so that nothing else keeps the dialect alive.
        self._replace(_SELF, self)
        for name in _EXECUTE:
            self._replace(name, self._measured(getattr(dialect, name)))
        self._commit, self._rollback = dialect.do_commit, dialect.do_rollback
        self._replace("do_commit", self._do_commit)
        self._replace("do_rollback", self._do_rollback)
        self._replace("do_prepare_twophase", self._preparing(dialect.do_prepare_twophase))
        for name in ("do_commit_twophase", "do_rollback_twophase"):
            self._replace(name, self._two_phase(getattr(dialect, name), name))
        self._replace("execution_ctx_cls", seam.telling(dialect.execution_ctx_cls, self._finished))
        # The pool rolls back a synchronous connection that is dropped.
        for name in ("handle_error", "invalidate", *(("reset",) if dialect.is_async else ())):
            listener = safely(getattr(self, f"_{name}"))
            event.listen(self._engine, name, listener)
            self._listeners.append((name, listener))

    def _replace(self, name: str, value: Any) -> None:
        vars(self._dialect)[name] = value
        self._names.append(name)

    def release(self) -> None:
        """Remove every hook once no open transaction has writes without an outcome."""
        self._retiring = True
        if not journal.is_waiting_on(self._dialect):
            self._remove()

    def resume(self) -> None:
        """Cancel a pending release."""
        self._retiring = False

    def _remove(self) -> None:
        listeners, self._listeners = self._listeners, []
        for name, listener in listeners:
            event.remove(self._engine, name, listener)
        names, self._names = self._names, []
        for name in names:
            del vars(self._dialect)[name]

    # ------------------------------------------------------------------------------ statements

    def _measured(self, execute: Callable[..., None]) -> Callable[..., None]:
        """Return one of the dialect's `do_execute…` methods, counted and timed."""

        def measured(cursor: Any, statement: Any, *rest: Any) -> None:
            context = rest[-1] if rest else None
            found = _understood(statement, context)
            if context is not None:
                self._about_to_execute(context, found)
            started = time.perf_counter_ns()
            done = False
            try:
                execute(cursor, statement, *rest)
                done = True
            finally:
                elapsed = time.perf_counter_ns() - started
                try:
                    self._executed(found, context, started, elapsed, done=done)
                except Exception as error:  # noqa: BLE001 - see `safely`
                    report_failure(error)

        return measured

    @safely
    def _about_to_execute(self, context: DefaultExecutionContext, statement: _Statement) -> None:
        """Update the transaction's state, and note writes that cannot be undone afterwards."""
        connection = context.root_connection
        if journal.any_open():
            self._look(info_of(connection), connection.connection)
        text, control, may_write = statement
        for one in control:
            if one.verb == "commit" or (one.verb == "release" and self._may_end(one, connection)):
                journal.intend(info_of(connection))
        if self._implicit and sql.commits_first(text):
            journal.intend(info_of(connection))
        committed = any(one.verb == "commit" for one in control)
        if may_write and (committed or self._commits(connection.connection, text)):
            self._foresee(context)

    def _may_end(self, release: sql.Control, connection: Connection) -> bool:
        """Return whether a RELEASE may commit, as that of SQLite's outermost savepoint does."""
        transaction = journal.find(info_of(connection))
        return (
            self._dialect.name == "sqlite"
            and transaction is not None
            and transaction.begins_with(release.name)
        )

    def _foresee(self, context: DefaultExecutionContext) -> None:
        """Note the write of a statement that commits at once."""
        if not is_enabled():
            return
        meter = current_meter()
        owner = None if meter is None else meter.owner
        if isinstance(owner, Operation):
            journal.note([owner])
        elif isinstance(owner, Flush) and seam.is_of_a_flush(context):
            owner.foresee(context.root_connection)
        else:
            writes.foresee(context, flushing=isinstance(owner, Flush))

    def _look(self, info: journal.Info, connection: PoolProxiedConnection) -> None:
        """Update the journal if the driver has ended or lost the transaction itself."""
        transaction = journal.find(info)
        if transaction is None:
            return
        state = self._state(connection)
        if state is TransactionState.NONE:
            journal.ended_elsewhere(info)
        elif state is TransactionState.FAILED:
            transaction.poisoned = True

    def _executed(
        self,
        statement: _Statement,
        context: DefaultExecutionContext | None,
        started: int,
        elapsed: int,
        *,
        done: bool,
    ) -> None:
        text, control, may_write = statement
        meter = current_meter()
        owner = None
        if meter is not None:
            meter.add(0 if control and not may_write else 1, elapsed)
            owner = meter.owner
        if context is None:
            return
        if done and self._implicit and sql.commits_first(text):
            journal.finalise(info_of(context.root_connection), journal.COMMITTED)
        if control:
            if done:
                for one in control:
                    self._controlled(one, context.root_connection)
            journal.forget(info_of(context.root_connection))
            if not may_write:
                return
        if isinstance(owner, Operation):
            if not done:
                owner.ran(text)
            elif may_write:
                self._wrote(owner, context.root_connection)
        else:
            if may_write and isinstance(owner, Flush):
                owner.wrote(context, self._state(context.root_connection.connection), done=done)
                if seam.is_of_a_flush(context):  # sent by the unit of work itself
                    return
            spent_on(context, started).executed(elapsed, done=done)

    def _wrote(self, call: Operation, connection: Connection) -> None:
        """Note a write of the current call."""
        if call.wrote_last(connection):
            return
        info = info_of(connection)
        transaction = journal.find(info)
        if transaction is not None and transaction.last() is call:
            return
        settle(call, connection, self._state(connection.connection))

    def _controlled(self, control: sql.Control, connection: Connection) -> None:
        """Apply a transaction control statement to the journal, SQLAlchemy's or the user's."""
        info = info_of(connection)
        if control.verb == "commit":
            journal.finalise(info, journal.COMMITTED)
        elif control.verb == "rollback":
            journal.finalise(info, journal.ROLLED_BACK)
        elif control.verb == "savepoint":
            journal.transaction_of(info, self._dialect).savepoint(control.name)
        elif control.verb == "rollback_to":
            journal.transaction_of(info, self._dialect).rollback_to(control.name)
        elif control.verb == "release":
            journal.transaction_of(info, self._dialect).release(control.name)
            if self._state(connection.connection) is TransactionState.NONE:  # it was the outermost
                journal.finalise(info, journal.COMMITTED)

    def _finished(self, context: DefaultExecutionContext, result: CursorResult[Any]) -> None:
        try:
            meter = current_meter()
            owner = None if meter is None else meter.owner
            if isinstance(owner, Operation) or not is_enabled():
                return
            executions.finished(
                context,
                result,
                lambda: self._state(context.root_connection.connection),
                flushing=isinstance(owner, Flush),
            )
            writes.forget(context)
        except Exception as error:  # noqa: BLE001 - see `safely`
            report_failure(error)

    def _handle_error(self, failure: ExceptionContext) -> None:
        connection = failure.connection
        if connection is None:
            return
        info = info_of(connection)
        error = failure.sqlalchemy_exception or failure.original_exception
        text = "" if failure.statement is None else sql.as_text(failure.statement)
        asked = text and failure.execution_context is not None
        state = self._state_after(failure, connection) if asked else TransactionState.UNKNOWN
        if failure.is_disconnect:
            journal.finalise(info, journal.ROLLED_BACK)
        elif self._implicit and failure.original_exception.args[:1] == (_DEADLOCK,):
            # The next statement begins another transaction.
            journal.finalise(info, journal.ROLLED_BACK)
            state = TransactionState.FAILED
        elif self._implicit and sql.commits_first(text):
            if failure.original_exception.args[:1] != (_SYNTAX,):
                journal.finalise(info, journal.UNKNOWN)  # it may have committed before it failed
        elif state is TransactionState.FAILED:
            journal.transaction_of(info, self._dialect).poisoned = True
        elif state is TransactionState.NONE and text:  # it was open before the error
            transaction = journal.find(info)
            if transaction is not None and self._is_answered(failure.original_exception):
                transaction.prepared = False  # a refused PREPARE; COMMIT PREPARED has set it aside
            unsure = "commit" in text.lower()
            journal.finalise(info, journal.UNKNOWN if unsure else journal.ROLLED_BACK)
        meter = current_meter()
        owner = None if meter is None else meter.owner
        context: Any = failure.execution_context
        if owner is None and text and is_enabled():
            if context is None:
                executions.refused(connection, text, error)
            else:
                executions.failed(context, error, state)
        elif isinstance(owner, Flush) and context is not None and is_enabled():
            executions.link_failed(context, error, state)
        if context is not None:
            writes.forget(context)

    def _state_after(self, failure: ExceptionContext, connection: Connection) -> TransactionState:
        """Return the state of the transaction after an error."""
        if failure.is_disconnect:
            return TransactionState.FAILED
        state = self._state(connection.connection)
        if self._poisons and state in (TransactionState.OPEN, TransactionState.UNKNOWN):
            # asyncpg cannot distinguish a failed transaction from an open one; errors of its own,
            # which the server does not know of, have no severity.
            cause = failure.original_exception.__cause__
            told = getattr(cause, "severity", None) is not None
            return TransactionState.FAILED if told or state is TransactionState.UNKNOWN else state
        return state

    # ---------------------------------------------------------------------------- transactions

    def _do_commit(self, connection: PoolProxiedConnection) -> None:
        """Send the dialect's COMMIT and note its outcome."""
        info = info_of(connection)
        self._look(info, connection)
        journal.commits(info)
        started = time.perf_counter_ns()
        try:
            self._commit(connection)
        except BaseException as error:
            self._refused(error, connection, info, started)
            raise
        self._ended(info, started, journal.COMMITTED)

    def _refused(
        self,
        error: BaseException,
        connection: PoolProxiedConnection,
        info: journal.Info,
        started_ns: int,
    ) -> None:
        self._spent(started_ns)
        if self._is_lost(error, connection):
            journal.finalise(info, journal.UNKNOWN)
        else:
            still_open = self._state(connection) in (TransactionState.OPEN, TransactionState.FAILED)
            journal.commit_failed(info, still_open=still_open)

    def _is_answered(self, error: BaseException) -> bool:
        """Return whether an error is the database's or the driver's, and not a timeout."""
        return isinstance(error, self._dialect.loaded_dbapi.Error)

    def _is_lost(self, error: BaseException, connection: Any) -> bool:
        """Return whether the outcome of a COMMIT is unknown."""
        dialect = self._dialect
        try:
            return not isinstance(error, Exception) or (
                isinstance(error, dialect.loaded_dbapi.Error)
                and dialect.is_disconnect(error, connection, None)
            )
        except Exception:  # noqa: BLE001 - a driver that cannot even answer that
            return True

    def _do_rollback(self, connection: PoolProxiedConnection) -> None:
        """Send the dialect's ROLLBACK and note its outcome."""
        info = info_of(connection)
        self._look(info, connection)
        started = time.perf_counter_ns()
        try:
            self._rollback(connection)
        finally:
            self._ended(info, started, journal.ROLLED_BACK)

    def _preparing(self, prepare: Callable[..., None]) -> Callable[..., None]:
        """Return the first phase of a two-phase commit, after which any client may commit."""

        def preparing(connection: Connection, xid: Any) -> None:
            info, pooled = info_of(connection), connection.connection
            journal.intend(info)
            transaction = journal.find(info)
            if transaction is None:
                prepare(connection, xid)
                return
            transaction.prepared = True
            try:
                prepare(connection, xid)
            except BaseException as error:
                transaction.prepared = self._is_lost(error, pooled)
                ended = self._state(pooled) is TransactionState.NONE
                if ended and self._is_answered(error):
                    # psycopg sends PREPARE itself, so `_handle_error` has no statement.
                    journal.finalise(info, journal.ROLLED_BACK)
                raise

        return preparing

    def _two_phase(self, finish: Callable[..., None], name: str) -> Callable[..., None]:
        """Return the COMMIT or ROLLBACK of a two-phase transaction, with its outcome noted."""
        commits = name == "do_commit_twophase"

        def finishing(
            connection: Connection, xid: Any, is_prepared: bool = True, recover: bool = False
        ) -> None:
            info = {} if recover else info_of(connection)  # recovered: another session's
            transaction = journal.find(info)
            if transaction is not None:
                transaction.prepared = True
                transaction.committing = commits
            # Some dialects then begin and roll back an empty transaction.
            aside = journal.set_aside(info) if is_prepared else None
            started = time.perf_counter_ns()
            done = False
            try:
                finish(connection, xid, is_prepared=is_prepared, recover=recover)
                done = True
            finally:
                journal.put_back(info, aside)
                outcome = journal.COMMITTED if commits else journal.ROLLED_BACK
                if not done:  # prepared, it outlives the connection
                    outcome = journal.UNKNOWN
                elif transaction is not None:
                    transaction.prepared = False
                self._ended(info, started, outcome)

        return finishing

    def _ended(self, info: journal.Info, started_ns: int, outcome: str) -> None:
        try:
            self._spent(started_ns)
            journal.finalise(info, outcome)
            executions.tell_lazy_loads(info)
            if self._retiring:
                self.release()
        except Exception as error:  # noqa: BLE001 - see `safely`
            report_failure(error)

    def _spent(self, started_ns: int) -> None:
        meter = current_meter()
        if meter is not None:
            meter.add(0, time.perf_counter_ns() - started_ns)

    def _invalidate(self, _connection: Any, record: Any, _error: BaseException | None) -> None:
        journal.finalise(record.info, journal.ROLLED_BACK)

    def _reset(self, _connection: Any, record: Any, state: PoolResetState) -> None:
        if state.terminate_only and record is not None:  # closed without a ROLLBACK
            journal.finalise(record.info, journal.ROLLED_BACK)


def instrument_of(dialect: Dialect) -> Instrument | None:
    """Return the hooks on the engine of a dialect; None if there are none."""
    found: Instrument | None = vars(dialect).get(_SELF)
    return found
