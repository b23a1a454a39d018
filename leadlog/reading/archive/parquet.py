"""Sealing of one closed file to Parquet, killable at any moment.

    archive/category=…/date=…/part-2026-11-23.parquet   written and compared, see `parts`
    error_logs/2026-11-23.jsonl[.zst]                   removed

Before the part is renamed only the original is valid; after it both exist and are equal, readers
use the original, and a later run finishes.
"""

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from leadlog.core.files import make_folder, sync_folder
from leadlog.core.layout import part_path, replaced_parts
from leadlog.reading.archive.folders import Folder, LeftAloneError
from leadlog.reading.archive.parts import (
    Content,
    compare,
    take_after_original,
    writing_part,
)
from leadlog.reading.archive.plan import FoundFile
from leadlog.reading.compressed import Unpacked
from leadlog.reading.part import damaged_path

__all__ = ["seal_to_parquet"]

_BLOCK_BYTES = 4 * 1024 * 1024


def seal_to_parquet(
    root: Path, folder: Folder, found: FoundFile, progress: Callable[[int], object]
) -> int:
    """Replace a file by a part of the archive.

    Args:
        root: the log directory.
        folder: the file's folder.
        found: the file, plain or compressed.
        progress: called with the number of further bytes read.

    Returns:
        Size of the part in bytes, including its damaged lines.

    Raises:
        LeftAloneError: the file must not be touched now.
        ReadError: the part did not reproduce the file and was discarded; or the file is damaged.
        MissingExtraError: DuckDB is not installed.
        OSError: a file cannot be read or written; the original stays.
    """
    part = part_path(root, found.file)
    with folder.claimed(found) as source:
        rights = _folder_rights(found.file.path.parent)
        _make_folders(root, part.parent, rights)
        content = _content(source, found, progress)
        if part.name in replaced_parts(part.parent, os.listdir(part.parent)):  # noqa: PTH208 - names suffice
            raise LeftAloneError("a part of its name is being merged; run this again")
        if part.exists():
            compare(part, found.file.category, content())
        else:
            with writing_part(part, found.file.category, content) as drafts:
                take_after_original(source, drafts)
                folder.check(found, source)
        try:
            folder.check(found, source)
        except LeftAloneError:
            part.unlink()
            raise
        folder.remove(found.file.path.name)
        folder.sync()
    beside = damaged_path(part)
    return part.stat().st_size + (beside.stat().st_size if beside.exists() else 0)


def _content(source: int, found: FoundFile, progress: Callable[[int], object]) -> Content:
    """Return a function that yields a claimed file's content; its first call reports progress."""
    reading = [progress]

    def blocks() -> Iterator[bytes]:
        tell = reading.pop() if reading else None
        os.lseek(source, 0, os.SEEK_SET)
        stream: Any = io.FileIO(source, closefd=False)
        if found.file.compressed:
            stream = io.BufferedReader(Unpacked(stream, found.file.path), _BLOCK_BYTES)
        while data := stream.read(_BLOCK_BYTES):
            if tell is not None and not found.file.compressed:
                tell(len(data))
            yield data
        if tell is not None and found.file.compressed:
            tell(found.size_bytes)

    return blocks


def _folder_rights(category_folder: Path) -> int:
    return stat.S_IMODE(category_folder.stat().st_mode)


def _make_folders(root: Path, folder: Path, rights: int) -> None:
    """Create the folders of a part, with the permissions of the category's folder.

    Raises:
        LeftAloneError: one of them is a link or a file.
        OSError: they cannot be created.
    """
    for path in (folder.parent.parent, folder.parent, folder):
        if not path.is_dir():
            with suppress(FileExistsError):
                make_folder(path, rights, parents=False)
                sync_folder(path.parent)
        if path.is_symlink() or not path.is_dir():
            raise LeftAloneError(
                f"{path.relative_to(root)} is a link or a file, not a folder; nothing is sealed "
                "behind it",
                finding=True,
            )
