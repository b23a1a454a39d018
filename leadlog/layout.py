"""Where the log lives: folders, file names and nothing else.

    database_logs/<category>/<UTC date>[.w<writer>][.<segment>].jsonl

The only writer of a day writes `2026-11-23.jsonl`, its next segment `2026-11-23.1.jsonl`;
a second process beside it `2026-11-23.w1.jsonl`. Closed files may be compressed: the same
name with `.zst` after it. As long as both are there, the compressed one is a copy (it is
complete before it gets its name), and the other one is the file.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from leadlog_processors.fields import CATEGORIES as _FOLDERS

CATEGORIES: tuple[str, ...] = tuple(_FOLDERS.values())
"""The six folders, in the order of the record contract."""

COMPRESSED = ".zst"
"""What the name of a compressed file ends in, after the name of its original."""

_NAME = re.compile(
    r"(?P<date>\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))"
    r"(?:\.h-(?P<host>[A-Za-z0-9_-]+))?"
    r"(?:\.w(?P<writer>[1-9]\d*))?"
    r"(?:\.(?P<segment>[1-9]\d*))?"
    r"\.jsonl(?P<compressed>\.zst)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, order=True)
class LogFile:
    """A log file's name, read.

    Attributes:
        date: UTC calendar day, `2026-11-23`.
        writer: the writer's slot, 0 or more; slot 0 has no suffix.
        segment: 0 or more, counted by size within day and writer.
        host: set where several hosts share a directory, else "".
        compressed: whether the file is `.zst`.
        category: the folder; "" where only a name was read.
        path: the file; the bare name where only a name was read.
    """

    date: str
    writer: int = 0
    segment: int = 0
    host: str = ""
    compressed: bool = False
    category: str = ""
    path: Path = Path()

    @property
    def name(self) -> str:
        """The file name that says all this."""
        host = f".h-{self.host}" if self.host else ""
        writer = f".w{self.writer}" if self.writer else ""
        segment = f".{self.segment}" if self.segment else ""
        end = COMPRESSED if self.compressed else ""
        return f"{self.date}{host}{writer}{segment}.jsonl{end}"


def category_directory(root: str | os.PathLike[str], category: str) -> Path:
    """The folder of `category` below the log directory `root`.

    Raises:
        ValueError: there is no such category; the message lists the six.
    """
    if category not in CATEGORIES:
        raise ValueError(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
    return Path(root) / category


def parse_name(name: str) -> LogFile | None:
    """What a file name says, or None where it is not one of ours."""
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


def log_files(
    root: str | os.PathLike[str],
    categories: Iterable[str] | None = None,
    since: str | None = None,
    until: str | None = None,
) -> list[LogFile]:
    """The log files below `root`, by date, writer and segment; each content once.

    A compressed file whose original is still there is left out.

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
        folder = category_directory(root, category)
        if not folder.is_dir():
            continue
        paths = {path.name: path for path in folder.iterdir()}
        for name, path in paths.items():
            file = parse_name(name)
            if file is not None and file.compressed and name.removesuffix(COMPRESSED) in paths:
                continue
            if file is None or (since and file.date < since) or (until and file.date > until):
                continue
            found.append(
                LogFile(
                    file.date,
                    file.writer,
                    file.segment,
                    file.host,
                    file.compressed,
                    category,
                    path,
                )
            )
    return sorted(found)


def summary_path(root: str | os.PathLike[str], date: str) -> Path:
    """Where the daily summary of `date` lies."""
    return Path(root) / "monitoring_data" / f"daily-summary-{date}.json"
