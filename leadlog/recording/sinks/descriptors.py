"""File descriptors whose locks show that a process lives, and their release in a forked child.

A lock made by `flock` belongs to the open file, which a forked child shares: it is held until the
last copy of the descriptor is closed. A child therefore closes every copy at once, and never
unlocks, since that would unlock the file for its parent too.

An application may close descriptors that it does not own, as a daemon's closing loop does, and the
number may then belong to another file. Each descriptor is therefore recorded with the file that it
was opened for, and never closed for another file. None gets the number of a standard stream,
which an application may have closed.
"""

import itertools
import mmap
import os
import secrets
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakKeyDictionary

from leadlog.core.files import open_file

__all__ = ["TOKEN_LENGTH", "Descriptors", "map_file", "unmap"]

TOKEN_LENGTH = 8

_OPEN_FLAGS = getattr(os, "O_BINARY", 0)
_STANDARD_STREAMS = 3

Identity = tuple[int, int]
"""Device and inode of an open file."""


class Descriptors:
    """The descriptors of one sink in one process.

    Attributes:
        token: common prefix of the names of its files in memory.

    Every descriptor is recorded from before it exists until after it is closed, so that a child can
    close them all even if another thread was opening one during the fork.
    """

    def __init__(self) -> None:
        self._held: dict[int, Identity] = {}
        self._under_way: set[object] = set()
        self.token = secrets.token_hex(TOKEN_LENGTH // 2)
        self._numbers = itertools.count()

    def name(self) -> str:
        """Return a unique name that begins with `token`."""
        return f"{self.token}{next(self._numbers):08x}"

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        """Open a file as `leadlog.core.files.open_file` does.

        Raises:
            OSError: as `os.open`.
        """
        mark = object()
        self._under_way.add(mark)
        try:
            with _above_standard_streams():
                fd = open_file(path, flags | _OPEN_FLAGS, mode)
            self._held[fd] = _identity(fd)
        finally:
            self._under_way.discard(mark)
        return fd

    def close(self, fd: int) -> None:
        """Close a descriptor that `open` returned; do nothing if it was abandoned since."""
        if fd not in self._held:
            return
        mark = object()
        self._under_way.add(mark)
        try:
            # Removed first: a child must not close a number that was reused.
            identity = self._held.pop(fd)
            if _identity(fd) == identity:
                os.close(fd)
        except OSError:
            return  # closed nevertheless, according to POSIX; an earlier write failed
        finally:
            self._under_way.discard(mark)

    def identity(self, fd: int) -> Identity | None:
        """Return the identity of a descriptor's file; None if it was not opened here."""
        return self._held.get(fd)

    def holds(self, fd: int, identity: Identity | None) -> bool:
        """Return whether a descriptor is still open for the file that it was opened for."""
        try:
            return self._held.get(fd) == identity == _identity(fd)
        except OSError:
            return False

    def forget(self, fd: int, identity: Identity | None) -> None:
        """Drop a descriptor that the application closed, without closing the file it is now."""
        if self._held.get(fd) == identity:
            self._held.pop(fd, None)

    def abandon(self, folders: Collection[Path]) -> None:
        """Close the copies of all descriptors in a forked child, without unlocking anything.

        Args:
            folders: folders with files that only sinks open; if the fork interrupted an `open` or
                `close`, every descriptor open there is closed.
        """
        held, self._held = self._held, {}
        for fd, identity in held.items():
            with suppress(OSError):
                if _identity(fd) == identity:
                    os.close(fd)
        if self._under_way:
            self._under_way = set()
            for fd in _open_below(folders):
                _close_quietly(fd)


def _identity(fd: int) -> Identity:
    state = os.fstat(fd)
    return state.st_dev, state.st_ino


@contextmanager
def _above_standard_streams() -> Iterator[None]:
    """Keep files opened in the block off the numbers of standard streams that were closed."""
    placeholders: list[int] = []
    try:
        for stream in range(_STANDARD_STREAMS):
            try:
                os.fstat(stream)
            except OSError:
                placeholders.append(os.open(os.devnull, os.O_RDWR))
        yield
    finally:
        for placeholder in placeholders:
            os.close(placeholder)


_twins: WeakKeyDictionary[mmap.mmap, tuple[int, Identity]] = WeakKeyDictionary()
_kept: list[mmap.mmap] = []


def map_file(fd: int, size: int, *, at_once: bool = False) -> mmap.mmap:
    """Map an open file.

    Before Python 3.13 a mapping duplicates the descriptor and closes the copy by number at the end,
    whatever file that number belongs to by then. The copy is therefore recorded here.

    Args:
        fd: the file.
        size: number of bytes to map.
        at_once: whether to load all of it into memory now.

    Raises:
        OSError: the file cannot be mapped.
    """
    if sys.platform == "win32":
        return mmap.mmap(fd, size)
    flags = mmap.MAP_SHARED | (getattr(mmap, "MAP_POPULATE", 0) if at_once else 0)
    with _above_standard_streams():
        if sys.version_info >= (3, 13):
            return mmap.mmap(fd, size, flags, trackfd=False)
        next_free = os.dup(fd)
        os.close(next_free)
        memory = mmap.mmap(fd, size, flags)
    with suppress(OSError):
        if _identity(next_free) == _identity(fd):
            _twins[memory] = next_free, _identity(fd)
    return memory


def unmap(memory: mmap.mmap) -> None:
    """Close a mapping; keep it if another file now has the number of its descriptor."""
    twin = _twins.pop(memory, None)
    if twin is not None:
        fd, identity = twin
        try:
            foreign = _identity(fd) != identity
        except OSError:
            foreign = False
        if foreign:
            _kept.append(memory)
            return
    memory.close()


def _close_quietly(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        return


def _open_below(folders: Collection[Path]) -> list[int]:
    """Return the descriptors of this process that are open in one of the folders."""
    found = []
    try:
        names = os.listdir("/proc/self/fd")  # noqa: PTH208 - numbers, not paths
    except OSError:
        return []
    for name in names:
        try:
            target = Path(f"/proc/self/fd/{name}").readlink()
        except OSError:
            continue
        if target.parent in folders:
            found.append(int(name))
    return found
