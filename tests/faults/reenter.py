"""Logs from within logging.

reenter.py DIRECTORY NOTES signals|finalisers|interrupt SECONDS
"""

import gc
import json
import signal
import sys
import threading
import time
from array import array
from pathlib import Path
from typing import Any

from lines import Writer, line

from leadlog.recording.sinks.spool import SpoolSink

DIRECTORY, NOTES, KIND, SECONDS = (
    Path(sys.argv[1]),
    Path(sys.argv[2]),
    sys.argv[3],
    float(sys.argv[4]),
)
CATEGORIES = ("database_operations", "error_logs")


def open_sink(ring_bytes: int = 1 << 20) -> SpoolSink:
    return SpoolSink(DIRECTORY, ring_bytes=ring_bytes)


def until(seconds: float) -> Any:
    """Count until the time is over."""
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        yield number
        number += 1


def signals() -> None:
    """A signal handler logs thousands of times a second, also into the interrupted category."""
    sink = open_sink()
    inner = [Writer(NOTES, f"handler-{number}", sink) for number in range(2)]

    inside = False

    def handler(number: int, frame: Any) -> None:
        nonlocal inside
        if inside:  # by its own next signal; then the numbers would not be in order
            return
        inside = True
        for writer, category in zip(inner, CATEGORIES, strict=True):
            assert writer.write(category, 200)
        inside = False

    outer = [Writer(NOTES, f"main-{number}", sink) for number in range(2)]
    other = Writer(NOTES, "thread", sink)

    def beside() -> None:
        for number in until(SECONDS):
            assert other.write(CATEGORIES[number % 2], 200)
            if number % 50 == 0:
                time.sleep(0.0005)

    thread = threading.Thread(target=beside)
    thread.start()
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    for number in until(SECONDS):
        assert outer[number % 2].write(CATEGORIES[number % 2], 200)
    signal.setitimer(signal.ITIMER_REAL, 0)
    thread.join()
    sink.close(10)
    print(json.dumps({"inner": inner[0].number}))


def finalisers() -> None:
    """Objects in reference cycles log when they are collected, at any point of the code."""
    sink = open_sink()
    inner = Writer(NOTES, "finaliser", sink)

    class Noisy:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            assert inner.write("error_logs", 200)

    gc.set_threshold(1, 1, 1)
    outer = Writer(NOTES, "main", sink)
    for _ in until(SECONDS):
        Noisy()
        assert outer.write("error_logs", 200)
    gc.collect()
    sink.close(10)
    print(json.dumps({"inner": inner.number}))


def interrupt() -> None:
    """A handler raises at any moment, as Ctrl-C does; the sink stays usable."""
    sink = open_sink(1 << 16)  # small, so that lines take every path

    class Stop(Exception):  # noqa: N818 - it is not an error
        pass

    def handler(number: int, frame: Any) -> None:
        raise Stop

    signal.signal(signal.SIGALRM, handler)
    attempt = stops = 0
    acknowledged = array("Q")
    for number in until(SECONDS):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.00001 + number % 50 * 0.000002)
            while True:
                # Its own number for each attempt: one that was interrupted may have been taken.
                attempt += 1
                assert sink.write("error_logs", line("main", attempt, attempt % 300))
                acknowledged.append(attempt)
        except Stop:
            stops += 1
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    assert sink.flush(10)
    stats = sink.stats()
    assert sink.write("error_logs", line("main", attempt + 1, 200))
    acknowledged.append(attempt + 1)
    begun = time.monotonic()
    sink.close(10)
    assert time.monotonic() < begun + 5  # it did not time out
    NOTES.write_bytes(acknowledged.tobytes())
    print(json.dumps({"stops": stops, "accepted": stats.accepted, "written": stats.written}))


if __name__ == "__main__":
    {"signals": signals, "finalisers": finalisers, "interrupt": interrupt}[KIND]()
