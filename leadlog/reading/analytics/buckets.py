"""Bucket tables: the tally of a sealed day, stored, so that its events need not be read again.

    archive/buckets/2026-11-23.json.zst

One file per day, written whole and renamed. It says of which files it was made, by name and size;
where these are not the ones that are there now, it is not used, and can be made anew. It holds
no lead, but error messages: what is erased from the log is erased from it, see `leadlog erase`.
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
    """Where the bucket table of a day lies."""
    return Path(root) / ARCHIVE / "buckets" / f"{date}.json.zst"


def load_buckets(root: str | os.PathLike[str], date: str, files: Iterable[LogFile]) -> Tally | None:
    """Return the stored tally of a day.

    Args:
        root: the log directory.
        date: the UTC day.
        files: that are there now.

    Returns:
        None where there is none, or where it was made of other files or cannot be read: it can
        be made anew of the events.
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
    """Store the tally of a day that is sealed.

    Args:
        root: the log directory.
        date: the UTC day.
        files: that it was made of.
        tally: what they add up to.

    Raises:
        ReadError: it cannot be read back as it was written.
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
    """Remove the stored tally of a day, before anything that it was made of is changed.

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
