"""However a process ends, its lines are in the files, at the latest after a recovery."""

import signal
import subprocess
from typing import Any

import pytest

pytestmark = pytest.mark.handmade_lines

ORDERLY = {"return": 0, "sys.exit": 3, "exception": 1, "SIGTERM handled": 5, "thread": 0}
ABRUPT = {"os._exit": 4, "SIGTERM": -signal.SIGTERM, "SIGABRT": -signal.SIGABRT} | {
    "SIGKILL": -signal.SIGKILL
}


@pytest.mark.parametrize("kind", ORDERLY)
def test_an_orderly_end_leaves_no_ring(log: Any, kind: str) -> None:
    """Exit handlers run, so every line is in its file before the process is gone."""
    process = log.start("exits", log.notes, kind, stderr=subprocess.DEVNULL)
    assert process.wait(30) == ORDERLY[kind]
    assert log.rings() == []
    assert log.balanced() == {"main": 100}


@pytest.mark.parametrize("kind", ABRUPT)
def test_an_abrupt_end_leaves_rings_that_are_recovered(log: Any, kind: str) -> None:
    """No exit handler runs; the lines stay in the rings until they are recovered."""
    process = log.start("exits", log.notes, kind, stderr=subprocess.DEVNULL)
    assert process.wait(30) == ABRUPT[kind]
    assert log.rings() != []
    assert not any(one.alive for one in log.reports())
    assert log.recover().errors == []
    assert log.rings() == []
    assert log.balanced() == {"main": 100}


def test_an_interrupted_process_ends_in_order(log: Any) -> None:
    """Ctrl-C is an exception in Python, so exit handlers run."""
    process = log.start("exits", log.notes, "SIGINT", stderr=subprocess.DEVNULL)
    assert process.wait(30) == -signal.SIGINT
    assert log.rings() == []
    assert log.balanced() == {"main": 100}


def test_a_multiprocessing_child_that_never_closes_its_sink(log: Any) -> None:
    """Such a child runs no exit handlers at all; its lines are recovered."""
    log.run("exits", log.notes, "multiprocessing")
    log.recover()
    assert log.balanced() == {"child": 100}


def test_an_exit_handler_that_logs_after_the_log_was_closed(log: Any) -> None:
    """A new sink works even while the interpreter ends and starts no threads."""
    log.run("exits", log.notes, "late")
    assert log.rings() == []
    assert log.balanced() == {"main": 100, "late": 10}
