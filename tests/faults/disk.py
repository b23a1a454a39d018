"""Faults of a disk and their effects on a log.

    disk.py DIRECTORY NOTES KIND mount|plain CYCLES

With `mount` the process runs in its own mount namespace with small file systems; with `plain` a
limit on file sizes or a failing write simulates them.
"""

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lines import Writer, finish, finisher_of

from leadlog.core.files import replace
from leadlog.core.layout import CATEGORIES
from leadlog.recording.sinks.recover import recover
from leadlog.recording.sinks.spool import SpoolSink

DIRECTORY, NOTES, KIND = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
MOUNT, CYCLES = sys.argv[4] == "mount", int(sys.argv[5])
NOBODY = 65534
DISK = DIRECTORY.parent / "disk"

events: list[dict[str, Any]] = []
warnings: list[str] = []


def mount(path: Path, options: str) -> None:
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", path], check=True)


def open_sink(directory: Path, **options: Any) -> SpoolSink:
    options = {"ring_bytes": 1 << 18, "recover_seconds": 0.1} | options
    return SpoolSink(directory, warn=warnings.append, notify=events.append, **options)


def tell(sink: SpoolSink, **values: Any) -> None:
    """End the test: close, move the files out of the namespace, and print the result."""
    stats = sink.stats()
    sink.close(2)
    if MOUNT and (DISK / "logs").exists():
        shutil.copytree(DISK / "logs", DIRECTORY, dirs_exist_ok=True)
    states = sorted({f"{one['condition']} {one['state']}" for one in events})
    counts = {"dropped": stats.dropped, "degraded": stats.degraded, "in_ring": stats.in_ring}
    print(json.dumps({**values, **counts, "states": states, "warnings": warnings}), flush=True)


@contextmanager
def no_room(cycle: int) -> Iterator[None]:
    """Simulate a disk with little or no room left."""
    if MOUNT:
        ballast = DISK / "ballast"
        with ballast.open("wb", buffering=0) as stream:
            try:
                while stream.write(bytes(4096)):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017 - nothing must raise else
        yield
        ballast.unlink()
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 + 7_777 * cycle, resource.RLIM_INFINITY))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


def full() -> None:
    """The disk is filled and freed again and again; lines wait for room."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if MOUNT:
        mount(DISK, "size=16m")
    sink = open_sink(DISK / "logs" if MOUNT else DIRECTORY)
    writer = Writer(NOTES, "main", sink)
    waited = 0
    for cycle in range(CYCLES):
        with no_room(cycle):
            for _ in range(100):
                assert writer.write("error_logs", 600)
            waited += not sink.flush(0.06)
        assert sink.flush(5)
    tell(sink, waited=waited)


def read_only() -> None:
    """The log directory is on a file system that is read-only at first."""
    readable = threading.Event()

    def write(fd: int, data: bytes) -> int:
        if not MOUNT and not readable.is_set():
            raise OSError(errno.EROFS, "Read-only file system")
        return os.write(fd, data)

    if MOUNT:
        mount(DISK, "size=16m,ro")
    sink = open_sink(DISK / "logs" if MOUNT else DIRECTORY, write=write)
    writer = Writer(NOTES, "main", sink)
    for _ in range(100):
        assert writer.write("error_logs", 600)
    waited = not sink.flush(0.2)
    readable.set()
    if MOUNT:
        subprocess.run(["mount", "-o", "remount,rw", DISK], check=True)
    assert sink.flush(5)
    tell(sink, waited=waited)


def small_memory() -> None:
    """Eight processes in Docker's 64 MB of shared memory, killed; then more, until it is full."""
    memory = DIRECTORY.parent / "shm"
    mount(memory, "size=64m")

    def live(number: int, lines: int) -> int:
        """Fork a process that logs `lines` lines, with rings of the default size, and waits."""
        child = os.fork()
        if child:
            return child
        try:
            sink = SpoolSink(
                DIRECTORY, memory=memory, finish=finish, finisher_of=finisher_of, policy=b"{}"
            )
            writer = Writer(NOTES, f"n{number}", sink, facts=True)
            for line in range(lines):
                assert writer.write(CATEGORIES[line % len(CATEGORIES)], 600)
                time.sleep(0.001)
            state = "degraded" if sink.stats().degraded else "safe"
            replace(DIRECTORY.parent / f"state{number}", state.encode())
            signal.pause()
        finally:
            os._exit(1)

    def state(number: int) -> str:
        """Wait until that process has logged, and return where its lines are."""
        path = DIRECTORY.parent / f"state{number}"
        while not path.exists():
            time.sleep(0.01)
        return path.read_text()

    def kill(children: list[int]) -> None:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    first = [live(number, 200) for number in range(8)]
    safe = [state(number) for number in range(8)].count("safe")
    kill(first)
    found = recover(DIRECTORY, memory=memory, finisher_of=finisher_of)
    more: list[int] = []
    while not more or (state(7 + len(more)) == "safe" and len(more) < 16):
        more.append(live(8 + len(more), len(CATEGORIES)))
    kill(more)
    recover(DIRECTORY, memory=memory, finisher_of=finisher_of)
    told = {"safe": safe, "lost": found.lost, "errors": found.errors, "room_for": len(more) - 1}
    print(json.dumps(told))


