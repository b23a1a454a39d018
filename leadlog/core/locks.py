"""File locks, by which a process shows others that it is running.

A lock made by `flock` belongs to the open file and ends with the last copy of its descriptor.
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

    _LOCK_BYTE = 1 << 40  # far beyond any content, so others can still read it

    def try_lock(fd: int, *, shared: bool = False) -> bool:  # noqa: ARG001 - there is one kind
        """Lock an open file against other processes without waiting.

        Returns:
            False if another process holds the lock.
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
        """Lock an open file against other processes without waiting.

        Args:
            fd: the file's descriptor.
            shared: whether others may hold a shared lock at the same time.

        Returns:
            False if another open file holds the lock.

        Raises:
            OSError: the file system does not support locks.
        """
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_SET_LOCK = getattr(fcntl, "F_OFD_SETLK", None) if sys.platform != "win32" else None
_FIRST_BYTE = "hhqqi4x"  # struct flock, one byte at the start of the file


def try_claim(fd: int) -> bool:
    """Claim an open file: a second lock, independent of the one that `try_lock` takes.

    The claim belongs to the open file as well and ends with the last copy of its descriptor.

    Returns:
        False if another open file holds the claim. True also where the system does not support
        such locks; `claims_work` tests that.
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
    """Release the claim on an open file."""
    if _SET_LOCK is not None:
        unlocked = struct.pack(_FIRST_BYTE, fcntl.F_UNLCK, os.SEEK_SET, 0, 1, 0)
        with suppress(OSError):
            fcntl.fcntl(fd, _SET_LOCK, unlocked)


def claims_work(folder: Path) -> bool:
    """Return True if claims exclude each other on the file system of a folder.

    Raises:
        OSError: no file can be created there.
    """
    with tempfile.NamedTemporaryFile(dir=folder) as one, open(one.name, "rb+") as other:  # noqa: PTH123
        return _SET_LOCK is not None and try_claim(one.fileno()) and not try_claim(other.fileno())
