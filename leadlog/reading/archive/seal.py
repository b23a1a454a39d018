"""Compression of one closed file, killable at any moment.

    .2026-11-23.jsonl.zst.<random>.tmp   written, synced, read back and compared
    2026-11-23.jsonl.zst        renamed, and the folder synced
    2026-11-23.jsonl            removed

Before the renaming only the original is valid, and a later run starts again. After it both exist
and are equal; readers use the original while it exists, and a later run finishes.
"""

import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from typing import IO

import attrs
import zstandard

from leadlog.core.errors import ReadError
from leadlog.core.layout import COMPRESSED
from leadlog.reading.archive.folders import Folder, LeftAloneError
from leadlog.reading.archive.plan import FoundFile
from leadlog.reading.compressed import Unpacked

__all__ = ["estimate", "finish", "seal", "take_after"]

_LEVEL = 3
_BLOCK_BYTES = 1024 * 1024


@attrs.frozen
class _Content:
    """The figures by which two contents are compared."""

    size_bytes: int
    lines: int
    sha256: bytes


class _Measure:
    """Measures a content piece by piece."""

    def __init__(self) -> None:
        self._size = self._lines = 0
        self._sha256 = hashlib.sha256()

    def add(self, data: bytes) -> None:
        self._size += len(data)
        self._lines += data.count(b"\n")
        self._sha256.update(data)

    def result(self) -> _Content:
        return _Content(self._size, self._lines, self._sha256.digest())


def seal(folder: Folder, found: FoundFile, progress: Callable[[int], object]) -> int:
    """Replace a file by a compressed copy.

    Args:
        folder: the file's folder.
        found: the file.
        progress: called with the number of further bytes read.

    Returns:
        Size of the compressed file in bytes.

    Raises:
        LeftAloneError: the file must not be touched now.
        ReadError: the copy differs from the original and was discarded.
        OSError: a file cannot be read or written; the original stays.
    """
    name = found.file.path.name
    packed = name + COMPRESSED
    with folder.claimed(found) as source:
        with folder.draft(packed) as draft:
            with os.fdopen(folder.open(draft, os.O_WRONLY), "wb", buffering=0) as stream:
                content = _compress(source, stream, found, progress)
                size = os.fstat(stream.fileno()).st_size
            _verify(folder, draft, content)
            folder.check(found, source)
            if folder.exists(packed):
                raise LeftAloneError(f"{packed} was created meanwhile")
        try:
            folder.check(found, source)
        except LeftAloneError:
            folder.remove(packed)
            raise
        folder.remove(name)
        folder.sync()
    return size


def finish(folder: Folder, found: FoundFile, progress: Callable[[int], object]) -> None:
    """Remove a file whose compressed copy exists, after comparing both.

    Args:
        folder: the folder of both.
        found: the file.
        progress: called with the number of further bytes read.

    Raises:
        LeftAloneError: the file must not be touched now, or the other one is not its copy.
        OSError: a file cannot be read or written; both stay.
    """
    name = found.file.path.name
    packed = name + COMPRESSED
    with folder.claimed(found) as source:
        content = _Measure()
        for data in _blocks(source):
            content.add(data)
            progress(len(data))
        try:
            _verify(folder, packed, content.result())
        except ReadError as error:
            raise LeftAloneError(
                f"{packed} is not a copy of it ({error}); as long as both are there the original "
                "is read: compare them, and move one away",
                finding=True,
            ) from error
        folder.check(found, source)
        folder.sync()  # the name of the copy may be as new as the last power failure
        folder.remove(name)
        folder.sync()


def estimate(folder: Folder, found: FoundFile) -> int:
    """Return a file's estimated compressed size in bytes, judged by its beginning.

    Raises:
        OSError: it cannot be read.
    """
    fd = folder.open(found.file.path.name, os.O_RDONLY)
    try:
        sample = os.pread(fd, _BLOCK_BYTES, 0)
    finally:
        os.close(fd)
    packed = len(zstandard.ZstdCompressor(level=_LEVEL).compress(sample))
    return packed * found.size_bytes // max(len(sample), 1)


def _compress(
    source: int, target: IO[bytes], found: FoundFile, progress: Callable[[int], object]
) -> _Content:
    """Write and sync the compressed content, with the original's permissions and time."""
    content = _Measure()
    # The size is stated in the frame's header, so a file that grows causes an error.
    compressor = zstandard.ZstdCompressor(
        level=_LEVEL, write_checksum=True, write_content_size=True
    ).compressobj(size=found.size_bytes)
    try:
        for data in _blocks(source):
            content.add(data)
            _write(target, compressor.compress(data))
            progress(len(data))
        _write(target, compressor.flush())
    except zstandard.ZstdError as error:
        raise LeftAloneError(f"it has changed meanwhile ({error})") from error
    take_after(source, target.fileno())
    os.fsync(target.fileno())
    return content.result()


def _write(target: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[target.write(view) :]


def take_after(source: int, target: int) -> None:
    """Give the copy the permissions, group and modification time of the original."""
    state = os.fstat(source)
    mode = stat.S_IMODE(state.st_mode)
    if os.fstat(target).st_gid != state.st_gid:
        try:
            os.fchown(target, -1, state.st_gid)
        except PermissionError:
            mode &= ~stat.S_IRWXG  # otherwise a group other than the original's could read it
    os.fchmod(target, mode)
    os.utime(target, ns=(state.st_atime_ns, state.st_mtime_ns))


def _verify(folder: Folder, packed: str, expected: _Content) -> None:
    """Decompress a file and compare it with the expected content.

    Raises:
        ReadError: it is damaged, or has other content.
    """
    content = _Measure()
    stream = os.fdopen(folder.open(packed, os.O_RDONLY), "rb")
    with io.BufferedReader(Unpacked(stream, folder.path / packed), _BLOCK_BYTES) as unpacked:
        while data := unpacked.read(_BLOCK_BYTES):
            content.add(data)
    if content.result() != expected:
        raise ReadError(f"{packed} does not hold what was compressed")


def _blocks(fd: int) -> Iterator[bytes]:
    os.lseek(fd, 0, os.SEEK_SET)
    while data := os.read(fd, _BLOCK_BYTES):
        yield data
