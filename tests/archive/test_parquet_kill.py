"""Sealing, merging, retention and erasing, killed at random moments: nothing lost or doubled."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from leadlog.core.layout import CATEGORIES, log_files
from leadlog.reading import archive, erasure
from leadlog.reading.analytics.summary import count_days
from leadlog.reading.archive import Policy
from leadlog.reading.duck import connect
from leadlog.reading.scan import scan
from tests.bench.made_events import write

SOAK = bool(os.environ.get("SOAK"))
KILLS = 50 if SOAK else 2
DAY = "2026-11-01"
PERSON = "lead-000007"

# Imports once and measures the work's time; then forks for each directory and kills the child
# somewhere within it, or lets it end if it is faster.
KILLER = """
import os, random, signal, sys, time
import duckdb, pyarrow
from leadlog.reading import archive
from leadlog.reading import erasure
from leadlog.reading.archive import Policy, buckets, janitor, merge, parquet
from leadlog.reading.analytics import relational
from leadlog.reading import part

what, wanted, today, first, *directories = sys.argv[1:]
def work(directory):
    if what == "erase":
        erasure.run(directory, lead_ids=["lead-000007"], today=today)
    elif what == "retain":
        archive.run(directory, Policy(0, {"database_operations": 19}, None, 7), today=today)
    else:
        archive.run(directory, Policy(0, None, None, 7), today=today)
chance = random.Random(20261123)
killed = []
# In a child: a database that was open before a fork is not to be used after it.
def forked(directory, seconds):
    began = time.perf_counter()
    child = os.fork()
    if not child:
        try:
            work(directory)
        finally:
            os._exit(0)
    if seconds is not None:
        time.sleep(chance.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status), time.perf_counter() - began
_, seconds = forked(first, None)
for directory in directories:
    was_killed, _ = forked(directory, seconds)
    if was_killed:
        killed.append(directory)
    else:
        seconds *= 0.8
    if len(killed) == int(wanted):
        break
print(*killed)
"""


@pytest.fixture
def killed(tmp_path, root, tools, environment):
    """Return logs in which some work was killed, made from a day of lines or from a sealed one.

    If it is sealed to parts, these are of several writers, and not merged.
    """

    def seal(directory, seed, writer):
        write(directory, DAY, 300, seed=seed, people=60)
        for file in log_files(directory):
            path = file.path.rename(file.path.with_name(f"{DAY}{writer}.jsonl"))
            os.utime(path, (1_793_534_400, 1_793_534_400))
        archive.run(directory, Policy(0, parquet_after_days=7), today=tools.today)

    def make(what, *, sealed, parts=1):
        if not sealed:
            write(root, DAY, 600, people=60)
        for file in log_files(root):
            os.utime(file.path, (1_793_534_400, 1_793_534_400))
        if sealed:
            for number in range(parts):
                each = tmp_path / f"writer-{number}"
                seal(each, number, f".w{number}" if number else "")
                shutil.copytree(each, root, dirs_exist_ok=True)
        copies = [tmp_path / f"copy-{number}" for number in range(KILLS * 3 + 3)]
        for copy in copies:
            shutil.copytree(root, copy)
        done = subprocess.run(
            [sys.executable, "-c", KILLER, what, str(KILLS), tools.today, *map(str, copies)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=1_500 if SOAK else 110,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        directories = [Path(name) for name in done.stdout.split()]
        assert len(directories) == KILLS
        return directories

    return make


def no_drafts(root):
    """Return whether no draft and no journal is left."""
    kept = {".archive.lock", ".erasures.jsonl"}
    hidden = [path for path in root.rglob(".*") if path.name not in kept]
    return not hidden + list(root.rglob("_merged-*"))


@pytest.mark.timeout(3_000 if SOAK else 240)
def test_killed_while_sealing(killed, root, tools):
    """Every line exists once, both after the kill and after a rerun, which seals the rest."""
    directories = killed("seal", sealed=False)
    before = tools.read(root)
    for directory in directories:
        assert tools.read(directory) == before
        report = archive.run(directory, Policy(0, parquet_after_days=7), today=tools.today)
        assert (report.errors, report.kept, report.findings) == ((), (), False)
        assert tools.read(directory) == before
        assert all(file.archived for file in log_files(directory))
        assert no_drafts(directory)
        found = count_days(directory, DAY)
        assert found.from_buckets == (DAY,)
        assert sum(count for _, count in found.tally.counts()) == sum(before.values())


def by_category(root):
    """Return the numbers of events that DuckDB finds."""
    with connect(threads=1) as connection:
        return [
            connection.sql(f"SELECT count(*) FROM ({found.select(connection)})").fetchall()
            for category in CATEGORIES
            for found in [scan(root, category)]
        ]


@pytest.mark.timeout(3_000 if SOAK else 240)
def test_killed_while_merging(killed, root, tools):
    """Every reader finds each line once, after the kill and after a rerun; one part is left."""
    directories = killed("merge", sealed=True, parts=2)
    before, rows = tools.read(root), by_category(root)
    fresh = count_days(root, DAY, exact=True).tally
    for directory in directories:
        assert tools.read(directory) == before
        assert by_category(directory) == rows
        report = archive.run(directory, Policy(0, parquet_after_days=7), today=tools.today)
        assert (report.errors, report.kept, report.findings) == ((), (), False)
        assert tools.read(directory) == before
        parts = Counter(path.parent for path in directory.rglob("*.parquet"))
        assert set(parts.values()) == {1}
        assert no_drafts(directory)
        found = count_days(directory, DAY)
        assert (found.from_buckets, found.tally) == ((DAY,), fresh)


@pytest.mark.timeout(3_000 if SOAK else 240)
def test_killed_while_retaining(killed, root, tools):
    """Retained files stay; expired ones are gone after a rerun, and the counts agree."""
    directories = killed("retain", sealed=True)
    before = tools.read(root)
    policy = Policy(0, {"database_operations": 19}, None, 7)
    for directory in directories:
        assert tools.read(directory) <= before
        assert archive.run(directory, policy, today=tools.today).errors == ()
        left = Counter(
            {line: count for line, count in before.items() if b'"database_operation"' not in line}
        )
        assert tools.read(directory) == left
        assert no_drafts(directory)
        fresh = count_days(directory, DAY, exact=True)
        assert count_days(directory, DAY).tally == fresh.tally


@pytest.mark.timeout(3_000 if SOAK else 240)
@pytest.mark.parametrize("sealed", [True, False] if SOAK else [True])
def test_killed_while_erasing(killed, root, tools, sealed):
    """No other person's line is lost; after a rerun without names the person is erased."""
    directories = killed("erase", sealed=sealed)
    before = tools.read(root)
    others = Counter({line: count for line, count in before.items() if PERSON.encode() not in line})
    assert others != before
    for directory in directories:
        found = tools.read(directory)
        assert others <= found <= before
        erasure.run(directory, lead_ids=[PERSON], today=tools.today)
        assert tools.read(directory) == others
        assert no_drafts(directory)
        fresh = count_days(directory, DAY, exact=True)
        assert count_days(directory, DAY).tally == fresh.tally
