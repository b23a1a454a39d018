"""Shared memory: the rings of all log directories of this user.

If a process is killed, the next process that logs into the same directory recovers its rings; if
there is none, any other process of the user does. Rings whose log directory no longer exists cannot
be recovered: they are removed after a week, and counted.
"""

import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from leadlog.core.locks import try_lock
from leadlog.recording.sinks.belonging import KEPT_SECONDS
from leadlog.recording.sinks.contract import FinisherOf
from leadlog.recording.sinks.recover import Recovery, recover
from leadlog.recording.sinks.report import ring_reports
from leadlog.recording.sinks.storage import MEMORY, PATH_SUFFIX, Spool

__all__ = ["Shared", "Swept", "shared_memory", "sweep"]


@dataclass(frozen=True, slots=True)
class Shared:
    """The contents of shared memory for one log directory.

    Attributes:
        folder: the folder in shared memory.
        directory: the log directory; None if it is not known.
        exists: whether the log directory exists.
        bytes: total size.
        in_use: whether a living process holds some of it.
        waiting: events that are not in files.
        age_seconds: seconds since a file was created or removed there.
    """

    folder: Path
    directory: Path | None
    exists: bool
    bytes: int
    in_use: bool
    waiting: int
    age_seconds: float


@dataclass(slots=True)
class Swept:
    """The result of a sweep.

    Attributes:
        recovered: log directory to the result of its recovery.
        removed: folders that were removed because their log directory no longer exists.
        lost: number of events in these.
    """

    recovered: dict[Path, Recovery] = field(default_factory=dict)
    removed: list[Shared] = field(default_factory=list)
    lost: int = 0


def shared_memory(memory: Path = MEMORY) -> list[Shared]:
    """Return the contents of shared memory for all log directories of this user.

    Args:
        memory: the memory file system.
    """
    owner = os.getuid() if sys.platform != "win32" else 0
    try:
        folders = sorted((memory / f"leadlog-{owner}").iterdir())
    except OSError:
        return []
    found = []
    for folder in folders:
        try:
            if folder.is_dir() and not folder.is_symlink():
                found.append(_look(folder, memory))
            elif folder.suffix == PATH_SUFFIX and not folder.with_suffix("").exists():
                folder.unlink()
        except OSError:
            continue  # removed since
    return found


def _look(folder: Path, memory: Path) -> Shared:
    try:
        directory = Path(os.fsdecode(folder.with_suffix(PATH_SUFFIX).read_bytes()))
    except FileNotFoundError:
        directory = None
    files = [path for path in folder.iterdir() if path.is_file()]
    there = directory is not None and directory.is_dir()
    waiting = 0
    if directory is not None and Spool(directory, memory).path == folder:
        waiting = sum(one.in_ring for one in ring_reports(directory, memory))
    return Shared(
        folder,
        directory,
        there,
        sum(path.stat().st_size for path in files),
        any(_is_held(path) for path in files if path.suffix in {".ring", ".intents"}),
        waiting,
        time.time() - folder.stat().st_mtime,
    )


def _files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []  # removed since


def _is_held(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(fd, shared=True)
    finally:
        os.close(fd)


def sweep(
    finisher_of: FinisherOf | None,
    memory: Path = MEMORY,
    *,
    but: Path | None = None,
    left_seconds: float = 0.0,
    kept_seconds: float = KEPT_SECONDS,
) -> Swept:
    """Recover what dead processes left for any log directory, and remove orphaned folders.

    Args:
        finisher_of: see `leadlog.recording.sinks.recover.recover`.
        memory: the memory file system.
        but: a log directory to leave out.
        left_seconds: how long a folder must have been unchanged, which leaves recovery to a
            process that is about to log there again.
        kept_seconds: how long rings are kept after their log directory was removed.
    """
    swept = Swept()
    for one in shared_memory(memory):
        if (one.directory is not None and one.directory == but) or one.age_seconds < left_seconds:
            continue
        if one.exists and one.directory is not None and os.access(one.directory, os.W_OK):
            if any(path.suffix in {".ring", ".intents"} for path in _files(one.folder)):
                report = recover(one.directory, memory=memory, finisher_of=finisher_of)
                if report.rings or report.unsettled or report.errors:
                    swept.recovered[one.directory] = report
            Spool(one.directory, memory).leave()
        elif not one.exists and not one.in_use and one.age_seconds > kept_seconds:
            swept.removed.append(one)
            swept.lost += one.waiting
            shutil.rmtree(one.folder, ignore_errors=True)
            one.folder.with_suffix(PATH_SUFFIX).unlink(missing_ok=True)
    return swept
