"""Counts of a ring in the heap, stored where `leadlog doctor` can read them.

A copy of the ring's header in its own file, written before the first line is taken and refreshed
once a second by plain writes. It is locked like a ring, which shows whether its process lives. The
last copy is marked as such, which shows whether the process ended in order.
"""

import os
import time

from leadlog.core.locks import try_lock
from leadlog.recording.sinks.descriptors import Descriptors
from leadlog.recording.sinks.ring import Ring
from leadlog.recording.sinks.storage import Spool, make_private

__all__ = ["Mirror"]

_INTERVAL_SECONDS = 1.0


class Mirror:
    """The copy of one ring's header.

    Args:
        category: the ring's category.
        ring: the ring.
        spool: the spool that holds the file, in its main or its spare folder.
        descriptors: the descriptors it is opened with.
    """

    def __init__(self, category: str, ring: Ring, spool: Spool, descriptors: Descriptors) -> None:
        self._category = category
        self._ring = ring
        self._spool = spool
        self._descriptors = descriptors
        self._fd = -1
        self._page = b""
        self._due = 0.0
        self._path = spool.path / f"{category}.{os.getpid()}.{descriptors.name()}.ring"

    def refresh(self) -> None:
        """Write the counts if they changed, at most once a second."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _INTERVAL_SECONDS
            self._write()

    def finish(self) -> None:
        """Write the last counts and close the file, which is kept for a while."""
        self._write(last=True)
        self.close()
        self._spool.retire(self._path)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            self._descriptors.close(self._fd)
            self._fd = -1

    def remove(self) -> None:
        """Remove the file, since other processes can read the ring itself now."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _write(self, *, last: bool = False) -> None:
        page = self._ring.page(last=last)
        if page == self._page:
            return
        try:
            if self._fd < 0:
                self._open(page)
            else:
                os.lseek(self._fd, 0, os.SEEK_SET)
                os.write(self._fd, page)
        except OSError:
            return  # no place for them; `leadlog.stats()` still has them
        self._page = page

    def _open(self, page: bytes) -> None:
        name = self._path.name
        for folder in (self._spool.path, self._spool.spare):
            path = folder / name
            try:
                make_private(folder)
                # Under another name until it is complete and locked, like a ring.
                temporary = path.with_suffix(".new")
                fd = self._descriptors.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            except OSError:
                continue
            try:
                try_lock(fd)
                os.write(fd, page)
                temporary.rename(path)
            except OSError:
                temporary.unlink(missing_ok=True)
                self._descriptors.close(fd)
                continue
            self._path, self._fd = path, fd
            return
        raise OSError("neither folder can be written")
