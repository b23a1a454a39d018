"""Progress of shipping by destination, stored by the process that ships there.

    <log directory>/.shipping/<name>.sqlite3     0600; one SQLite database per destination
    <log directory>/.shipping/<name>.lock        held by the process that ships there

`leadlog ship` writes positions and refused records in one transaction; other commands use
`leadlog.reading.shipped`.
"""

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import attrs
import orjson

from leadlog.core.databases import Database
from leadlog.core.errors import LogDirectoryError, ReadError
from leadlog.core.files import remedy_of
from leadlog.core.layout import LogFile
from leadlog.core.locks import try_lock

__all__ = [
    "BUSY_SECONDS",
    "FOLDER",
    "Erased",
    "FileProgress",
    "Key",
    "Refused",
    "Shipments",
    "database_path",
    "form_of",
    "key_of",
    "meta_of",
    "progress_of",
    "shipping_lock",
]

FOLDER: Final = ".shipping"
_VERSION: Final = 1
BUSY_SECONDS: Final = 10.0
_AS_WRITER: Final = "run this as the user who writes the log"
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    category TEXT NOT NULL, stem TEXT NOT NULL, read_to INTEGER NOT NULL,
    last_start INTEGER NOT NULL, last_line TEXT NOT NULL, complete INTEGER NOT NULL,
    form TEXT NOT NULL, recent TEXT NOT NULL, PRIMARY KEY (category, stem)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (
    number INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, category TEXT NOT NULL,
    reason TEXT NOT NULL, at_us INTEGER NOT NULL, line BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS erased (
    number INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, category TEXT NOT NULL,
    date TEXT NOT NULL, line BLOB, removed INTEGER NOT NULL, done INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS dropped (
    cause TEXT PRIMARY KEY, files INTEGER, bytes INTEGER, records INTEGER
) WITHOUT ROWID;
"""

Key = tuple[str, str]
"""Category and stem of a log file: the same in all of its forms."""


@attrs.frozen
class FileProgress:
    """Progress of one file.

    Attributes:
        read_to: Offset of the first byte of the content that was not shipped.
        last_start: Offset of the last line that was shipped.
        last_line: Hash of that line; empty if there is none.
        complete: Whether all complete lines were shipped when the file had `form`.
        form: Size and modification time of the file when it was read.
        recent: The event_ids that were shipped last, by which the position is found again in a file
            that was rewritten.
    """

    read_to: int = 0
    last_start: int = 0
    last_line: str = ""
    complete: bool = False
    form: str = ""
    recent: tuple[str, ...] = ()


class Refused(NamedTuple):
    """A record that a destination refused for good.

    Attributes:
        number: Number of the row; 0 if it is not stored yet.
        event_id: Identifies the record.
        category: Folder of the record.
        reason: The destination's reason.
        line: The line as it is in the log.
    """

    number: int
    event_id: str
    category: str
    reason: str
    line: bytes


class Erased(NamedTuple):
    """An event that an erasure removed from the log, or changed.

    Attributes:
        event_id: Identifies the record.
        category: Folder of the record.
        date: UTC day of the event.
        line: The line that replaced it; None if it was removed.
    """

    event_id: str
    category: str
    date: str
    line: bytes | None


def key_of(file: LogFile) -> Key:
    """Return the key of a file, the same in all of its forms."""
    return file.category, file.stem


def form_of(state: os.stat_result) -> str:
    """Return a mark that changes with a file: its size and modification time."""
    return f"{state.st_size}:{state.st_mtime_ns}"


def database_path(directory: Path, name: str) -> Path:
    """Return the path of a destination's state."""
    return directory / FOLDER / f"{name}.sqlite3"


@contextmanager
def shipping_lock(directory: Path, name: str) -> Iterator[str | None]:
    """Hold the lock of a destination while the block runs.

    Yields None if the lock was acquired, else the id of the process that holds it.

    Raises:
        LogDirectoryError: The lock file cannot be written, or the file system does not support
            locks.
    """
    path = directory / FOLDER / f"{name}.lock"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LogDirectoryError(
            f"cannot write {path}: {error.strerror or error}; {remedy_of(error, _AS_WRITER)}"
        ) from error
    try:
        if not try_lock(fd):
            yield os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            return
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield None
    finally:
        os.close(fd)


class Shipments(Database):
    """The state of one destination; a context manager.

    Args:
        directory: The log directory.
        name: Name of the destination.

    Raises:
        LogDirectoryError: The database cannot be written.
        ReadError: The database is damaged, or of a newer leadlog.
    """

    def __init__(self, directory: Path, name: str) -> None:
        path = database_path(directory, name)
        damaged = f"if it is damaged, start over with `leadlog ship forget {name}`"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Whatever a power cut reverts is shipped again: positions are reverted with it.
            super().__init__(path, seconds=BUSY_SECONDS)
        except (OSError, sqlite3.OperationalError) as error:
            raise _unwritable(path, error) from error
        except sqlite3.DatabaseError as error:
            raise ReadError(f"{path} cannot be used: {error}; {damaged}") from error
        try:
            (version,) = self.connection.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise ReadError(
                    f"{path} was made by a newer leadlog; use that one, or start over with "
                    f"`leadlog ship forget {name}`"
                )
            self.connection.executescript(_TABLES)
            self.connection.execute(f"PRAGMA user_version = {_VERSION}")
        except sqlite3.OperationalError as error:
            self.close()
            raise _unwritable(path, error) from error
        except sqlite3.Error as error:
            self.close()
            raise ReadError(f"{path} cannot be used: {error}; {damaged}") from error
        except BaseException:
            self.close()
            raise

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection for one transaction."""
        try:
            with self.connection as connection:
                yield connection
        except sqlite3.OperationalError as error:  # locked, full, read-only
            raise _unwritable(self.path, error) from error

    # --------------------------------------------------------------------------------- positions

    def progress(self) -> dict[Key, FileProgress]:
        """Return the progress of each file."""
        return progress_of(self.connection)

    def commit(
        self,
        progress: dict[Key, FileProgress],
        *,
        refused: Sequence[Refused] = (),
        sent: int = 0,
        at_us: int,
        gone: Collection[Key] = (),
        dropped: Iterable[tuple[str, int | None, int | None, int | None]] = (),
    ) -> None:
        """Store positions and refused records in one transaction.

        Args:
            progress: Progress of the files that were read.
            refused: Records that the destination refused.
            sent: Number of records that it accepted.
            at_us: The current time, microseconds since 1970.
            gone: Files that no longer exist.
            dropped: (cause, files, bytes, records) of content that will never be shipped.
        """
        with self._writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *key,
                        one.read_to,
                        one.last_start,
                        one.last_line,
                        one.complete,
                        one.form,
                        orjson.dumps(one.recent).decode(),
                    )
                    for key, one in progress.items()
                ],
            )
            connection.executemany("DELETE FROM files WHERE category = ? AND stem = ?", list(gone))
            connection.executemany(
                "INSERT INTO refused (event_id, category, reason, at_us, line) "
                "VALUES (?, ?, ?, ?, ?) ON CONFLICT (event_id) DO UPDATE SET "
                "reason = excluded.reason, at_us = excluded.at_us",
                [(one.event_id, one.category, one.reason, at_us, one.line) for one in refused],
            )
            connection.executemany(
                "INSERT INTO dropped VALUES (?, ?, ?, ?) ON CONFLICT (cause) DO UPDATE SET "
                "files = files + excluded.files, bytes = bytes + excluded.bytes, "
                "records = records + excluded.records",
                list(dropped),
            )
            _add(connection, "sent", sent)
            _add(connection, "refused", len(refused))
            if sent or refused:
                _put(connection, "acknowledged_us", at_us)
                _put(connection, "error", None)

    def put(self, **values: object) -> None:
        """Store values by name."""
        with self._writing() as connection:
            for name, value in values.items():
                _put(connection, name, value)

    def get(self, name: str) -> Any:
        """Return a value by name; None if there is none."""
        return meta_of(self.connection).get(name)

    # ------------------------------------------------------------------------- refused and erased

    def refused(self, after: int = 0, limit: int = 1000) -> list[Refused]:
        """Return refused records, ordered by number.

        Args:
            after: Only records with a higher number.
            limit: Largest number of records.
        """
        rows = self.connection.execute(
            "SELECT number, event_id, category, reason, line FROM refused WHERE number > ? "
            "ORDER BY number LIMIT ?",
            (after, limit),
        )
        return [Refused(*row) for row in rows]

    def replayed(self, accepted: Iterable[Refused], refused: Iterable[Refused], at_us: int) -> None:
        """Remove the records that were now accepted, and store the others' new reasons.

        Args:
            accepted: Records that were accepted.
            refused: Records that were refused again, with the new reason.
            at_us: The current time, microseconds since 1970.
        """
        taken = list(accepted)
        with self._writing() as connection:
            connection.executemany(
                "DELETE FROM refused WHERE number = ?", [(one.number,) for one in taken]
            )
            connection.executemany(
                "UPDATE refused SET reason = ?, at_us = ? WHERE number = ?",
                [(one.reason, at_us, one.number) for one in refused],
            )
            _add(connection, "sent", len(taken))
            if taken:
                _put(connection, "acknowledged_us", at_us)

    def erased_among(self, ids: Sequence[str]) -> dict[str, bytes | None]:
        """Return those of some events that an erasure removed or changed since they were read.

        Returns:
            The replacing line by event_id; None for a removed event.
        """
        (any_one,) = self.connection.execute("SELECT EXISTS (SELECT 1 FROM erased)").fetchone()
        if not any_one:
            return {}
        found = self.connection.execute(
            "SELECT event_id, line FROM erased WHERE (removed OR line IS NOT NULL) "
            "AND event_id IN (SELECT value FROM json_each(?))",
            (orjson.dumps(ids).decode(),),
        )
        return dict(found.fetchall())

    def erasures(self, limit: int = 500) -> list[Erased]:
        """Return events whose copies at the destination must be deleted or replaced."""
        rows = self.connection.execute(
            "SELECT event_id, category, date, line FROM erased WHERE NOT done "
            "ORDER BY number LIMIT ?",
            (limit,),
        )
        return [Erased(*row) for row in rows]

    def erasures_done(self, events: Iterable[Erased]) -> None:
        """Mark erasures as carried out by the destination."""
        with self._writing() as connection:
            connection.executemany(
                "UPDATE erased SET done = 1, line = NULL WHERE event_id = ?",
                [(one.event_id,) for one in events],
            )

    def note_erased(self, events: Iterable[Erased]) -> None:
        """Record events that an erasure removes or changes, before it does."""
        with self._writing() as connection:
            rows = list(events)
            connection.executemany(
                "INSERT INTO erased (event_id, category, date, line, removed, done) "
                "VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT (event_id) DO UPDATE SET "
                "line = excluded.line, removed = excluded.removed, done = 0",
                [(*one, one.line is None) for one in rows],
            )
            connection.executemany(
                "DELETE FROM refused WHERE event_id = ?",
                [(one.event_id,) for one in rows if one.line is None],
            )
            connection.executemany(
                "UPDATE refused SET line = ? WHERE event_id = ?",
                [(one.line, one.event_id) for one in rows if one.line is not None],
            )


def _unwritable(path: Path, error: OSError | sqlite3.Error) -> LogDirectoryError:
    return LogDirectoryError(f"cannot write {path}: {error}; {remedy_of(error, _AS_WRITER)}")


def _put(connection: sqlite3.Connection, name: str, value: object) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def _add(connection: sqlite3.Connection, name: str, count: int) -> None:
    if count:
        connection.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE "
            "SET value = value + excluded.value",
            (name, count),
        )


def meta_of(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return the values stored by name."""
    return dict(connection.execute("SELECT name, value FROM meta").fetchall())


def progress_of(connection: sqlite3.Connection) -> dict[Key, FileProgress]:
    """Return the progress of each file."""
    rows = connection.execute(
        "SELECT category, stem, read_to, last_start, last_line, complete, form, recent FROM files"
    )
    return {
        (category, stem): FileProgress(
            read_to, start, line, bool(complete), form, tuple(orjson.loads(recent))
        )
        for category, stem, read_to, start, line, complete, form, recent in rows
    }
