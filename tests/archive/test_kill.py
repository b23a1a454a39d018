"""The janitor, killed at random moments and before each step that changes something."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from leadlog.reading import archive

# Imports once and measures a janitor's time; then forks one per directory and kills it, or lets it
# end if it is faster.
KILLS = 40 if os.environ.get("SOAK") else 15

RANDOM_KILLS = """
import os, random, signal, sys, time
from leadlog.reading import archive
from leadlog.reading.archive import janitor

today, first, *directories = sys.argv[1:]
chance = random.Random(20261123)
killed = []
began = time.perf_counter()
archive.run(first, today=today)
seconds = time.perf_counter() - began
for directory in directories:
    child = os.fork()
    if not child:
        archive.run(directory, today=today)
        os._exit(0)
    time.sleep(chance.uniform(0, seconds))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        killed.append(directory)
    else:
        seconds *= 0.8
    if len(killed) == KILLS:
        break
print(*killed)
""".replace("KILLS", str(KILLS))

# Exits just before the n-th audited event that changes a file.
KILL_AT_STEP = """
import os, signal, sys
from leadlog.reading import archive
from leadlog.reading.archive import janitor

today, *directories = sys.argv[1:]
EVENTS = {"open", "os.chmod", "os.utime", "os.rename", "os.remove", "os.truncate", "fcntl.flock"}
for number, directory in enumerate(directories):
    child = os.fork()
    if not child:
        left = number
        def count(event, arguments):
            global left
            if event in EVENTS:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(count)
        archive.run(directory, today=today)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(int(os.WIFSIGNALED(status)))
"""

# Adds a line to each file just after its copy was renamed.
LATE_LINE = """
import os, sys
from leadlog.reading import archive
from leadlog.reading.archive import janitor

today, directory = sys.argv[1:]
original = f"{directory}/error_logs/2026-11-01.jsonl"
def late(event, arguments):
    # Told just before it gets its name, which is after the last check before that.
    if event == "os.rename" and str(arguments[1]).endswith(".jsonl.zst"):
        with open(original, "ab") as stream:
            stream.write(b'{"timestamp": "late"}\\n')
sys.addaudithook(late)
report = archive.run(directory, today=today)
print(len(report.results), *[kept.file.path.name for kept in report.kept])
"""


def run_script(script, environment, *arguments):
    """Run a script to its end and return its output lines."""
    completed = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.split()


@pytest.fixture
def copies(tmp_path):
    """Make a number of copies of a log, including the files' times."""

    def make(root, count):
        made = [tmp_path / f"copy-{number}" for number in range(count)]
        for copy in made:
            shutil.copytree(root, copy)
        return made

    return make


def check(directory, before, tools):
    """Check that nothing is lost or duplicated, and that a second run completes the work."""
    assert tools.read(directory) == before
    report = archive.run(directory, today=tools.today)
    assert (report.errors, report.kept, report.findings) == ((), (), False)
    assert tools.read(directory) == before
    assert all(name.endswith(".jsonl.zst") for name in tools.names(directory))
    assert archive.run(directory, today=tools.today).results == ()


def test_killed_at_random_moments(root, tools, copies, environment):
    """Of 40 janitors killed at any moment, none loses or duplicates a line, or blocks the next."""
    for day in (1, 2, 3):
        for category in ("error_logs", "sync_operations"):
            tools.add(root, f"{category}/2026-11-0{day}.jsonl", 150_000)
    before = tools.read(root)
    printed = run_script(RANDOM_KILLS, environment, tools.today, *copies(root, 2 * KILLS))
    killed = [Path(directory) for directory in printed]
    assert len(killed) == KILLS
    assert len({len(list(directory.rglob("*.zst"))) for directory in killed}) > 1
    for directory in killed:
        check(directory, before, tools)


def test_killed_before_each_step(root, tools, copies, environment):
    """After a kill before any step nothing is lost or duplicated; the next run completes it."""
    for day in (1, 2):
        tools.add(root, f"error_logs/2026-11-0{day}.jsonl", 30_000)
    before = tools.read(root)
    directories = copies(root, 60)
    killed = run_script(KILL_AT_STEP, environment, tools.today, *directories)
    assert killed == sorted(killed, reverse=True)
    assert 15 < killed.count("1") < 60  # every step, and some runs to the end
    twins = 0
    for directory in directories:
        found = set(tools.names(directory))
        twins += any(f"{name}.zst" in found for name in found)
        check(directory, before, tools)
    assert twins  # killed between the last two steps as well


def test_a_line_that_comes_at_the_last_moment_is_not_lost(root, tools, environment):
    """A file that changes after its copy was renamed keeps its name and its lines."""
    path = tools.add(root, "error_logs/2026-11-01.jsonl")
    content = path.read_bytes()
    printed = run_script(LATE_LINE, environment, tools.today, root)
    assert printed == ["0", "2026-11-01.jsonl"]
    assert path.read_bytes() == content + b'{"timestamp": "late"}\n'
    assert tools.names(root) == ["error_logs/2026-11-01.jsonl"]
