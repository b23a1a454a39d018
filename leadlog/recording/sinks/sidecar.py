"""The sidecar: one process that empties the rings of all processes of a log directory.

A process whose rings a sidecar may empty lends them: its drain closes its files, notes that in each
ring, and gives up the claim on it. The claim is a lock on the ring's file, and only its holder
empties the ring: the owner, the sidecar, or a recovering process. The kernel releases the claim of
a process that dies. The ring and the length of its file say at every instruction exactly how far
the ring is emptied, so the next holder continues at that byte, as recovery does.

A sidecar that is stopped but not dead keeps its claims; the rings fill, and their owners report it.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic

from leadlog.core.errors import LogDirectoryError
from leadlog.core.files import make_folder
from leadlog.core.layout import CATEGORIES
from leadlog.core.locks import claims_work, try_claim, try_lock
from leadlog.core.native import sleep
from leadlog.recording.sinks.body import Body
from leadlog.recording.sinks.channel import Channel
from leadlog.recording.sinks.contract import FinisherOf
from leadlog.recording.sinks.counts import Counts
from leadlog.recording.sinks.descriptors import Descriptors, map_file
from leadlog.recording.sinks.header import HEADER_BYTES, LENT, TAIL, Header, RingProgress
from leadlog.recording.sinks.health import SinkHealth
from leadlog.recording.sinks.recover import Recovery, recover_rings
from leadlog.recording.sinks.segments import Files
from leadlog.recording.sinks.slots import SlotHolder
from leadlog.recording.sinks.storage import RingFile, Storage

__all__ = ["ANY_KEY", "Seat", "Sidecar", "key_check", "seated_key"]

ANY_KEY = ""
"""Key check of a process whose lines need no pseudonym key."""

_DEAD_SECONDS = 0.5
_RECOVER_SECONDS = 5.0
_SYNC_SECONDS = 1.0
_SEEN_SECONDS = 0.0001
_TRIES = 50


def key_check(key: str) -> str:
    """Return a digest that shows whether two processes have the same key, and nothing else."""
    digest = hashlib.scrypt(key.encode(), salt=b"leadlog sidecar", n=1 << 10, r=8, p=1)
    return digest.hex()[:32] if key else "none"


def _seat_path(directory: Path, host: str) -> Path:
    return directory / ".slots" / (f"{host}.drain" if host else "drain")


def seated_key(directory: Path, host: str, descriptors: Descriptors) -> str | None:
    """Return the key check of a log directory's sidecar; None if there is no sidecar.

    Args:
        directory: the log directory.
        host: name of this host, if several share the directory.
        descriptors: the descriptors the file is opened with.
    """
    try:
        fd = descriptors.open(_seat_path(directory, host), os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if try_lock(fd, shared=True) else os.pread(fd, 64, 0).decode("ascii", "replace")
    except OSError:
        return None
    finally:
        descriptors.close(fd)


class Seat:
    """The lock that makes a sidecar unique, and shows others that it runs.

    Args:
        files: files of the log directory.
        key: the key check to write into it.
    """

    def __init__(self, files: Files, key: str) -> None:
        self._files = files
        self._path = _seat_path(files.directory, files.host)
        self._key = key.encode()
        self._fd = -1

    def take(self) -> bool:
        """Acquire the lock, or verify that it is still held.

        Returns:
            False if another sidecar holds it.

        Raises:
            OSError: the directory cannot be written, or its file system does not support locks.
        """
        descriptors = self._files.descriptors
        if self._fd >= 0:
            with suppress(OSError):
                if os.path.samestat(self._path.stat(), os.fstat(self._fd)):
                    return True
            self.release()
        make_folder(self._path.parent, self._files.directory_mode)
        fd = descriptors.open(self._path, os.O_RDWR | os.O_CREAT, self._files.file_mode)
        for _ in range(_TRIES):  # a process that only checks it holds it briefly
            if try_lock(fd):
                os.ftruncate(fd, 0)
                os.pwrite(fd, self._key, 0)
                self._fd = fd
                return True
            sleep(0.002)
        descriptors.close(fd)
        return False

    def release(self) -> None:
        """Release the lock; the owners of lent rings take them back."""
        self._files.descriptors.close(self._fd)
        self._fd = -1


class LentRing(Body):
    """A ring into which a living process puts lines, as seen by its sidecar."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self._begun = False

    def look(self) -> None:
        """Read the owner's progress."""
        tail = self._words[TAIL]
        if not self._begun:
            self.progress = self._header.steady_progress()  # after the tail, see `Ring.swap`
            self._staged_from = self.progress.head
        self.tail = max(tail, self.progress.head)

    def advance(self, progress: RingProgress) -> None:
        """See `Body.advance`; from now on only the sidecar calls it."""
        self._begun = True
        super().advance(progress)


