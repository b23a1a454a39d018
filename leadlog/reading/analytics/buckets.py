"""Bucket tables: the stored tally of a sealed day, so that its events need not be read again.

    archive/buckets/2026-11-23.json.zst

One file per day, written atomically. It records the names and sizes of the files that it was made
from; if these differ from the current ones, it is ignored and can be rebuilt. It holds no leads,
but error messages: whatever is erased from the log is erased from it, see `leadlog erase`.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import zstandard

from leadlog.core.errors import ReadError
from leadlog.core.files import make_folder, replace, sync_folder
from leadlog.core.layout import ARCHIVE, LogFile
from leadlog.core.places import modes_of
from leadlog.reading.analytics.tally import Cause, RunKey, Slow, Tally

__all__ = ["buckets_path", "load_buckets", "remove_buckets", "store_buckets"]

_VERSION = 1
_SPOILT = (OSError, zstandard.ZstdError, ValueError, KeyError, TypeError)


def buckets_path(root: str | os.PathLike[str], date: str) -> Path:
    """Return the path of a day's bucket table."""
    return Path(root) / ARCHIVE / "buckets" / f"{date}.json.zst"


def load_buckets(root: str | os.PathLike[str], date: str, files: Iterable[LogFile]) -> Tally | None:
    """Return the stored tally of a day.

    Args:
        root: the log directory.
        date: the UTC day.
        files: the day's current files.

    Returns:
        The tally; None if there is none, if it was made from other files, or if it cannot be read:
        it can be rebuilt from the events.
    """
    path = buckets_path(root, date)
    try:
        data = orjson.loads(zstandard.ZstdDecompressor().decompress(path.read_bytes()))
        if data["version"] != _VERSION or data["sources"] != _sources(files):
            return None
        return _tally(data)
    except _SPOILT:
        return None


def store_buckets(
    root: str | os.PathLike[str], date: str, files: Iterable[LogFile], tally: Tally
) -> Path:
    """Store the tally of a sealed day; return the path of the file.

    Args:
        root: the log directory.
        date: the UTC day.
        files: the files that it was made from.
        tally: the tally.

    Raises:
        ReadError: it does not read back as it was written.
        OSError: it cannot be written.
    """
    path = buckets_path(root, date)
    sources = _sources(files)
    data = {"version": _VERSION, "date": date, "sources": sources, **_data(tally)}
    rights, folders = modes_of(Path(root))
    make_folder(path.parent, folders)
    content = zstandard.ZstdCompressor(write_checksum=True).compress(orjson.dumps(data))
    if _tally(orjson.loads(zstandard.ZstdDecompressor().decompress(content))) != tally:
        raise ReadError(f"the bucket table of {date} does not read back as it was written")
    replace(path, content, mode=rights)
    return path


def remove_buckets(root: str | os.PathLike[str], date: str) -> None:
    """Remove the stored tally of a day, before any file that it was made from is changed.

    Raises:
        OSError: it cannot be removed.
    """
    path = buckets_path(root, date)
    if path.exists():
        path.unlink()
        sync_folder(path.parent)


def _sources(files: Iterable[LogFile]) -> list[list[Any]]:
    """Return the identity of files, which never change in place; a replacement differs in size."""
    return sorted([file.category, file.path.name, file.path.stat().st_size] for file in files)


def _data(tally: Tally) -> dict[str, Any]:
    return {
        "runs": [[*run, *counted] for run, counted in tally.runs.items()],
        "qualities": [[*key, count] for key, count in tally.qualities.items()],
        "sums": [[*key, *counted] for key, counted in tally.sums.items()],
        "errors": [[*key, count] for key, count in tally.errors.items()],
        "causes": [[key, *cause] for key, cause in tally.causes.items()],
        "others": [[*key, count] for key, count in tally.others.items()],
        "memory_mb": tally.memory_mb,
        "cpu_percent": tally.cpu_percent,
        "slowest": [list(one) for one in tally.slowest],
        "lines_skipped": tally.lines_skipped,
    }


def _tally(data: dict[str, Any]) -> Tally:
    return Tally(
        runs={RunKey(*row[:-2]): row[-2:] for row in data["runs"]},
        qualities={(row[0], row[1]): row[2] for row in data["qualities"]},
        sums={(row[0], row[1]): row[2:] for row in data["sums"]},
        errors={(row[0], row[1], row[2], row[3]): row[4] for row in data["errors"]},
        causes={row[0]: Cause(*row[1:]) for row in data["causes"]},
        others={(row[0], row[1]): row[2] for row in data["others"]},
        memory_mb=data["memory_mb"],
        cpu_percent=data["cpu_percent"],
        slowest=[Slow(*row) for row in data["slowest"]],
        lines_skipped=data["lines_skipped"],
    )
