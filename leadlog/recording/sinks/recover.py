"""Recovery: writes the lines that killed processes left, continuing at the exact byte.

Every sink does this when it starts and every few seconds, and so does `leadlog recover`. A ring
whose lock is free has no owner; the first process to lock it recovers it. Only files that grow, and
a header that follows them, are changed, so a recovering process may be killed too: the next one
sees how far it got.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from leadlog.core.layout import CATEGORIES
from leadlog.core.locks import try_claim, try_lock
from leadlog.recording.sinks.belonging import KEPT_SECONDS, other
from leadlog.recording.sinks.channel import Channel
from leadlog.recording.sinks.contract import FinisherOf, Offer
from leadlog.recording.sinks.descriptors import Descriptors, map_file
from leadlog.recording.sinks.header import HEADER_BYTES, IN_MEMORY, SEEN_US, Header
from leadlog.recording.sinks.overflow import Budget
from leadlog.recording.sinks.report import waiting_lines
from leadlog.recording.sinks.ring import Ring
from leadlog.recording.sinks.segments import Files
from leadlog.recording.sinks.slots import SlotHolder
from leadlog.recording.sinks.storage import MEMORY, RingFile, Spool, Storage
from leadlog.recording.sinks.unsettled import lock_notes

__all__ = ["Recovery", "recover", "recover_rings"]


@dataclass(slots=True)
class Recovery:
    """The result of a recovery.

    Attributes:
        rings: number of rings of dead processes that were emptied.
        lines: number of lines written to files.
        lost: number of lines that were only in the memory of a killed process.
        unsettled: number of records of transactions whose outcome the dead process did not record.
        alive: number of rings left alone, because their processes live, or another process
            recovers them or an older one of the same process.
        errors: what could not be recovered now, and why; it is kept.
    """

    rings: int = 0
    lines: int = 0
    lost: int = 0
    unsettled: int = 0
    alive: int = 0
    errors: list[str] = field(default_factory=list)


def recover(
    directory: Path,
    *,
    host: str = "",
    segment_bytes: int = 256 * 1024 * 1024,
    file_mode: int = 0o600,
    directory_mode: int = 0o700,
    memory: Path = MEMORY,
    write: Callable[[int, bytes], int] = os.write,
    finisher_of: FinisherOf | None = None,
) -> Recovery:
    """Recover the rings that dead processes left for a log directory.

    Args:
        directory: the log directory.
        host: name of this host, as its sinks have it.
        segment_bytes: size at which the next segment is begun.
        file_mode: mode of new files.
        directory_mode: mode of new folders.
        memory: the memory file system.
        write: `os.write`, or a replacement for tests.
        finisher_of: returns the function that finishes a dead process's events; without it,
            unfinished events are kept where they are.
    """
    spool = Spool(directory, memory)
    descriptors = Descriptors()
    slot = SlotHolder(
        directory, descriptors, host=host, file_mode=file_mode, directory_mode=directory_mode
    )
    files = Files(
        directory=directory,
        spool=spool,
        descriptors=descriptors,
        slot=slot.number,
        host=host,
        segment_bytes=segment_bytes,
        file_mode=file_mode,
        directory_mode=directory_mode,
        durable=True,
        write=write,
    )
    try:
        return recover_rings(files, finisher_of=finisher_of)
    finally:
        slot.release()


def recover_rings(
    files: Files,
    own: frozenset[Path] = frozenset(),
    finisher_of: FinisherOf | None = None,
    offer: Offer | None = None,
) -> Recovery:
    """Recover the rings that dead processes left.

    Args:
        files: opens the files.
        own: rings of this process, which are skipped.
        finisher_of: see `recover`.
        offer: receives the lines written to files.
    """
    report = Recovery()
    notes = lock_notes(files)
    try:
        _recover_all(files, own, report, finisher_of, offer)
        for unsettled in notes:
            try:
                if not unsettled.rings:
                    report.unsettled += unsettled.settle(finisher_of)
            except Exception as error:  # noqa: BLE001 - a failure affects only its process
                report.errors.append(f"{unsettled.path.name}: {error}")
    finally:
        for unsettled in notes:
            unsettled.release()
    return report


def _recover_all(
    files: Files,
    own: frozenset[Path],
    report: Recovery,
    finisher_of: FinisherOf | None,
    offer: Offer | None,
) -> None:
    waiting = set()  # series whose older ring is not in files yet; preserves the order
    for file in files.spool.files():
        if file.past or file.path in own or file.category not in CATEGORIES:
            continue
        if file.series in waiting:
            report.alive += 1
            continue
        try:
            if not _recover_one(file, files, report, finisher_of, offer):
                report.alive += 1
                waiting.add(file.series)
        except Exception as error:  # noqa: BLE001 - a failure affects only its ring
            report.errors.append(f"{file.path.name}: {error}")
            if isinstance(error, OSError):
                waiting.add(file.series)


def _recover_one(
    file: RingFile,
    files: Files,
    report: Recovery,
    finisher_of: FinisherOf | None,
    offer: Offer | None,
) -> bool:
    """Recover one ring, unless it is in use.

    Returns:
        False if it is in use, otherwise True.

    Raises:
        OSError: a file cannot be written.
        ValueError: the file is not a ring.
    """
    try:
        fd = files.descriptors.open(file.path, os.O_RDWR)
    except FileNotFoundError:
        return True
    storage = Storage(bytearray(), file.path, fd, files.descriptors)
    try:
        if not (try_lock(fd) and try_claim(fd)):
            return False
        size = os.fstat(fd).st_size
        if not file.path.exists():
            return True  # another process was faster
        os.lseek(fd, 0, os.SEEK_SET)
        header = Header(os.read(fd, HEADER_BYTES))
        if not header.belongs(files.directory):
            return _leave_to_other(file, fd, header, files, report)
        if size > HEADER_BYTES:
            storage.memory = map_file(fd, size)
            finish = None
            if storage.stage:
                if finisher_of is None:
                    raise ValueError("`leadlog recover` can finish its events")
                finish = finisher_of(storage.policy)
            ring = Ring(storage, Budget(0).overflow())
            seen = header.words[SEEN_US]
            # Lines that the owner's drain had not seen are dated by the time of its last pass.
            channel = Channel(file.category, ring, files, lambda: seen, finish, offer=offer)
            try:
                if not _empty(channel, report):
                    return False
            finally:
                ring.detach()
        report.rings += 1
        report.lost += header.words[IN_MEMORY]
        files.spool.retire(file.path)
        return True
    finally:
        storage.release()


def _leave_to_other(
    file: RingFile, fd: int, header: Header, files: Files, report: Recovery
) -> bool:
    """Handle a dead process's ring that is for another directory with the same path.

    That directory was removed, or belongs to a container that shares the memory. An empty ring is
    removed at once, one with events after a week without recovery.

    Raises:
        ValueError: its events are kept for now.
    """
    waiting = waiting_lines(fd)
    age_seconds = time.time() - header.words[SEEN_US] / 1e6
    if waiting and age_seconds <= KEPT_SECONDS:
        events = "1 event" if waiting == 1 else f"{waiting} events"
        raise ValueError(f"it holds {events} for {other(files.directory)}")
    report.lost += waiting
    files.spool.retire(file.path, quietly=True)
    return True


def _empty(channel: Channel, report: Recovery) -> bool:
    """Write the frames of a dead process's ring to files.

    Returns:
        False if another process is using the file that must be completed.

    Raises:
        OSError: the files cannot be written now.
    """
    ring = channel.ring
    before = ring.progress
    if ring.empty:
        return True
    try:
        if not channel.pick_up():
            return False
        channel.transfer()
    finally:
        report.lines += ring.progress.written - before.written
        channel.close()
    return True
