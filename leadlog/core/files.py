"""Atomic replacement of whole files: how leadlog writes every file that may exist already.

    .report.csv.3f2a9c01.tmp    written and synced, in the same folder
    report.csv                  renamed over, and the folder synced

After a kill, an error, a full disk or Ctrl-C, the file is either the old one or the new one. A
draft is removed on any error. It is locked while it is written, which distinguishes the drafts of
killed processes, which `remove_abandoned` removes, from those still being written.
"""

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from leadlog.core.locks import try_lock

__all__ = [
    "DRAFT",
    "draft",
    "make_folder",
    "open_file",
    "output_file",
    "remedy_of",
    "remove_abandoned",
    "replace",
    "replacing",
    "sync_folder",
]

_TRIES = 8

DRAFT = re.compile(r"\.(?P<name>.+?)\.[0-9a-f]{8}\.tmp")
"""The name of a draft; the group `name` is the name of the file that the draft replaces."""


def remedy_of(error: Exception, otherwise: str) -> str:
    """Return the remedy for a failed write.

    Args:
        error: An OSError or a sqlite3.Error.
        otherwise: The remedy for a cause that is not recognised.

    >>> remedy_of(OSError(errno.ENOSPC, "No space left on device"), "try again")
    'free some space on that disk'
    """
    number = error.errno if isinstance(error, OSError) else None
    name = getattr(error, "sqlite_errorname", "")
    if number in {errno.ENOSPC, errno.EDQUOT} or name == "SQLITE_FULL":
        return "free some space on that disk"
    if number == errno.EROFS:
        return "mount that file system for writing"
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "another process is writing to it; try again"
    return otherwise


def make_folder(path: Path, mode: int = 0o700, *, parents: bool = True) -> None:
    """Make a folder and its missing parents with the given mode, whatever the umask.

    An existing folder is left unchanged. A set-group-ID bit inherited from the parent is kept.

    Args:
        path: The folder.
        mode: The mode of the folder and of every parent that is created.
        parents: Whether missing parents are created.

    Raises:
        OSError: The folder cannot be created, or the path exists and is not a folder.
    """
    try:
        path.mkdir(mode)
    except FileNotFoundError:
        if not parents or path.parent == path:
            raise
        make_folder(path.parent, mode)
        make_folder(path, mode, parents=False)
        return
    except OSError:
        if path.is_dir():
            return
        raise
    rights = stat.S_IMODE(path.stat().st_mode)
    wanted = mode | rights & stat.S_ISGID
    if rights != wanted:
        with suppress(OSError):  # a file system without permissions
            path.chmod(wanted)


def open_file(
    path: str | os.PathLike[str], flags: int, mode: int = 0o600, *, folder: int | None = None
) -> int:
    """Open a file as `os.open` does; a file this creates gets `mode` whatever the umask.

    Args:
        path: The file.
        flags: As for `os.open`.
        mode: The permissions of a new file.
        folder: An open descriptor of a folder that `path` is relative to.

    Returns:
        The descriptor of the file.

    Raises:
        OSError: As `os.open`.
    """
    if not flags & os.O_CREAT:
        return os.open(path, flags, dir_fd=folder)
    for _ in range(_TRIES):
        try:
            fd = os.open(path, flags | os.O_EXCL, mode, dir_fd=folder)
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
        else:
            if hasattr(os, "fchmod") and stat.S_IMODE(os.fstat(fd).st_mode) != mode:
                with suppress(OSError):  # a file system without permissions
                    os.fchmod(fd, mode)
            return fd
        with suppress(FileNotFoundError):  # removed since, or a dangling link
            return os.open(path, flags & ~os.O_CREAT, dir_fd=folder)
    return os.open(path, flags, mode, dir_fd=folder)


