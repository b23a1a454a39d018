"""Logs from two threads while the disk is stalled, and times every call.

    stalled.py DIRECTORY NOTES freeze|fifo SECONDS

`freeze`: the log is on a file system in the adjacent file `image`, which is frozen; run in a mount
namespace. `fifo`: writes also go through a pipe that is no longer read.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lines import Writer

from leadlog.recording.sinks.spool import SpoolSink

DIRECTORY, NOTES, KIND, SECONDS = (
    Path(sys.argv[1]),
    Path(sys.argv[2]),
    sys.argv[3],
    float(sys.argv[4]),
)
DISK = DIRECTORY.parent / "disk"


@contextmanager
def frozen() -> Iterator[None]:
    # Whatever happens to this process, the file system does not stay frozen.
    watchdog = subprocess.Popen(
        ["sh", "-c", 'sleep 30; fsfreeze -u "$0"', DISK],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    subprocess.run(["fsfreeze", "-f", DISK], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "-u", DISK], check=True)
        os.killpg(watchdog.pid, signal.SIGKILL)
        watchdog.wait()


class Pipe:
    """A write function that uses a FIFO whose reader can stop."""

    def __init__(self) -> None:
        self.reads = threading.Event()
        self.reads.set()
        path = DIRECTORY.parent / "fifo"
        os.mkfifo(path)
        threading.Thread(target=self._read, args=(path,), daemon=True).start()
        self._fd = os.open(path, os.O_WRONLY)

    def _read(self, path: Path) -> None:
        with path.open("rb", buffering=0) as stream:
            while self.reads.wait() and stream.read(65536):
                pass

    def write(self, fd: int, data: bytes) -> int:
        os.write(self._fd, data)
        return os.write(fd, data)

    @contextmanager
    def full(self) -> Iterator[None]:
        self.reads.clear()
        yield
        self.reads.set()


def main() -> None:
    directory = DIRECTORY
    if KIND == "freeze":
        DISK.mkdir()
        image = DISK.with_name("image")
        subprocess.run(["mount", "-o", "loop", image, DISK], check=True)
        directory = DISK / "logs"
    pipe = Pipe() if KIND == "fifo" else None
    sink = SpoolSink(
        directory,
        ring_bytes=1 << 20,
        write=pipe.write if pipe else os.write,
        warn=lambda _: None,
    )
    times: list[float] = []
    gaps: list[float] = []
    going = threading.Event()
    going.set()

    def call(thread: int) -> None:
        writer = Writer(NOTES, f"thread-{thread}", sink)
        while going.is_set():
            begin = time.perf_counter()
            taken = writer.write("database_operations", 600)
            times.append(time.perf_counter() - begin)
            assert taken
            time.sleep(0.0001)

    def beat() -> None:
        last = time.perf_counter()
        while going.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    threads = [threading.Thread(target=call, args=(thread,)) for thread in range(2)]
    threads.append(threading.Thread(target=beat))
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    with frozen() if pipe is None else pipe.full():
        time.sleep(SECONDS)
        during = sink.stats()
        flushed = sink.flush(0.1)
    going.clear()
    for thread in threads:
        thread.join()
    after = sink.flush(20)
    stats = sink.stats()
    sink.close(5)
    if KIND == "freeze":
        shutil.copytree(directory, DIRECTORY)
    times.sort()
    print(
        json.dumps(
            {
                "calls": len(times),
                "median_us": times[len(times) // 2] * 1e6,
                "p999_us": times[int(len(times) * 0.999)] * 1e6,
                "longest_gap_ms": max(gaps) * 1e3,
                "in_ring": sum(during.in_ring.values()),
                "flushed": [flushed, after],
                "accepted": sum(stats.accepted.values()),
                "written": sum(stats.written.values()),
                "dropped": stats.dropped,
            }
        )
    )


if __name__ == "__main__":
    main()
