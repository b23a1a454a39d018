"""A forked child has its own rings, slot and thread, and takes nothing from its parent."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from leadlog.core.layout import log_files

SOAK = bool(os.environ.get("SOAK"))

pytestmark = pytest.mark.handmade_lines


@pytest.mark.timeout(300)
def test_a_fork_storm_beside_hammering_threads(log: Any) -> None:
    """Children and grandchildren log and end in every way: none hangs, nothing is lost."""
    children = 300 if SOAK else 40  # accounts of 512 rings are kept
    log.run("forks", log.notes, "storm", children, timeout=240)
    assert log.recover().errors == []
    assert log.rings() == []
    taken = log.balanced()
    assert all(taken[f"child-{number}"] == 20 for number in range(children))


def test_the_workers_of_a_preloading_server_write_files_of_their_own(log: Any) -> None:
    """Opened before the fork, used after it: each process takes a slot when it first logs."""
    log.run("forks", log.notes, "preload", 4)
    log.recover()
    assert log.balanced() == {"server": 1} | {f"worker-{number}": 50 for number in range(4)}
    writers = sorted(file.writer for file in log_files(log.path, ["database_operations"]))
    assert writers == [0, 1, 2, 3, 4]


def test_the_workers_of_a_multiprocessing_pool_lose_nothing(log: Any) -> None:
    """They end by a signal, without atexit; their lines are recovered."""
    log.run("forks", log.notes, "pool", 4)
    log.recover()
    assert log.balanced() == {f"job-{number}": 30 for number in range(20)}


def test_children_that_are_forked_in_c_have_rings_of_their_own(log: Any) -> None:
    """As with uWSGI, no hook of Python runs, but no child writes to the parent's rings."""
    log.run("forks", log.notes, "unseen", 9)
    assert log.recover().errors == []
    workers = {f"worker-{number}": 300 for number in range(9) if number % 3}
    assert log.balanced() == {"server": 901} | workers


def test_events_of_children_that_are_forked_in_c_arrive_once(tmp_path: Path) -> None:
    """True for logger calls: ids, sessions and all other state are renewed in the child."""
    code = """
import ctypes, os, sys, time
import leadlog
leadlog.configure(directory=sys.argv[1], poll_seconds=60)
log = leadlog.get_logger()
log.info("boot")
leadlog.flush()
time.sleep(0.05)
workers = []
for worker in range(3):
    child = ctypes.PyDLL(None).fork()
    if child == 0:
        for number in range(300):
            log.info("line", worker=worker, number=number)
        leadlog.flush()
        os._exit(0)
    workers.append(child)
for child in workers:
    os.waitpid(child, 0)
leadlog.flush()
"""
    directory = tmp_path / "logs"
    subprocess.run([sys.executable, "-c", code, directory], check=True, timeout=60)
    records = [
        json.loads(line)
        for file in log_files(directory)
        for line in file.path.read_bytes().splitlines()
    ]
    assert len(records) == len({record["event_id"] for record in records}) == 901
    assert len({record["process_id"] for record in records}) == 4
