"""One janitor at a time in a log directory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leadlog.archive.folders import unlock
from leadlog.errors import LogDirectoryError
from leadlog.sinks.descriptors import try_lock

__all__ = ["sole_janitor"]

LOCK = ".archive.lock"


@contextmanager
def sole_janitor(root: Path) -> Iterator[None]:
    """Keeps other janitors out of a log directory.

    Raises:
        LogDirectoryError: another one is at work, or the directory cannot be written.
    """
    path = root / LOCK
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise LogDirectoryError(
            f"cannot write {path}: {error.strerror}; run this as the user who writes the log, "
            "or look only, with --dry-run"
        ) from error
    try:
        try:
            free = try_lock(fd)
        except OSError as error:
            raise LogDirectoryError(
                f"cannot lock {path}: {error.strerror}; without locks it is not safe to change "
                "anything there"
            ) from error
        if not free:
            process = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise LogDirectoryError(
                f"another janitor (process {process}) is at work in {root}; "
                "run this again when it has ended"
            )
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        unlock(fd)
