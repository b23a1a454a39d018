"""Forks a sidecar, kills it after a moment, and does so again until standard input ends.

sidecars.py DIRECTORY SEED MOST_SECONDS; prints how many sidecars wrote something before their end.
"""

import os
import random
import select
import signal
import sys
import time
from pathlib import Path

from lines import finisher_of

from leadlog.core.clock import now_us
from leadlog.recording.sinks.descriptors import Descriptors
from leadlog.recording.sinks.health import SinkHealth
from leadlog.recording.sinks.segments import Files
from leadlog.recording.sinks.sidecar import Sidecar, key_check
from leadlog.recording.sinks.slots import SlotHolder
from leadlog.recording.sinks.storage import Spool


def serve(directory: Path, wrote: int) -> None:
    """Empty rings until killed; report the first lines that were written."""
    descriptors = Descriptors()
    files = Files(
        directory=directory,
        spool=Spool(directory),
        descriptors=descriptors,
        slot=SlotHolder(directory, descriptors).number,
        segment_bytes=4 << 20,
    )
    sidecar = Sidecar(
        files,
        clock=now_us,
        lent_finisher_of=finisher_of,
        finisher_of=finisher_of,
        key=key_check(""),
        health=SinkHealth(directory),
    )
    sidecar.open()
    told = False
    while True:
        if sidecar.look():
            if not told:
                os.write(wrote, b"x")
                told = True
        else:
            time.sleep(0.01)


def main() -> None:
    directory, rng, most = Path(sys.argv[1]), random.Random(int(sys.argv[2])), float(sys.argv[3])
    read, wrote = os.pipe()
    while not select.select([sys.stdin], [], [], 0)[0]:
        child = os.fork()
        if child == 0:
            try:
                serve(directory, wrote)
            finally:
                os._exit(1)
        time.sleep(rng.uniform(0.0, most))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "it ended by itself"
    os.close(wrote)
    print(len(os.read(read, 65536)))


if __name__ == "__main__":
    main()
