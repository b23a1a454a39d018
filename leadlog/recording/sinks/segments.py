"""The log files: one per day, slot and segment, each with one writer.

A file is continued only if it is clean: whole lines, no other writer, and no ring that still has to
complete it. Otherwise the next segment is begun, so nothing is ever appended to another process's
unfinished line, and nothing is ever renamed.
"""

import errno
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from leadlog.core.clock import parse, utc_date
from leadlog.core.files import make_folder
from leadlog.core.layout import (
    CATEGORIES,
    LogFile,
    archive_directory,
    category_directory,
    parse_name,
)
from leadlog.core.locks import try_lock
from leadlog.recording.sinks.belonging import make_mark
from leadlog.recording.sinks.descriptors import Descriptors
from leadlog.recording.sinks.storage import Spool

__all__ = ["DAY_US", "Files", "Segment", "day_of"]

DAY_US = 86_400_000_000
_SYNC = getattr(os, "fdatasync", os.fsync)


class Segment:
    """A log file open for appending, locked by this process.

    Attributes:
        name: the file, relative to the log directory.
        size: bytes in it.
    """

    __slots__ = ("_descriptors", "_fd", "_identity", "_path", "_write", "name", "size")

    def __init__(
        self,
        path: Path,
        fd: int,
        descriptors: Descriptors,
        write: Callable[[int, bytes], int],
    ) -> None:
        self._path = path
        self._fd = fd
        self._descriptors = descriptors
        self._identity = descriptors.identity(fd)
        self._write = write
        self.name = f"{path.parent.name}/{path.name}"
        self.size = os.fstat(fd).st_size

    def append(self, data: bytes) -> int:
        """Write data once.

        Returns:
            The number of bytes written; fewer than given if the disk is nearly full.

        Raises:
            OSError: nothing was written.
        """
        if not self._descriptors.holds(self._fd, self._identity):
            self._reopen()
        try:
            count = self._write(self._fd, data)
        except OSError:
            count = os.fstat(self._fd).st_size - self.size
            if not 0 < count <= len(data):
                raise
        self.size += count
        return count

    def _reopen(self) -> None:
        """Reopen the file, whose descriptor the application closed or reused.

        Raises:
            OSError: it cannot be opened, or another process uses it now.
        """
        fd = self._descriptors.open(self._path, os.O_WRONLY | os.O_APPEND)
        ours = self._descriptors.identity(fd) == self._identity and try_lock(fd)
        if not ours or os.fstat(fd).st_size != self.size:
            self._descriptors.close(fd)
            raise OSError(errno.ESTALE, "its descriptor was closed, and another process has it now")
        if fd != self._fd:
            self._descriptors.forget(self._fd, self._identity)
        self._fd = fd

    def exists(self) -> bool:
        """Return whether the file still has a name, possibly another one."""
        return os.fstat(self._fd).st_nlink > 0

    def is_current(self) -> bool:
        """Return whether the file has its name and no other process wrote to or truncated it."""
        try:
            there = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True  # a parent folder can no longer be entered; the open file stays open
        return (there.st_dev, there.st_ino) == self._identity and there.st_size == self.size

    def sync(self) -> None:
        """Wait until the content is on the disk.

        Raises:
            OSError: the content could not be written to the disk.
        """
        if not self._descriptors.holds(self._fd, self._identity):
            self._reopen()
        _SYNC(self._fd)

    def close(self) -> None:
        """Close the file; others may continue it."""
        if self._descriptors.holds(self._fd, self._identity):
            self._descriptors.close(self._fd)
        else:
            self._descriptors.forget(self._fd, self._identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Opener of the files of one log directory.

    Attributes:
        directory: the log directory.
        spool: the spool with the rings that may name files.
        descriptors: the descriptors that files are opened with.
        slot: returns the number of the slot held by this process.
        host: name of this host, if several share the directory.
        segment_bytes: size at which the next segment is begun.
        file_mode: mode of new files.
        directory_mode: mode of new folders.
        durable: whether a file is synced before it is closed for the next one.
        write: `os.write`, or a replacement for tests.
    """

    directory: Path
    spool: Spool
    descriptors: Descriptors
    slot: Callable[[], int]
    host: str = ""
    segment_bytes: int = 256 * 1024 * 1024
    file_mode: int = 0o600
    directory_mode: int = 0o700
    durable: bool = False
    write: Callable[[int, bytes], int] = os.write

    def make_folders(self) -> None:
        """Create the folders of all categories.

        Raises:
            OSError: they cannot be created.
        """
        for category in CATEGORIES:
            self._folder(category)

    def make_mark(self) -> None:
        """Give the directory its mark, if the directory exists.

        Raises:
            OSError: the mark cannot be written.
        """
        if self.directory.is_dir():
            make_mark(self.directory, file_mode=self.file_mode, directory_mode=self.directory_mode)

    def _folder(self, category: str) -> Path:
        folder = category_directory(self.directory, category)
        make_folder(folder, self.directory_mode)
        return folder

    def open(self, category: str, day: int, ring: Path | None, *, fresh: bool = False) -> Segment:
        """Return the file for lines of `day`, continued or new.

        Args:
            category: the lines' category.
            day: UTC day, counted from 1970.
            ring: the ring with the lines; files that the ring itself names may be continued.
            fresh: whether to begin the next segment in any case.

        Raises:
            OSError: no file can be opened.
        """
        folder = self._folder(category)
        wanted = LogFile(utc_date(day * DAY_US), self.slot(), 0, self.host)
        last = self._last(folder, wanted)
        if last is not None and not (last.compressed or last.archived or fresh):
            segment = self._continue(folder / last.name, ring)
            if segment is not None:
                return segment
        for number in itertools.count(last.segment + 1 if last else 0):
            path = folder / LogFile(wanted.date, wanted.writer, number, self.host).name
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
                fd = self.descriptors.open(path, flags, self.file_mode)
            except FileExistsError:
                continue
            try:
                try_lock(fd)
                return Segment(path, fd, self.descriptors, self.write)
            except OSError:
                self.descriptors.close(fd)
                raise
        raise AssertionError("unreachable")

    def _last(self, folder: Path, wanted: LogFile) -> LogFile | None:
        """Return the last segment of the wanted day and slot, sealed or not; None if none."""
        sealed = archive_directory(self.directory, folder.name, wanted.date)
        names = os.listdir(folder)  # noqa: PTH208 - names suffice
        if sealed.is_dir():
            names += os.listdir(sealed)  # noqa: PTH208 - names suffice
        found = [
            file
            for name in names
            if wanted.date in name
            and (file := parse_name(name)) is not None
            and (file.date, file.writer, file.host) == (wanted.date, wanted.writer, wanted.host)
        ]
        return max(
            found, key=lambda file: (file.segment, file.archived, file.compressed), default=None
        )

    def _continue(self, path: Path, ring: Path | None) -> Segment | None:
        segment = self.lock(path)
        if segment is None:
            return None
        # Checked only after locking: from now on no other process begins to complete it.
        clean = (
            segment.size < self.segment_bytes
            and segment.name not in self.spool.names_in_use(but=ring)
            and segment.is_current()
            and _ends_with_newline(path, segment.size)
        )
        if not clean:
            segment.close()
            return None
        return segment

    def lock(self, path: Path) -> Segment | None:
        """Open and lock an existing file.

        Returns:
            None if it was removed, is another user's, or is being written by another process.

        Raises:
            OSError: it cannot be opened for another reason.
        """
        try:
            fd = self.descriptors.open(path, os.O_WRONLY | os.O_APPEND)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None
        try:
            if try_lock(fd):
                return Segment(path, fd, self.descriptors, self.write)
        except OSError:
            self.descriptors.close(fd)
            raise
        self.descriptors.close(fd)
        return None


def day_of(name: str) -> int:
    """Return the UTC day, counted from 1970, of a log file, by its name or path."""
    file = parse_name(name.rpartition("/")[2])
    return 0 if file is None else parse(f"{file.date}T00:00:00.000000Z") // DAY_US


def _ends_with_newline(path: Path, size: int) -> bool:
    if size == 0:
        return True
    try:
        with path.open("rb") as stream:
            stream.seek(size - 1)
            return stream.read(1) == b"\n"
    except OSError:
        return False
