"""The layout of a log directory: its folders and file names.

    database_logs/<category>/<UTC date>[.w<writer>][.<segment>].jsonl

If a day has one writer, it writes `2026-11-23.jsonl` and continues in `2026-11-23.1.jsonl`; a
second process at the same time writes `2026-11-23.w1.jsonl`. Closed files may be compressed, which
appends `.zst` to the name. Closed days may be sealed to Parquet, one part per file:

    database_logs/archive/category=<category>/date=<UTC date>/part-<name without .jsonl>.parquet

While the same content exists in several forms, the first of these is the file and the others are
copies: plain, compressed, Parquet. A copy is complete before it gets its name.

The parts of a day may be merged into one, `part-2026-11-23.m1.parquet`. While parts still exist
that the merged one contains, `_merged-2026-11-23.m1.txt` lists them, and the merged one counts.
"""

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from leadlog_processors.fields import CATEGORIES as _FOLDERS

CATEGORIES: tuple[str, ...] = tuple(_FOLDERS.values())
"""The six category folders, in the order of the record contract."""

COMPRESSED = ".zst"
"""Suffix that a compressed file adds to the name of its original."""

ARCHIVE = "archive"
"""Folder of sealed days, below the log directory."""

PARQUET = ".parquet"
"""Suffix of the archive's parts."""

_PART = "part-"
_MERGED = "_merged-"
_MERGED_WRITER = -1

