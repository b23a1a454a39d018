"""Following a log with positions that can be kept: each line once, over restarts and rotation.

A position belongs to what a file's name says and how its content begins, not to a file's number
on the disk. So a file that was compressed, copied or put back is gone on with where it was left,
and another one of the same name is read from its start.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from leadlog.errors import ReadError
from leadlog.layout import COMPRESSED, LogFile, log_files
from leadlog.reading.compressed import open_unpacked
from leadlog.reading.events import Event, LineReader, Skipped

__all__ = ["Follower", "Position"]

_HEAD_BYTES: Final = 512
_READ_BYTES: Final = 1 << 20  # per file and round, so that one busy file does not hold up others


@attrs.frozen
class Position:
    """How far a file was read.

    Attributes:
        offset: of the first byte that was not read, in the file's content.
        head_bytes: length of the beginning that `head` was made of.
        head: hash of that beginning.
        packed_bytes: size of the compressed file that was read to its end; 0 for none.
    """

    offset: int = 0
    head_bytes: int = 0
    head: str = ""
    packed_bytes: int = 0


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class Follower:
    """Reads what is new in all files, round by round.

    Args:
        directory: the log directory; it need not exist yet.
        categories: folders to read; all six by default.
        notice: is told in one line about what a reader should know.

    Attributes:
        positions: `category/name` (without `.zst`) to its position; set it before the first
            round to go on where another process stopped.
        dirty: keys of positions that changed; whoever keeps them clears it.
        skipped: counts the damaged lines met so far.
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

    def scan(self, since: str) -> None:
        """Lists the folders again.

        Args:
            since: first UTC day of files that are read.

        Raises:
            OSError: a folder cannot be listed.
        """
        files = log_files(self._directory, self._categories, since)
        self._files = {_key(file): file for file in files}

    def forget(self, before: str) -> list[str]:
        """Drops the positions of files that are gone and whose day is before `before`."""
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
        """What is new now, file by file, at most a mebibyte of each; nothing when all is read.

        A position is moved when its part has been yielded to the end.

        Raises:
            ReadError: a file cannot be read.
        """
        for key, file in self._files.items():
            known = self.positions.get(key, Position())
            try:
                yield from self._read(key, file, known)
            except FileNotFoundError:  # removed or compressed since it was listed
                continue
            except OSError as error:
                raise ReadError(
                    f"cannot read {file.path}: {error.strerror or error}; check that you may read it"
                ) from error

    def _read(self, key: str, file: LogFile, known: Position) -> Iterator[Event]:
        found = file.path.stat()
        if file.compressed:
            if known.packed_bytes == found.st_size:
                return
            stream = open_unpacked(file.path)
        else:
            if found.st_size == known.offset:
                return
            stream = file.path.open("rb")
        with stream:
            before, known = known, self._checked(stream, known, file.path)
            reader = LineReader(stream, file.path, known.offset, self.skipped)
            yield from reader.read(_READ_BYTES)
            at_end = reader.offset - known.offset < _READ_BYTES
            if reader.offset == before.offset and not (file.compressed and at_end):
                return
            head_bytes, head = known.head_bytes, known.head
            if not head_bytes and reader.offset:
                stream.seek(0)
                data = stream.read(min(reader.offset, _HEAD_BYTES))
                head_bytes, head = len(data), _hash(data)
            packed = found.st_size if file.compressed and at_end else 0
        self.positions[key] = Position(reader.offset, head_bytes, head, packed)
        self.dirty.add(key)

    def _checked(self, stream: BinaryIO, known: Position, path: Path) -> Position:
        """The position to go on from: `known` only if this is the content it belongs to."""
        if not known.head_bytes:
            return known
        if _hash(stream.read(known.head_bytes)) != known.head:
            self._notice(f"{path} was replaced; reading the new one from its start")
            return Position()
        size = stream.seek(0, os.SEEK_END)
        if size < known.offset:
            # It begins as it did, so what is left of it has been read.
            self._notice(f"{path} was cut short; going on at its end")
            return attrs.evolve(known, offset=size)
        return known


def _key(file: LogFile) -> str:
    return f"{file.category}/{file.path.name.removesuffix(COMPRESSED)}"
