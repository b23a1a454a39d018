"""Sealing, retention and erasing, killed at random moments: nothing is lost or doubled."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from leadlog import archive, erasure
from leadlog.analytics.summary import count_days
from leadlog.archive import Policy
from leadlog.layout import log_files
from tests.bench.made_events import write

SOAK = bool(os.environ.get("SOAK"))
KILLS = 50 if SOAK else 2
DAY = "2026-11-01"
PERSON = "lead-000007"

# Imports once; measures how long the work takes; then forks for each directory and kills the
# child somewhere inside, sooner if one came to its end.
KILLER = """
import os, random, signal, sys, time
import duckdb, pyarrow
from leadlog import archive, erasure
from leadlog.archive import Policy, buckets, janitor, parquet
from leadlog.analytics import relational
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
    """Logs in which some work was killed, made of a day of lines, or of a sealed one."""

    def make(what, *, sealed):
        write(root, DAY, 600, people=60)
        for file in log_files(root):
            os.utime(file.path, (1_793_534_400, 1_793_534_400))
        if sealed:
            archive.run(root, Policy(0, parquet_after_days=7), today=tools.today)
        copies = [tmp_path / f"copy-{number}" for number in range(KILLS * 2 + 1)]
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
    """Whether nothing half-written and no journal is left."""
    return not [path for path in root.rglob(".*") if path.name != ".archive.lock"]


@pytest.mark.timeout(3_000 if SOAK else 240)
def test_killed_while_sealing(killed, root, tools):
    """Every line is there once, at once and after a rerun, which seals the rest."""
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


@pytest.mark.timeout(3_000 if SOAK else 240)
def test_killed_while_retaining(killed, root, tools):
    """What is to stay stays; what is to go is gone after a rerun, and counts are those of it."""
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
    """Nobody else's line is lost; after a rerun without names the person is gone."""
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
