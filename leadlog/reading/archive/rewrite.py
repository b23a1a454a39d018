"""Another content in a closed file's place, such that it may be killed at any moment.

The new one is written under a hidden name, synced, and renamed over the old one; so at any kill
the file is the old one or the new one.
"""

import os
from collections.abc import Iterable
from contextlib import suppress

import zstandard

from leadlog.reading.archive.folders import Folder
from leadlog.reading.archive.plan import Found
from leadlog.reading.archive.seal import take_after

__all__ = ["rewrite"]


def rewrite(
    folder: Folder, found: Found, source: int, content: Iterable[bytes], *, draft: str
) -> None:
    """Puts another content in a file's place, compressed where the file is.

    Args:
        folder: where it is.
        found: the file, plain or compressed.
        source: its descriptor, as claimed.
        content: what is to be in it, in blocks.
        draft: the hidden name to write it under.

    Raises:
        LeftAloneError: the file has changed meanwhile.
        OSError: something cannot be read or written; the file stays.
    """
    with suppress(FileNotFoundError):  # of a run that was killed
        folder.remove(draft)
    target = folder.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with os.fdopen(target, "wb") as stream:
            packer = zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj()
            for block in content:
                stream.write(packer.compress(block) if found.file.compressed else block)
            if found.file.compressed:
                stream.write(packer.flush())
            stream.flush()
            take_after(source, target)
            os.fsync(target)
        folder.check(found, source)
        folder.rename(draft, found.file.path.name)
    finally:
        with suppress(OSError):  # renamed; or the next run removes it
            folder.remove(draft)
    folder.sync()
