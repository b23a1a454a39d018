"""Counts of the lines of every process that logs, or logged, into a directory.

The counts are read from the headers of the rings, so neither living nor dead processes have to
cooperate.
"""

import os
import re
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from leadlog.core.locks import try_lock
from leadlog.recording.sinks.header import (
    CAPACITY,
    CREATED_US,
    DEGRADED,
    HEADER_BYTES,
    IN_MEMORY,
    PROCESS,
    STAGE,
    TAIL,
    UNCOUNTED,
    Header,
)
from leadlog.recording.sinks.storage import MEMORY, RingFile, Spool

__all__ = ["RingReport", "ring_reports", "waiting_lines"]

_TRIES = 5
_BEGIN = 64
_TIMESTAMP = re.compile(rb'\{"timestamp":"([^"]{27})"')


@dataclass(frozen=True, slots=True)
class RingReport:
    """The lines of one category of one process.

    Attributes:
        process_id: the process.
        category: the lines' category.
        alive: whether the process still holds the ring.
        since_us: time when the ring was created, microseconds since 1970.
        accepted: lines taken.
        written: lines in files.
        in_ring: lines not yet in files; those of a dead process wait for recovery.
        dropped: lines lost, by cause; `lost` are those that were in the memory of a killed
            process.
        degraded: lines that were temporarily stored where a kill would have lost them.
        file: the file being written, relative to the log directory; "" if there is none.
        waiting_since: `timestamp` of the first line in the ring; None if none is waiting.
        omitted: events dropped deliberately.
        uncounted: whether the process ended without a last count and its memory is gone, so more
            lines may be lost than are counted.
    """

    process_id: int
    category: str
    alive: bool
    since_us: int
    accepted: int
    written: int
    in_ring: int
    dropped: dict[str, int] = field(default_factory=dict)
    degraded: int = 0
    file: str = ""
    waiting_since: str | None = None
    omitted: int = 0
    uncounted: bool = False


def ring_reports(directory: Path, memory: Path = MEMORY) -> list[RingReport]:
    """Return the reports of a log directory's rings, of living and dead processes.

    Args:
        directory: the log directory.
        memory: the memory file system.

    Returns:
        The reports, ordered by time, process and category. Rings that are not known to have had
        any line are left out.
    """
    found = []
    for file in Spool(directory, memory).files():
        try:
            report = _read(file)
        except (OSError, ValueError, TypeError):
            continue  # removed since, or not a ring of this version
        if report.accepted or report.uncounted:
            found.append(report)
    return sorted(found, key=lambda one: (one.since_us, one.process_id, one.category))


def _read(file: RingFile) -> RingReport:
    fd = os.open(file.path, os.O_RDONLY)
    try:
        alive = not file.past and not try_lock(fd, shared=True)
        header, waiting, first = _consistent(fd)
    finally:
        os.close(fd)
    words = header.words
    progress = header.progress()
    dropped = header.dropped()
    in_ring = waiting
    if alive:
        in_ring += words[IN_MEMORY]
    elif words[IN_MEMORY]:
        dropped["lost"] = words[IN_MEMORY]
    return RingReport(
        process_id=words[PROCESS],
        category=file.category,
        alive=alive,
        since_us=words[CREATED_US],
        accepted=progress.written + progress.omitted + in_ring + sum(dropped.values()),
        written=progress.written,
        in_ring=in_ring,
        dropped=dropped,
        degraded=words[DEGRADED],
        file=progress.name,
        waiting_since=_timestamp(first),
        omitted=progress.omitted,
        uncounted=not alive and bool(words[UNCOUNTED]),
    )


def _timestamp(line: bytes) -> str | None:
    found = _TIMESTAMP.match(line)
    return None if found is None else found[1].decode()


def waiting_lines(fd: int) -> int:
    """Return the number of lines in an open ring that are not in files yet."""
    return _consistent(fd)[1]


def _consistent(fd: int) -> tuple[Header, int, bytes]:
    """Return a header, the number of lines in the ring at that time, and the start of the first.

    If a living owner overwrites the ring during the count, it is counted again.
    """
    with os.fdopen(os.dup(fd), "rb", buffering=0) as stream:
        tries = _TRIES
        while True:
            tries -= 1
            header = _header(stream)
            progress, tail = header.progress(), header.words[TAIL]
            lines, begin = 0, b""
            if os.fstat(fd).st_size > HEADER_BYTES:
                capacity = header.words[CAPACITY]
                ring = stream.read(capacity)
                stage = stream.read(header.words[STAGE])
                ahead = stage[progress.staged - progress.ahead : progress.staged]
                first = progress.head % capacity
                last = first + tail - progress.head
                lines = ahead.count(b"\n") + ring.count(b"\n", first, last)
                lines += ring.count(b"\n", 0, max(last - capacity, 0))
                if lines:
                    begin = (ahead or ring[first : first + _BEGIN] + ring[:_BEGIN])[:_BEGIN]
            if _header(stream).progress() == progress or not tries:
                return header, lines, begin


def _header(stream: FileIO) -> Header:
    stream.seek(0)
    return Header(stream.read(HEADER_BYTES))
