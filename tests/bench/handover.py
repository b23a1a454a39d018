"""Hand lines to one logging library, under one condition; print the cost as JSON.

    handover.py DIRECTORY ring|os.write|queue|loguru idle|busy|stalled CALLS

Calls come in bursts of ten with a pause between them, as requests do. `busy`: one thread of the
process computes all the time. `stalled`: lines are written to a pipe whose reader, a separate
process, stops reading for three seconds.
"""

import json
import logging
import logging.handlers
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from leadlog.recording.sinks.spool import SpoolSink

DIRECTORY, CONTENDER, CONDITION, CALLS = Path(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4])
TEXT = '{"timestamp":"2026-11-23T10:00:00.000000Z","padding":"' + "x" * 540 + '"}'
LINE = TEXT.encode() + b"\n"
STALL_SECONDS = 3.0

Closer = Callable[[], object]


def ring(place: Path, pipe: int) -> tuple[Callable[[], object], Closer]:
    """Return leadlog's sink."""

    def write(fd: int, data: bytes) -> int:
        return os.write(pipe if pipe >= 0 else fd, data)

    sink = SpoolSink(place, write=write)
    return lambda: sink.write("database_operations", LINE), lambda: sink.close(10)


def os_write(place: Path, pipe: int) -> tuple[Callable[[], object], Closer]:
    """Return a writer that makes one system call per line, in the caller."""
    place.mkdir()
    fd = pipe
    if fd < 0:
        fd = os.open(place / "log.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return lambda: os.write(fd, LINE), lambda: None


def queue_listener(place: Path, pipe: int) -> tuple[Callable[[], object], Closer]:
    """Return the standard library's QueueHandler and QueueListener."""
    place.mkdir()
    stream = os.fdopen(pipe, "w") if pipe >= 0 else (place / "log.jsonl").open("a")
    lines: queue.SimpleQueue[object] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(lines, logging.StreamHandler(stream))
    listener.start()
    logger = logging.getLogger("bench")
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.handlers.QueueHandler(lines))  # type: ignore[arg-type]
    return lambda: logger.info(TEXT), listener.stop


def loguru_enqueue(place: Path, pipe: int) -> tuple[Callable[[], object], Closer]:
    """Return loguru with enqueue=True."""
    from loguru import logger

    place.mkdir()
    stream = os.fdopen(pipe, "w") if pipe >= 0 else (place / "log.jsonl").open("a")
    logger.remove()
    logger.add(stream, format="{message}", enqueue=True)
    return lambda: logger.info(TEXT), logger.remove


READER = """
import pathlib, sys, time
fifo, stall = map(pathlib.Path, sys.argv[1:3])
with fifo.open("rb", buffering=0) as stream:
    while stream.read(1 << 16):
        if stall.exists():
            time.sleep(float(sys.argv[3]))
            stall.unlink()
"""


def compute() -> None:
    """Compute without ever releasing the interpreter voluntarily."""
    number = 0
    while True:
        number += 1


def main() -> None:
    place = DIRECTORY / "log"
    pipe = -1
    stall = DIRECTORY / "stall"
    if CONDITION == "stalled":
        fifo = DIRECTORY / "fifo"
        os.mkfifo(fifo)
        subprocess.Popen([sys.executable, "-c", READER, fifo, stall, str(STALL_SECONDS)])
        pipe = os.open(fifo, os.O_WRONLY)
    contenders = {
        "ring": ring,
        "os.write": os_write,
        "queue": queue_listener,
        "loguru": loguru_enqueue,
    }
    call, close = contenders[CONTENDER](place, pipe)
    if CONDITION == "busy":
        threading.Thread(target=compute, daemon=True).start()
    clock = time.perf_counter_ns
    for _ in range(100):
        call()
    if CONDITION == "stalled":
        stall.touch()
    times: list[int] = []
    while len(times) < CALLS or (CONDITION == "stalled" and stall.exists()):
        for _ in range(10):
            begin = clock()
            call()
            times.append(clock() - begin)
        time.sleep(0.001)
    times.sort()
    count = len(times)
    result = {
        "median": times[count // 2],
        "p99": times[count * 99 // 100],
        "p99.9": times[count * 999 // 1000],
        "worst": times[-1],
        "calls": count,
    }
    print(json.dumps(result), flush=True)
    close()
    os._exit(0)


if __name__ == "__main__":
    main()
