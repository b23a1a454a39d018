"""Retries of work after transient database errors.

After a lock timeout, a deadlock, a serialization failure, or an id that another transaction took in
between, the whole transaction was rolled back. So it is retried with exponential backoff and
jitter. An error from which a retry recovered is logged as a recovered error.
"""

import random
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from leadlog.core.records import shape
from leadlog.recording.capture.operation import current_operation
from leadlog.recording.pipeline import get_logger, report_failure

__all__ = ["retry_transient"]

T = TypeVar("T")

ATTEMPTS = 5
_FIRST_WAIT_SECONDS = 0.05
# PostgreSQL: serialization failure, deadlock, lock timeout, and an id that another transaction
# took in between, which the next attempt finds.
_PASSING = frozenset({"40001", "40P01", "55P03", "23505"})
# SQLite: the file, or a table of a shared cache, is locked.
_BUSY, _LOCKED = 5, 6

_log = get_logger()


def _passes(error: DBAPIError) -> bool:
    if getattr(error.orig, "sqlstate", None) in _PASSING:
        return True
    code = getattr(error.orig, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in {_BUSY, _LOCKED}


def retry_transient(attempt: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """Run work that has no effect when it fails, in at most five attempts.

    Args:
        attempt: The work; begins a new transaction on each call.
        sleep: Sleeps for a number of seconds.

    Raises:
        DBAPIError: The database's error, if it is not transient or occurred in every attempt.
    """
    wait = _FIRST_WAIT_SECONDS
    last: DBAPIError | None = None
    for number in range(ATTEMPTS):
        try:
            done = attempt()
        except DBAPIError as error:
            if number == ATTEMPTS - 1 or not _passes(error):
                raise
            last = error
            call = current_operation()
            if call is not None:
                call.start_over()
            sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            wait *= 2
            continue
        if last is not None:
            _log_recovered(last, number)
        return done
    raise AssertionError("unreachable")  # pragma: no cover - the last attempt returns or raises


def _log_recovered(error: DBAPIError, retries: int) -> None:
    """Log an error that a retry recovered from; do nothing if calls are not recorded."""
    call = current_operation()
    if call is None:
        return
    try:
        event = shape.error_log(
            "database_error",
            {
                "exc_info": error,
                "severity": "low",
                "recovery_attempted": True,
                "recovery_successful": True,
                "recovery_method": f"transaction rolled back and done again, {retries} "
                f"{'time' if retries == 1 else 'times'}, with backoff",
                "data_loss": False,
            },
            {"operation": call.operation_type, "operation_id": call.operation_id},
        )
        _log.emit("warning", "error.database", event)
    except Exception as failure:  # noqa: BLE001 - the lead is stored; logging must not take it back
        report_failure(failure)
