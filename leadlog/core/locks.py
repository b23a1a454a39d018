"""Locks on files, which show other processes that this one is at work.

A lock made by `flock` belongs to the open file; it goes with the last copy of its descriptor.
"""

import os
import struct
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["claims_work", "release_claim", "try_claim", "try_lock"]

if sys.platform == "win32":
    import msvcrt

    _LOCK_BYTE = 1 << 40  # far behind any content, which others may go on reading

    def try_lock(fd: int, *, shared: bool = False) -> bool:  # noqa: ARG001 - there is one kind
        """Lock an open file against other processes, without waiting.

        Returns:
            False when another one holds it.
        """
        os.lseek(fd, _LOCK_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def try_lock(fd: int, *, shared: bool = False) -> bool:
        """Lock an open file against other processes, without waiting.

        Args:
            fd: its descriptor.
            shared: together with others who lock it so.

        Returns:
            False when another one holds it.

        Raises:
            OSError: the file system knows no locks.
        """
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_SET_LOCK = getattr(fcntl, "F_OFD_SETLK", None) if sys.platform != "win32" else None
_FIRST_BYTE = "hhqqi4x"  # struct flock, of one byte from the first on


def try_claim(fd: int) -> bool:
    """Claim an open file, beside who locked it: a second lock that knows nothing of `try_lock`'s.

    It belongs to the open file, too, and goes with the last copy of its descriptor.

    Returns:
        False when another open file has the claim. True also where the system knows no such
        lock; `claims_work` says whether.
    """
    if _SET_LOCK is None:
        return True
    try:
        fcntl.fcntl(fd, _SET_LOCK, struct.pack(_FIRST_BYTE, fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def release_claim(fd: int) -> None:
    """Let another open file have the claim."""
    if _SET_LOCK is not None:
        unlocked = struct.pack(_FIRST_BYTE, fcntl.F_UNLCK, os.SEEK_SET, 0, 1, 0)
        with suppress(OSError):
            fcntl.fcntl(fd, _SET_LOCK, unlocked)


def claims_work(folder: Path) -> bool:
    """Return whether claims keep others off, on the file system of a folder.

    Raises:
        OSError: no file can be made there.
    """
    with tempfile.NamedTemporaryFile(dir=folder) as one, open(one.name, "rb+") as other:  # noqa: PTH123
        return _SET_LOCK is not None and try_claim(one.fileno()) and not try_claim(other.fileno())
