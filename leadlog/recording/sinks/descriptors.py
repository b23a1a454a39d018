"""File descriptors whose locks say that a process lives, and how a forked child lets go of them.

A lock made by `flock` belongs to the open file, which a forked child shares: it is held until
the last copy of the descriptor is closed. So a child closes every copy at once, and never
unlocks, since that would unlock it for its parent too.

An application may close what is not its own, as a daemon's closing loop does, and the number may
be another file's then. So each is known with the file that it was opened for, and is never closed
for another one. None is one of the three standard streams', which an application may have closed.
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
        token: what the names of its files in memory have in common.

    Every one is known here from before it exists until after it is gone, so that a child can
    close them all even if another thread was just opening one when it was forked.
    """

    def __init__(self) -> None:
        self._held: dict[int, Identity] = {}
        self._under_way: set[object] = set()
        self.token = secrets.token_hex(TOKEN_LENGTH // 2)
        self._numbers = itertools.count()

    def name(self) -> str:
        """Return a name that nobody else has, beginning with `token`."""
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
        """Close a descriptor that `open` gave; one that was abandoned since is left alone."""
        if fd not in self._held:
            return
        mark = object()
        self._under_way.add(mark)
        try:
            # Forgotten first: a child must not close a number that was given out again.
            identity = self._held.pop(fd)
            if _identity(fd) == identity:
                os.close(fd)
        except OSError:
            return  # closed nevertheless, says POSIX; what failed was an earlier write
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
        """Give up a descriptor that the application closed, without closing what it is now."""
        if self._held.get(fd) == identity:
            self._held.pop(fd, None)

    def abandon(self, folders: Collection[Path]) -> None:
        """In a forked child: closes the copies of all descriptors; unlocks nothing.

        Args:
            folders: where files lie that nobody but sinks opens; if the fork came in the
                midst of an `open` or `close`, what is open there is closed too.
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
    """Have what is opened meanwhile get no number of a standard stream that was closed."""
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

    Before Python 3.13 a mapping has a descriptor of its own, which it closes by its number in the
    end, whatever that is by then. So it is noted here.

    Args:
        fd: the file.
        size: how many bytes of it.
        at_once: whether all of it is to be in memory now.

    Raises:
        OSError: it cannot be mapped.
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
    """Let go of a mapping; where another file has the number of its descriptor now, keep it."""
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
    """Descriptors of this process that are open in one of the folders."""
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
