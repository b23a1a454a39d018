"""Large log files as columns, so that queries over all events need not parse text again.

    <log directory>/.index/<category>/<stem>.<start>-<end>.<mark>.parquet     0600, disposable

Each holds the lines of a section of one file as DuckDB reads them, damaged ones as rows of nulls,
so that queries give the same answer as on the file. The mark is a hash of the file's inode, its
last bytes before the end of the section, and the columns: a replaced file or a changed contract has
another mark. Lines after the last section are read from the file.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from leadlog.core.files import draft, make_folder
from leadlog.core.layout import LogFile, log_files
from leadlog.core.places import INDEX, modes_of
from leadlog.reading.columns import columns
from leadlog.reading.duck import quoted
from leadlog.reading.events import LINE_LIMIT_BYTES
from leadlog.reading.scan import Copied, Scan
from leadlog.reading.washed import readable, rest_of, stretch

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["with_columns"]

_STRETCH_BYTES: Final = 64 * 1024 * 1024
"""Longest section in bytes; sections of a larger file are copied one by one."""
_LEAST_BYTES: Final = 16 * 1024 * 1024
"""Least size in bytes; smaller files are read just as fast as text."""
_TAIL_BYTES: Final = 64


class _Stretch(NamedTuple):
    start: int
    end: int
    mark: str
    path: Path


def with_columns(
    found: Scan, directory: str | os.PathLike[str], connection: "DuckDBPyConnection"
) -> Scan:
    """Return a scan that reads large files from columns, which are created where missing.

    If no file is large, or nothing can be written, the scan is returned unchanged.

    Args:
        found: the scan.
        directory: the log directory.
        connection: from `leadlog.reading.duck.connect`; used to read the files.

    Raises:
        ReadError: a file cannot be read.
        duckdb.Error: a file cannot be read.
    """
    import duckdb

    root = Path(directory)
    folder = root / INDEX / found.category
    direct = readable(file.path for file in found.files).direct
    large = [
        file for file in found.files if file.path in direct and _size(file.path) >= _LEAST_BYTES
    ]
    if not large and not folder.is_dir():
        return found
    try:
        files, folders = modes_of(root)
        make_folder(folder.parent, folders, parents=False)
        make_folder(folder, folders, parents=False)
        known = _known(folder)
        _remove_old(root, found.category, known)
        made = [
            _copied(file, known.get(file.stem, []), folder, files, connection) for file in large
        ]
    except (OSError, duckdb.IOException):  # read-only, full, or just removed
        return found
    return replace(found, copies=tuple(one for one in made if one is not None))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # its reader finds its new place
        return 0


def _known(folder: Path) -> Mapping[str, list[_Stretch]]:
    """Return the existing sections, by stem."""
    known: dict[str, list[_Stretch]] = {}
    for name in os.listdir(folder):  # noqa: PTH208 - names suffice
        stem, place, mark, suffix = (name.rsplit(".", 3) + [""] * 4)[:4]
        start, _, end = place.partition("-")
        if suffix == "parquet" and not name.startswith(".") and (start + end).isdecimal():
            known.setdefault(stem, []).append(_Stretch(int(start), int(end), mark, folder / name))
    return known


def _remove_old(root: Path, category: str, known: Mapping[str, Iterable[_Stretch]]) -> None:
    """Remove the sections of files that no longer exist or are sealed."""
    there = {file.stem for file in log_files(root, [category]) if not file.archived}
    for stem in known.keys() - there:
        for one in known[stem]:
            with suppress(FileNotFoundError):
                one.path.unlink()


def _copied(
    file: LogFile,
    known: Iterable[_Stretch],
    folder: Path,
    mode: int,
    connection: "DuckDBPyConnection",
) -> Copied | None:
    """Return a file as its sections and its rest; None if it is better read directly."""
    parts: list[_Stretch] = []
    kinds = columns(file.category)
    with file.path.open("rb") as stream:
        state = os.fstat(stream.fileno())

        def mark(end: int) -> str:
            if file.compressed:  # it is never appended to
                last = str(state.st_mtime_ns).encode()
            else:
                last = os.pread(stream.fileno(), _TAIL_BYTES, max(end - _TAIL_BYTES, 0))
                last = last[: min(end, _TAIL_BYTES)]
            told = f"{state.st_ino} {kinds} {len(last)} {end} ".encode()
            return hashlib.blake2b(told + last, digest_size=8).hexdigest()

        at = 0
        while at < state.st_size:
            sound = [
                one
                for one in known
                if one.start == at and one.end <= state.st_size and one.mark == mark(one.end)
            ]
            if sound:
                parts.append(max(sound))
                at = parts[-1].end
                continue
            end = state.st_size if file.compressed else _end(stream.fileno(), at, state.st_size)
            if end is None:
                break
            path = folder / f"{file.stem}.{at}-{end}.{mark(end)}.parquet"
            source = nullcontext(file.path) if file.compressed else stretch(stream, at, end)
            with source as lines, draft(path, mode=mode) as place:
                select = Scan.plain_lines(kinds, [lines])
                connection.execute(
                    f"COPY (SELECT * EXCLUDE (filename) FROM ({select})) "  # noqa: S608 - ours
                    f"TO {quoted(place)} (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)"
                )
            parts.append(_Stretch(at, end, "", path))
            at = end
    if not parts:
        return None
    kept = {one.path for one in parts}
    for one in known:
        if one.path not in kept:
            with suppress(FileNotFoundError):
                one.path.unlink()
    rest = None if file.compressed else rest_of(file.path, at)
    return Copied(file, tuple(one.path for one in parts), rest)


def _end(fd: int, start: int, size: int) -> int | None:
    """Return the end of the next worthwhile section, after a newline; None if there is none."""
    if size - start < _LEAST_BYTES:
        return None
    high = min(start + _STRETCH_BYTES, size)
    low = max(high - LINE_LIMIT_BYTES, start)
    newline = os.pread(fd, high - low, low).rfind(b"\n")
    return low + newline + 1 if newline >= 0 else None
