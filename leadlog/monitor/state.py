"""The monitor's state: an SQLite database in the log directory, and the lock of the only monitor.

Positions, figures, alerts and messages are written in one transaction, so however a monitor ends,
the next one finds all of them as of the same moment.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from leadlog.core.errors import LeadlogError, LogDirectoryError, ReadError
from leadlog.core.files import make_folder, open_file, remedy_of
from leadlog.core.locks import try_lock
from leadlog.core.places import modes_of
from leadlog.monitor import storage
from leadlog.monitor.notification import outbox
from leadlog.reading.follow import Follower, Position

__all__ = [
    "DATABASE",
    "Lock",
    "StandbyError",
    "database_path",
    "get",
    "load_positions",
    "open_state",
    "put",
    "read_state",
    "save_positions",
    "write_state",
]

DATABASE: Final = ".monitor.sqlite3"
_LOCK: Final = ".monitor.lock"
_VERSION: Final = 1
_BUSY_SECONDS: Final = 5.0


class StandbyError(LeadlogError):
    """Another monitor is active for this log directory."""


def database_path(directory: Path) -> Path:
    """Return the path of the monitor's database in a log directory."""
    return directory / DATABASE


class Lock:
    """The lock of the only monitor of a log directory, held while its process lives.

    Args:
        directory: the log directory; created if it does not exist.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / _LOCK
        self._fd: int | None = None

    def take(self) -> None:
        """Acquire the lock.

        Raises:
            StandbyError: another monitor holds it; the message names its process.
            LogDirectoryError: it cannot be written, or the file system does not support locks.
        """
        if self._fd is not None:
            return
        try:
            files, folders = modes_of(self._path.parent)
            make_folder(self._path.parent, folders)
            fd = open_file(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, files)
        except OSError as error:
            raise LogDirectoryError(
                f"cannot write {self._path}: {error.strerror or error}; run the monitor as the "
                "user who writes the log"
            ) from error
        try:
            free = try_lock(fd)
            process = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
            if free:
                os.ftruncate(fd, 0)
                os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(fd)
            raise LogDirectoryError(
                f"cannot lock {self._path}: {error.strerror or error}; put the log directory on "
                "a file system that knows locks"
            ) from error
        if not free:
            os.close(fd)
            raise StandbyError(f"process {process or 'unknown'} watches {self._path.parent}")
        self._fd = fd

    def release(self) -> None:
        """Release the lock; in a forked child, close the child's copy."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def open_state(directory: Path) -> sqlite3.Connection:
    """Return the database of a monitor that holds the lock; create it if it is missing.

    Raises:
        ReadError: it is damaged, or was written by a newer version.
        LogDirectoryError: it cannot be written.
    """
    path = database_path(directory)
    try:
        mode, _ = modes_of(directory)
        os.close(open_file(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode))
        # A monitor may be closed by another thread than the one that opened it.
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise LogDirectoryError(
            f"cannot write {path}: {error}; "
            + remedy_of(error, "run the monitor as the user who writes the log")
        ) from error
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # Whatever a power cut reverts is read again from the log: positions are reverted with it.
        connection.execute("PRAGMA synchronous = NORMAL")
        _check_version(connection, path)
        with connection:
            _create(connection)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise ReadError(
            f"{path} cannot be used: {error}; if it is damaged, move it away: the monitor then "
            "learns again from the log, and silences are lost"
        ) from error
    return connection


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > _VERSION:
        raise ReadError(f"{path} was made by a newer leadlog; use that one, or move the file away")
    if not version:
        connection.execute(f"PRAGMA user_version = {_VERSION}")


def _create(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS positions (file TEXT PRIMARY KEY, read_to INTEGER NOT NULL, "
        "head_bytes INTEGER NOT NULL, head TEXT NOT NULL, packed_bytes INTEGER NOT NULL) "
        "WITHOUT ROWID"
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID"
    )
    storage.create(connection)
    outbox.create(connection)


@contextmanager
def read_state(directory: Path) -> Iterator[sqlite3.Connection]:
    """Yield the database for reading while a monitor may be running.

    Raises:
        ReadError: it does not exist, or cannot be read.
    """
    path = database_path(directory)
    if not path.is_file():
        raise ReadError(
            f"no monitor has watched {directory} yet; run `leadlog monitor`, or "
            "`leadlog monitor --once`"
        )
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
            connection.execute("PRAGMA query_only = ON")
            yield connection
    except sqlite3.Error as error:
        raise ReadError(f"cannot read {path}: {error}") from error


@contextmanager
def write_state(directory: Path) -> Iterator[sqlite3.Connection]:
    """Yield the database for a change while a monitor may be running; commit at the end.

    Raises:
        ReadError: it cannot be used.
        LogDirectoryError: it cannot be written.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = database_path(directory)
    with closing(open_state(directory)) as connection:
        try:
            with connection:
                yield connection
        except sqlite3.Error as error:
            raise ReadError(f"cannot write {path}: {error}") from error


def get(connection: sqlite3.Connection, name: str) -> object:
    """Return a value stored by `put`; None if there is none."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else row[0]


def put(connection: sqlite3.Connection, name: str, value: str | float) -> None:
    """Store a value by name."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def load_positions(connection: sqlite3.Connection, follower: Follower) -> None:
    """Restore a follower's positions."""
    for name, *values in connection.execute("SELECT * FROM positions"):
        follower.positions[name] = Position(*values)


def save_positions(connection: sqlite3.Connection, follower: Follower) -> Callable[[], None]:
    """Write changed positions into the open transaction.

    Returns:
        A function to call after the commit.
    """
    names = set(follower.dirty)
    connection.executemany(
        "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?)",
        [
            (name, one.offset, one.head_bytes, one.head, one.packed_bytes)
            for name, one in follower.positions.items()
            if name in names
        ],
    )
    return follower.dirty.clear
