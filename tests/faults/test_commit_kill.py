"""SIGKILL around COMMIT: every committed row has a record, and no record claims a missing row."""

import contextlib
import json
import os
import random
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from leadlog.core.layout import log_files
from leadlog.recording.pipeline.policy import finisher_of

SOAK = bool(os.environ.get("SOAK"))
MODES = ("session", "many", "store", "caller")


def rows_of(database: Path, mode: str) -> set[str]:
    """Return the keys in the database."""
    table = "leads" if mode == "store" else "notes"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return {key for (key,) in connection.execute(f"SELECT id FROM {table}")}


def records_of(directory: Path) -> list[dict[str, Any]]:
    """Return the log's records of writes."""
    found = [
        json.loads(line)
        for file in log_files(directory, ["database_operations"])
        for line in file.path.read_bytes().splitlines()
    ]
    return [record for record in found if record["data_details"].get("change") == "create"]


def killed(log: Any, database: Path, name: str, when: object, mode: str) -> None:
    """Run the program until it is dead, and recover."""
    process = log.start("capturing", database, name, when, mode)
    assert process.wait(120) == -signal.SIGKILL, process.stderr.read()
    assert log.recover(finisher_of=finisher_of).errors == []


def check(log: Any, database: Path, mode: str) -> list[dict[str, Any]]:
    """Compare the log with the database."""
    records, rows = records_of(log.path), rows_of(database, mode)
    logged = [record["lead_identifier"]["lead_id"] for record in records]
    outcomes = {
        record["lead_identifier"]["lead_id"]: record["operation_details"]["outcome"]
        for record in records
    }
    assert len(logged) == len(set(logged)), "a record is there twice"
    assert rows - set(logged) == set(), "committed rows without a record"
    claimed = {key for key, outcome in outcomes.items() if outcome == "committed"}
    assert claimed - rows == set(), "`committed`, but not there"
    assert "hunter2" not in json.dumps(records)
    return records


@pytest.mark.parametrize("mode", MODES)
def test_killed_between_commit_and_its_record(log: Any, tmp_path: Path, mode: str) -> None:
    """The row exists, and its record says that the outcome was not seen."""
    database = tmp_path / "rows.sqlite"
    killed(log, database, "n", "after", mode)
    records = check(log, database, mode)
    count = 40 if mode == "many" else 1
    assert len(records) == len(rows_of(database, mode)) >= 2 * count
    outcomes = [record["operation_details"]["outcome"] for record in records]
    assert outcomes == ["committed"] * (len(records) - count) + ["unknown"] * count
    last = records[-1]
    assert last["recovered"] is True
    assert last["operation_details"]["success"] is False
    if mode != "store":
        assert last["data_details"]["fields_changed"]["text"] == {"new": "password=***"}


@pytest.mark.parametrize("mode", ["session", "store"])
def test_killed_before_commit_is_sent(log: Any, tmp_path: Path, mode: str) -> None:
    """The row does not exist, and its record claims nothing."""
    database = tmp_path / "rows.sqlite"
    killed(log, database, "n", "before", mode)
    records = check(log, database, mode)
    outcomes = [record["operation_details"]["outcome"] for record in records]
    assert outcomes == ["committed"] * len(rows_of(database, mode)) + ["unknown"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", MODES)
def test_killed_at_any_moment(log: Any, tmp_path: Path, mode: str) -> None:
    """This holds for any number of kills, and any kind of write."""
    database = tmp_path / "rows.sqlite"
    for life in range(80 if SOAK else 4):
        killed(log, database, f"n{life}", random.uniform(0.05, 0.4), mode)
    assert check(log, database, mode)
