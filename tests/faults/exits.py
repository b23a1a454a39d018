"""Logs a hundred lines and exits in the requested way.

exits.py DIRECTORY NOTES KIND
"""

import atexit
import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path

from lines import Writer

from leadlog.recording.sinks.spool import SpoolSink

DIRECTORY, NOTES, KIND = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]


def log_lines(writer: Writer) -> None:
    for number in range(100):
        assert writer.write("error_logs" if number % 2 else "sync_operations")


def in_child() -> None:
    sink = SpoolSink(DIRECTORY)
    log_lines(Writer(NOTES, "child", sink))


def late(writer: Writer) -> None:
    """Log in an exit handler that runs after the log was closed: it gets a new sink."""
    assert not writer.write()
    sink = SpoolSink(DIRECTORY)
    again = Writer(NOTES, "late", sink)
    for _ in range(10):
        assert again.write()
    sink.close(2)


def main() -> None:
    if KIND == "multiprocessing":
        process = multiprocessing.get_context("spawn").Process(target=in_child)
        process.start()
        process.join()
        assert process.exitcode == 0
        return
    sink = SpoolSink(DIRECTORY)
    writer = Writer(NOTES, "main", sink)
    if KIND == "late":
        atexit.register(late, writer)
    atexit.register(sink.close, 2.0)
    if KIND == "thread":
        threading.Thread(target=log_lines, args=(writer,)).start()
        return
    log_lines(writer)
    match KIND:
        case "sys.exit":
            sys.exit(3)
        case "exception":
            raise RuntimeError("on purpose")
        case "os._exit":
            os._exit(4)
        case "SIGTERM" | "SIGABRT" | "SIGKILL" | "SIGINT":
            os.kill(os.getpid(), signal.Signals[KIND])
            signal.pause()
        case "SIGTERM handled":
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()


if __name__ == "__main__":
    main()
