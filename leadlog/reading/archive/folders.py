"""The folders of a log, held open, so that nothing outside of them can be reached.

Every file is named relative to the open folder and never followed if it is a symbolic link.
Only regular files of the log's own name grammar are ever looked at.
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

IN_USE = "somebody writes to it"
_DAMAGED = re.compile(r"_damaged-.+\.jsonl")
_PART_BESIDE = re.compile(rf"{_DAMAGED.pattern}|_merged-.+\.txt")
_OWN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO must not hold up anybody


class LeftAloneError(Exception):
    """A file must not be touched now.

    Args:
        reason: why.
        finding: whether somebody should see to it; else a later run will do.

    Attributes:
        hindrance: both.
    """

    def __init__(self, reason: str, *, finding: bool = False) -> None:
        super().__init__(reason)
        self.hindrance = Hindrance(reason, finding)


class Folder:
    """One category's folder.

    Args:
        category: the category that it holds.
        path: where it is; must be a folder itself, not a symbolic link to one.
        in_use: gives the log files that are named by a ring, relative to the log directory.
        archived: whether it is one of the archive, for one day, with parts in it.

    Attributes:
        category: the category that it holds.
        path: where it is.
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
        """Close it."""
        os.close(self._fd)

    def scan(self) -> tuple[list[FoundFile], list[str]]:
        """Return the log files in it, and the names of what a killed janitor left.

        That is drafts, and damaged lines whose part is gone or never came. Parts that stand in a
        merged one, too, are left out; see `merge.finish_merges`.

        Raises:
            OSError: it cannot be listed.
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
                with suppress(FileNotFoundError):  # gone since it was listed
                    state = entry.stat(follow_symlinks=False)
                    if not stat.S_ISREG(state.st_mode):
                        continue
                    if draft:
                        leftovers.append(name)
                    else:
                        found.append(self._found(file, state, in_use))
        replaced: set[str] = set()
        if self.archived:
            with suppress(FileNotFoundError):  # merged meanwhile: they are gone
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
            # Its rings are that user's too, and a copy would belong to the wrong one.
            reason = f"it belongs to the user with the id {state.st_uid}; run this as that user"
            return Hindrance(reason, finding=True)
        if f"{self.category}/{name}" in in_use:
            return Hindrance("a process may have lines for it; after a kill: `leadlog recover`")
        return None

    def is_locked(self, name: str) -> bool:
        """Return whether somebody holds a file's lock; tried for a moment, together with others.

        Raises:
            OSError: it cannot be opened.
        """
        fd = self.open(name, os.O_RDONLY)
        try:
            return not try_lock(fd, shared=True)
        finally:
            unlock(fd)

    @contextmanager
    def claimed(self, found: FoundFile) -> Iterator[int]:
        """Hold a file against its writers, unchanged since it was found; give its descriptor.

        Writers lock a file before they go on in it, and look into the rings after that. So
        once it is locked here, and no ring names it, none of them will touch it again.

        Raises:
            LeftAloneError: somebody writes to it, or it has changed.
            OSError: it cannot be opened or locked.
        """
        name = found.file.path.name
        # An exclusive lock needs a file that is open for writing on some network file systems.
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
        """Check that a claimed file is as it was found, and still the one of its name.

        Raises:
            LeftAloneError: it is not.
            OSError: it is gone.
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
        """Open a file of this folder, as `os.open` does.

        Raises:
            OSError: as `os.open`; also when it is a symbolic link.
        """
        return os.open(name, flags | _OWN, mode, dir_fd=self._fd)

    def exists(self, name: str) -> bool:
        """Return whether the folder has something of that name."""
        try:
            os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def draft(self, name: str) -> AbstractContextManager[str]:
        """Give the name of a draft of a file, as `leadlog.core.files.draft` does."""
        return draft(Path(name), folder=self._fd)

    def replacing(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Give a stream whose content takes a file's place when the block ends."""
        return replacing(Path(name), folder=self._fd)

    def remove(self, name: str) -> None:
        """Remove a file."""
        os.unlink(name, dir_fd=self._fd)

    def sync(self) -> None:
        """Wait until names that were given or taken are on the disk."""
        sync_folder(self._fd)


def unlock(fd: int) -> None:
    """Close a file, and let others lock it though a forked child may have it open too."""
    with suppress(OSError):
        # Not when it was never locked here: another open file's lock stays untouched by this.
        fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


def _is_plain(file: LogFile) -> bool:
    """Return whether a writer may go on in it."""
    return not (file.compressed or file.archived)


def _is_day(date: str) -> bool:
    try:
        dt.date.fromisoformat(date)
    except ValueError:
        return False
    return True
