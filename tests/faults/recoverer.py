"""Recovers a few hundred bytes at a time, so that it can be killed at any byte.

recoverer.py DIRECTORY PAUSE_SECONDS
"""

import os
import sys
import time
from pathlib import Path

from leadlog.recording.sinks.recover import recover


def main() -> None:
    pause = float(sys.argv[2])

    def write(fd: int, data: bytes) -> int:
        time.sleep(pause)
        return os.write(fd, data[:777])

    print("ready", flush=True)
    sys.stdin.readline()
    report = recover(Path(sys.argv[1]), write=write)
    assert report.errors == [], report.errors


if __name__ == "__main__":
    main()
