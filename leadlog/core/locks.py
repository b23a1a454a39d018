"""Locks on files, which tell other processes that this one is at work.

A lock made by `flock` belongs to the open file; it goes with the last copy of its descriptor.
"""

import os
import sys

__all__ = ["try_lock"]

if sys.platform == "win32":
    import msvcrt

    _LOCK_BYTE = 1 << 40  # far behind any content, which others may go on reading

    def try_lock(fd: int, *, shared: bool = False) -> bool:  # noqa: ARG001 - there is one kind
        """Locks an open file against other processes, without waiting.

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
        """Locks an open file against other processes, without waiting.

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
