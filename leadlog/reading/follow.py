"""Following of a log with storable positions: each line once, across restarts and rotation.

A position belongs to a file's name and the beginning of its content, not to its inode. So a file
that was compressed, copied or restored is continued at its position, and another file of the same
name is read from its start.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from leadlog.core.errors import ReadError
from leadlog.core.layout import COMPRESSED, LogFile, log_files
from leadlog.reading.compressed import open_unpacked
from leadlog.reading.events import Event, LineReader, Skipped

__all__ = ["Follower", "Position"]

_HEAD_BYTES: Final = 512
_READ_BYTES: Final = 1 << 20  # per file and round, so that one busy file does not delay the others


@attrs.frozen
class Position:
    """The position up to which a file was read.

    Attributes:
        offset: offset of the first unread byte in the file's content.
        head_bytes: length of the beginning that `head` is computed from.
        head: hash of this beginning.
        packed_bytes: size of the compressed file that was read to its end; 0 if there is none.
    """

    offset: int = 0
    head_bytes: int = 0
    head: str = ""
    packed_bytes: int = 0


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class Follower:
    """Reads new events of all files, round by round.

    Args:
        directory: the log directory; it need not exist yet.
        categories: folders to read; all six by default.
        notice: called with one line of text for the operator.

    Attributes:
        positions: positions by `category/name` (without `.zst`); set it before the first round to
            continue where another process stopped.
        dirty: keys of changed positions; the code that stores them clears it.
        skipped: counts the damaged lines read so far.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        categories: Collection[str] | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._directory = directory
        self._categories = categories
        self._notice = notice
        self.positions: dict[str, Position] = {}
        self.dirty: set[str] = set()
        self.skipped = Skipped()
        self._files: dict[str, LogFile] = {}
        self._failed: dict[str, tuple[int, int]] = {}

    def scan(self, since: str) -> None:
        """List the folders again; sealed files of the archive are not followed.

        Args:
            since: first UTC day of files to read.

        Raises:
            OSError: a folder cannot be listed.
        """
        files = log_files(self._directory, self._categories, since)
        # A sealed day is over; its lines were followed as they were written.
        self._files = {_key(file): file for file in files if not file.archived}

    def forget(self, before: str) -> list[str]:
        """Drop the positions of removed files of days before `before`; return their keys."""
        old = [
            key
            for key in self.positions
            if key not in self._files and key.partition("/")[2][:10] < before
        ]
        for key in old:
            del self.positions[key]
            self.dirty.discard(key)
        return old

    def read(self) -> Iterator[Event]:
        """Yield new events, file by file, from at most 1 MiB of each; none if everything is read.

        A position advances as soon as its part was yielded. A file that cannot be read is reported
        once, and tried again when it has changed; it does not delay the others.
        """
        for key, file in self._files.items():
            try:
                yield from self._read(key, file)
            except FileNotFoundError:  # removed or compressed since it was listed
                continue
            except (OSError, ReadError) as error:
                if isinstance(error, OSError):
                    self._notice(f"cannot read {file.path}: {error.strerror or error}")
                else:
                    self._notice(str(error))

    def _read(self, key: str, file: LogFile) -> Iterator[Event]:
        known = self.positions.get(key, Position())
        found = file.path.stat()
        state = found.st_mtime_ns, found.st_size
        if self._failed.get(key) == state:
            return
        if found.st_size == (known.packed_bytes if file.compressed else known.offset):
            return
        self._failed[key] = state
        with open_unpacked(file.path) if file.compressed else file.path.open("rb") as stream:
            here = self._checked(stream, known, file.path)
            reader = LineReader(stream, file.path, here.offset, self.skipped)
            packed = 0
            try:
                yield from reader.read(_READ_BYTES)
                if file.compressed and reader.offset - here.offset < _READ_BYTES:
                    packed = found.st_size
            finally:
                after = attrs.evolve(here, offset=reader.offset, packed_bytes=packed)
                if after != known:
                    self.positions[key] = after
                    self.dirty.add(key)
        del self._failed[key]

    def _checked(self, stream: BinaryIO, known: Position, path: Path) -> Position:
        """Return the position to continue from: `known` only if the content is still the same."""
        if not known.head_bytes:
            head = stream.read(_HEAD_BYTES)
            if len(head) < _HEAD_BYTES:
                head = head[: head.rfind(b"\n") + 1]  # the last, incomplete line may still change
            return Position(known.offset, len(head), _hash(head) if head else "")
        if _hash(stream.read(known.head_bytes)) != known.head:
            self._notice(f"{path} was replaced; reading the new one from its start")
            stream.seek(0)
            return self._checked(stream, Position(), path)
        size = stream.seek(0, os.SEEK_END)
        if size < known.offset:
            # Its beginning is unchanged, so the remaining content has been read.
            self._notice(f"{path} was cut short; going on at its end")
            return attrs.evolve(known, offset=size)
        return known


def _key(file: LogFile) -> str:
    return f"{file.category}/{file.path.name.removesuffix(COMPRESSED)}"
