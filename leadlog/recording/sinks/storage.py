"""The memory of rings: files in a memory file system, which outlive the process, or the heap.

    /dev/shm/leadlog-<uid>/<hash of the log directory>/
        <category>.<process id>.<token>.ring    a ring; locked while its process lives
        <process id>.<token>.intents            see leadlog.recording.sinks.intents
        <category>.<process id>.<token>.past    only the header, kept for `leadlog doctor`
        <process id>.<token>.sinks              see leadlog.recording.sinks.board
    /dev/shm/leadlog-<uid>/<hash of the log directory>.path     the log directory

Rings are never mapped files on a disk: a page fault on a stalled disk would stop the whole
process, since it holds the interpreter lock.
"""

import hashlib
import mmap
import os
import re
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from leadlog.core.locks import release_claim, try_claim, try_lock
from leadlog.recording.sinks.descriptors import TOKEN_LENGTH, Descriptors, map_file, unmap
from leadlog.recording.sinks.header import (
    CAPACITY,
    HEADER_BYTES,
    LENT,
    POLICY,
    STAGE,
    Header,
    Memory,
)

__all__ = [
    "BOARD_SUFFIX",
    "MEMORY",
    "NOWHERE",
    "PATH_SUFFIX",
    "RingFile",
    "Spool",
    "Storage",
    "heap",
    "state_directories",
]

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own in it, mode 0700
"""Mount point of Linux's memory file system."""

BOARD_SUFFIX = ".sinks"
"""Suffix of the files with the counts of a process's sinks."""

PATH_SUFFIX = ".path"
"""Suffix of the files that hold the log directory of the folder with the same name."""

_NAME = re.compile(
    rf"(?P<series>(?P<category>\w+)\.\d+\.[0-9a-f]{{1,{TOKEN_LENGTH}}})[0-9a-f]*"
    r"\.(?P<kind>ring|past)",
    re.ASCII,
)
_PAST_KEPT = 512
_PAST_SECONDS = 7 * 86_400
_ORPHAN_SECONDS = 60
_TRIES = 8


@dataclass(slots=True)
class Storage:
    """The memory of one ring.

    Attributes:
        memory: the bytes, beginning with the header.
        path: the mapped file; None for the heap, which dies with the process.
        fd: the open and locked file.
        descriptors: the descriptors that `fd` belongs to.
        reason: why the heap is used.
        identity: device and inode of the file, if this process created it.
    """

    memory: Memory
    path: Path | None = None
    fd: int = -1
    descriptors: Descriptors | None = None
    reason: str = ""
    identity: tuple[int, int] | None = None

    def _word(self, number: int) -> int:
        return int.from_bytes(self.memory[8 * number : 8 * number + 8], sys.byteorder)

    @property
    def capacity(self) -> int:
        """Bytes of the ring, after the header."""
        return self._word(CAPACITY)

    @property
    def stage(self) -> int:
        """Bytes of the stage, after the ring."""
        return self._word(STAGE)

    @property
    def policy(self) -> bytes | None:
        """The owner's policy for finishing frames; None if there is none."""
        at = HEADER_BYTES + self.capacity + self.stage
        return bytes(self.memory[at : at + self._word(POLICY)]) or None

    def read(self, position: int, count: int) -> bytes:
        """Return `count` bytes of the ring from a position on."""
        capacity = self.capacity
        at = position % capacity
        first = min(count, capacity - at)
        data = bytes(self.memory[HEADER_BYTES + at : HEADER_BYTES + at + first])
        rest = count - first
        return data + bytes(self.memory[HEADER_BYTES : HEADER_BYTES + rest]) if rest else data

    def write(self, position: int, data: bytes) -> None:
        """Write bytes at a position in the ring."""
        capacity = self.capacity
        at = position % capacity
        first = min(len(data), capacity - at)
        self.memory[HEADER_BYTES + at : HEADER_BYTES + at + first] = data[:first]
        self.memory[HEADER_BYTES : HEADER_BYTES + len(data) - first] = data[first:]

    def read_stage(self, at: int, count: int) -> bytes:
        """Return `count` bytes of the stage."""
        at += HEADER_BYTES + self.capacity
        return bytes(self.memory[at : at + count])

    def write_stage(self, data: bytes) -> None:
        """Write bytes at the beginning of the stage.

        Raises:
            ValueError: the stage is too small.
        """
        if len(data) > self.stage:
            raise ValueError(f"{len(data)} bytes do not fit into a stage of {self.stage}")
        at = HEADER_BYTES + self.capacity
        self.memory[at : at + len(data)] = data

    def release(self) -> None:
        """Unmap the memory and close the file, which unlocks it."""
        if isinstance(self.memory, mmap.mmap):
            unmap(self.memory)
        if self.descriptors is not None:
            self.descriptors.close(self.fd)

    @property
    def lendable(self) -> bool:
        """Whether other processes can get the claim on the file.

        Not if the application closed the descriptor: the mapping then keeps lock and claim.
        """
        return self.descriptors is not None and self.descriptors.holds(self.fd, self.identity)

    def lend(self) -> None:
        """Let a sidecar empty the ring; see `leadlog.recording.sinks.sidecar`."""
        with memoryview(self.memory)[: 8 * LENT + 8].cast("Q") as words:
            words[LENT] = 1
        release_claim(self.fd)

    def take_back(self) -> bool:
        """Take a lent ring back.

        Returns:
            False while another process has the claim.
        """
        if not (self.lendable or self._reopen()) or not try_claim(self.fd):
            return False
        with memoryview(self.memory)[: 8 * LENT + 8].cast("Q") as words:
            words[LENT] = 0
        return True

    def _reopen(self) -> bool:
        """Reopen the file, whose descriptor the application closed or reused."""
        if self.path is None or self.descriptors is None:
            return False
        try:
            fd = self.descriptors.open(self.path, os.O_RDWR)
        except OSError:
            return False
        if self.descriptors.identity(fd) != self.identity:
            self.descriptors.close(fd)
            return False
        if fd != self.fd:
            self.descriptors.forget(self.fd, self.identity)
        self.fd = fd
        return True

    @property
    def lent(self) -> bool:
        """Whether a sidecar may empty it."""
        return self.path is not None and bool(self._word(LENT))


