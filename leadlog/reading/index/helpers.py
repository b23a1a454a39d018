"""Helper processes that gather pieces of large logs in parallel to the writer of the index.

Each is a separate Python interpreter, started by module name and not by `multiprocessing`, which
would run the user's main module again. They read the log and return plain values; if one cannot be
started or dies, its caller notices the missing pieces and gathers them itself.
"""

import marshal
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from queue import Queue
from typing import IO, Any, Final, NamedTuple

from leadlog.core import native
from leadlog.core.layout import LogFile
from leadlog.reading.index.gather import Piece

__all__ = ["FilePart", "Gathered", "gathered", "helpers_at_most", "parts_of", "receive", "send"]

_MOST: Final = 4
_STEP_BYTES: Final = 16 * 1024 * 1024
_LINE_BYTES: Final = 64 * 1024
_LENGTH_BYTES: Final = 8


class FilePart(NamedTuple):
    """The part of a file that one process gathers at a time.

    Attributes:
        file: the log file.
        inode: its inode number.
        start: offset of its first line.
        stop: offset after its last line; None for a compressed file, which is read to its end.
    """

    file: LogFile
    inode: int
    start: int
    stop: int | None


class Gathered(NamedTuple):
    """A result of gathering.

    Attributes:
        part: the part of a file.
        start: offset of the piece's first line.
        piece: the gathered piece; None if the part has no more.
    """

    part: FilePart
    start: int
    piece: Piece | None


def helpers_at_most() -> int:
    """Return the largest number of helper processes; 0 with a single processor."""
    if getattr(sys, "frozen", False) or not sys.executable or native.is_patched():
        return 0
    usable = getattr(os, "sched_getaffinity", None)
    count = len(usable(0)) if usable else os.cpu_count() or 1
    return min(count, _MOST) if count > 1 else 0


def parts_of(file: LogFile, start: int) -> Iterator[FilePart]:
    """Yield the parts of a file from an offset, in order; every caller cuts at the same lines.

    Raises:
        OSError: the file cannot be read.
    """
    with file.path.open("rb") as stream:
        found = os.fstat(stream.fileno())
        if file.compressed:
            yield FilePart(file, found.st_ino, start, None)
            return
        while start < found.st_size:
            stream.seek((start // _STEP_BYTES + 1) * _STEP_BYTES)
            while (line := stream.readline(_LINE_BYTES)) and not line.endswith(b"\n"):
                pass
            stop = min(stream.tell(), found.st_size)
            yield FilePart(file, found.st_ino, start, stop)
            start = stop


def send(stream: IO[bytes], message: Any) -> None:
    """Write plain values to a pipe.

    Raises:
        OSError: the pipe has no reader.
    """
    packed = marshal.dumps(message)
    stream.write(len(packed).to_bytes(_LENGTH_BYTES, "little"))
    stream.write(packed)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read a message written by `send`.

    Raises:
        EOFError: the pipe is at its end.
    """
    length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    packed = stream.read(length)
    if not length or len(packed) < length:
        raise EOFError
    return marshal.loads(packed)  # noqa: S302 - of a process of ours


@contextmanager
def gathered(parts: Iterable[FilePart], count: int) -> Iterator[Iterator[Gathered]]:
    """Let helper processes gather parts; yield an iterator over their pieces.

    Pieces of one part are in order. If a process fails, pieces of its part are missing.

    Args:
        parts: the parts to gather, in order.
        count: number of processes.
    """
    todo = deque(parts)
    results: Queue[Gathered | None] = Queue(2 * count)
    started: list[subprocess.Popen[bytes]] = []
    threads = [
        threading.Thread(target=_serve, args=(todo, results, started), daemon=True)
        for _ in range(min(count, len(todo)))
    ]
    running = 0

    def pieces() -> Iterator[Gathered]:
        nonlocal running
        while running:
            found = results.get()
            if found is None:
                running -= 1
            else:
                yield found

    try:
        with suppress(RuntimeError):  # no more threads
            for thread in threads:
                thread.start()
                running += 1
        yield pieces()
    finally:
        todo.clear()
        for process in [*started]:
            process.kill()
        for _ in pieces():  # so that no thread waits for space in the queue
            pass
        for thread in threads[:running]:
            thread.join()


def _serve(
    todo: deque[FilePart], results: Queue[Gathered | None], started: list[subprocess.Popen[bytes]]
) -> None:
    """Hand parts to one process until none is left, or until the process ends."""
    with (
        suppress(OSError, EOFError, IndexError),
        subprocess.Popen(
            [sys.executable, "-P", "-m", "leadlog.reading.index.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the caller, who ends it
        ) as process,
    ):
        started.append(process)
        assert process.stdin is not None  # a pipe  # noqa: S101
        assert process.stdout is not None  # noqa: S101 - a pipe
        while True:
            part = todo.popleft()
            send(process.stdin, (part.file.category, str(part.file.path), *part[2:]))
            while (answer := receive(process.stdout)) is not None:
                start, piece = answer
                results.put(Gathered(part, start, None if piece is None else Piece(*piece)))
    results.put(None)
