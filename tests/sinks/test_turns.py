"""The drain yields to other threads between its slices."""

import os
import resource
import sys
import threading
import time

import pytest

from leadlog.recording.sinks.finishing import Turns

TURNS = 500

needs_linux = pytest.mark.skipif(
    not hasattr(os, "sched_yield") or not hasattr(resource, "RUSAGE_THREAD"),
    reason="only Linux counts how often a thread went to sleep",
)


def sleeps(turns: Turns) -> int:
    """Return the number of times this thread slept in its turns."""
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    for _ in range(TURNS):
        turns()
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before


@needs_linux
def test_a_thread_alone_does_not_sleep() -> None:
    """If no other thread runs, sleeping would be useless."""
    assert sleeps(Turns()) < TURNS / 2


def test_a_waiting_thread_gets_the_interpreter() -> None:
    """Threads that wake up run within a few slices, whatever the switch interval."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(60)
    woken = 0

    def wake() -> None:
        nonlocal woken
        for _ in range(20):
            time.sleep(0.001)
            woken += 1

    threads = [threading.Thread(target=wake) for _ in range(3)]
    try:
        for thread in threads:
            thread.start()
        turns = Turns()
        end = time.monotonic() + 30
        while woken < 60 and time.monotonic() < end:
            slice_end = time.perf_counter() + 0.0002
            while time.perf_counter() < slice_end:
                pass
            turns()
    finally:
        sys.setswitchinterval(before)
        for thread in threads:
            thread.join()
    assert woken == 60
    assert time.monotonic() < end
