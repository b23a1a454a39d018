"""Where the log lives: folders, file names and nothing else.

    database_logs/<category>/<UTC date>[.w<writer>][.<segment>].jsonl

The only writer of a day writes `2026-11-23.jsonl`, its next segment `2026-11-23.1.jsonl`;
a second process beside it `2026-11-23.w1.jsonl`. Closed files may be compressed: the same
name with `.zst` after it. Closed days may be sealed to Parquet, one part per file:

    database_logs/archive/category=<category>/date=<UTC date>/part-<name without .jsonl>.parquet

As long as a content is there in several forms, the later one is a copy (it is complete before it
gets its name), and the earlier one is the file: plain, then compressed, then Parquet.

The parts of a day may be merged into one, `part-2026-11-23.m1.parquet`. As long as parts are there
that stand in a merged one, too, `_merged-2026-11-23.m1.txt` names them, and the merged one counts.
"""

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from leadlog_processors.fields import CATEGORIES as _FOLDERS

CATEGORIES: tuple[str, ...] = tuple(_FOLDERS.values())
"""The six folders, in the order of the record contract."""

COMPRESSED = ".zst"
"""What the name of a compressed file ends in, after the name of its original."""

ARCHIVE = "archive"
"""Folder below the log directory for sealed days."""

PARQUET = ".parquet"
"""What the name of a part of the archive ends in."""

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
    """A log file's name, read.

    Attributes:
        date: UTC calendar day, `2026-11-23`.
        writer: the writer's slot, 0 or more; slot 0 has no suffix. -1 for a part that was merged
            of several writers' or segments' parts.
        segment: 0 or more, counted by size within day and writer; of merged parts by merging.
        host: set where several hosts share a directory, else "".
        compressed: whether the file is `.zst`.
        category: the folder; "" where only a name was read.
        path: the file; the bare name where only a name was read.
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
        """What is the same in the names of all forms of a content."""
        if self.merged:
            return f"{self.date}.m{self.segment}"
        host = f".h-{self.host}" if self.host else ""
        writer = f".w{self.writer}" if self.writer else ""
        segment = f".{self.segment}" if self.segment else ""
        return f"{self.date}{host}{writer}{segment}"

    @property
    def merged(self) -> bool:
        """Whether it is a part that was made of several parts."""
        return self.writer == _MERGED_WRITER

    @property
    def name(self) -> str:
        """The file name that says all this."""
        if self.archived:
            return f"{_PART}{self.stem}{PARQUET}"
        return f"{self.stem}.jsonl{COMPRESSED if self.compressed else ''}"


def category_directory(root: str | os.PathLike[str], category: str) -> Path:
    """Return the folder of `category` below the log directory `root`.

    Raises:
        ValueError: there is no such category; the message lists the six.
    """
    if category not in CATEGORIES:
        raise ValueError(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
    return Path(root) / category


def archive_directory(root: str | os.PathLike[str], category: str, date: str) -> Path:
    """Return the folder of the archive for one category and UTC day."""
    return Path(root) / ARCHIVE / f"category={category}" / f"date={date}"


def part_path(root: str | os.PathLike[str], file: LogFile) -> Path:
    """Where the part of a log file lies in the archive, or would lie."""
    folder = archive_directory(root, file.category, file.date)
    return folder / replace(file, archived=True).name


def archived_days(root: str | os.PathLike[str], category: str) -> list[str]:
    """Return the UTC days that a category has a folder for in the archive, in order.

    Raises:
        OSError: the folder cannot be listed.
    """
    folder = Path(root) / ARCHIVE / f"category={category}"
    if not folder.is_dir():
        return []
    days = (name.removeprefix("date=") for name in os.listdir(folder) if name[:5] == "date=")  # noqa: PTH208 - names suffice
    return sorted(day for day in days if _DAY.fullmatch(day))


def parse_name(name: str) -> LogFile | None:
    """Return the parts of a log file's name; None for any other file."""
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
    """Return the name of the part that a day's parts are merged into.

    `number` counts the merges.
    """
    return LogFile(date, _MERGED_WRITER, number, archived=True)


def merged_list_path(part: Path) -> Path:
    """Where a merged part's list of those lies that stand in it and are still there, too."""
    return part.with_name(f"{_MERGED}{part.name[len(_PART) : -len(PARQUET)]}.txt")


def merged_part_of(name: str) -> str | None:
    """Whose list a file name says it is, as a file name; None where it says nothing like it."""
    part = f"{_PART}{name[len(_MERGED) : -len('.txt')]}{PARQUET}"
    return part if merged_list_path(Path(part)).name == name else None


def replaced_parts(folder: Path, names: Collection[str]) -> set[str]:
    """Return the parts in a folder of the archive that stand in a merged one, too.

    Args:
        folder: of one category and day.
        names: what is in it.

    Raises:
        FileNotFoundError: a list is gone, so the parts that it named are: list the folder again.
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
    """Return the log files below `root`, by date, writer and segment; each content once.

    A copy whose original is still there is left out.

    Args:
        root: the log directory; one that does not exist has no files.
        categories: folders to look into; all six by default.
        since: first UTC day wanted, `2026-11-23`.
        until: last UTC day wanted.

    Raises:
        ValueError: a category that does not exist.
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
        # The archive last: what is sealed between the two is met twice, not missed.
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
    """Return the parts in a folder of the archive, without those that a merged part contains."""
    before = None
    while folder.is_dir():
        # One listing for both: a merge that ends between two would be missed, or met twice.
        names = os.listdir(folder)  # noqa: PTH208 - names suffice
        try:
            replaced = replaced_parts(folder, names)
        except FileNotFoundError:  # a merge came to its end since
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
    """Where the daily summary of `date` lies."""
    return Path(root) / "monitoring_data" / f"daily-summary-{date}.json"
