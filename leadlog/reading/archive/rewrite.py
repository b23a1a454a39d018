"""Replacement of a closed file's content, killable at any moment.

The new file is written under a hidden name, synced, and renamed over the old one; so after a kill
the file is the old one or the new one.
"""

import os
from collections.abc import Iterable

import zstandard

from leadlog.reading.archive.folders import Folder
from leadlog.reading.archive.plan import FoundFile
from leadlog.reading.archive.seal import take_after

__all__ = ["rewrite"]


def rewrite(folder: Folder, found: FoundFile, source: int, content: Iterable[bytes]) -> None:
    """Replace a file's content, compressed if the file is.

    Args:
        folder: the file's folder.
        found: the file, plain or compressed.
        source: its descriptor, as claimed.
        content: the new content, in blocks.

    Raises:
        LeftAloneError: the file has changed.
        OSError: the file cannot be read or written; it stays as it was.
    """
    with folder.replacing(found.file.path.name) as stream:
        packer = zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj()
        for block in content:
            stream.write(packer.compress(block) if found.file.compressed else block)
        if found.file.compressed:
            stream.write(packer.flush())
        stream.flush()
        take_after(source, stream.fileno())
        os.fsync(stream.fileno())  # may take a while, so before the last look
        folder.check(found, source)
