"""Counts of the additional sinks, stored where `leadlog doctor` reads them.

    /dev/shm/leadlog-<uid>/<hash of the log directory>/<process id>.<token>.sinks

One JSON object for each process, locked while the process lives, and rewritten at most once a
second when a count has changed. It is kept for a week if a sink missed lines.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from leadlog.core.locks import try_lock
from leadlog.recording.sinks.contract import BatchCounts
from leadlog.recording.sinks.descriptors import Descriptors
from leadlog.recording.sinks.storage import BOARD_SUFFIX, MEMORY, Spool, make_private

__all__ = ["Board", "SinkReport", "sink_reports"]

_INTERVAL_SECONDS = 1.0
_TRIES = 5


@dataclass(frozen=True, slots=True)
class SinkReport:
    """Counts of the lines for one additional sink in one process.

    Attributes:
        process_id: the process.
        alive: whether the process still runs.
        sink: the sink's name.
        accepted: lines offered to the sink.
        written: lines that the sink took.
        waiting: lines in its queue; those of a killed process never reach the sink.
        dropped: lines that the sink did not get, by cause.
        error: its last exception; "" once it has taken lines again.
    """

    process_id: int
    alive: bool
    sink: str
    accepted: int
    written: int
    waiting: int
    dropped: dict[str, int] = field(default_factory=dict)
    error: str = ""


class Board:
    """Writer of the counts of one process's sinks.

    Args:
        spool: the spool that holds the file, in its main or its spare folder.
        descriptors: the descriptors it is opened with.
    """

    def __init__(self, spool: Spool, descriptors: Descriptors) -> None:
        self._spool = spool
        self._descriptors = descriptors
        self._name = f"{os.getpid()}.{descriptors.name()}{BOARD_SUFFIX}"
        self._path = Path()
        self._fd = -1
        self._shown = b""
        self._due = 0.0
        self._ended = False

    def show(self, counts: Mapping[str, BatchCounts], *, last: bool = False) -> None:
        """Write the counts if they changed, at most once a second.

        Args:
            counts: counts by the sink's name.
            last: whether this is the last call, which writes at once, and removes the file if
                there is nothing to report.
        """
        now = time.monotonic()
        if self._ended or not counts or (now < self._due and not last):
            return
        self._due = now + _INTERVAL_SECONDS
        self._ended = last
        sinks = {name: asdict(one) for name, one in counts.items()}
        page = orjson.dumps({"process": os.getpid(), "sinks": sinks})
        with suppress(OSError):  # no place for them; `leadlog.stats()` still has them
            if page != self._shown:
                self._write(page)
            self._shown = page
        if last and self._fd >= 0:
            self._descriptors.close(self._fd)
            self._fd = -1
            if not any(one.dropped for one in counts.values()):
                self._path.unlink(missing_ok=True)

    def _write(self, page: bytes) -> None:
        if self._fd < 0 or not self._path.exists():
            self._open()
        os.pwrite(self._fd, page, 0)
        os.ftruncate(self._fd, len(page))

    def _open(self) -> None:
        if self._fd >= 0:
            self._descriptors.close(self._fd)
            self._fd = -1
        for folder in (self._spool.path, self._spool.spare):
            try:
                make_private(folder)
                path = folder / self._name
                fd = self._descriptors.open(path, os.O_RDWR | os.O_CREAT)
            except OSError:
                continue
            try_lock(fd)
            self._path, self._fd = path, fd
            return
        raise OSError("neither folder can be written")


def sink_reports(directory: Path, memory: Path = MEMORY) -> list[SinkReport]:
    """Return the additional sinks of every process that logs, or logged, into a directory.

    Args:
        directory: the log directory.
        memory: the memory file system.

    Returns:
        The reports, ordered by process and name.
    """
    spool = Spool(directory, memory)
    found = []
    for path in spool.boards():
        try:
            fd = os.open(path, os.O_RDONLY)
        except OSError:
            continue  # removed since
        try:
            alive = not try_lock(fd, shared=True)
            page = _read(fd)
        finally:
            os.close(fd)
        found += [
            SinkReport(page["process"], alive, name, **counts)
            for name, counts in page.get("sinks", {}).items()
        ]
    return sorted(found, key=lambda one: (one.process_id, one.sink))


def _read(fd: int) -> dict[str, Any]:
    """Return the content, reading again while it is being rewritten; empty if there is none."""
    for _ in range(_TRIES):
        try:
            page: dict[str, Any] = orjson.loads(os.pread(fd, 1 << 20, 0))
            return page
        except ValueError:
            time.sleep(0.001)
    return {}