class _Lent:
    """One lent ring, with the channel that empties it.

    Attributes:
        file: its parsed name.
        ring: the ring.
        fd: its claimed file.
        channel: writes its lines to files; None until it is first needed.
    """

    __slots__ = ("channel", "fd", "file", "finish_of", "ring", "storage")

    def __init__(self, file: RingFile, storage: Storage) -> None:
        self.file = file
        self.storage = storage
        self.fd = storage.fd
        self.ring = LentRing(storage)
        self.channel: Channel | None = None

    @property
    def owner(self) -> str:
        """Common part of the names of all rings of its process."""
        return self.file.series.partition(".")[2]

    def release(self) -> None:
        """Give up the claim without emptying the ring further."""
        if self.channel is not None:
            self.channel.close()
        self.ring.detach()
        self.storage.release()


class Sidecar:
    """Writer for the rings that living processes lend and dead ones left.

    Args:
        files: opens the files of the log directory; its slots are the sidecar's own.
        clock: returns microseconds since 1970; decides the day of each batch.
        lent_finisher_of: returns the function that finishes a living process's facts.
        finisher_of: returns the function that finishes a dead process's facts.
        key: check value of the pseudonym key that both use.
        health: reports what cannot be written.

    Attributes:
        recovered: total of what was recovered from dead processes.
    """

    def __init__(
        self,
        files: Files,
        *,
        clock: Callable[[], int],
        lent_finisher_of: FinisherOf,
        finisher_of: FinisherOf,
        key: str,
        health: SinkHealth,
    ) -> None:
        self._files = files
        self._clock = clock
        self._lent_finisher_of = lent_finisher_of
        self._finisher_of = finisher_of
        self._health = health
        self._seat = Seat(files, key)
        self._lent: dict[Path, _Lent] = {}
        self._slots: dict[str, SlotHolder] = {}
        self._dead_at = 0.0
        self._recover_at = 0.0
        self._sync_at = 0.0
        self._told: set[str] = set()
        self.recovered = Recovery()

    def open(self) -> None:
        """Become the directory's sidecar.

        Raises:
            LogDirectoryError: there is another sidecar, the directory cannot be written, or this
                system cannot keep two processes from emptying the same ring.
        """
        directory = self._files.directory
        try:
            taken = self._seat.take()
            works = claims_work(self._files.spool.memory)
        except OSError as error:
            raise LogDirectoryError(f"cannot drain {directory}: {error}") from error
        if not taken:
            raise LogDirectoryError(
                f"another `leadlog drain` runs for {directory}; there is one for each directory"
            )
        if not works:
            self._seat.release()
            raise LogDirectoryError(
                f"{self._files.spool.memory} has no open file description locks, which a "
                "sidecar needs; the processes keep emptying their rings themselves"
            )

    @property
    def processes(self) -> int:
        """Number of living processes that lend their rings now."""
        return len({one.owner for one in self._lent.values()})

    def look(self) -> bool:
        """Make one pass over all rings.

        Returns:
            Whether there was anything to write.
        """
        with suppress(OSError):
            self._seat.take()  # again, if the directory was removed and created again
        now = monotonic()
        if now >= self._dead_at:
            self._dead_at = now + _DEAD_SECONDS
            died = self._let_go_of_the_dead()
            if died or now >= self._recover_at:
                self._recover_at = now + _RECOVER_SECONDS
                self._recover()
        served = self._served()
        for one in served:
            one.ring.look()
        # Data stored before the tails must be visible before it is read, on any machine.
        sleep(_SEEN_SECONDS)
        busy = False
        waiting = set()
        for one in served:
            if one.file.series not in waiting:
                busy |= self._empty(one)
                if not one.ring.empty:
                    waiting.add(one.file.series)  # newer lines wait
        if self._files.durable and now >= self._sync_at:
            self._sync_at = now + _SYNC_SECONDS
            for one in served:
                if one.channel is not None and one.channel.unsynced:
                    one.channel.sync()
        return busy

    def _served(self) -> list[_Lent]:
        """Return the lent rings, borrowing new ones; the oldest of a series first."""
        found = list(self._files.spool.files())
        there = {file.path for file in found}
        # Before new ones are opened, since a ring may have replaced one that is gone.
        for path in self._lent.keys() - there:
            self._lent.pop(path).release()
        served = []
        foreign = set()
        for file in found:
            if file.past or file.category not in CATEGORIES or file.series in foreign:
                continue
            one = self._lent.get(file.path)
            if one is None:
                try:
                    one = self._borrow(file)
                except (OSError, ValueError):
                    one = None
            if one is None:
                foreign.add(file.series)  # the older ring of the process is in other hands
            else:
                self._lent[file.path] = one
                served.append(one)
        return served

    def _borrow(self, file: RingFile) -> _Lent | None:
        descriptors = self._files.descriptors
        if not _is_lent(file.path, self._files.directory):
            return None
        fd = descriptors.open(file.path, os.O_RDWR)
        try:
            size = os.fstat(fd).st_size
            # Check again that it is lent, now that no other process may empty it.
            if try_claim(fd) and size > HEADER_BYTES and _is_lent(fd, self._files.directory):
                return _Lent(file, Storage(map_file(fd, size), file.path, fd, descriptors))
        except BaseException:
            descriptors.close(fd)
            raise
        descriptors.close(fd)
        return None

    def _empty(self, one: _Lent) -> bool:
        """Write the lines of one ring to files."""
        if one.channel is None:
            if one.ring.empty:
                return False
            finish = None if not one.ring.stage else self._lent_finisher_of(one.storage.policy)
            slot = self._slots.get(one.owner)
            if slot is None:
                slot = self._slots[one.owner] = SlotHolder(
                    self._files.directory,
                    self._files.descriptors,
                    host=self._files.host,
                    file_mode=self._files.file_mode,
                    directory_mode=self._files.directory_mode,
                )
            files = replace(self._files, slot=slot.number)
            one.channel = Channel(
                one.file.category, one.ring, files, self._clock, finish, inherited=True
            )
        channel = one.channel
        busy = channel.drain()
        waiting = Counts(waiting=int(not one.ring.empty))
        self._health.look(one.file.category, waiting, channel.error, "")
        return busy

    def _let_go_of_the_dead(self) -> bool:
        """Release the rings of processes that ended, so that they can be recovered."""
        dead = {one.owner for one in self._lent.values() if try_lock(one.fd, shared=True)}
        for path, one in list(self._lent.items()):
            if one.owner in dead:
                self._lent.pop(path).release()
        living = {one.owner for one in self._lent.values()}
        for owner in self._slots.keys() - living:
            self._slots.pop(owner).release()
        return bool(dead)

    def _recover(self) -> None:
        with suppress(OSError):
            self._files.make_mark()
        self._files.spool.tidy()
        found = recover_rings(self._files, frozenset(self._lent), self._finisher_of)
        self.recovered.rings += found.rings
        self.recovered.lines += found.lines
        self.recovered.lost += found.lost
        self.recovered.unsettled += found.unsettled
        for problem in found.errors:
            if problem not in self._told:
                self._told.add(problem)
                self._health.trouble(f"a dead process's ring cannot be recovered now: {problem}")

    def close(self) -> None:
        """Write the remaining lines, and return the rings to their owners."""
        self.look()
        for one in self._lent.values():
            one.release()
        self._lent.clear()
        for slot in self._slots.values():
            slot.release()
        self._slots.clear()
        self._seat.release()


def _is_lent(file: Path | int, directory: Path) -> bool:
    """Return whether a ring is lent and belongs to this log directory.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a ring.
    """
    if isinstance(file, int):
        page = os.pread(file, HEADER_BYTES, 0)
    else:
        with file.open("rb") as stream:
            page = stream.read(HEADER_BYTES)
    header = Header(page)
    return bool(header.words[LENT]) and header.belongs(directory)
