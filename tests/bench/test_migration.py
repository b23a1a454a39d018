"""The speed of migrating files, compared with the store alone, and its memory use.

`MIGRATION_MB=1000 make bench ARGS="tests/bench/test_migration.py -s"` measures with a file of 1 GB;
`MIGRATION_FILE=leads.json` measures the rate with your own file.
"""

import csv
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest

from leadlog.leads.migration import MigrationManager
from leadlog.leads.store import LeadDatabase
from leadlog.testing import generate_leads

MEGABYTES = int(os.environ.get("MIGRATION_MB", "40"))
RECORD_BYTES = int(os.environ.get("MIGRATION_RECORD_BYTES", "4000"))
FILE = os.environ.get("MIGRATION_FILE")

# Prints its peak memory, in 10^6 bytes, at each tenth of the file, and the rate.
CHILD = """
import resource, sys, time
from leadlog.leads.migration import MigrationManager
from leadlog.leads.store import LeadDatabase

peaks, tenth = [], 0
def told(progress):
    global tenth
    if progress.step == "reading" and progress.bytes_done * 10 >= tenth * progress.bytes_total:
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 10**6)
        tenth += 1
with LeadDatabase(sys.argv[1], capture=False) as db:
    result = MigrationManager(db).migrate_json_files([sys.argv[2]], progress=told)
used = resource.getrusage(resource.RUSAGE_SELF)
print(result.records, result.data_integrity_maintained, round(result.per_second or 0),
      round(result.records / (used.ru_utime + used.ru_stime)), round(result.seconds),
      round(result.verify_seconds or 0), used.ru_maxrss * 1024 // 10**6, *peaks)
"""


