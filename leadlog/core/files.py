"""Replacement of whole files: the one way in which leadlog writes a file that has a name already.

    .report.csv.3f2a9c01.tmp    written and synced, in the same folder
    report.csv                  renamed over, and the folder synced

At any kill, error, full disk or Ctrl-C the file is the old one or the new one. A draft is removed
on any error and locked while it is written, so what a killed process left can be told from what
is being written now, and removed (`remove_abandoned`).
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
    "remove_abandoned",
    "replace",
    "replacing",
    "sync_folder",
]

_TRIES = 8

DRAFT = re.compile(r"\.(?P<name>.+?)\.[0-9a-f]{8}\.tmp")
"""The name of a draft; `name` is that of the file it was to become."""


def make_folder(path: Path, mode: int = 0o700, *, parents: bool = True) -> None:
    """Make a folder, and those above it, with these rights whatever the umask is.

    One that is there stays as it is. Of a parent whose group is handed down, that stays so.

    Args:
        path: The folder.
        mode: Its rights, and those of every folder that is made above it.
        parents: Whether folders above it are made, too.

    Raises:
        OSError: It cannot be made, or is there and no folder.
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
        with suppress(OSError):  # a file system without rights
            path.chmod(wanted)


def open_file(
    path: str | os.PathLike[str], flags: int, mode: int = 0o600, *, folder: int | None = None
) -> int:
    """Open a file as `os.open` does; one that this makes has these rights whatever the umask is.

    Args:
        path: The file.
        flags: As for `os.open`.
        mode: The rights of a new file.
        folder: An open descriptor of the folder, to which the path is then relative.

    Returns:
        Its descriptor.

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
                with suppress(OSError):  # a file system without rights
                    os.fchmod(fd, mode)
            return fd
        with suppress(FileNotFoundError):  # removed meanwhile, or a link to nowhere
            return os.open(path, flags & ~os.O_CREAT, dir_fd=folder)
    return os.open(path, flags, mode, dir_fd=folder)


@contextmanager
def draft(
    path: Path, *, mode: int = 0o600, folder: int | None = None, masked: bool = False
) -> Iterator[str]:
    """Give the path of an empty draft of `path`, which takes its place when the block ends.

    Args:
        path: The file to replace; it need not exist.
        mode: The rights of the draft; the block may change them.
        folder: An open descriptor of the folder, to which the draft's path is then relative.
        masked: Whether the umask takes rights away, as for any file of the user's own.

    Raises:
        OSError: It cannot be written; the file is as it was, and no draft is left.
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
            if os.name == "nt":  # an open file cannot be renamed there
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
    """Make an empty draft and lock it; returns its path and descriptor.

    Between its making and its locking somebody may take it for abandoned: then it is made again.
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
    """Remove a draft that no process writes.

    Returns:
        Whether it is gone.

    Raises:
        OSError: It cannot be removed, or the file system knows no locks.
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
    """Give a stream whose content takes the place of `path` when the block ends.

    Arguments and errors are those of `draft`.
    """
    with draft(path, mode=mode, folder=folder) as place:
        fd = os.open(place, os.O_RDWR | getattr(os, "O_CLOEXEC", 0), dir_fd=folder)
        with os.fdopen(fd, "wb") as stream:
            yield stream


def replace(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Put `content` in the place of a file; arguments and errors are those of `draft`."""
    with replacing(path, mode=mode) as stream:
        stream.write(content)


@contextmanager
def output_file(path: Path) -> Iterator[IO[bytes]]:
    """Give a stream to a file that the user named; what is there stays until the block ends well.

    A link is followed, a device or a pipe is written to as it is, and the rights of a file that
    is replaced are kept.

    Raises:
        OSError: It cannot be written.
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
    """Wait until names that were given or taken in a folder are on the disk.

    Raises:
        OSError: The folder cannot be opened, or the disk failed.
    """
    directory = getattr(os, "O_DIRECTORY", None)
    if directory is None:  # Windows keeps names by itself
        return
    fd = folder if isinstance(folder, int) else os.open(folder, os.O_RDONLY | directory)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # no such thing for folders here
            raise
    finally:
        if fd != folder:
            os.close(fd)
