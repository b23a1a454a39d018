"""The registry of every file that leadlog writes, used by erasure, the archive and doctor.

A module that writes files must be named here; a test enforces it. Patterns are relative to the log
directory, as `PurePath.match` takes them; a place without patterns is outside it, at `where`.
"""

import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Final

from leadlog.core.files import DRAFT, open_file

__all__ = [
    "EXPORTS",
    "INDEX",
    "PLACES",
    "WORKING_COPIES",
    "Content",
    "Place",
    "exports",
    "modes_of",
    "note_export",
    "place_of",
]

EXPORTS: Final = ".exports"
"""File that lists the files commands wrote elsewhere, one absolute path per line."""
WORKING_COPIES: Final = ("leadlog-spill-*", "leadlog-index-*")
"""Folders of working copies in the system's temporary folder."""
INDEX: Final = ".index"
"""Name of the index's folder, and prefix of its files' names."""


class Content(StrEnum):
    """The kind of content of a file, which decides how an erasure removes a person from it."""

    LINES = "lines"  # JSON lines, plain or compressed; Parquet
    DOCUMENT = "document"  # one JSON text, plain or compressed
    DAMAGED = "damaged"  # JSON lines with lines that were not events, in base64
    DATABASE = "database"  # SQLite
    DERIVED = "derived"  # rebuilt from the events when missing
    NAMES = "names"  # file names, process ids, locks: no data of events
    RING = "ring"  # a process's memory; its lines are moved to files
    ELSEWHERE = "elsewhere"  # a file that the user named, or the store's own


@dataclass(frozen=True, slots=True)
class Place:
    """One kind of file.

    Attributes:
        name: Name shown to users.
        content: Kind of content.
        writers: The modules that write it.
        patterns: Patterns of its paths, relative to the log directory.
        where: Its location, for places outside the log directory.
    """

    name: str
    content: Content
    writers: tuple[str, ...]
    patterns: tuple[str, ...] = ()
    where: str = ""