def no_descriptors() -> None:
    """No further file can be opened, neither for the log nor for a ring."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    first = open_sink(DIRECTORY)
    one, two = Writer(NOTES, "first", first), Writer(NOTES, "second", first)
    used = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
    second = open_sink(DIRECTORY)
    two.sink = second
    for _ in range(100):
        assert one.write("error_logs", 600)
        assert two.write("error_logs", 600)
    waited = not second.flush(0.2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    assert first.flush(5)
    assert second.flush(5)
    first.close(2)
    tell(second, waited=waited)


def no_memory() -> None:
    """The memory file system has room for some rings only, and later for all of them."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    shm = Path("/dev/shm")
    if MOUNT:
        shm = DIRECTORY.parent / "shm"
        mount(shm, "size=700k")
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    sink = open_sink(DIRECTORY, memory=shm, ring_bytes=1 << 18)
    writer = Writer(NOTES, "main", sink)
    for number in range(300):
        assert writer.write(("database_operations", "monitoring_data")[number % 2], 600)
    assert sink.flush(5)
    before = sum(sink.stats().degraded.values())
    if MOUNT:
        subprocess.run(["mount", "-o", "remount,size=64m", shm], check=True)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    time.sleep(0.5)
    degraded = sum(sink.stats().degraded.values())
    for number in range(300):
        assert writer.write(("database_operations", "monitoring_data")[number % 2], 600)
    assert sink.flush(5)
    after = sum(sink.stats().degraded.values()) - degraded
    for _ in range(100):
        if events[-1]["state"] == "ended":
            break
        time.sleep(0.05)
    tell(sink, before=before, after=after)


@contextmanager
def hammered(sink: SpoolSink, pause: float = 0.0005) -> Iterator[None]:
    """Log from two threads while the block runs."""
    writers = [Writer(NOTES, f"hammer-{thread}", sink) for thread in range(2)]
    going = threading.Event()
    going.set()

    def hammer(writer: Writer) -> None:
        while going.is_set():
            assert writer.write("error_logs", 300)
            time.sleep(pause)

    threads = [threading.Thread(target=hammer, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    yield
    going.clear()
    for thread in threads:
        thread.join()


def removed() -> None:
    """The files, and the folders with them, are removed under load."""
    sink = open_sink(DIRECTORY, segment_bytes=50_000)
    deleted = DIRECTORY.parent / "deleted" / "error_logs"
    deleted.mkdir(parents=True)
    with hammered(sink):
        for cycle in range(CYCLES):
            time.sleep(0.1)
            gone = []
            for path in DIRECTORY.rglob("*.jsonl"):
                gone.append(path.open("rb"))  # read at the end, when no process writes to it
                path.unlink()
            for slot in DIRECTORY.glob(".slots/*"):
                slot.unlink()
            # The folders too, if no new file has been begun since.
            for folder in [*DIRECTORY.iterdir(), DIRECTORY]:
                with suppress(OSError):
                    folder.rmdir()
            time.sleep(0.1)
            for number, stream in enumerate(gone):
                name = f"2000-01-{1 + cycle:02d}.w{number + 1}.jsonl"
                (deleted / name).write_bytes(stream.read())
    assert sink.flush(5)
    tell(sink)


def moved() -> None:
    """The whole directory is moved away under load."""
    sink = open_sink(DIRECTORY)
    with hammered(sink):
        for cycle in range(CYCLES):
            time.sleep(0.1)
            DIRECTORY.rename(DIRECTORY.with_name(f"moved-{cycle}"))
    assert sink.flush(5)
    tell(sink)


def forbidden() -> None:
    """No user may enter the directory for a while, and files must be changed in that time."""
    sink = open_sink(DIRECTORY, segment_bytes=20_000)
    with hammered(sink):
        time.sleep(0.2)
        assert sink.flush(5)
        if os.geteuid() == 0:  # root ignores the mode
            for path in (DIRECTORY.parent, DIRECTORY, *DIRECTORY.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        for _ in range(CYCLES):
            time.sleep(0.1)
            DIRECTORY.chmod(0)
            time.sleep(0.2)
            DIRECTORY.chmod(0o700)
    assert sink.flush(5)
    tell(sink)


if __name__ == "__main__":
    globals()[KIND]()
