"""Copies of files that DuckDB cannot read, or reads slowly.

DuckDB refuses a whole file for one line of more than about 32 MB. Finding out whether a file has
such a line takes one read per 16 MiB, not of all bytes. And each of thousands of small files costs
DuckDB milliseconds in every query, so those of one day are read as one. Such a copy contains only
events; of a file whose beginning exists as columns, the rest is copied unchanged. No copy has a
name, so it disappears with the process, however that ends. Only a link to it has one, in a private
temporary folder.
"""

import mmap
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Final, NamedTuple

from leadlog.core.errors import ReadError
from leadlog.reading.events import LINE_LIMIT_BYTES, Skipped, read_events

__all__ = ["Readable", "readable", "remove_copies", "rest_of", "stretch"]

_MANY: Final = 200
_SMALL_BYTES: Final = 1024 * 1024
_KEPT: Final = 64
_BLOCK_BYTES: Final = 1024 * 1024


_Key = frozenset[tuple[str, int, int, int]]
_Known = dict[_Key, tuple[Path, IO[bytes]]]


class Readable(NamedTuple):
    """The paths that DuckDB can read in place of some files.

    Attributes:
        paths: the files, or copies of their events.
        direct: those of the files that are read directly.
    """

    paths: list[Path]
    direct: frozenset[Path]


class _Copies:
    """All copies of this process."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._made = 0
        self._known: _Known = {}

    def of(self, paths: Sequence[Path], name: str) -> Path:
        """Return the path of the copy of some files, which is made if it is missing or outdated."""

        def lines() -> Iterator[bytes]:
            for path in paths:
                for event in read_events(path, skipped=Skipped()):
                    yield event.raw + b"\n"

        return self._kept(frozenset(map(_state, paths)), lines, name)

    def rest(self, path: Path, start: int) -> Path | None:
        """Return the path of a copy of the complete lines after an offset; None without any."""
        try:
            with path.open("rb") as stream:
                stream.seek(start)
                found = stream.read().rpartition(b"\n")
        except OSError as error:
            raise ReadError(f"cannot read {path}: {error}") from error
        if not found[1]:
            return None
        content = found[0] + found[1]
        key = frozenset([(*_state(path)[:2], start, start + len(content))])
        return self._kept(key, lambda: iter([content]), path.name)

    def _kept(
        self,
        key: _Key,
        content: Callable[[], Iterator[bytes]],
        name: str,
    ) -> Path:
        if key not in self._known:
            while len(self._known) >= _KEPT:  # of files that have grown since
                self._drop(next(iter(self._known)))
            self._known[key] = self.made(content(), name)
        return self._known[key][0]

    def made(self, content: Iterator[bytes], name: str) -> tuple[Path, IO[bytes]]:
        """Return the path of a new copy, and the stream that keeps it."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="leadlog-washed-"))
            weakref.finalize(self, _discard, self._folder, self._known, os.getpid())
        stream = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the link exists
        try:
            for piece in content:
                stream.write(piece)
            stream.flush()
        except BaseException:
            stream.close()
            raise
        self._made += 1
        link = self._folder / str(self._made) / name
        link.parent.mkdir()
        link.symlink_to(f"/proc/{os.getpid()}/fd/{stream.fileno()}")
        return link, stream

    def _drop(self, key: _Key) -> None:
        link, stream = self._known.pop(key)
        link.unlink(missing_ok=True)
        stream.close()

    def remove(self) -> None:
        """Remove all copies."""
        while self._known:
            self._drop(next(iter(self._known)))
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _discard(folder: Path, known: _Known, pid: int) -> None:
    """Close the copies and remove the links to them, at the end of the process that made them."""
    if os.getpid() == pid:
        for _, stream in known.values():
            stream.close()
        shutil.rmtree(folder, ignore_errors=True)


_copies = _Copies()
remove_copies = _copies.remove
rest_of = _copies.rest


@contextmanager
def stretch(source: BinaryIO, start: int, end: int) -> Iterator[Path]:
    """Yield the path of a copy of some bytes of a file, removed when the block ends."""
    link, stream = _copies.made(_blocks(source, start, end), "stretch.jsonl")
    try:
        yield link
    finally:
        link.unlink(missing_ok=True)
        stream.close()


def _blocks(source: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    source.seek(start)
    while start < end and (block := source.read(min(_BLOCK_BYTES, end - start))):
        start += len(block)
        yield block


def readable(paths: Iterable[Path]) -> Readable:
    """Return the paths for DuckDB to read: files of a log, some of them replaced by copies.

    Raises:
        ReadError: a file cannot be read, or there is no space for a copy.
    """
    listed = list(paths)
    small: dict[str, list[Path]] = {}
    if len(listed) > _MANY:
        for path in listed:
            if path.suffix == ".jsonl" and _state(path)[2] < _SMALL_BYTES:
                small.setdefault(path.name[:10], []).append(path)
    together = {path for own in small.values() for path in own}
    found = [_copies.of(own, f"{day}.jsonl") for day, own in small.items()]
    direct = []
    for path in listed:
        if path in together:
            continue
        if _has_long_line(path):
            found.append(_copies.of([path], path.name))
        else:
            direct.append(path)
    return Readable(direct + found, frozenset(direct))


def _state(path: Path) -> tuple[str, int, int, int]:
    try:
        state = path.stat()
    except FileNotFoundError:  # its reader finds its new place
        return str(path), 0, 0, 0
    return str(path), state.st_ino, state.st_size, state.st_mtime_ns


def _has_long_line(path: Path) -> bool:
    """Return whether a plain file has a line above the limit; False for a compressed one.

    Raises:
        ReadError: the file cannot be read.
    """
    try:
        if path.suffix != ".jsonl" or path.stat().st_size <= LINE_LIMIT_BYTES:
            return False
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            with mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ) as content:
                start = 0
                while size - start > LINE_LIMIT_BYTES:
                    end = content.rfind(b"\n", start, start + LINE_LIMIT_BYTES)
                    if end < 0:
                        return True
                    start = end + 1
    except FileNotFoundError:
        return False  # its reader finds its new place
    except (OSError, ValueError) as error:
        raise ReadError(f"cannot read {path}: {error}") from error
    return False
