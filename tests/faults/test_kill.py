"""SIGKILL at any moment: no acknowledged line is lost, duplicated or torn."""

import contextlib
import json
import os
import random
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from leadlog.core.layout import log_files
from tests.faults.lines import finisher_of

SOAK = bool(os.environ.get("SOAK"))

pytestmark = pytest.mark.handmade_lines


@pytest.mark.timeout(3000 if SOAK else 600)
@pytest.mark.parametrize("kind", ["lines", "facts", "flood"])
def test_killed_writers_lose_nothing(log: Any, kind: str) -> None:
    """Four workers killed repeatedly: every acknowledged line is in a file, once, whole."""
    lives = (125 if kind == "flood" else 60) if SOAK else 8
    workers = [
        log.start("churn", log.notes, f"n{number}", lives, random.randrange(1 << 30), kind)
        for number in range(4)
    ]
    for worker in workers:
        worker.communicate(timeout=2500 if SOAK else 500)
        assert worker.returncode == 0
    assert log.recover(finisher_of=finisher_of).errors == []
    assert log.rings() == []
    assert sum(one.degraded for one in log.reports()) == 0
    if kind == "flood" and SOAK:
        # More rings than accounts are kept of: only what the writers noted counts.
        found, taken = log.found(), log.acknowledged()
        assert (found.torn, found.balance(taken)) == ([], (0, 0))
        print(f"{4 * lives} kills, {sum(taken.values())} lines acknowledged")
    else:
        taken = log.balanced()
    assert sum(taken.values()) > 20 * lives


@pytest.mark.timeout(600)
def test_no_row_is_committed_of_which_the_log_knows_nothing(log: Any, tmp_path: Path) -> None:
    """Killed at any moment around COMMIT: each committed row has exactly one record."""
    database = tmp_path / "rows.sqlite"
    unsettled = 0
    for life in range(300 if SOAK else 12):
        process = log.start("commits", database, f"n{life}", random.randrange(1 << 30))
        assert process.wait(60) == -signal.SIGKILL
        report = log.recover(finisher_of=finisher_of)
        assert report.errors == []
        unsettled += report.unsettled
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = {key for (key,) in connection.execute("SELECT id FROM rows")}
    logged = [
        json.loads(line)["event_id"]
        for file in log_files(log.path)
        for line in file.path.read_bytes().splitlines()
    ]
    assert len(rows) > 100
    assert len(logged) == len(set(logged))
    assert rows - set(logged) == set()
    assert len(set(logged) - rows) <= unsettled  # of these the database says that they are not
    assert log.rings() == []


def _kill(process: Any) -> None:
    process.kill()
    process.wait()


@pytest.mark.timeout(300)
def test_killed_recoverers_leave_the_rest_to_the_next(log: Any) -> None:
    """Recovery is killed at random bytes until it completes: 0 lost, 0 duplicate, 0 torn."""
    for number in range(3):
        process = log.start("leave_rings", log.notes, f"dead{number}", 400, 1_000 + 333 * number)
        assert process.wait(30) == -signal.SIGKILL
    left = len(log.rings())
    kills = 0
    for attempt in range(40 if SOAK else 12):
        recoverer = log.start("recoverer", 0.0005)
        recoverer.stdout.readline()
        recoverer.stdin.write("go\n")
        recoverer.stdin.flush()
        time.sleep(random.uniform(0.0, 0.02 + 0.01 * attempt))
        if recoverer.poll() is None:
            kills += 1
        _kill(recoverer)
    assert kills > 3
    assert left >= 3
    assert log.recover().errors == []
    assert log.rings() == []
    taken = log.balanced()
    assert sum(taken.values()) == 1200


def test_several_recoverers_at_once_share_the_work(log: Any) -> None:
    """Three recoverers start together on ten rings: each ring is recovered by one of them."""
    dead = [
        log.start("leave_rings", log.notes, f"dead{number}", 200, 500 + number)
        for number in range(4)
    ]
    for process in dead:
        assert process.wait(30) == -signal.SIGKILL
    recoverers = [log.start("recoverer", 0) for _ in range(3)]
    for recoverer in recoverers:
        recoverer.stdout.readline()
    for recoverer in recoverers:
        recoverer.stdin.write("go\n")
        recoverer.stdin.flush()
    for recoverer in recoverers:
        assert recoverer.wait(30) == 0
    assert log.rings() == []
    assert sum(log.balanced().values()) == 800


def test_a_full_ring_grows_in_memory_that_survives(log: Any) -> None:
    """Thirty times the first ring's size, none of it written: everything is recovered."""
    process = log.start("leave_rings", log.notes, "dead", 48_000, 5_000)
    assert process.wait(60) == -signal.SIGKILL
    assert sum(one.degraded for one in log.reports()) == 0
    assert len(log.rings()) > 8
    assert log.recover().errors == []
    assert sum(log.balanced().values()) == 48_000


def test_lines_in_the_overflow_of_a_killed_process_are_counted_as_lost(log: Any) -> None:
    """Lines in the heap only are gone, and counted: taken = in files + lost."""
    process = log.start("leave_rings", log.notes, "dead", 1750, 5_000, 200_000)
    assert process.wait(30) == -signal.SIGKILL
    before = log.reports()
    report = log.recover()
    assert report.lost > 0
    found, taken = log.found(), log.acknowledged()
    assert found.torn == []
    (account,) = log.reports()
    assert account.dropped == {"lost": report.lost}
    assert account.written == len(found.numbers["dead"])
    assert account.accepted == account.written + report.lost == taken["dead"]
    assert not account.alive
    # Before the recovery the counts showed the lines that waited for it.
    (waiting,) = before
    assert waiting.accepted == account.accepted
    assert waiting.written + waiting.in_ring == account.written
