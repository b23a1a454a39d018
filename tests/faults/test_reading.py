"""Reading while four processes write."""

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from leadlog.core.layout import log_files
from leadlog.reading.duck import connect
from leadlog.reading.merged import read_merged
from leadlog.reading.scan import scan

READS = 24
ROUNDS = 420 if os.environ.get("SOAK") else 1
CATEGORY = "database_operations"

pytestmark = pytest.mark.handmade_lines


def complete_lines(root: Path) -> int:
    """Return the number of complete lines in the files."""
    return sum(file.path.read_bytes().count(b"\n") for file in log_files(root, [CATEGORY]))


def by_table(connection: Any, root: Path) -> dict[str, tuple[int, int, int]]:
    """Return by writer: events, distinct events, and the highest number."""
    found = connection.sql(
        "SELECT event_id[:2], count(*), count(DISTINCT event_id), "
        "max(CAST(event_id[4:] AS BIGINT)) + 1 "
        f"FROM ({scan(root, CATEGORY).select(connection)}) GROUP BY 1"
    ).fetchall()
    return {writer: numbers for writer, *numbers in found}


def by_line(root: Path) -> dict[str, list[int]]:
    """Return the same, read line by line."""
    ids = [event.data["event_id"] for event in read_merged(root, [CATEGORY])]
    counts, different = Counter(one[:2] for one in ids), Counter(one[:2] for one in set(ids))
    highest = {one[:2]: int(one[3:]) for one in sorted(ids)}
    return {key: [counts[key], different[key], highest[key] + 1] for key in counts}


@pytest.mark.parametrize("number", range(ROUNDS))
def test_no_event_is_missed_and_none_is_made_up(number: int, log: Any) -> None:
    """Each read has all events of each writer up to one of them, once, and every complete line.

    Files grow and new ones begin at the same time. At the end, every logged event is there.
    """
    writers = {name: log.start("chatter", name) for name in ("w0", "w1", "w2", "w3")}
    while not log.path.is_dir() or complete_lines(log.path) < 100:
        time.sleep(0.05)
    with connect(threads=2) as connection:
        for read in range(READS):
            complete = complete_lines(log.path)
            found = by_line(log.path) if read % 4 == 3 else by_table(connection, log.path)
            for events, different, last in found.values():
                assert events == different == last
            assert sum(events for events, _, _ in found.values()) >= complete
        logged = {
            name: int(process.communicate("stop\n", timeout=60)[0])
            for name, process in writers.items()
        }
        expected = {name: [count, count, count] for name, count in logged.items()}
        assert {name: list(row) for name, row in by_table(connection, log.path).items()} == expected
        assert by_line(log.path) == expected
    assert min(logged.values()) > 0