@contextmanager
def draft(
    path: Path, *, mode: int = 0o600, folder: int | None = None, masked: bool = False
) -> Iterator[str]:
    """Yield the path of an empty draft of `path`, which replaces it when the block ends.

    Args:
        path: The file to replace; it may not exist yet.
        mode: The permissions of the draft; the block may change them.
        folder: An open descriptor of the folder, to which the draft's path is then relative.
        masked: Whether the umask applies, as it does to the user's own files.

    Raises:
        OSError: The draft cannot be written; the file is unchanged, and no draft is left.
    """
    target = path.name if folder is not None else str(path)
    try:
        place, fd = _locked_draft(path, mode, folder, masked)
    except OSError as error:
        error.filename = target  # the caller does not know the draft's name
        raise
    with ExitStack() as held:
        held.callback(os.close, fd)
        try:
            yield place
            os.fsync(fd)
            if os.name == "nt":  # Windows cannot rename an open file
                held.close()
            os.replace(place, target, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            if os.name == "nt":
                held.close()
            with suppress(OSError):
                os.unlink(place, dir_fd=folder)
            raise
    sync_folder(path.parent if folder is None else folder)


def _locked_draft(path: Path, mode: int, folder: int | None, masked: bool) -> tuple[str, int]:
    """Create an empty draft and lock it; return its path and descriptor.

    Another process may take the draft for abandoned before it is locked and remove it; it is then
    created again.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    tries = _TRIES
    while True:
        name = f".{path.name}.{secrets.token_hex(4)}.tmp"
        place = name if folder is not None else str(path.with_name(name))
        if masked:
            fd = os.open(place, flags, mode, dir_fd=folder)
        else:
            fd = open_file(place, flags, mode, folder=folder)
        try:
            locked = try_lock(fd) and os.fstat(fd).st_nlink > 0
        except OSError:  # a file system without locks
            return place, fd
        tries -= 1
        if locked or not tries:
            return place, fd
        os.close(fd)
        with suppress(OSError):
            os.unlink(place, dir_fd=folder)


def remove_abandoned(path: Path) -> bool:
    """Remove a draft that no process is writing.

    Returns:
        True if the draft no longer exists, False if a process is writing it.

    Raises:
        OSError: The draft cannot be removed, or the file system does not support locks.
    """
    flags = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        fd = os.open(path, flags)
    except FileNotFoundError:
        return True
    try:
        if not try_lock(fd):
            return False
        path.unlink(missing_ok=True)
    finally:
        os.close(fd)
    return True


@contextmanager
def replacing(path: Path, *, mode: int = 0o600, folder: int | None = None) -> Iterator[IO[bytes]]:
    """Yield a stream whose content replaces `path` when the block ends.

    Arguments and errors are those of `draft`.
    """
    with draft(path, mode=mode, folder=folder) as place:
        fd = os.open(place, os.O_RDWR | getattr(os, "O_CLOEXEC", 0), dir_fd=folder)
        with os.fdopen(fd, "wb") as stream:
            yield stream


def replace(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace the content of a file with `content`; arguments and errors are those of `draft`."""
    with replacing(path, mode=mode) as stream:
        stream.write(content)


@contextmanager
def output_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a stream to a file that the user named; the old content stays until the block succeeds.

    A symbolic link is followed, a device or a pipe is written to directly, and a file that is
    replaced keeps its mode.

    Raises:
        OSError: The file cannot be written.
    """
    target = Path(os.path.realpath(path))
    try:
        state = target.stat()
    except FileNotFoundError:
        state = None
    if state is not None and not stat.S_ISREG(state.st_mode):
        with target.open("wb") as stream:
            yield stream
        return
    with draft(target, mode=0o666, masked=True) as place:
        if state is not None:
            Path(place).chmod(stat.S_IMODE(state.st_mode))
        with Path(place).open("wb") as stream:
            yield stream


def sync_folder(folder: Path | int) -> None:
    """Wait until the names created and removed in a folder are on the disk.

    Raises:
        OSError: The folder cannot be opened, or the disk failed.
    """
    directory = getattr(os, "O_DIRECTORY", None)
    if directory is None:  # Windows persists names without it
        return
    fd = folder if isinstance(folder, int) else os.open(folder, os.O_RDONLY | directory)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # not supported for folders here
            raise
    finally:
        if fd != folder:
            os.close(fd)
