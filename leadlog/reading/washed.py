"""Copies of files without the lines that DuckDB cannot read.

For a line of more than about 32 MB, DuckDB refuses the whole file. Finding out whether a file has
one takes a look at every 16 MiB of it, not at all of its bytes. The copy has the file's events
only, and no name: it is gone with the process, however that ends. What has a name is a link to it,
in a private temporary folder.
"""

import mmap
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from leadlog.core.errors import ReadError
from leadlog.reading.events import LINE_LIMIT_BYTES, Skipped, read_events

__all__ = ["has_long_line", "readable_paths", "remove_copies"]


class _Copies:
    """The copies of this process."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._files: list[IO[bytes]] = []
        self._known: dict[tuple[str, int, int, int], Path] = {}

    def of(self, path: Path) -> Path:
        """Return where the copy of a file is, made where it is missing or old."""
        state = path.stat()
        key = str(path), state.st_ino, state.st_size, state.st_mtime_ns
        if key not in self._known:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="leadlog-washed-"))
                weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            stream = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the link is
            self._files.append(stream)
            for event in read_events(path, skipped=Skipped()):
                stream.write(event.raw + b"\n")
            stream.flush()
            link = self._folder / str(len(self._known)) / path.name
            link.parent.mkdir()
            link.symlink_to(f"/proc/{os.getpid()}/fd/{stream.fileno()}")
            self._known[key] = link
        return self._known[key]

    def remove(self) -> None:
        """Remove all copies."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        for stream in self._files:
            stream.close()
        self._folder = None
        self._files.clear()
        self._known.clear()


_copies = _Copies()
remove_copies = _copies.remove


def readable_paths(paths: Iterable[Path]) -> list[Path]:
    """Return the files with those replaced by copies that DuckDB could not read.

    Raises:
        ReadError: a file cannot be read, or there is no room for a copy.
    """
    return [_copies.of(path) if has_long_line(path) else path for path in paths]


def has_long_line(path: Path) -> bool:
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
