"""Eight processes add the same leads at once, and write the log at the same time.

With `SOAK=1` each process adds 2,000 leads, as the store promises; otherwise as many as fit into a
test.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from leadlog.leads.store import LeadDatabase

SOAK = bool(os.environ.get("SOAK"))
PROCESSES = 8
LEADS = 2000 if SOAK else 60
PROGRAM = """
import random, sys
import leadlog
url, number, count, logs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
leadlog.configure(directory=logs)
order = list(range(count))
random.Random(number).shuffle(order)
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
with leadlog.LeadDatabase(url) as db:
    ids = {
        db.add_lead(
            {
                "name": f"Ada{n} Lovelace",
                "company": f"Company {n}",
                "email": f"ada{n}@acme.example",
                f"seen by {number}": n,
            }
        )
        for n in order
    }
leadlog.shutdown()
print(len(ids))
"""


def hammer(url: str, logs: Path) -> None:
    """Run the processes; fail if one fails or writes to standard error."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, url, str(number), str(LEADS), str(logs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for number in range(PROCESSES)
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        said, errors = worker.communicate(timeout=3000 if SOAK else 100)
        assert (worker.returncode, errors, said) == (0, "", f"{LEADS}\n")


def replayed(records: list[dict]) -> dict[str, dict]:
    """Return the table according to the log, replayed in order of each lead's versions."""
    found: dict[str, dict] = {}
    changes = [
        (record["lead_identifier"]["lead_id"], record["data_details"]["fields_changed"])
        for record in records
        if record["data_details"]["fields_changed"]
    ]
    changes.sort(key=lambda change: (change[0], change[1]["row_version"]["new"]))
    for lead_id, columns in changes:
        row = found.setdefault(lead_id, {})
        for column, values in columns.items():
            assert row.get(column) == values.get("old"), (lead_id, column)
            row[column] = values["new"]
    return found


@pytest.mark.timeout(3600 if SOAK else 120)
@pytest.mark.slow
@pytest.mark.parametrize("where", ["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_eight_processes_leave_each_lead_once_and_a_log_that_replays(
    where, tmp_path, request, logged
):
    """Each person is one lead, no update is lost, nothing fails, and the log replays exactly."""
    url = (
        f"sqlite:///{tmp_path / 'leads.db'}"
        if where == "file"
        else request.getfixturevalue("postgres_database")
    )
    with LeadDatabase(url, capture=False):
        pass
    logs = tmp_path / "logs"
    hammer(url, logs)
    with LeadDatabase(url, capture=False) as db:
        table = {lead["id"]: lead for lead in db.get_all_leads()}
        merges = len(db.get_merges(limit=10**6))
    assert len(table) == len({lead["email"] for lead in table.values()}) == LEADS
    # Nobody's column was lost, and each of the others' merges was one version.
    assert {len(lead["raw_data"]) for lead in table.values()} == {PROCESSES}
    assert {lead["row_version"] for lead in table.values()} == {PROCESSES}
    assert merges == LEADS * (PROCESSES - 1)
    records = logged("database_operations", logs)
    assert len(records) == LEADS * PROCESSES
    assert {record["operation_details"]["outcome"] for record in records} == {"committed"}
    rows = replayed(records)
    assert json.dumps(rows, sort_keys=True) == json.dumps(
        {
            lead_id: {
                column: value.isoformat(timespec="microseconds").replace("+00:00", "Z")
                if hasattr(value, "isoformat")
                else value
                for column, value in lead.items()
                if column in rows[lead_id]
            }
            for lead_id, lead in table.items()
        },
        sort_keys=True,
    )
    assert all({"full_name", "company", "email", "raw_data"} <= row.keys() for row in rows.values())
    errors = logged("error_logs", logs)
    assert [error for error in errors if not error["recovery_info"]["recovery_successful"]] == []
