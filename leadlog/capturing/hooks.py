"""The hooks: SQLAlchemy's events on an engine and on mapped classes.

A hook never raises and never runs SQL: a listener that raises would fail the user's
statement, or reach the application although its data is committed.
"""

import functools
import time
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import SQLAlchemyError

from leadlog.capturing import journal
from leadlog.capturing.emit import emit
from leadlog.capturing.meter import current_meter
from leadlog.capturing.scope import Operation, current_operation
from leadlog.capturing.unit_of_work import MapperHooks
from leadlog.pipeline import is_enabled, report_failure

_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
_DML = ("INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE")
_EXECUTE = ("do_execute", "do_execute_no_params", "do_executemany")


def _safely(hook: Callable[..., None]) -> Callable[..., None]:
    """A listener that reports what it would raise."""

    @functools.wraps(hook)
    def listener(*args: Any, **kwargs: Any) -> None:
        try:
            hook(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - see the module's docstring
            report_failure(error)

    return listener


def _info(connection: Any) -> MutableMapping[Any, Any]:
    """A pooled connection's `info`; a throw-away mapping where it has lost it."""
    try:
        return connection.info  # type: ignore[no-any-return]  # SQLAlchemy leaves it untyped here
    except (AttributeError, SQLAlchemyError):
        return {}


@functools.lru_cache(maxsize=512)
def _kind(statement: str) -> tuple[int, bool]:
    """How many queries a statement is (none if it controls the transaction); whether it writes."""
    if statement.startswith(_CONTROL):
        return 0, False
    return 1, statement.lstrip()[:8].upper().startswith(_DML)


def in_transaction(connection: Connection) -> bool:
    """Whether a write on this connection waits for a COMMIT.

    False with AUTOCOMMIT, and on SQLite wherever the driver says that no transaction is
    open.
    """
    raw = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        return bool(getattr(raw, "in_transaction", True))
    detect = getattr(connection.dialect, "detect_autocommit_setting", None)
    return detect is None or raw is None or not detect(raw)


class Handle:
    """What `attach` gives: the hooks on one engine; opens operations, and removes the hooks.

    Args:
        engine: the engine to listen to.
        classes: mapped classes whose objects are captured.
    """

    def __init__(self, engine: Engine, classes: tuple[type, ...]) -> None:
        self._engine = engine
        self._entity = classes[0].__name__ if classes else ""
        self._listeners: list[tuple[Any, str, Callable[..., None]]] = []
        dialect = engine.dialect
        if "do_commit" in vars(dialect):
            raise ValueError(
                f"{engine!r} is captured already; release its handle first, and name all the "
                "classes in one call"
            )
        self._commit = dialect.do_commit
        self._rollback = dialect.do_rollback
        for name in ("handle_error", "savepoint", "release_savepoint", "rollback_savepoint"):
            self._listen(engine, name, _safely(getattr(self, f"_{name}")))
        self._listen(engine, "invalidate", _safely(self._invalidate))
        # The instance's attributes come before the class's methods; `release` deletes them.
        for name in _EXECUTE:
            vars(dialect)[name] = self._measured(getattr(dialect, name))
        vars(dialect)["do_commit"] = self._do_commit
        vars(dialect)["do_rollback"] = self._do_rollback
        self._mappers = MapperHooks(engine, classes, self._new, self._wrote)

    def _listen(self, target: Any, name: str, listener: Callable[..., None]) -> None:
        event.listen(target, name, listener)
        self._listeners.append((target, name, listener))

    def release(self) -> None:
        """Removes every hook; a second call does nothing."""
        for target, name, listener in self._listeners:
            event.remove(target, name, listener)
        if self._listeners:
            for name in (*_EXECUTE, "do_commit", "do_rollback"):
                del vars(self._engine.dialect)[name]
            self._mappers.release()
        self._listeners = []

    def begin(self, operation_type: str, event_name: str, *, bulk: bool) -> Operation | None:
        """A new operation, or None where nothing is captured now."""
        if not self._listeners or not is_enabled():
            return None
        return Operation(operation_type, event_name, self._entity, emit, bulk=bulk)

    def _new(self, operation_type: str, entity: str) -> Operation | None:
        """The operation of an object that is flushed outside any call of the store."""
        if not is_enabled():
            return None
        name = f"{entity.lower()}.{operation_type}"
        return Operation(operation_type, name, entity, emit, measured=False)

    def _wrote(self, connection: Connection, operation: Operation) -> None:
        if operation.wrote_last(connection):
            return
        info = _info(connection)
        if journal.has(info, operation):
            return
        if in_transaction(connection):
            operation.wrote(journal.transaction_of(info), connection)
        else:
            operation.persisted()

    def _measured(self, execute: Callable[..., None]) -> Callable[..., None]:
        """One of the dialect's `do_execute…`, counted and timed.

        Rather than SQLAlchemy's events before and after it: those cost twice the calls, and
        what else listens to them would be in the time.
        """

        def measured(cursor: DBAPICursor, statement: str, *rest: Any) -> None:
            done = False
            started = time.perf_counter_ns()
            try:
                execute(cursor, statement, *rest)
                done = True
            finally:
                elapsed = time.perf_counter_ns() - started
                try:
                    meter = current_meter()
                    if meter is not None:
                        queries, writes = _kind(statement)
                        meter.add(queries, elapsed)
                        if writes and done:
                            self._write_done(rest)
                except Exception as error:  # noqa: BLE001 - see the module's docstring
                    report_failure(error)

        return measured

    def _write_done(self, arguments: Sequence[Any]) -> None:
        """Notes a write of the call under way; the execution context is the last argument."""
        operation = current_operation()
        context = arguments[-1] if arguments else None
        connection = getattr(context, "root_connection", None)
        if operation is not None and connection is not None:
            self._wrote(connection, operation)

    def _handle_error(self, failure: ExceptionContext) -> None:
        connection = failure.connection
        if connection is None:
            return
        info = _info(connection)
        if failure.is_disconnect:
            journal.finalise(info, journal.UNKNOWN)
        elif connection.dialect.name == "postgresql" and failure.statement is not None:
            journal.transaction_of(info).poisoned = True

    def _savepoint(self, connection: Connection, name: str) -> None:
        journal.transaction_of(_info(connection)).savepoint(name)

    def _release_savepoint(self, connection: Connection, name: str, context: None) -> None:
        journal.transaction_of(_info(connection)).release(name)

    def _rollback_savepoint(self, connection: Connection, name: str, context: None) -> None:
        journal.transaction_of(_info(connection)).rollback_to(name)

    def _invalidate(self, dbapi: Any, record: Any, error: BaseException | None) -> None:
        journal.finalise(record.info, journal.ROLLED_BACK)

    def _do_commit(self, connection: Any) -> None:
        """COMMIT, as the dialect does it, and what became of it."""
        info = _info(connection)
        journal.commits(info)
        started = time.perf_counter_ns()
        try:
            self._commit(connection)
        except BaseException as error:
            self._ended(info, started, self._failed_commit(error, connection))
            raise
        self._ended(info, started, journal.COMMITTED)

    def _failed_commit(self, error: BaseException, connection: Any) -> str:
        dialect = self._engine.dialect
        try:
            lost = not isinstance(error, Exception) or (
                isinstance(error, dialect.loaded_dbapi.Error)
                and dialect.is_disconnect(error, connection, None)
            )
        except Exception:  # noqa: BLE001 - a driver that cannot even tell
            lost = True
        return journal.UNKNOWN if lost else journal.COMMIT_FAILED

    def _do_rollback(self, connection: Any) -> None:
        """ROLLBACK, as the dialect does it."""
        info = _info(connection)
        started = time.perf_counter_ns()
        try:
            self._rollback(connection)
        finally:
            self._ended(info, started, journal.ROLLED_BACK)

    def _ended(self, info: MutableMapping[Any, Any], started_ns: int, outcome: str) -> None:
        try:
            meter = current_meter()
            if meter is not None:
                meter.add(0, time.perf_counter_ns() - started_ns)
            journal.finalise(info, outcome)
        except Exception as error:  # noqa: BLE001 - see the module's docstring
            report_failure(error)


def attach(engine: Engine, *classes: type) -> Handle:
    """Captures what happens on an engine to objects of the given mapped classes.

    Args:
        engine: the engine; every connection of its pool is covered.
        classes: mapped classes; the first names the entity of operations.

    Returns:
        The handle that opens operations and removes the hooks again.
    """
    return Handle(engine, classes)