NOWHERE = Storage(bytearray())
"""Storage of a ring that has released its memory."""


def heap(capacity: int, now_us: int, reason: str, stage: int = 0) -> Storage:
    """Return memory that dies with the process; `reason` says why it is used."""
    memory = bytearray(HEADER_BYTES + capacity + stage)
    Header.format(memory, capacity, now_us, stage)
    return Storage(memory, reason=reason)


@dataclass(frozen=True, slots=True)
class RingFile:
    """The parsed name of a ring's file.

    Attributes:
        path: the file.
        series: common part of the names of one process's rings of one category.
        category: category of its lines.
        past: whether only the header is left.
    """

    path: Path
    series: str
    category: str
    past: bool


def state_directories(directory: Path, memory: Path = MEMORY) -> tuple[Path, Path]:
    """Return the folders of a log directory's rings, and of its counts if those cannot exist."""
    owner = os.getuid() if sys.platform != "win32" else 0
    name = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16]
    below = Path(f"leadlog-{owner}") / name
    return memory / below, Path(tempfile.gettempdir()) / below


def make_private(folder: Path) -> None:
    """Create a folder, and its parent, that only this user can enter.

    Raises:
        OSError: it cannot be created, or belongs to another user.
    """
    for one in (folder.parent, folder):
        try:
            one.mkdir(mode=0o700)
        except FileExistsError:
            state = one.lstat()
            ours = sys.platform == "win32" or state.st_uid == os.getuid()
            if one.is_symlink() or not one.is_dir() or not ours:
                raise PermissionError(f"{one} is not a directory of this user") from None
            if state.st_mode & 0o077:
                one.chmod(0o700)


def _is_memory(folder: Path) -> bool:
    """Return whether a folder is on a memory file system."""
    if sys.platform != "linux":
        return False
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    for mount in mounts.splitlines():
        before, _, after = mount.partition(" - ")
        if before.split()[2] == number:
            return after.split()[0] in {"tmpfs", "ramfs"}
    return False


