"""Forks while logging.

forks.py DIRECTORY NOTES storm CHILDREN    while two threads hammer; children log, some fork
forks.py DIRECTORY NOTES preload WORKERS   a server that opens the log, then forks workers
forks.py DIRECTORY NOTES pool PROCESSES    multiprocessing, whose workers are terminated
forks.py DIRECTORY NOTES unseen WORKERS    forked in C, so that no hook of Python's runs
"""

import ctypes
import multiprocessing
import os
import sys
import threading
import time
from pathlib import Path

from lines import Writer

from leadlog.recording.sinks.spool import SpoolSink

DIRECTORY, NOTES, COUNT = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[4])


def open_sink() -> SpoolSink:
    return SpoolSink(DIRECTORY, ring_bytes=1 << 19, recover_seconds=0.2)


def storm() -> None:
    sink = open_sink()
    going = threading.Event()
    going.set()

    def hammer(thread: int) -> None:
        writer = Writer(NOTES, f"parent-{thread}", sink)
        while going.is_set():
            assert writer.write("error_logs", 300)
            if writer.number % 20 == 0:
                time.sleep(0.001)

    threads = [threading.Thread(target=hammer, args=(thread,)) for thread in range(2)]
    for thread in threads:
        thread.start()
    children = []
    for number in range(COUNT):
        child = os.fork()
        if child == 0:
            family(sink, f"child-{number}", number)
        children.append(child)
        time.sleep(0.005)
    for child in children:
        _, status = os.waitpid(child, 0)
        assert status == 0
    going.clear()
    for thread in threads:
        thread.join()
    sink.close(5)


def family(sink: SpoolSink, name: str, number: int) -> None:
    """A child: logs; every third forks again; every second closes its sink at the end."""
    try:
        if number % 3 == 0:
            grandchild = os.fork()
            if grandchild == 0:
                family(sink, f"grand{name}", 1)
            _, status = os.waitpid(grandchild, 0)
            assert status == 0
        writer = Writer(NOTES, name, sink)
        for _ in range(20):
            assert writer.write("error_logs" if number % 2 else "database_operations", 300)
        if number % 2:
            sink.close(5)
            assert not writer.write()
    except BaseException:  # noqa: BLE001 - whatever it is, the child must not go on as its parent
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def preload() -> None:
    sink = open_sink()
    writer = Writer(NOTES, "server", sink)
    assert writer.write()
    assert sink.flush(5)
    held = [os.pipe() for _ in range(COUNT)]
    children = []
    for number in range(COUNT):
        child = os.fork()
        if child == 0:
            worker = Writer(NOTES, f"worker-{number}", sink)
            for _ in range(50):
                assert worker.write()
            assert sink.flush(5)
            os.write(held[number][1], b"x")
            time.sleep(0.5)  # so that all of them live at once, each in a slot of its own
            sink.close(5)
            os._exit(0)
        children.append(child)
    for child in children:
        _, status = os.waitpid(child, 0)
        assert status == 0
    sink.close(5)


SINK: SpoolSink


def job(number: int) -> int:
    """Log from a worker of a multiprocessing pool, which inherited the sink."""
    writer = Writer(NOTES, f"job-{number}", SINK)
    for _ in range(30):
        assert writer.write()
    return number


def pool() -> None:
    global SINK  # noqa: PLW0603 - what a forked pool worker finds
    SINK = open_sink()
    with multiprocessing.get_context("fork").Pool(COUNT) as workers:
        assert sum(workers.map(job, range(20))) == 190
    SINK.close(5)


def unseen() -> None:
    # The drain must be at rest: a thread that waits for the interpreter while somebody forks in C
    # may leave its lock locked in the child, which nobody but the forker can prevent.
    sink = SpoolSink(DIRECTORY, ring_bytes=1 << 19, poll_seconds=60)
    writer = Writer(NOTES, "server", sink)
    assert writer.write()
    token = sink.intend([("error_logs", b"never to be seen\n")])
    fork = ctypes.PyDLL(None).fork
    children = []
    for number in range(COUNT):
        time.sleep(0.05)
        child = fork()
        if child == 0:
            if number % 3 == 0:
                sink.settle(token)  # the parent's
                sink.close(5)  # which must not take what the parent holds
                os._exit(0)
            worker = Writer(NOTES, f"worker-{number}", sink)
            for _ in range(300):
                assert worker.write()
            if number % 3 == 1:
                assert sink.flush(5)
                assert sink.stats().written == {"database_operations": 300}
            os._exit(0)
        children.append(child)
        for _ in range(100):
            assert writer.write()
        assert sink.flush(5)
    for child in children:
        _, status = os.waitpid(child, 0)
        assert status == 0
    sink.settle(token)
    sink.close(5)


if __name__ == "__main__":
    modes = {"storm": storm, "preload": preload, "pool": pool, "unseen": unseen}
    modes[sys.argv[3]]()
