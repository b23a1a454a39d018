"""A migration is killed at random moments and resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from leadlog.leads.migration import MigrationManager
from leadlog.leads.store import LeadDatabase
from leadlog.testing import generate_leads
from tests.migration.conftest import items, stored

SOAK = bool(os.environ.get("SOAK"))
KILLS, LEADS = (50, 1500) if SOAK else (4, 300)

# Imports once, measures how long a migration takes, then forks one per database and kills it;
# every third one twice. Prints the databases whose migration was killed.
KILLER = """
import os, random, signal, sys, time
from leadlog.leads.migration import MigrationManager
from leadlog.leads.store import LeadDatabase

kills, root, *files = sys.argv[1:]
chance = random.Random(20261127)

def migrate(name):
    with LeadDatabase(f"{root}/{name}.db", capture=False) as db:
        manager = MigrationManager(db, backups=f"{root}/{name}-backups")
        manager.migrate_json_files(files, batch_size=20, rejects=f"{root}/{name}.jsonl")

def killed(name, seconds):
    child = os.fork()
    if not child:
        migrate(name)
        os._exit(0)
    time.sleep(chance.uniform(0, seconds))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)

began = time.perf_counter()
migrate("undisturbed")
seconds = time.perf_counter() - began
count = 0
for number in range(10 * int(kills)):
    if killed(f"db{number}", seconds):
        if number % 3 == 0:
            killed(f"db{number}", seconds)
        print(f"db{number}")
        count += 1
        if count == int(kills):
            break
    else:
        seconds *= 0.8
"""

pytestmark = [pytest.mark.fault, pytest.mark.handmade_lines]


def sources(folder: Path) -> list[Path]:
    """Return two files with duplicates, records without a lead, and broken syntax."""
    leads: list[Any] = [*generate_leads(LEADS)]
    leads[10] = {"company": "no name"}
    leads[20] = "no lead"
    files = [folder / "one-leads.json", folder / "two-leads.jsonl"]
    files[0].write_text(json.dumps(leads[: LEADS // 2]))
    lines = [json.dumps(lead) for lead in leads[LEADS // 2 :]]
    lines[50] = lines[50][:-9]
    files[1].write_text("\n".join(lines))
    return files


@pytest.mark.timeout(3000)
def test_killed_at_random_moments_and_run_again(tmp_path: Path) -> None:
    """The result equals that of an undisturbed run, and every record has one outcome."""
    files = sources(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(KILLS), tmp_path, *files],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
        timeout=2000,
    )
    assert done.returncode == 0, done.stderr
    killed = done.stdout.split()
    assert len(killed) == KILLS
    with LeadDatabase(tmp_path / "undisturbed.db", capture=False) as db:
        wanted, account = stored(db), items(db)
    rejects = (tmp_path / "undisturbed.jsonl").read_text()
    assert len(account) == LEADS
    assert Counter(outcome for *_, outcome in account)["rejected"] == len(rejects.splitlines())
    came = Counter[int]()
    for name in killed:
        with LeadDatabase(tmp_path / f"{name}.db", capture=False) as db:
            came[len(items(db))] += 1
            manager = MigrationManager(db, backups=tmp_path / f"{name}-backups")
            again = tmp_path / f"{name}-again.jsonl"
            result = manager.migrate_json_files(files, batch_size=20, rejects=again)
            assert (result.records, result.data_integrity_maintained) == (LEADS, True)
            assert stored(db) == wanted
            assert items(db) == account
            assert again.read_text() == rejects
            assert db.check() == []
    print(f"killed {len(killed)} times, when so many records were done: {sorted(came.elements())}")
    assert len(came) > 1  # the moments really differed
