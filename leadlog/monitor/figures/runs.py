"""The newest sync runs, ordered by time."""

from sqlite3 import Connection
from typing import Final, NamedTuple

__all__ = ["LoggedSync", "SyncRuns"]

_MOST: Final = 2_000

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS sync_runs (at TEXT NOT NULL, run TEXT NOT NULL, "
    "minute INTEGER NOT NULL, success INTEGER, limited INTEGER NOT NULL, message TEXT NOT NULL, "
    "PRIMARY KEY (at, run)) WITHOUT ROWID"
)


class LoggedSync(NamedTuple):
    """One sync run.

    Attributes:
        at: its timestamp.
        run: its sync_id.
        minute: minute of the timestamp, since 1970.
        success: None if unknown.
        limited: whether Airtable throttled it.
        message: the error message, or "".
    """

    at: str
    run: str
    minute: int
    success: bool | None
    limited: bool
    message: str


class SyncRuns:
    """The newest runs, at most two thousand."""

    def __init__(self) -> None:
        self._runs: list[LoggedSync] = []
        self._dirty: list[LoggedSync] = []

    def take(self, run: LoggedSync) -> None:
        """Add a run, which may arrive late."""
        self._runs.append(run)
        if len(self._runs) > 1 and run.at < self._runs[-2].at:
            self._runs.sort()
        del self._runs[:-_MOST]
        self._dirty.append(run)

    def since(self, minute: int, until: int) -> list[LoggedSync]:
        """Return the runs of the minutes from `minute` to `until`, oldest first."""
        found = []
        for run in reversed(self._runs):
            if run.minute < minute:
                break
            if run.minute <= until:
                found.append(run)
        found.reverse()
        return found

    def failed_in_a_row(self, until: int) -> list[LoggedSync]:
        """Return the runs since the last one that succeeded, oldest first."""
        found: list[LoggedSync] = []
        for run in reversed(self._runs):
            if run.minute > until or run.success is None:
                continue
            if run.success:
                break
            found.append(run)
        found.reverse()
        return found

    def load(self, connection: Connection) -> None:
        """Create the table if it is missing, and read it."""
        connection.execute(_SCHEMA)
        rows = connection.execute("SELECT * FROM sync_runs ORDER BY at, run")
        self._runs = [
            LoggedSync(
                at, run, minute, None if success is None else bool(success), bool(limited), text
            )
            for at, run, minute, success, limited, text in rows
        ]

    def save(self, connection: Connection) -> None:
        """Write pending changes; call `saved` once they are committed."""
        connection.executemany(
            "INSERT OR REPLACE INTO sync_runs VALUES (?, ?, ?, ?, ?, ?)", self._dirty
        )
        if self._dirty and len(self._runs) == _MOST:
            connection.execute("DELETE FROM sync_runs WHERE at < ?", (self._runs[0].at,))

    def saved(self) -> None:
        """Discard the pending changes after the commit."""
        self._dirty.clear()
