"""The folders of a log, held open, so that nothing outside of them can be reached.

Every file is opened relative to the open folder, and never through a symbolic link. Only regular
files whose names follow the log's own grammar are considered.
"""

import datetime as dt
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from leadlog.core.files import DRAFT, draft, replacing, sync_folder
from leadlog.core.layout import (
    PARQUET,
    LogFile,
    parse_name,
    replaced_parts,
)
from leadlog.core.locks import try_lock
from leadlog.reading.archive.plan import FoundFile, Hindrance
from leadlog.reading.part import damaged_path

__all__ = [
    "Folder",
    "LeftAloneError",
    "unlock",
]

IN_USE = "a process is writing to it"
_DAMAGED = re.compile(r"_damaged-.+\.jsonl")
_PART_BESIDE = re.compile(rf"{_DAMAGED.pattern}|_merged-.+\.txt")
_OWN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO must not block


class LeftAloneError(Exception):
    """A file must not be touched now.

    Args:
        reason: the reason.
        finding: whether a person must act; otherwise a later run will do.

    Attributes:
        hindrance: reason and finding together.
    """

    def __init__(self, reason: str, *, finding: bool = False) -> None:
        super().__init__(reason)
        self.hindrance = Hindrance(reason, finding)


class Folder:
    """One category's folder.

    Args:
        category: the category that it holds.
        path: its path; must be a folder, not a symbolic link to one.
        in_use: returns the log files named by a ring, relative to the log directory.
        archived: whether it is a folder of the archive, which contains the parts of one day.

    Attributes:
        category: the category that it holds.
        path: its path.
        archived: whether it is a folder of the archive.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(
        self,
        category: str,
        path: Path,
        in_use: Callable[[], set[str]],
        *,
        archived: bool = False,
    ) -> None:
        self.category = category
        self.path = path
        self._in_use = in_use
        self.archived = archived
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def close(self) -> None:
        """Close the folder."""
        os.close(self._fd)

    def scan(self) -> tuple[list[FoundFile], list[str]]:
        """Return the log files in the folder, and the names of a killed janitor's leftovers.

        Leftovers are drafts, and damaged lines without their part. Parts that a merged one contains
        are not returned; see `merge.finish_merges`.

        Raises:
            OSError: the folder cannot be listed.
        """
        found, leftovers, names = [], [], []
        in_use = self._in_use()
        with os.scandir(self._fd) as entries:
            for entry in entries:
                name = entry.name
                draft = DRAFT.fullmatch(name)
                if self.archived and draft and _PART_BESIDE.fullmatch(draft["name"]):
                    leftovers.append(name)
                    continue
                names.append(name)
                file = parse_name(draft["name"] if draft else name)
                if file is None or file.archived != self.archived or not _is_day(file.date):
                    continue
                with suppress(FileNotFoundError):  # removed since it was listed
                    state = entry.stat(follow_symlinks=False)
                    if not stat.S_ISREG(state.st_mode):
                        continue
                    if draft:
                        leftovers.append(name)
                    else:
                        found.append(self._found(file, state, in_use))
        replaced: set[str] = set()
        if self.archived:
            with suppress(FileNotFoundError):  # removed by a merge
                replaced = replaced_parts(self.path, names)
            parts = {damaged_path(Path(name)).name for name in names if name.endswith(PARQUET)}
            leftovers += [name for name in names if _DAMAGED.fullmatch(name) and name not in parts]
        return [one for one in found if one.file.path.name not in replaced], leftovers

    def _found(self, file: LogFile, state: os.stat_result, in_use: set[str]) -> FoundFile:
        return FoundFile(
            file=replace(file, category=self.category, path=self.path / file.path.name),
            size_bytes=state.st_size,
            modified_ns=state.st_mtime_ns,
            inode=state.st_ino,
            hindrance=self._hindrance(file.name, state, in_use),
        )

    def _hindrance(self, name: str, state: os.stat_result, in_use: set[str]) -> Hindrance | None:
        if state.st_uid != os.geteuid():
            # Its rings belong to that user too, and a copy would have the wrong owner.
            reason = f"it belongs to the user with the id {state.st_uid}; run this as that user"
            return Hindrance(reason, finding=True)
        if f"{self.category}/{name}" in in_use:
            return Hindrance("a process may have lines for it; after a kill: `leadlog recover`")
        return None

    def is_locked(self, name: str) -> bool:
        """Return whether a process holds a file's lock, by briefly taking a shared one.

        Raises:
            OSError: the file cannot be opened.
        """
        fd = self.open(name, os.O_RDONLY)
        try:
            return not try_lock(fd, shared=True)
        finally:
            unlock(fd)

    @contextmanager
    def claimed(self, found: FoundFile) -> Iterator[int]:
        """Lock a file against its writers, unchanged since it was found; yield its descriptor.

        Writers lock a file before they append to it, and check the rings after that. So once it is
        locked here, and no ring names it, no writer will touch it again.

        Raises:
            LeftAloneError: a process writes to it, or it has changed.
            OSError: it cannot be opened or locked.
        """
        name = found.file.path.name
        # Some network file systems allow exclusive locks only on files open for writing.
        fd = self.open(name, os.O_RDWR if _is_plain(found.file) else os.O_RDONLY)
        try:
            if _is_plain(found.file) and not try_lock(fd):
                raise LeftAloneError(IN_USE)
            hindrance = self._hindrance(name, os.fstat(fd), self._in_use())
            if hindrance is not None:
                raise LeftAloneError(hindrance.reason, finding=hindrance.finding)
            self.check(found, fd)
            yield fd
        finally:
            unlock(fd)

    def check(self, found: FoundFile, fd: int) -> None:
        """Check that a claimed file is unchanged since it was found, and still has its name.

        Raises:
            LeftAloneError: it has changed.
            OSError: it was removed.
        """
        state = os.fstat(fd)
        there = os.stat(found.file.path.name, dir_fd=self._fd, follow_symlinks=False)
        same = (
            os.path.samestat(state, there)
            and stat.S_ISREG(state.st_mode)
            and (state.st_ino, state.st_size, state.st_mtime_ns)
            == (found.inode, found.size_bytes, found.modified_ns)
        )
        if not same:
            raise LeftAloneError("it has changed meanwhile")

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        """Open a file of this folder like `os.open`.

        Raises:
            OSError: as for `os.open`; also if it is a symbolic link.
        """
        return os.open(name, flags | _OWN, mode, dir_fd=self._fd)

    def exists(self, name: str) -> bool:
        """Return whether an entry of this name exists in the folder."""
        try:
            os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def draft(self, name: str) -> AbstractContextManager[str]:
        """Yield the name of a file's draft, as `leadlog.core.files.draft` does."""
        return draft(Path(name), folder=self._fd)

    def replacing(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Yield a stream whose content replaces a file when the block ends."""
        return replacing(Path(name), folder=self._fd)

    def remove(self, name: str) -> None:
        """Remove a file."""
        os.unlink(name, dir_fd=self._fd)

    def sync(self) -> None:
        """Flush the folder's entries to disk."""
        sync_folder(self._fd)


def unlock(fd: int) -> None:
    """Unlock and close a file; a forked child that has it open no longer holds the lock."""
    with suppress(OSError):
        # Has no effect if it was never locked here: locks of other open files are kept.
        fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


def _is_plain(file: LogFile) -> bool:
    """Return whether a writer may append to it."""
    return not (file.compressed or file.archived)


def _is_day(date: str) -> bool:
    try:
        dt.date.fromisoformat(date)
    except ValueError:
        return False
    return True
