"""One of several processes that log from four threads while the day changes and files fill up.

    rolling.py DIRECTORY NOTES NAME LINES CLOCK

CLOCK is a file with the time in microseconds, shared by all processes.
"""

import sys
import threading
import time
from pathlib import Path

from lines import Writer

from leadlog.recording.sinks.spool import SpoolSink

DIRECTORY, NOTES, NAME, LINES = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
CLOCK = Path(sys.argv[5])


def clock() -> int:
    return int(CLOCK.read_text())


def main() -> None:
    sink = SpoolSink(DIRECTORY, clock=clock, segment_bytes=40_000, ring_bytes=1 << 20)
    sys.stdin.readline()

    def work(thread: int) -> None:
        writer = Writer(NOTES, f"{NAME}-{thread}", sink)
        for number in range(LINES):
            assert writer.write("database_operations", 50 + number % 700)
            if number % 10 == 0:
                time.sleep(0.005)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdin.read()  # until all are done, so that all live at once
    sink.close(10)


if __name__ == "__main__":
    main()
