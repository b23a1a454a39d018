"""Copies of files that DuckDB cannot read, or reads slowly.

For a line of more than about 32 MB, DuckDB refuses the whole file. Finding out whether a file has
one takes a look at every 16 MiB of it, not at all of its bytes. And of thousands of small files
each costs DuckDB milliseconds in every query, so those of one day are read as one. A copy has the
events only, and no name: it is gone with the process, however that ends. What has a name is a link
to it, in a private temporary folder.
"""

import mmap
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

from leadlog.core.errors import ReadError
from leadlog.reading.events import LINE_LIMIT_BYTES, Skipped, read_events

__all__ = ["Readable", "readable", "remove_copies"]

_MANY: Final = 200
_SMALL_BYTES: Final = 1024 * 1024
_KEPT: Final = 64


class Readable(NamedTuple):
    """What DuckDB can read in place of some files.

    Attributes:
        paths: the files, or copies of their events.
        direct: those of the files that are read as they are.
    """

    paths: list[Path]
    direct: frozenset[Path]


class _Copies:
    """The copies of this process."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._made = 0
        self._known: dict[frozenset[tuple[str, int, int, int]], tuple[Path, IO[bytes]]] = {}

    def of(self, paths: Sequence[Path], name: str) -> Path:
        """Return where the copy of some files is, made where it is missing or old."""
        key = frozenset(map(_state, paths))
        if key not in self._known:
            while len(self._known) >= _KEPT:  # of files that have grown since
                self._drop(next(iter(self._known)))
            self._known[key] = self._make(paths, name)
        return self._known[key][0]

    def _make(self, paths: Sequence[Path], name: str) -> tuple[Path, IO[bytes]]:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="leadlog-washed-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        stream = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the link is
        try:
            for path in paths:
                for event in read_events(path, skipped=Skipped()):
                    stream.write(event.raw + b"\n")
            stream.flush()
        except BaseException:
            stream.close()
            raise
        self._made += 1
        link = self._folder / str(self._made) / name
        link.parent.mkdir()
        link.symlink_to(f"/proc/{os.getpid()}/fd/{stream.fileno()}")
        return link, stream

    def _drop(self, key: frozenset[tuple[str, int, int, int]]) -> None:
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


_copies = _Copies()
remove_copies = _copies.remove


def readable(paths: Iterable[Path]) -> Readable:
    """Return what DuckDB is to read: files of a log, some of them replaced by copies.

    Raises:
        ReadError: a file cannot be read, or there is no room for a copy.
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
    except FileNotFoundError:  # its reader finds where it is now
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
        return False  # its reader finds where it is now
    except (OSError, ValueError) as error:
        raise ReadError(f"cannot read {path}: {error}") from error
    return False
