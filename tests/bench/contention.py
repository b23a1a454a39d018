"""Measure how much leadlog delays an application's threads; print JSON.

    contention.py DIRECTORY calls|sleeper leadlog|nothing SECONDS

`calls`: the duration of `log.info` next to one CPU-bound thread, microseconds. `sleeper`: the
delay with which a thread wakes that sleeps 1 ms in a loop, microseconds, while another thread
logs 5,000 events a second (`leadlog`) or only counts as many (`nothing`).
"""

import json
import sys
import threading
import time
from pathlib import Path

import leadlog
from tests.bench.stock import METRICS, typical

DIRECTORY, WHAT, BESIDE, SECONDS = Path(sys.argv[1]), *sys.argv[2:4], float(sys.argv[4])
PER_SECOND = 5_000
BURST = 10


def compute() -> None:
    """Compute without ever releasing the interpreter voluntarily."""
    number = 0
    while True:
        number += 1


def figures(times: list[float]) -> dict[str, float]:
    """Return percentiles in µs."""
    times.sort()
    count = len(times)
    return {
        "median": times[count // 2] * 1e6,
        "p99": times[count * 99 // 100] * 1e6,
        "p99.9": times[count * 999 // 1000] * 1e6,
        "count": count,
    }


def calls() -> dict[str, float]:
    """Measure calls in bursts of ten with a pause between them, as requests make them."""
    log, leads = leadlog.get_logger(), typical()
    threading.Thread(target=compute, daemon=True).start()
    clock = time.perf_counter
    times: list[float] = []
    end = clock() + SECONDS
    while clock() < end:
        for _ in range(BURST):
            lead = next(leads)
            begin = clock()
            log.info("lead.add", lead=lead, performance_metrics=METRICS)
            times.append(clock() - begin)
        time.sleep(0.001)
    return figures(times[BURST:])


def sleeper() -> dict[str, float]:
    """Measure how late this thread wakes while another one logs at an even pace."""
    log, leads = leadlog.get_logger(), typical()
    done = threading.Event()

    def write() -> None:
        begin = time.perf_counter()
        number = 0.0
        while not done.is_set():
            due = (time.perf_counter() - begin) * PER_SECOND
            while number < due:
                number += 1
                lead = next(leads)
                if BESIDE == "leadlog":
                    log.info("lead.add", lead=lead, performance_metrics=METRICS)
            time.sleep(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    late: list[float] = []
    clock = time.perf_counter
    end = clock() + SECONDS
    while clock() < end:
        begin = clock()
        time.sleep(0.001)
        late.append(clock() - begin - 0.001)
    done.set()
    writer.join()
    return figures(late)


if __name__ == "__main__":
    leadlog.configure(directory=DIRECTORY)
    found = calls() if WHAT == "calls" else sleeper()
    leadlog.flush(30)
    print(json.dumps({**found, "dropped": leadlog.stats().dropped}))
    leadlog.shutdown()
