"""A forked child has rings, a slot and a thread of its own, and takes nothing from its parent."""

import os
from typing import Any

import pytest

from leadlog.core.layout import log_files

SOAK = bool(os.environ.get("SOAK"))

pytestmark = pytest.mark.handmade_lines


@pytest.mark.timeout(300)
def test_a_fork_storm_beside_hammering_threads(log: Any) -> None:
    """Children and grandchildren log and end in every way: nobody hangs, nothing is lost."""
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
