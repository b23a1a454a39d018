"""Leaves full rings behind: logs while its files cannot be written, and kills itself.

    leave_rings.py DIRECTORY NOTES NAME LINES WRITTEN_BYTES [OVERFLOW_BYTES]

The first WRITTEN_BYTES reach the file, which then ends in the middle of a line. With less than
256 KiB of OVERFLOW_BYTES, no further ring is made when the first is full; lines wait on the heap.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from lines import Writer

from leadlog.recording.sinks.spool import SpoolSink


def main() -> None:
    directory, notes, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    count, allowed = int(sys.argv[4]), int(sys.argv[5])
    reached = threading.Event()

    def write(fd: int, data: bytes) -> int:
        nonlocal allowed
        if allowed <= 0:
            reached.set()
            threading.Event().wait()
        written = os.write(fd, data[:allowed])
        allowed -= written
        return written

    sink = SpoolSink(
        directory,
        ring_bytes=1 << 20,
        overflow_bytes=int(sys.argv[6]) if sys.argv[6:] else 1 << 26,
        recover_seconds=3600,
        write=write,
    )
    writer = Writer(notes, name, sink)
    for _ in range(count):
        assert writer.write()
    assert reached.wait(20)
    time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
