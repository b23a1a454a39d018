"""Slots: small numbers that distinguish the files of processes that log at the same time.

A process holds the lowest free number by a lock on `.slots/<n>` in the log directory for as long as
it lives. A process alone always has slot 0, whose files have no suffix.
"""

import itertools
import os
from functools import partial
from pathlib import Path

from leadlog.core.files import make_folder
from leadlog.core.locks import try_lock
from leadlog.recording.sinks.descriptors import Descriptors

__all__ = ["Slot", "SlotHolder", "take_slot"]


class Slot:
    """A slot held by this process.

    Args:
        number: 0 or more.
        path: its lock file.
        fd: the lock file, open and locked.
        descriptors: the descriptors that `fd` belongs to.

    Attributes:
        number: 0 or more.
    """

    __slots__ = ("_descriptors", "_fd", "_path", "number")

    def __init__(self, number: int, path: Path, fd: int, descriptors: Descriptors) -> None:
        self.number = number
        self._path = path
        self._fd = fd
        self._descriptors = descriptors

    def holds(self) -> bool:
        """Return whether the lock still excludes others: not if its file was removed or moved."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._fd))
        except OSError:
            return False

    def release(self) -> None:
        """Release the slot."""
        self._descriptors.close(self._fd)


def take_slot(
    directory: Path,
    descriptors: Descriptors,
    *,
    host: str = "",
    file_mode: int = 0o600,
    directory_mode: int = 0o700,
) -> Slot:
    """Take the lowest free slot of a log directory.

    Args:
        directory: the log directory; created if it does not exist.
        descriptors: the descriptors the lock file is opened with.
        host: name of this host, if several share the directory; each has its own slots.
        file_mode: mode of the lock file.
        directory_mode: mode of new folders.

    Raises:
        OSError: the directory cannot be written, or its file system does not support locks.
    """
    folder = directory / ".slots"
    make_folder(folder, directory_mode)
    for number in itertools.count():
        path = folder / (f"{host}.{number}" if host else str(number))
        try:
            fd = descriptors.open(path, os.O_RDWR | os.O_CREAT, file_mode)
        except PermissionError:
            if path.exists():
                continue  # another user's
            raise
        slot = Slot(number, path, fd, descriptors)
        try:
            free = try_lock(fd)
        except OSError:
            slot.release()
            raise
        if free and slot.holds():
            return slot
        slot.release()
    raise AssertionError("unreachable")


class SlotHolder:
    """A slot taken on first use, and again if it was lost.

    Args:
        directory: the log directory.
        descriptors: the descriptors the lock files are opened with.
        host: name of this host, if several share the directory.
        file_mode: mode of the lock files.
        directory_mode: mode of new folders.
    """

    def __init__(
        self,
        directory: Path,
        descriptors: Descriptors,
        *,
        host: str = "",
        file_mode: int = 0o600,
        directory_mode: int = 0o700,
    ) -> None:
        self._take = partial(
            take_slot,
            directory,
            descriptors,
            host=host,
            file_mode=file_mode,
            directory_mode=directory_mode,
        )
        self._slot: Slot | None = None

    def number(self) -> int:
        """Return the number of the slot held.

        Raises:
            OSError: see `take_slot`.
        """
        if self._slot is None or not self._slot.holds():
            self.release()
            self._slot = self._take()
        return self._slot.number

    def release(self) -> None:
        """Release the slot."""
        if self._slot is not None:
            self._slot.release()
            self._slot = None