PLACES: Final = (
    Place(
        "log files",
        Content.LINES,
        (
            "leadlog.recording.sinks.segments",
            "leadlog.recording.sinks.recover",
            "leadlog.reading.archive.seal",
            "leadlog.reading.archive.rewrite",
        ),
        ("*/????-??-??*.jsonl", "*/????-??-??*.jsonl.zst"),
    ),
    Place(
        "parts of the archive",
        Content.LINES,
        ("leadlog.reading.archive.parts", "leadlog.reading.archive.parquet"),
        ("archive/category=*/date=*/part-*.parquet",),
    ),
    Place(
        "damaged lines of parts",
        Content.DAMAGED,
        ("leadlog.reading.archive.parts",),
        ("archive/category=*/date=*/_damaged-*.jsonl",),
    ),
    Place(
        "lists of merged parts",
        Content.NAMES,
        ("leadlog.reading.archive.merge",),
        ("archive/category=*/date=*/_merged-*.txt",),
    ),
    Place(
        "bucket tables",
        Content.DERIVED,
        ("leadlog.reading.analytics.buckets",),
        ("archive/buckets/*.json.zst",),
    ),
    Place(
        "daily summaries",
        Content.DOCUMENT,
        ("leadlog.reading.analytics.summary",),
        ("monitoring_data/daily-summary-*.json",),
    ),
    Place(
        "quarantine",
        Content.DAMAGED,
        ("leadlog.reading.archive.quarantine",),
        ("quarantine/*/*.jsonl", "quarantine/*/*.jsonl.zst"),
    ),
    Place(
        "error marks",
        Content.DOCUMENT,
        ("leadlog.reading.analytics.marks",),
        ("error-marks.json",),
    ),
    Place(
        "monitor's state and outbox",
        Content.DATABASE,
        ("leadlog.monitor.state", "leadlog.monitor.notification.outbox"),
        (".monitor.sqlite3", ".monitor.sqlite3-wal", ".monitor.sqlite3-shm"),
    ),
    Place(
        "positions and refused records of shipping",
        Content.DATABASE,
        ("leadlog.reading.shipments",),
        (".shipping/*.sqlite3", ".shipping/*.sqlite3-wal", ".shipping/*.sqlite3-shm"),
    ),
    Place(
        "index",
        Content.DERIVED,
        (
            "leadlog.reading.index.store",
            "leadlog.reading.index.updating",
            "leadlog.reading.columnar",
        ),
        (f"{INDEX}*", f"{INDEX}/*", f"{INDEX}/*/*"),
    ),
    Place(
        "dashboard's key",
        Content.NAMES,
        ("leadlog.dashboard.access",),
        (f"{INDEX}/dashboard.key",),
    ),
    Place(
        "locks",
        Content.NAMES,
        (
            "leadlog.reading.archive.directory",
            "leadlog.monitor.state",
            "leadlog.recording.sinks.belonging",
            "leadlog.recording.sinks.sidecar",
            "leadlog.recording.sinks.slots",
            "leadlog.reading.shipments",
        ),
        (
            ".archive.lock",
            ".monitor.lock",
            "*/.*.lock",
            ".*.lock",
            ".shipping/*.lock",
            ".slots/*",
        ),
    ),
    Place("list of exports", Content.NAMES, ("leadlog.core.places",), (EXPORTS,)),
    Place(
        "journal of an erasure",
        Content.NAMES,  # removed by the erasure itself when nothing remains
        ("leadlog.reading.erasure.journal",),
        (".erasure.json",),
    ),
    Place(
        "list of erasures",
        Content.NAMES,
        ("leadlog.reading.erasure.ledger",),
        (".erasures.jsonl",),
    ),
    Place(
        "rings and their counts",
        Content.RING,
        (
            "leadlog.recording.sinks.board",
            "leadlog.recording.sinks.mirror",
            "leadlog.recording.sinks.storage",
        ),
        where="a folder of the log directory's own in the memory file system",
    ),
    Place(
        "working copies",
        Content.ELSEWHERE,
        (
            "leadlog.dashboard.log",
            "leadlog.dashboard.sql",
            "leadlog.reading.compressed",
            "leadlog.reading.duck",
            "leadlog.reading.objects",
            "leadlog.reading.part",
            "leadlog.reading.washed",
        ),
        where="without a name, or in the system's temporary folder; they go with the process",
    ),
    Place(
        "exports",
        Content.ELSEWHERE,
        ("leadlog.cli.reading.query", "leadlog.cli.reading.report"),
        where="where the user said; listed in the log directory's list of exports",
    ),
    Place(
        "token of the dashboard",
        Content.ELSEWHERE,
        ("leadlog.cli.monitor.dashboard",),
        where="where the user said; it has nothing of an event",
    ),
    Place(
        "models and their reports",
        Content.DERIVED,
        ("leadlog.training.learning",),
        ("models/*/model.json", "models/*/report.json", "models/*/report.html"),
    ),
    Place(
        "data sets",
        Content.ELSEWHERE,
        ("leadlog.training.dataset",),
        where="where the user said; their manifests are in the log directory's list of exports",
    ),
    Place(
        "rejected records",
        Content.ELSEWHERE,
        ("leadlog.leads.migration.manager",),
        where="where the user said; listed in the log directory's list of exports",
    ),
    Place(
        "lead store, its backups and locks",
        Content.ELSEWHERE,
        (
            "leadlog.leads.store.backups",
            "leadlog.leads.store.location",
            "leadlog.leads.store.sync_lock",
            "leadlog.leads.migration.copies",
            "leadlog.leads.migration.preparing",
        ),
        where="next to the store; the store's own data, which an erasure of the log keeps",
    ),
)


def place_of(path: PurePath) -> Place | None:
    """Return the place of a path relative to the log directory; None if leadlog does not write it.

    A draft belongs to the place of the file it replaces.
    """
    draft = DRAFT.fullmatch(path.name)
    if draft is not None:
        path = path.with_name(draft["name"])
    depth = len(path.parts)
    for place in PLACES:
        for pattern in place.patterns:
            if pattern.count("/") + 1 == depth and path.match(pattern):
                return place
    return None


def modes_of(directory: Path) -> tuple[int, int]:
    """Return the file and folder permissions that the writers of a log directory use.

    Folders have the directory's own. Files have those of the slots, which every writer creates;
    without slots, the directory's without execute permission.
    """
    try:
        folders = stat.S_IMODE(directory.stat().st_mode) & 0o777
    except OSError:
        return 0o600, 0o700
    try:
        with os.scandir(directory / ".slots") as slots:
            files = next(stat.S_IMODE(slot.stat().st_mode) for slot in slots)
    except (OSError, StopIteration):
        files = folders & 0o666
    return files, folders


def note_export(directory: Path, path: Path) -> None:
    """Add a file written elsewhere to the list of exports, so that an erasure can name it.

    Raises:
        OSError: The list cannot be written.
    """
    if not directory.is_dir():
        return
    text = str(path.resolve())
    if text in exports(directory) or "\n" in text:
        return
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    fd = open_file(directory / EXPORTS, flags, modes_of(directory)[0])
    with os.fdopen(fd, "a", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(f"{text}\n")


def exports(directory: Path) -> list[str]:
    """Return the absolute paths in the list of exports.

    Raises:
        OSError: The list cannot be read.
    """
    try:
        text = (directory / EXPORTS).read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return []
    return text.splitlines()
