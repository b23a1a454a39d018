"""leadlog's own SQLite databases, kept next to a log: private, shared by processes, closed once.

In WAL mode any number of processes can read a database while another one writes to it. After a
power cut the last transactions may be lost, but always as a whole: data and the position up to
which it was read never disagree. Deleted content is overwritten (`secure_delete`).
"""

import os
import sqlite3
import time
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from leadlog.core.files import open_file

__all__ = ["Database", "reading_database"]

_PAUSE_SECONDS: Final = 0.01


class Database:
    """An open database; a context manager.

    A database that was not closed is closed when the object is garbage collected.

    Args:
        path: The file; its folder must exist. A symbolic link is refused.
        mode: The permissions of a new file; SQLite gives its other files the same.
        seconds: How long to wait for other writers.
        autocommit: Whether a statement outside `BEGIN` and `COMMIT` takes effect at once;
            otherwise the connection is a context manager that commits.

    Attributes:
        path: The file.
        connection: The connection; any thread may use it, one at a time.

    Raises:
        OSError: The file cannot be created.
        sqlite3.Error: The database cannot be opened.
    """

    def __init__(
        self, path: Path, mode: int = 0o600, *, seconds: float, autocommit: bool = False
    ) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        os.close(open_file(path, flags, mode))
        self.connection = sqlite3.connect(
            path,
            timeout=seconds,
            isolation_level=None if autocommit else "DEFERRED",
            check_same_thread=False,
        )
        self._finalizer = weakref.finalize(self, self.connection.close)
        try:
            self._begin_wal(time.monotonic() + seconds)
            for pragma in ("synchronous = NORMAL", "secure_delete = ON"):
                self.connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            self.close()
            raise

    def _begin_wal(self, until: float) -> None:
        """Switch to WAL mode, and retry while others do the same: SQLite does not wait for that."""
        while True:
            try:
                self.connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > until:
                    raise
                time.sleep(_PAUSE_SECONDS)
            else:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; a second time does nothing."""
        self._finalizer()


@contextmanager
def reading_database(path: Path, *, seconds: float) -> Iterator[sqlite3.Connection]:
    """Yield a connection that reads a database while other connections write to it.

    Raises:
        sqlite3.Error: The database cannot be opened.
    """
    with closing(sqlite3.connect(path, timeout=seconds)) as connection:
        connection.execute("PRAGMA query_only = ON")
        yield connection
