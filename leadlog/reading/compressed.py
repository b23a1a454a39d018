"""Reading of a compressed log file (`.jsonl.zst`) as if it were not compressed.

A file that ends within a frame, or whose checksum is wrong, raises an error, or ends there with the
damage recorded; zstandard's own reader would silently return a part.
"""

import io
import os
import sys
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from leadlog.core.errors import ReadError

__all__ = ["Unpacked", "is_cut", "open_to_damage", "open_unpacked", "spool_unpacked"]

# Small, because these bytes may expand to 30,000 times as many, which are held in memory.
_INPUT_BYTES = 1024
_BUFFER_BYTES = 256 * 1024
_LONGEST_HEAD_BYTES = 18
_SPOOL_BYTES = 64 * 1024 * 1024


class Unpacked(io.RawIOBase):
    """The content of a compressed file. Seeking backwards decompresses it again.

    Args:
        packed: the compressed file, open for reading; closed together with this object.
        path: path to name in messages.
        to_damage: end at damage instead of raising.

    Attributes:
        damage: the error at which the content ended; None without damage.
    """

    def __init__(self, packed: IO[bytes], path: Path, *, to_damage: bool = False) -> None:
        import zstandard  # imported here, so that reading plain files does not load it

        super().__init__()
        self._error = zstandard.ZstdError
        self._decompressor = zstandard.ZstdDecompressor()
        self._packed = packed
        self._path = path
        self._to_damage = to_damage
        self._start()

    def _start(self) -> None:
        self._packed.seek(0)
        self._position = 0
        self._pending = b""
        self._content = memoryview(b"")
        self._frames = 0
        self._frame = self._decompressor.decompressobj()
        self._inside = False
        self.damage: ReadError | None = None

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True; seeking is not fast."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes of the content into a writable buffer; 0 at its end.

        Raises:
            ReadError: the file is damaged or incomplete.
            OSError: the file cannot be read.
        """
        while not self._content:
            if not self._advance():
                return 0
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._content))
        target[:count] = self._content[:count]
        self._content = self._content[count:]
        self._position += count
        return count

    def _advance(self) -> bool:
        """Decompress another piece; return False at the end."""
        if self.damage is not None:
            return False
        try:
            return self._decompress()
        except ReadError as error:
            if not self._to_damage:
                raise
            self.damage = error
            return False

    def _decompress(self) -> bool:
        packed = self._pending or self._packed.read(_INPUT_BYTES)
        if not packed:
            if self._inside or not self._frames:
                raise self._damaged("it ends in the middle")
            return False
        try:
            self._content = memoryview(self._frame.decompress(packed))
        except self._error as error:
            raise self._damaged(str(error)) from error
        self._inside = not self._frame.eof
        self._pending = b""
        if self._frame.eof:
            self._pending = self._frame.unused_data
            self._frames += 1
            self._frame = self._decompressor.decompressobj()
        return True

    def _damaged(self, what: str) -> ReadError:
        return ReadError(
            f"{self._path} is damaged at byte {self._position} of its content: {what}; "
            "put a copy from a backup in its place, or move it out of the log directory"
        )

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a byte of the content, or to its end if it is shorter.

        Raises:
            ReadError: the file is damaged or incomplete.
            OSError: the file cannot be read.
        """
        if whence == io.SEEK_END:
            self._skip(sys.maxsize)
        if whence != io.SEEK_SET:
            offset += self._position
        if offset < self._position:
            self._start()
        self._skip(offset - self._position)
        return self._position

    def _skip(self, count: int) -> None:
        """Skip `count` bytes, or fewer at the end."""
        while count > 0 and (self._content or self._advance()):
            passed = min(count, len(self._content))
            self._content = self._content[passed:]
            self._position += passed
            count -= passed

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._packed.close()
        super().close()


def is_cut(path: Path) -> bool:
    """Return whether a compressed file ends within its last frame, without decompressing it.

    Raises:
        OSError: it cannot be read.
    """
    import zstandard

    with path.open("rb") as packed:
        size = os.fstat(packed.fileno()).st_size
        end = 0
        while end < size or not size:
            packed.seek(end)
            head = packed.read(_LONGEST_HEAD_BYTES)
            try:
                checksum = zstandard.get_frame_parameters(head).has_checksum
                end += zstandard.frame_header_size(head)
            except zstandard.ZstdError:
                return True
            last = False
            while not last:
                packed.seek(end)
                block = packed.read(3)
                if len(block) < 3:
                    return True
                number = int.from_bytes(block, "little")
                last, repeated = bool(number & 1), number >> 1 & 3 == 1
                end += 3 + (1 if repeated else number >> 3)
            end += 4 if checksum else 0
    return end > size


def open_unpacked(path: Path) -> BinaryIO:
    """Return the content of a compressed file, for reading forwards.

    Raises:
        OSError: the file cannot be opened.
    """
    return io.BufferedReader(Unpacked(path.open("rb"), path), _BUFFER_BYTES)


def open_to_damage(path: Path) -> tuple[BinaryIO, Unpacked]:
    """Return a compressed file's content up to any damage, and the object that records it.

    Raises:
        OSError: the file cannot be opened.
    """
    unpacked = Unpacked(path.open("rb"), path, to_damage=True)
    return io.BufferedReader(unpacked, _BUFFER_BYTES), unpacked


def spool_unpacked(path: Path) -> BinaryIO:
    """Return a seekable copy of a compressed file's content, in memory or in a temporary file.

    Raises:
        ReadError: the file is damaged or incomplete.
        OSError: the file cannot be opened or read.
    """
    import tempfile

    copy = cast(BinaryIO, tempfile.SpooledTemporaryFile(_SPOOL_BYTES))  # noqa: SIM115 - returned
    try:
        with open_unpacked(path) as content:
            while data := content.read(_BUFFER_BYTES):
                copy.write(data)
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return copy
