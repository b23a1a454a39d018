"""A log directory as a whole: its folders, and the lock of its only janitor."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from leadlog.core.doors import parameter
from leadlog.core.errors import LogDirectoryError
from leadlog.core.files import DRAFT, open_file, remedy_of, remove_abandoned
from leadlog.core.layout import (
    CATEGORIES,
    LogFile,
    archive_directory,
    archived_days,
    category_directory,
)
from leadlog.core.locks import try_lock
from leadlog.core.places import modes_of, place_of
from leadlog.reading.archive.folders import Folder, unlock
from leadlog.reading.archive.plan import Hindrance, Kept

__all__ = ["archive_folders", "open_folders", "remove_drafts", "sole_janitor"]

LOCK = ".archive.lock"


def archive_folders(root: Path, in_use: Callable[[], set[str]]) -> Iterator[Folder]:
    """Yield the folders of the archive, each open until the next one.

    Raises:
        OSError: a folder cannot be opened or listed.
    """
    for category in CATEGORIES:
        for date in archived_days(root, category):
            folder = Folder(
                category, archive_directory(root, category, date), in_use, archived=True
            )
            try:
                yield folder
            finally:
                folder.close()


def open_folders(root: Path, in_use: Callable[[], set[str]]) -> tuple[list[Folder], list[Kept]]:
    """Return the category folders of a log directory, and those that cannot be used.

    Raises:
        LogDirectoryError: a folder cannot be opened.
    """
    folders, kept = [], []
    for category in CATEGORIES:
        path = category_directory(root, category)
        try:
            folders.append(Folder(category, path, in_use))
        except FileNotFoundError:
            continue
        except OSError as error:
            if path.is_symlink() or not path.is_dir():
                reason = "it is a link or a file, not a folder; nothing behind it is touched"
                file = LogFile("", category=category, path=path)
                kept.append(Kept(file, Hindrance(reason, finding=True)))
                continue
            for folder in folders:
                folder.close()
            raise LogDirectoryError(
                f"cannot read {path}: {error.strerror}; run this as the user who writes the log"
            ) from error
    return folders, kept


def remove_drafts(root: Path) -> None:
    """Remove the drafts that killed processes left anywhere in a log directory.

    A draft that cannot be removed stays; `leadlog doctor` lists it.
    """
    for folder, _, names in os.walk(root):
        for name in filter(DRAFT.fullmatch, names):
            path = Path(folder, name)
            if place_of(path.relative_to(root)) is not None:
                with suppress(OSError):
                    remove_abandoned(path)


@contextmanager
def sole_janitor(root: Path) -> Iterator[None]:
    """Hold the lock of a log directory against other janitors.

    Raises:
        LogDirectoryError: another janitor is running, or the directory cannot be written.
    """
    path = root / LOCK
    try:
        fd = open_file(
            path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, modes_of(root)[0]
        )
    except OSError as error:
        raise LogDirectoryError(
            f"cannot write {path}: {error.strerror}; "
            f"{remedy_of(error, 'run this as the user who writes the log')}, or change "
            f"nothing, with {parameter('dry_run=True', '--dry-run')}"
        ) from error
    try:
        try:
            free = try_lock(fd)
        except OSError as error:
            raise LogDirectoryError(
                f"cannot lock {path}: {error.strerror}; without locks it is not safe to change "
                "anything there"
            ) from error
        if not free:
            process = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise LogDirectoryError(
                f"another janitor (process {process}) is at work in {root}; "
                "run this again when it has ended"
            )
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        unlock(fd)
