"""When there is an index, and when the log is read without one."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from leadlog.core.layout import log_files
from leadlog.core.places import INDEX
from leadlog.reading.index.store import NAME, Index
from leadlog.reading.index.updating import IndexUnavailableError, Progress, size_of

__all__ = ["existing_index", "open_index"]

_SMALL_BYTES: Final = 32 * 1024 * 1024
"""A log that is smaller is read as fast as it is indexed."""


def open_index(directory: str | os.PathLike[str], progress: Progress | None = None) -> Index | None:
    """Return the index of a log, up to date; None where the log is as fast to read itself.

    None, too, where it cannot be made, for instance since nothing may be written there.

    A database that SQLite finds damaged is made anew.

    Args:
        directory: the log directory.
        progress: is called with the bytes indexed so far and in all.

    Raises:
        ReadError: a log file cannot be read.
    """
    root = Path(directory)
    if not (root / INDEX / NAME).exists():
        files = [file for file in log_files(root) if not file.archived]
        if sum(size_of(file.path) for file in files) < _SMALL_BYTES:
            return None
    for attempt in range(2):
        index = None
        try:
            index = Index(root)
            index.catch_up(progress)
            return index
        except IndexUnavailableError as error:
            if index is not None:
                index.close()
            if attempt or not isinstance(error.__cause__, sqlite3.DatabaseError):
                return None
            if isinstance(error.__cause__, sqlite3.OperationalError):  # locked, full, read-only
                return None
            for path in (root / INDEX).glob(f"{NAME}*"):
                with suppress(OSError):
                    path.unlink()
    return None


def existing_index(directory: str | os.PathLike[str]) -> Index | None:
    """Return the index of a log, up to date, where there is one that lacks little.

    Raises:
        ReadError: a log file cannot be read.
    """
    if not (Path(directory) / INDEX / NAME).exists():
        return None
    index = None
    try:
        index = Index(directory)
        if index.pending_bytes() <= _SMALL_BYTES:
            index.catch_up()
            return index
    except (IndexUnavailableError, sqlite3.Error):
        pass
    if index is not None:
        index.close()
    return None
