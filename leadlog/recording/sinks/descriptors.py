"""File descriptors whose locks say that a process lives, and how a forked child lets go of them.

A lock made by `flock` belongs to the open file, which a forked child shares: it is held until
the last copy of the descriptor is closed. So a child closes every copy at once, and never
unlocks, since that would unlock it for its parent too.
"""

import itertools
import os
import secrets
from collections.abc import Collection
from pathlib import Path

from leadlog.core.files import open_file

__all__ = ["TOKEN_LENGTH", "Descriptors"]

TOKEN_LENGTH = 8

_OPEN_FLAGS = getattr(os, "O_BINARY", 0)


class Descriptors:
    """The descriptors of one sink in one process.

    Attributes:
        token: what the names of its files in memory have in common.

    Every one is known here from before it exists until after it is gone, so that a child can
    close them all even if another thread was just opening one when it was forked.
    """

    def __init__(self) -> None:
        self._held: set[int] = set()
        self._under_way: set[object] = set()
        self.token = secrets.token_hex(TOKEN_LENGTH // 2)
        self._numbers = itertools.count()

    def name(self) -> str:
        """A name that nobody else has, beginning with `token`."""
        return f"{self.token}{next(self._numbers):04x}"

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        """Opens a file as `leadlog.core.files.open_file` does.

        Raises:
            OSError: as `os.open`.
        """
        mark = object()
        self._under_way.add(mark)
        try:
            fd = open_file(path, flags | _OPEN_FLAGS, mode)
            self._held.add(fd)
        finally:
            self._under_way.discard(mark)
        return fd

    def close(self, fd: int) -> None:
        """Closes a descriptor that `open` gave; one that was abandoned since is left alone."""
        if fd not in self._held:
            return
        mark = object()
        self._under_way.add(mark)
        try:
            # Forgotten first: a child must not close a number that was given out again.
            self._held.discard(fd)
            os.close(fd)
        except OSError:
            return  # closed nevertheless, says POSIX; what failed was an earlier write
        finally:
            self._under_way.discard(mark)

    def abandon(self, folders: Collection[Path]) -> None:
        """In a forked child: closes the copies of all descriptors; unlocks nothing.

        Args:
            folders: where files lie that nobody but sinks opens; if the fork came in the
                midst of an `open` or `close`, what is open there is closed too.
        """
        held, self._held = self._held, set()
        for fd in held:
            _close_quietly(fd)
        if self._under_way:
            self._under_way = set()
            for fd in _open_below(folders):
                _close_quietly(fd)


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
