"""Failed operations whose errors were caused by the user.

An operation and its error are two records in two files, so either may be read first. Failures
wait here for their errors, and errors for their operations, in bounded numbers.
"""

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any, Final, NamedTuple

import orjson

__all__ = ["Failed", "Failures"]

_MOST: Final = 5_000

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS failures (operation TEXT PRIMARY KEY, minute INTEGER NOT NULL, "
    "weight REAL NOT NULL, series BLOB) WITHOUT ROWID"
)


class Failed(NamedTuple):
    """A failed operation as it was counted.

    Attributes:
        minute: minutes since 1970.
        weight: number of operations that it represents.
        series: the series in which it counts; empty for the error of an operation not yet read.
    """

    minute: int
    weight: float
    series: Sequence[str]


class Failures:
    """Pairs failed operations with the errors that excuse them; keeps the newest 5,000 of each."""

    def __init__(self) -> None:
        self._failed: dict[str, Failed] = {}
        self._excused: dict[str, Failed] = {}
        self._dirty: set[str] = set()

    def fail(self, operation_id: Any, failed: Failed) -> bool:
        """Record a failure; return whether it is known to be caused by the user.

        Args:
            operation_id: of the operation; None if no error can refer to it.
            failed: the failure as it is counted.
        """
        if type(operation_id) is not str:
            return False
        if self._excused.pop(operation_id, None) is not None:
            self._dirty.add(operation_id)
            return True
        self._note(self._failed, operation_id, failed)
        return False

    def excuse(self, operation_id: Any, minute: int) -> Failed | None:
        """Record that a failure was caused by the user; return it if it was already counted."""
        if type(operation_id) is not str:
            return None
        found = self._failed.pop(operation_id, None)
        if found is None:
            self._note(self._excused, operation_id, Failed(minute, 0.0, ()))
        self._dirty.add(operation_id)
        return found

    def settle(self, operation_id: Any) -> str:
        """Record that a failure was not caused by the user; return its `Class.operation`, or ""."""
        found = self._failed.pop(operation_id, None) if type(operation_id) is str else None
        if found is None:
            return ""
        self._dirty.add(operation_id)
        return found.series[-1]

    def _note(self, where: dict[str, Failed], operation_id: str, failed: Failed) -> None:
        where[operation_id] = failed
        self._dirty.add(operation_id)
        if len(where) > _MOST:
            oldest = next(iter(where))
            del where[oldest]
            self._dirty.add(oldest)

    def load(self, connection: Connection) -> None:
        """Create the table if it is missing, and read it."""
        connection.execute(_SCHEMA)
        rows = connection.execute("SELECT * FROM failures ORDER BY minute, operation")
        for operation_id, minute, weight, series in rows:
            where = self._excused if series is None else self._failed
            names = () if series is None else tuple(orjson.loads(series))
            where[operation_id] = Failed(minute, weight, names)

    def save(self, connection: Connection) -> None:
        """Write pending changes; call `saved` once they are committed."""
        rows: list[tuple[str, int, float, bytes | None]] = []
        gone: list[tuple[str]] = []
        for operation_id in self._dirty:
            if operation_id in self._failed:
                failed = self._failed[operation_id]
                names = orjson.dumps(list(failed.series))
                rows.append((operation_id, failed.minute, failed.weight, names))
            elif operation_id in self._excused:
                rows.append((operation_id, self._excused[operation_id].minute, 0.0, None))
            else:
                gone.append((operation_id,))
        connection.executemany("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)", rows)
        connection.executemany("DELETE FROM failures WHERE operation = ?", gone)

    def saved(self) -> None:
        """Discard the pending changes after the commit."""
        self._dirty.clear()
