"""How a write gets its outcome: at once, or from the journal of its connection."""

import functools
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection

from leadlog.recording.capture import journal
from leadlog.recording.capture.drivers import TransactionState
from leadlog.recording.capture.emit import emit
from leadlog.recording.capture.entities import Entity
from leadlog.recording.capture.operation import CountedChanges, Operation
from leadlog.recording.pipeline import report_failure


def safely(hook: Callable[..., None]) -> Callable[..., None]:
    """A listener that reports what it would raise.

    A hook never raises: that would fail the user's statement, or reach the application
    although its data is committed.
    """

    @functools.wraps(hook)
    def listener(*args: Any, **kwargs: Any) -> None:
        try:
            hook(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - see above
            report_failure(error)

    return listener


def info_of(connection: Any) -> journal.Info:
    """A pooled connection's `info`; a throw-away mapping where it has lost it."""
    try:
        info: journal.Info = connection.info
    except Exception:  # noqa: BLE001 - it may be closed, invalidated, or no pool's at all
        return {}
    return info


def record(
    connection: Connection,
    state: TransactionState,
    kind: str,
    entity: Entity,
    make: Callable[[], Operation],
) -> Operation | None:
    """Makes the operation of a write that has been done, and sees to its outcome.

    Args:
        connection: where it was written.
        state: what the driver said of its transaction right after.
        kind: create, update, delete or upsert.
        entity: the class that was written.
        make: makes the operation; not called where the transaction has too many already.

    Returns:
        The operation, still to be closed; None where it is only counted.
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
    """Sees to the outcome of a write.

    Args:
        operation: what wrote.
        connection: where.
        state: what the driver said of its transaction right after.
    """
    if state is TransactionState.NONE:
        operation.settle(journal.COMMITTED)
    else:
        operation.wrote(journal.transaction_of(info_of(connection), connection.dialect), connection)
