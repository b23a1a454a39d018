"""A short job, as started by cron or in a container: logs, and ends in the requested way.

    job.py DIRECTORY EVENTS END [PROCESSES]

The value `job` of the events identifies the process. END is `exit`, `kill` or `wait`, which waits
for SIGTERM; a program that is process 1 of a container has to handle that signal itself.
"""

import json
import os
import signal
import sys
from pathlib import Path

import leadlog

DIRECTORY, EVENTS, END = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
PROCESSES = int(sys.argv[4]) if len(sys.argv) > 4 else 1

# The drain polls rarely, so at a kill the events are in the rings.
leadlog.configure(directory=DIRECTORY, **({"poll_seconds": 30.0} if END != "exit" else {}))


def log(job: str) -> None:
    """Log the events of one job."""
    for number in range(EVENTS):
        leadlog.get_logger().info("line", job=job, number=number)


children = []
for child in range(1, PROCESSES):
    process = os.fork()
    if not process:
        log(f"child {child}")
        leadlog.shutdown()
        os._exit(0)
    children.append(process)
log(END)
for process in children:
    assert os.waitpid(process, 0)[1] == 0
if END == "wait":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    told = {"pid": os.getpid(), "user": os.getuid(), "degraded": leadlog.stats().degraded}
    print(json.dumps(told), flush=True)
    signal.pause()
elif END == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