class Spool:
    """The folder with the rings of one log directory, those of all its processes.

    Args:
        directory: the log directory.
        memory: the memory file system.

    Attributes:
        path: the folder, which may not exist.
        spare: a folder on an ordinary disk, for counts if there is no memory file system.
        memory: the memory file system.
        directory: the log directory, with symbolic links resolved.
    """

    def __init__(self, directory: Path, memory: Path = MEMORY) -> None:
        self.memory = memory
        self.directory = directory.resolve()
        self.path, self.spare = state_directories(directory, memory)

    def _tell_whose(self) -> None:
        """Store which log directory the folder is for, so that others can recover its lines."""
        note = self.path.with_suffix(PATH_SUFFIX)
        if not note.exists():
            draft = note.with_suffix(f".{secrets.token_hex(4)}.new")
            draft.write_bytes(os.fsencode(self.directory))
            draft.replace(note)

    def leave(self) -> None:
        """Remove the folder if it is empty."""
        try:
            self.path.rmdir()
        except OSError:
            return  # others use it, or it was removed
        self.path.with_suffix(PATH_SUFFIX).unlink(missing_ok=True)
        try:
            self.path.parent.rmdir()
        except OSError:
            return

    def create(
        self,
        category: str,
        capacity: int,
        descriptors: Descriptors,
        now_us: int,
        *,
        stage: int = 0,
        policy: bytes = b"",
        owner: str = "",
    ) -> Storage:
        """Create memory for a new ring, completely allocated and locked by this process.

        Args:
            category: category of the frames.
            capacity: bytes of the ring.
            descriptors: the descriptors its file is opened with.
            now_us: microseconds since 1970.
            stage: bytes of its stage.
            policy: the policy by which others finish its frames.
            owner: prefix of the names of a dead process's files, if the frames are that process's.

        Raises:
            OSError: there is no memory file system, or no room in it.
        """
        size = HEADER_BYTES + capacity + stage + len(policy)

        def fill(memory: mmap.mmap) -> None:
            memory[size - len(policy) : size] = policy
            Header.format(memory, capacity, now_us, stage, len(policy))
            header = Header(memory)
            header.belong(self.directory)
            header.words.release()

        name = f"{category}.{owner or f'{os.getpid()}.'}{descriptors.name()}.ring"
        memory, path, fd = self.make(name, size, descriptors, fill)
        try_claim(fd)
        return Storage(memory, path, fd, descriptors, identity=descriptors.identity(fd))

    def make(
        self, name: str, size: int, descriptors: Descriptors, fill: Callable[[mmap.mmap], None]
    ) -> tuple[mmap.mmap, Path, int]:
        """Create a file, completely allocated and locked by this process.

        Args:
            name: the file's name, which must be unique.
            size: number of bytes.
            descriptors: the descriptors it is opened with.
            fill: writes what must be present before others see the file.

        Returns:
            The mapped bytes, the path and the descriptor.

        Raises:
            OSError: see `create`.
        """
        if not _is_memory(self.memory):
            raise OSError(f"{self.memory} is not a memory file system")
        for _ in range(_TRIES):
            make_private(self.path)
            self._tell_whose()
            path = self.path / name
            temporary = path.with_suffix(".new")
            fd = descriptors.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            try:
                if not try_lock(fd):  # a process that tidies up took it for an orphan
                    descriptors.close(fd)
                    continue
                # Allocate all of it now: a mapped page without memory would be a SIGBUS.
                os.posix_fallocate(fd, 0, size)
                memory = map_file(fd, size, at_once=True)
                fill(memory)
                temporary.rename(path)
            except FileNotFoundError:
                descriptors.close(fd)
                continue
            except OSError:
                temporary.unlink(missing_ok=True)
                descriptors.close(fd)
                raise
            return memory, path, fd
        raise OSError(f"{self.path} is removed repeatedly")

    def files(self) -> Iterator[RingFile]:
        """Yield the files of all rings; those of one process and category by age."""
        for folder in (self.path, self.spare):
            try:
                names = sorted(os.listdir(folder))  # noqa: PTH208 - names suffice
            except OSError:
                continue
            for name in names:
                match = _NAME.fullmatch(name)
                if match is not None:
                    past = match["kind"] == "past"
                    yield RingFile(folder / name, match["series"], match["category"], past)

    def boards(self) -> list[Path]:
        """Return the files with the counts of processes' additional sinks."""
        found = []
        for folder in (self.path, self.spare):
            try:
                names = sorted(os.listdir(folder))  # noqa: PTH208 - names suffice
            except OSError:
                continue
            found += [folder / name for name in names if name.endswith(BOARD_SUFFIX)]
        return found

    def names_in_use(self, but: Path | None = None) -> set[str]:
        """Return the log files that a ring names, relative to the log directory.

        The ring's process writes to them, or another one must complete them; no other may use them.

        Args:
            but: a ring to leave out.
        """
        names = set()
        for file in self.files():
            if not file.past and file.path != but:
                try:
                    with file.path.open("rb") as stream:
                        names.add(Header(stream.read(HEADER_BYTES)).progress().name)
                except (OSError, ValueError, TypeError):
                    continue
        return names

    def retire(self, path: Path, *, quietly: bool = False) -> None:
        """Release the memory of a ring that is no longer used and whose lines are in files.

        Its header stays for `leadlog doctor`, unless no line was ever taken or (`quietly`) it has
        no loss to report. Safe against a kill, and against another process doing the same.
        """
        past = path.with_suffix(".past")
        try:
            with path.open("rb") as stream:
                header = Header(stream.read(HEADER_BYTES))
                if header.unused or (quietly and header.uneventful):
                    path.unlink()
                    return
            path.rename(past)
            os.truncate(past, HEADER_BYTES)
        except (OSError, ValueError):
            return

    def tidy(self) -> None:
        """Remove headers that are old or too many, and incomplete files of killed processes."""
        past = []
        for file in self.files():
            if file.past:
                try:
                    state = file.path.stat()
                    if state.st_size > HEADER_BYTES:
                        os.truncate(file.path, HEADER_BYTES)
                except OSError:
                    continue
                past.append((state.st_mtime, file.path))
        past.sort(reverse=True)
        now = time.time()
        for number, (changed, path) in enumerate(past):
            if number >= _PAST_KEPT or changed < now - _PAST_SECONDS:
                path.unlink(missing_ok=True)
        for path in self.path.glob("*.new"):
            self._remove_orphan(path, now - _ORPHAN_SECONDS)
        for path in self.boards():
            self._remove_orphan(path, now - _PAST_SECONDS)

    def _remove_orphan(self, path: Path, before: float) -> None:
        try:
            if path.stat().st_mtime > before:
                return
            fd = os.open(path, os.O_RDWR)
        except OSError:
            return
        try:
            if try_lock(fd):
                path.unlink(missing_ok=True)
        finally:
            os.close(fd)