_DATE = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_DAY = re.compile(_DATE, re.ASCII)
_NAME = re.compile(
    rf"(?P<date>{_DATE})"
    r"(?:\.h-(?P<host>[A-Za-z0-9_-]+))?"
    r"(?:\.w(?P<writer>[1-9]\d*))?"
    r"(?:\.(?P<segment>[1-9]\d*))?"
    r"\.jsonl(?P<compressed>\.zst)?",
    re.ASCII,
)
_MERGED_PART = re.compile(rf"{_PART}(?P<date>{_DATE})\.m(?P<number>[1-9]\d*){PARQUET}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class LogFile:
    """The parsed name of a log file.

    Attributes:
        date: UTC calendar day, `2026-11-23`.
        writer: the writer's slot, 0 or more; slot 0 has no suffix. -1 for a part merged from the
            parts of several writers or segments.
        segment: 0 or more; the number of the file within day and writer, or of the merge for a
            merged part.
        host: the host's name where several hosts share a directory, otherwise "".
        compressed: whether the file is a `.zst` file.
        category: the category folder; "" if only a name was parsed.
        path: the file; the bare name if only a name was parsed.
        archived: whether the file is a part of the archive.
    """

    date: str
    writer: int = 0
    segment: int = 0
    host: str = ""
    compressed: bool = False
    category: str = ""
    path: Path = Path()
    archived: bool = False

    @property
    def stem(self) -> str:
        """The part of the name that all forms of the same content share."""
        if self.merged:
            return f"{self.date}.m{self.segment}"
        host = f".h-{self.host}" if self.host else ""
        writer = f".w{self.writer}" if self.writer else ""
        segment = f".{self.segment}" if self.segment else ""
        return f"{self.date}{host}{writer}{segment}"

    @property
    def merged(self) -> bool:
        """Whether this is a part merged from several parts."""
        return self.writer == _MERGED_WRITER

    @property
    def name(self) -> str:
        """The file name with all these attributes."""
        if self.archived:
            return f"{_PART}{self.stem}{PARQUET}"
        return f"{self.stem}.jsonl{COMPRESSED if self.compressed else ''}"


def category_directory(root: str | os.PathLike[str], category: str) -> Path:
    """Return the folder of `category` below the log directory `root`.

    Raises:
        ValueError: no such category exists; the message lists the six.
    """
    if category not in CATEGORIES:
        raise ValueError(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
    return Path(root) / category


def archive_directory(root: str | os.PathLike[str], category: str, date: str) -> Path:
    """Return the folder of the archive for one category and UTC day."""
    return Path(root) / ARCHIVE / f"category={category}" / f"date={date}"


def part_path(root: str | os.PathLike[str], file: LogFile) -> Path:
    """Return the path that the part of a log file has, or would have, in the archive."""
    folder = archive_directory(root, file.category, file.date)
    return folder / replace(file, archived=True).name


def archived_days(root: str | os.PathLike[str], category: str) -> list[str]:
    """Return the UTC days for which the archive has a folder of a category, in order.

    Raises:
        OSError: the folder cannot be listed.
    """
    folder = Path(root) / ARCHIVE / f"category={category}"
    if not folder.is_dir():
        return []
    days = (name.removeprefix("date=") for name in os.listdir(folder) if name[:5] == "date=")  # noqa: PTH208 - names suffice
    return sorted(day for day in days if _DAY.fullmatch(day))


def parse_name(name: str) -> LogFile | None:
    """Return the parsed name of a log file; None if it is not the name of one."""
    match = _MERGED_PART.fullmatch(name)
    if match is not None:
        return replace(merged_part(match["date"], int(match["number"])), path=Path(name))
    if name.startswith(_PART) and name.endswith(PARQUET):
        file = parse_name(f"{name[len(_PART) : -len(PARQUET)]}.jsonl")
        return None if file is None else replace(file, archived=True, path=Path(name))
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return LogFile(
        date=match["date"],
        writer=int(match["writer"] or 0),
        segment=int(match["segment"] or 0),
        host=match["host"] or "",
        compressed=match["compressed"] is not None,
        path=Path(name),
    )


def merged_part(date: str, number: int) -> LogFile:
    """Return the name of the part that holds a day's merged parts.

    `number` counts the merges of the day.
    """
    return LogFile(date, _MERGED_WRITER, number, archived=True)


def merged_list_path(part: Path) -> Path:
    """Return the path of the list of parts that a merged part contains and that still exist."""
    return part.with_name(f"{_MERGED}{part.name[len(_PART) : -len(PARQUET)]}.txt")


def merged_part_of(name: str) -> str | None:
    """Return the file name of the merged part that a list belongs to; None if not such a list."""
    part = f"{_PART}{name[len(_MERGED) : -len('.txt')]}{PARQUET}"
    return part if merged_list_path(Path(part)).name == name else None


def replaced_parts(folder: Path, names: Collection[str]) -> set[str]:
    """Return the parts in a folder of the archive that a merged part contains as well.

    Args:
        folder: folder of one category and day.
        names: the names of its files.

    Raises:
        FileNotFoundError: a list was removed together with the parts it names; list the folder
            again.
        OSError: a list cannot be read.
    """
    found: set[str] = set()
    for name in names:
        if merged_part_of(name) in names:
            found.update((folder / name).read_text("utf-8").splitlines())
    return found


def log_files(
    root: str | os.PathLike[str],
    categories: Iterable[str] | None = None,
    since: str | None = None,
    until: str | None = None,
) -> list[LogFile]:
    """Return the log files below `root`, ordered by date, writer and segment, without copies.

    A copy is left out while its original exists.

    Args:
        root: the log directory; if it does not exist, it has no files.
        categories: categories to search; all six by default.
        since: first UTC day to include, `2026-11-23`.
        until: last UTC day to include.

    Raises:
        ValueError: a category does not exist.
        OSError: a folder cannot be listed.
    """
    found: list[LogFile] = []
    for category in CATEGORIES if categories is None else categories:
        files = [
            file
            for file in _listed(category_directory(root, category), category)
            if not file.archived
            and not (since and file.date < since)
            and not (until and file.date > until)
        ]
        # List the archive last: a file sealed between the two listings is seen twice, not missed.
        parts = [
            file
            for day in archived_days(root, category)
            if not (since and day < since) and not (until and day > until)
            for file in _parts(archive_directory(root, category, day), category)
            if file.date == day
        ]
        plain = {file.stem for file in files if not file.compressed}
        files = [file for file in files if not (file.compressed and file.stem in plain)]
        there = {file.stem for file in files}
        found += files
        found += (part for part in parts if part.stem not in there)
    return sorted(found)


def _listed(folder: Path, category: str) -> list[LogFile]:
    if not folder.is_dir():
        return []
    named = ((path, parse_name(path.name)) for path in folder.iterdir())
    return [replace(file, category=category, path=path) for path, file in named if file is not None]


def _parts(folder: Path, category: str) -> list[LogFile]:
    """Return the parts in a folder of the archive, except those that a merged part contains."""
    before = None
    while folder.is_dir():
        # One listing for both: a merge that ends between two would be missed, or seen twice.
        names = os.listdir(folder)  # noqa: PTH208 - names suffice
        try:
            replaced = replaced_parts(folder, names)
        except FileNotFoundError:  # a merge has ended since
            if names == before:
                raise
            before = names
            continue
        return [
            replace(file, category=category, path=folder / name)
            for name in names
            if name not in replaced and (file := parse_name(name)) is not None and file.archived
        ]
    return []


def summary_path(root: str | os.PathLike[str], date: str) -> Path:
    """Return the path of the daily summary of `date`."""
    return Path(root) / "monitoring_data" / f"daily-summary-{date}.json"
