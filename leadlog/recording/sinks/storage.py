"""Where rings lie: in files of a memory file system, which outlive the process, or in its heap.

    /dev/shm/leadlog-<uid>/<hash of the log directory>/
        <category>.<process id>.<token>.ring    a ring; locked while its process lives
        <process id>.<token>.intents            see leadlog.recording.sinks.intents
        <category>.<process id>.<token>.past    the header alone, kept for `leadlog doctor`
        <process id>.<token>.sinks              see leadlog.recording.sinks.board
    /dev/shm/leadlog-<uid>/<hash of the log directory>.path     the log directory

Never a mapped file on a disk: a page fault on a disk that stands still would stop the whole
process, since it holds the interpreter's lock.
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
"""Where Linux has its memory file system."""

BOARD_SUFFIX = ".sinks"
"""Of the name of a file with the counts of a process's sinks."""

PATH_SUFFIX = ".path"
"""Of the name of a file that says which log directory the folder of that name is for."""

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
        memory: its bytes, header first.
        path: the file that they are; None for the heap, which dies with the process.
        fd: the open and locked file.
        descriptors: what `fd` belongs to.
        reason: why it is the heap.
        identity: device and inode of the file, where this process made it.
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
        """Bytes of the ring, behind the header."""
        return self._word(CAPACITY)

    @property
    def stage(self) -> int:
        """Bytes of the stage, behind the ring."""
        return self._word(STAGE)

    @property
    def policy(self) -> bytes | None:
        """What its owner said on how frames are to be finished; None for nothing."""
        at = HEADER_BYTES + self.capacity + self.stage
        return bytes(self.memory[at : at + self._word(POLICY)]) or None

    def read(self, position: int, count: int) -> bytes:
        """Return `count` bytes from a position in the ring on."""
        capacity = self.capacity
        at = position % capacity
        first = min(count, capacity - at)
        data = bytes(self.memory[HEADER_BYTES + at : HEADER_BYTES + at + first])
        rest = count - first
        return data + bytes(self.memory[HEADER_BYTES : HEADER_BYTES + rest]) if rest else data

    def write(self, position: int, data: bytes) -> None:
        """Put bytes at a position in the ring."""
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
        """Put bytes at the beginning of the stage.

        Raises:
            ValueError: it holds fewer.
        """
        if len(data) > self.stage:
            raise ValueError(f"{len(data)} bytes do not fit into a stage of {self.stage}")
        at = HEADER_BYTES + self.capacity
        self.memory[at : at + len(data)] = data

    def release(self) -> None:
        """Unmaps the memory and closes the file, which unlocks it."""
        if isinstance(self.memory, mmap.mmap):
            unmap(self.memory)
        if self.descriptors is not None:
            self.descriptors.close(self.fd)

    @property
    def lendable(self) -> bool:
        """Whether others can get the claim on the file.

        Not where the application closed the descriptor: the mapping keeps lock and claim then.
        """
        return self.descriptors is not None and self.descriptors.holds(self.fd, self.identity)

    def lend(self) -> None:
        """Let a sidecar have what is to be emptied; see `leadlog.recording.sinks.sidecar`."""
        with memoryview(self.memory)[: 8 * LENT + 8].cast("Q") as words:
            words[LENT] = 1
        release_claim(self.fd)

    def take_back(self) -> bool:
        """End what `lend` began.

        Returns:
            False while somebody else has the claim.
        """
        if not (self.lendable or self._reopen()) or not try_claim(self.fd):
            return False
        with memoryview(self.memory)[: 8 * LENT + 8].cast("Q") as words:
            words[LENT] = 0
        return True

    def _reopen(self) -> bool:
        """Open the file anew, whose descriptor the application closed or reused."""
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
        """Whether it is a sidecar's to empty."""
        return self.path is not None and bool(self._word(LENT))


NOWHERE = Storage(bytearray())
"""What a ring has after it has let go of its memory."""


def heap(capacity: int, now_us: int, reason: str, stage: int = 0) -> Storage:
    """Memory that dies with the process; `reason` says why it has to do."""
    memory = bytearray(HEADER_BYTES + capacity + stage)
    Header.format(memory, capacity, now_us, stage)
    return Storage(memory, reason=reason)


@dataclass(frozen=True, slots=True)
class RingFile:
    """A ring's file name, read.

    Attributes:
        path: the file.
        series: what the names of one process's rings of one category have in common.
        category: whose lines it holds.
        past: whether only the header is left.
    """

    path: Path
    series: str
    category: str
    past: bool


def state_directories(directory: Path, memory: Path = MEMORY) -> tuple[Path, Path]:
    """Where the rings of a log directory lie, and where counts go if they cannot lie there."""
    owner = os.getuid() if sys.platform != "win32" else 0
    name = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16]
    below = Path(f"leadlog-{owner}") / name
    return memory / below, Path(tempfile.gettempdir()) / below


def make_private(folder: Path) -> None:
    """Make a folder, and the one above it, that only this user can enter.

    Raises:
        OSError: it cannot be made, or is somebody else's.
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
    """Return whether a folder lies on a memory file system."""
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
    """The folder in which the rings of one log directory lie, those of all its processes.

    Args:
        directory: the log directory.
        memory: the memory file system.

    Attributes:
        path: the folder, which may not exist.
        spare: a folder on an ordinary disk, for counts where there is no memory file system.
        memory: the memory file system.
        directory: the log directory, without links.
    """

    def __init__(self, directory: Path, memory: Path = MEMORY) -> None:
        self.memory = memory
        self.directory = directory.resolve()
        self.path, self.spare = state_directories(directory, memory)

    def _tell_whose(self) -> None:
        """Note which log directory the folder is for, so that others can write its lines."""
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
            return  # others use it, or it is gone
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
        """Make memory for a new ring, all of it there from the start, locked by this process.

        Args:
            category: whose frames it is for.
            capacity: bytes of the ring.
            descriptors: where its file is opened.
            now_us: microseconds since 1970.
            stage: bytes of its stage.
            policy: what others need to know to finish its frames.
            owner: what the names of a dead process's files begin with, whose frames these are.

        Raises:
            OSError: there is not a memory file system, or no room in it.
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
        """Make a file, all of it there from the start, locked by this process.

        Args:
            name: of the file, which nobody else may have.
            size: its bytes.
            descriptors: where it is opened.
            fill: puts in what must be there before others see it.

        Returns:
            Its bytes, its path and its descriptor.

        Raises:
            OSError: as `create`.
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
                if not try_lock(fd):  # somebody who tidies up took it for an orphan
                    descriptors.close(fd)
                    continue
                # All of it now: a mapped page without memory behind it would be a SIGBUS.
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
        raise OSError(f"{self.path} is being removed again and again")

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
        """Return the files with the counts of processes' sinks beside the files."""
        found = []
        for folder in (self.path, self.spare):
            try:
                names = sorted(os.listdir(folder))  # noqa: PTH208 - names suffice
            except OSError:
                continue
            found += [folder / name for name in names if name.endswith(BOARD_SUFFIX)]
        return found

    def names_in_use(self, but: Path | None = None) -> set[str]:
        """Log files that a ring names, relative to the log directory.

        Somebody writes to them, or has to complete them; whichever: nobody else may.

        Args:
            but: a ring that is left out.
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
        """Give back the memory of a ring that is no longer used and whose lines are in files.

        Its header stays for `leadlog doctor`, unless nothing ever went through or (`quietly`)
        it has no loss to report. Safe against a kill, and against a sibling that does the same.
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
        """Remove headers that are old or too many, and what killed processes left half-made."""
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
