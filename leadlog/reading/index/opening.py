"""Decides whether an index is used, or the log is read directly."""

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
"""A smaller log is read as fast as it is indexed."""


def open_index(directory: str | os.PathLike[str], progress: Progress | None = None) -> Index | None:
    """Return the index of a log, up to date; None if the log is as fast to read directly.

    None also if the index cannot be created, for instance because the directory is read-only. A
    database that SQLite finds damaged is created again.

    Args:
        directory: the log directory.
        progress: called with the bytes indexed so far and in total.

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
    """Return a log's index, brought up to date, if one exists and lacks little; else None.

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
