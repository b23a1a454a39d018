"""Processes that gather pieces of large logs beside the one that writes the index.

Each is a Python of its own, started by name and not by `multiprocessing`, which would run the
user's main module again. They read the log and hand over plain values; where one cannot be started
or dies, its caller finds that pieces are missing and gathers these itself.
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
    """What one process gathers at a time.

    Attributes:
        file: of the log.
        inode: of the file.
        start: offset of its first line.
        stop: offset behind its last line; None of a compressed file, of which it is the rest.
    """

    file: LogFile
    inode: int
    start: int
    stop: int | None


class Gathered(NamedTuple):
    """What came of a part.

    Attributes:
        part: of which file.
        start: offset of the piece's first line.
        piece: what was gathered; None when there is no more of this part.
    """

    part: FilePart
    start: int
    piece: Piece | None


def helpers_at_most() -> int:
    """Return how many processes there may be; 0 where there is but one processor."""
    if getattr(sys, "frozen", False) or not sys.executable or native.is_patched():
        return 0
    usable = getattr(os, "sched_getaffinity", None)
    count = len(usable(0)) if usable else os.cpu_count() or 1
    return min(count, _MOST) if count > 1 else 0


def parts_of(file: LogFile, start: int) -> Iterator[FilePart]:
    """Yield the parts of a file from an offset on, in order; two callers cut it at the same lines.

    Raises:
        OSError: it cannot be read.
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
        OSError: nobody reads it.
    """
    packed = marshal.dumps(message)
    stream.write(len(packed).to_bytes(_LENGTH_BYTES, "little"))
    stream.write(packed)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read what `send` wrote.

    Raises:
        EOFError: there is no more.
    """
    length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    packed = stream.read(length)
    if not length or len(packed) < length:
        raise EOFError
    return marshal.loads(packed)  # noqa: S302 - of a process of ours


@contextmanager
def gathered(parts: Iterable[FilePart], count: int) -> Iterator[Iterator[Gathered]]:
    """Have processes gather parts; gives their pieces as they come.

    Pieces of one part come in order. Of parts that a process could not gather something is missing.

    Args:
        parts: to be gathered, the first ones first.
        count: how many processes.
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
        for _ in pieces():  # so that no thread waits for room
            pass
        for thread in threads[:running]:
            thread.join()


def _serve(
    todo: deque[FilePart], results: Queue[Gathered | None], started: list[subprocess.Popen[bytes]]
) -> None:
    """Hand parts to one process until there are no more, or until it ends."""
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
