"""Identify the log directory that a ring in shared memory belongs to, by more than its path.

Containers that share /dev/shm may have different directories at the same path. A directory is
identified by device and inode and, since file systems reuse those, by a mark: eight random bytes
in `.slots/mark`, written once.
"""

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from leadlog.core.files import make_folder, open_file

__all__ = ["KEPT_SECONDS", "WORDS", "belonging", "belongs", "make_mark", "other"]

WORDS: Final = 3
"""Number of 64-bit words that identify a directory; all zero if unknown."""

KEPT_SECONDS: Final = 7 * 86_400
"""How long events are kept after their log directory was removed."""

_MARK_BYTES: Final = 8


def make_mark(directory: Path, *, file_mode: int = 0o600, directory_mode: int = 0o700) -> None:
    """Give a log directory its mark, if it has none.

    Args:
        directory: the log directory; created if it does not exist.
        file_mode: mode of the mark.
        directory_mode: mode of new folders.

    Raises:
        OSError: the directory cannot be written.
    """
    path = _mark(directory)
    if path.exists():
        return
    make_folder(path.parent, directory_mode)
    draft = path.with_name(f".mark.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    try:
        with os.fdopen(open_file(draft, flags, file_mode), "wb") as stream:
            stream.write(secrets.token_bytes(_MARK_BYTES))
        # The link makes it complete at once and unique, despite kills and simultaneous starts.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def belonging(directory: Path) -> tuple[int, ...]:
    """Return the words of a directory; zeros if it does not exist yet."""
    try:
        state = directory.stat()
    except OSError:
        return (0,) * WORDS
    return state.st_dev, state.st_ino, _read_mark(directory)


def belongs(words: Sequence[int], directory: Path) -> bool:
    """Return whether words identify a directory, as far as that is known."""
    device, inode, mark = words
    if not inode:
        return True
    here = belonging(directory)
    if here == (0,) * WORDS:
        return True  # removed; it will be created again
    return (device, inode) == here[:2] and (not mark or not here[2] or mark == here[2])


def other(directory: Path) -> str:
    """Return a description of the other directory that something at this path belongs to."""
    return (
        f"another log directory that was at {directory} before, or that a container has there; "
        "it is kept for a week"
    )


def _mark(directory: Path) -> Path:
    return directory / ".slots" / "mark"


def _read_mark(directory: Path) -> int:
    try:
        content = _mark(directory).read_bytes()
    except OSError:
        return 0
    return int.from_bytes(content, "big") if len(content) == _MARK_BYTES else 0