def leads(count: int) -> Iterator[dict[str, Any]]:
    """Yield leads of about `RECORD_BYTES` each, of whom one in twenty is a duplicate."""
    chance = random.Random(7)
    filler = "".join(chance.choices("abcdefghij klmnop", k=RECORD_BYTES))
    for n in range(count):
        who = n if n % 20 else chance.randrange(n + 1)
        start = chance.randrange(200)
        yield {
            "First Name": f"Ada{who}",
            "Last Name": "Lovelace",
            "Company": f"Company {who // 10}",
            "Email 1": f"ada{who}@acme.example",
            "Index": n,
            "Notes": filler[start : start + RECORD_BYTES // 2],
            "History": [filler[start : start + 200]] * (RECORD_BYTES // 500),
        }


def write(path: Path, megabytes: int) -> int:
    """Write a file of a size, in the format of its suffix; return its number of records."""
    if path.suffix == ".csv":
        return write_csv(path, leads(megabytes * 1_000_000), megabytes * 1_000_000)
    size = count = 0
    with path.open("w", encoding="utf-8") as stream:
        stream.write("[")
        for lead in leads(megabytes * 1_000_000):
            text = json.dumps(lead)
            stream.write(f"{',' if count else ''}\n{text}")
            count += 1
            size += len(text) + 2
            if size >= megabytes * 1_000_000:
                break
        stream.write("\n]\n")
    return count


def write_csv(path: Path, given: Iterable[Mapping[str, Any]], size: float = float("inf")) -> int:
    """Write leads as a table of all their columns, up to a size; return the number of leads."""
    some = list(islice(iter(given), 1000))
    names = list(dict.fromkeys(name for lead in some for name in lead))
    count = 0
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, names, extrasaction="ignore")
        table.writeheader()
        for lead in chain(some, given):
            table.writerow({name: cell(value) for name, value in lead.items()})
            count += 1
            if stream.tell() >= size:
                break
    return count


def cell(value: Any) -> Any:
    """Return a value as the text of a cell."""
    return json.dumps(value) if isinstance(value, list | dict) else value


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, capsys: Any, suffix: str) -> None:
    """The memory peak stays below 150 MB, and the second half of the file adds little."""
    path = tmp_path / f"leads.{suffix}"
    count = write(path, MEGABYTES)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, tmp_path / "leads.db", path],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    records, whole, rate, cpu_rate, seconds, verified, peak, *peaks = done.stdout.split()
    with capsys.disabled():
        print(
            f"\n{MEGABYTES} MB of {suffix}, {records} records: {seconds} s ({rate}/s; {cpu_rate} "
            f"per second of CPU, verification included), verified in {verified} s, peak {peak} MB, "
            f"by tenths: {' '.join(peaks)}"
        )
    assert (int(records), whole) == (count, "True")
    assert int(peak) <= 150
    assert int(peaks[-1]) - int(peaks[len(peaks) // 2]) <= 10


def command(path: Path, place: Path) -> tuple[dict[str, Any], float]:
    """Migrate a file with the command; return its output, and its CPU seconds."""
    given = ["-m", "leadlog", "migrate", path, "--no-backup", "--json", "--no-verify"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *given, "--directory", place, "--database", f"{place}.db"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = json.loads(done.stdout)
    assert found["rejected"] + found["migrated"] + found["duplicates"] == found["records"]
    return found, used


@pytest.mark.timeout(600)
@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_the_command_migrates_5000_leads_in_a_second(
    tmp_path: Path, capsys: Any, suffix: str
) -> None:
    """A CPU second migrates 5,000 leads, with duplicates found, logged and committed to a file.

    Measured in CPU seconds, so that other programs matter little; start-up is not counted.
    """
    path, one = tmp_path / f"leads.{suffix}", tmp_path / f"one.{suffix}"
    found = list(generate_leads(20_000))
    for place, some in ((path, found), (one, found[:1])):
        if suffix == "csv":
            write_csv(place, some)
        else:
            place.write_text(json.dumps(some), "utf-8")
    start = min(command(one, tmp_path / f"one{turn}")[1] for turn in range(3))
    clock, cpu = [], []
    for turn in range(5):
        result, used = command(Path(FILE) if FILE else path, tmp_path / str(turn))
        clock.append(result["per_second"])
        cpu.append(result["records"] / (used - start))
    with capsys.disabled():
        print(
            f"\nleadlog migrate, {suffix}, records/s: by the clock {sorted(map(round, clock))}, by "
            f"CPU {sorted(map(round, cpu))}, and {start:.2f} s of CPU to start"
        )
    assert max(clock + cpu) >= 5_000


def cpu_seconds() -> float:
    """Return the CPU seconds that this process has used so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def test_a_migration_costs_little_more_than_the_store(tmp_path: Path, capsys: Any) -> None:
    """Reading, accounting and measuring take at most as long as adding the leads does."""
    if FILE:
        found = json.loads(Path(FILE).read_text("utf-8"))
        path = Path(FILE)
    else:
        found = list(generate_leads(10_000))
        path = tmp_path / "leads.json"
        path.write_text(json.dumps(found), "utf-8")
    spent: dict[str, list[float]] = {"store": [], "migration": []}
    rates = []
    for turn in range(3):
        with LeadDatabase(tmp_path / f"store{turn}.db", capture=False) as db:
            before = cpu_seconds()
            db.add_leads(found, 1000, report=lambda *_: None)
            spent["store"].append(cpu_seconds() - before)
        with LeadDatabase(tmp_path / f"migration{turn}.db", capture=False) as db:
            before, began = cpu_seconds(), time.perf_counter()
            MigrationManager(db).migrate_json_files([path], verify=False)
            rates.append(len(found) / (time.perf_counter() - began))
            spent["migration"].append(cpu_seconds() - before)
    store, migration = (min(times) for times in spent.values())
    with capsys.disabled():
        print(
            f"\n{len(found)} records: store {len(found) / store:.0f}, migration "
            f"{len(found) / migration:.0f} per second of CPU; best {max(rates):.0f}/s by the clock"
        )
    assert migration <= 2 * store
