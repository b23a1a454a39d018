"""An application with green threads, patched at the moment named by its second argument.

Prints the log's own counts at the end, `accepted written`, and how often another green thread ran
while one waited in vain for the log's files.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

KIND, MOMENT, DIRECTORY = sys.argv[1:]
THREADS, EVENTS = 8, 150


def patch() -> tuple[Callable[..., Any], Callable[[float], None]]:
    """Patch the standard library; return the functions that start and pause a green thread."""
    if KIND == "gevent":
        from gevent import monkey

        monkey.patch_all()
        import gevent

        return gevent.spawn, time.sleep
    import eventlet

    eventlet.monkey_patch()
    return eventlet.spawn, time.sleep


def configure() -> None:
    """Configure as an application does, polling often, so that both kinds of threads meet."""
    leadlog.configure(directory=DIRECTORY, poll_seconds=0.005, memory_sample_seconds=0.01)


def run(spawn: Callable[..., Any], pause: Callable[[float], None]) -> None:
    """Log from green threads, next to one that counts how often it is scheduled."""
    log = leadlog.get_logger()
    database = leadlog.LeadDatabase(DIRECTORY + ".db")
    turns: list[float] = []
    done: list[int] = []
    over: list[bool] = []

    def watch() -> None:
        while not over:
            pause(0.001)
            turns.append(time.perf_counter())

    def join(thread: Any) -> None:
        (thread.wait if KIND == "eventlet" else thread.join)()

    def work(thread: int) -> None:
        for number in range(EVENTS):
            log.info("line", thread=thread, number=number)
            if not number % 50:
                pause(0)
                database.add_lead({"name": f"Ann {thread} {number}", "company": "Acme"})
        assert leadlog.flush(30)
        done.append(thread)

    def wait_in_vain() -> None:
        folder = Path(DIRECTORY, "monitoring_data")
        kept = folder.rename(folder.with_name("kept"))
        folder.touch()  # a file where the log needs a folder
        pause(0.1)  # so that the drain polls before it writes
        log.info("kept")
        before = len(turns)
        written = leadlog.flush(0.5)
        over.append(True)
        assert not written
        print(len(turns) - before)
        folder.unlink()
        kept.rename(folder)

    watcher = spawn(watch)
    for worker in [spawn(work, thread) for thread in range(THREADS)]:
        join(worker)
    assert len(done) == THREADS
    join(spawn(wait_in_vain))
    join(watcher)
    database.close()
    assert leadlog.flush(30)
    stats = leadlog.stats()
    print(sum(stats.accepted.values()), sum(stats.written.values()), flush=True)


if MOMENT == "before the import":
    found = patch()
    import leadlog

    configure()
    run(*found)
elif MOMENT == "after the import":
    import leadlog

    found = patch()
    configure()
    run(*found)
elif MOMENT == "after configure":
    import leadlog

    configure()
    leadlog.get_logger().info("boot")
    time.sleep(0.05)  # the drain and the sampler run, with system locks
    run(*patch())
elif MOMENT == "in a forked worker":
    import leadlog

    configure()
    leadlog.get_logger().info("boot")
    child = os.fork()
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    run(*patch())
else:
    raise SystemExit(f"unknown moment {MOMENT!r}")
