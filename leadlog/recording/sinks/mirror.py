"""Counts of a ring that lies in the heap, kept where `leadlog doctor` can read them.

A copy of the header in a file of its own, made before the first line is taken and refreshed once a
second by plain writes. It is locked as a ring is, so that it tells whether its process lives; and
whether that ended in order, since the last copy says that it is the last.
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
        category: whose ring.
        ring: the ring.
        spool: where it is put, or into its spare folder.
        descriptors: where it is opened.
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
        """Write the last counts and let go of the file, which stays for a while."""
        self._write(last=True)
        self.close()
        self._spool.retire(self._path)

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            self._descriptors.close(self._fd)
            self._fd = -1

    def remove(self) -> None:
        """Remove the file, since the ring itself can be read now."""
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
            return  # nowhere to keep them; `leadlog.stats()` still has them
        self._page = page

    def _open(self, page: bytes) -> None:
        name = self._path.name
        for folder in (self._spool.path, self._spool.spare):
            path = folder / name
            try:
                make_private(folder)
                # Under another name until it is whole and locked, as a ring.
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
