"""Forks a process that logs from two threads, kills it after a moment, and does so again.

churn.py DIRECTORY NOTES NAME LIVES SEED KIND

KIND is `lines`, or `facts` for events that are finished behind the ring, or `flood` for these at
full speed into rings that grow, or `lent` for rings that a sidecar may empty, and longer lives.
"""

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from lines import Writer, finish, finisher_of

from leadlog.core.layout import CATEGORIES
from leadlog.recording.sinks.sidecar import ANY_KEY
from leadlog.recording.sinks.spool import SpoolSink

SOAK = bool(os.environ.get("SOAK"))
LONG_SECONDS = 1.5
USED = ("database_operations", "error_logs")


def live(directory: Path, notes: Path, name: str, seed: int, kind: str) -> None:
    """Log until it is killed."""
    # Rings so large that at this pace nothing ever waits in the overflow.
    rings = dict.fromkeys(CATEGORIES, 1 << 16)
    if kind != "flood":
        rings |= dict.fromkeys(USED, 4 << 20)
    facts = kind != "lines"
    sink = SpoolSink(
        directory,
        ring_bytes=rings,
        recover_seconds=0.1,
        segment_bytes=4 << 20,
        finish=finish if facts else None,
        finisher_of=finisher_of if facts else None,
        policy=b"{}" if facts else b"",
        key=ANY_KEY if kind == "lent" else None,
    )

    def work(thread: int) -> None:
        rng = random.Random(seed * 2 + thread)
        writer = Writer(notes, f"{name}-{thread}", sink, facts=facts)
        while True:
            if kind == "flood":
                assert writer.write(USED[thread])
            else:
                assert writer.write(USED[thread], rng.choice((600, 600, 2_000, 50_000)))
                time.sleep(0.002)

    threading.Thread(target=work, args=(1,), daemon=True).start()
    work(0)


def wait_for_a_line(note: Path) -> None:
    """Until the child has logged at least once."""
    for _ in range(1000):
        if note.exists() and any(note.read_bytes()):
            return
        time.sleep(0.01)
    raise AssertionError("the child logs nothing")


def main() -> None:
    directory, notes, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    lives, rng = int(sys.argv[4]), random.Random(int(sys.argv[5]))
    for life in range(lives):
        child = os.fork()
        if child == 0:
            try:
                seed = rng.randrange(1 << 30)
                live(directory, notes, f"{name}-{life}", seed, sys.argv[6])
            finally:
                os._exit(1)
        if life % 5:  # the others are killed while they start
            wait_for_a_line(notes / f"{name}-{life}-0")
        time.sleep(rng.uniform(0.0, LONG_SECONDS if sys.argv[6] == "lent" or SOAK else 0.25))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL, "it ended by itself"


if __name__ == "__main__":
    main()
