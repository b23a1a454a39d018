"""Run the tests that read the clock on dates other than today's, with Debian's libfaketime.

`make test-clocks` runs it. A test that passes today must pass tomorrow; one that fixes a date
without fixing the file's time, or "now", fails here first. Exits with 1 if a test failed.

PostgreSQL is left out: its server runs as another user, who may not read the memory that
libfaketime shares among the processes of this user.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHIFT = Path(__file__).with_name("shift.c")
# The tests of days, file times and "now"; `--everything` runs the others, too.
READERS = (
    *("tests/alerting", "tests/analytics", "tests/archive", "tests/erasure", "tests/figures"),
    *("tests/health", "tests/pipeline", "tests/reading", "tests/sinks", "tests/watching"),
    *("tests/cli/test_archive.py", "tests/cli/test_erase.py", "tests/cli/test_history.py"),
    *("tests/cli/test_questions.py", "tests/cli/test_summary.py", "tests/cli/test_trends.py"),
)
# These take half of the time and hardly depend on dates; `--quick` leaves them out.
LONG = (
    "tests/archive/test_broken_parts.py",
    "tests/archive/test_merge.py",
    "tests/cli/test_questions.py",
    "tests/pipeline/test_stderr.py",
    "tests/reading/test_lookup.py",
    "tests/reading/test_poison.py",
    "tests/reading/test_query.py",
)
# Midnight falls into the first tests: workers need some seconds to start.
UNTIL_MIDNIGHT = timedelta(seconds=12)


def _next_leap_day(now: datetime) -> datetime:
    day = now.replace(hour=12, minute=0, second=0, microsecond=0)
    while (day.month, day.day) != (2, 29) or day <= now:
        day += timedelta(days=1)
    return day


def _before_midnight(now: datetime) -> datetime:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return midnight - UNTIL_MIDNIGHT


SHIFTS: dict[str, Callable[[datetime], datetime]] = {
    "day": lambda now: now + timedelta(days=1),
    "forty": lambda now: now + timedelta(days=40),
    "year": lambda now: now + timedelta(days=400),
    "midnight": _before_midnight,
    "leap": _next_leap_day,
}


def libraries(folder: Path) -> list[str]:
    """Return the libraries to preload; compile the one that completes libfaketime into a folder."""
    faketime = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not faketime:
        sys.exit("libfaketime is not installed: apt-get install libfaketime")
    built = folder / "shift.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", built, SHIFT, "-ldl"]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        sys.exit("there is no C compiler: apt-get install gcc libc6-dev")
    return [str(built), str(faketime[-1])]


def environment(preloaded: list[str], shift: timedelta) -> dict[str, str]:
    """Return the environment that shifts the clock of a process and its children."""
    seconds = int(shift.total_seconds())
    return {
        **os.environ,
        "LD_PRELOAD": " ".join(preloaded),
        # An offset: a start time would begin anew in each child.
        "FAKETIME": f"+{seconds}",
        "CLOCK_SHIFT": str(seconds),
        # Waits, and the times that psutil reports for processes, stay real.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def run(name: str, preloaded: list[str], arguments: argparse.Namespace) -> int:
    """Run the tests on one date; return pytest's exit code."""
    now = datetime.now(UTC)
    shift = SHIFTS[name](now) - now
    # The tests with kills do not depend on the date, and take most of the time.
    tests = arguments.tests or ([] if arguments.everything else [*READERS, "--ignore-glob=*kill*"])
    if arguments.quick:
        tests = [*(one for one in tests if one not in LONG), *(f"--ignore={one}" for one in LONG)]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-n", str(arguments.jobs), "--dist", "worksteal", "--benchmark-disable"]
    command += ["-m", arguments.markers, *tests]
    print(f"== {name}: {now + shift:%Y-%m-%d %H:%M:%S} UTC", flush=True)
    with ExitStack() as cleanup:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(preloaded, shift))
        # The first process owns the shared memory of its children, and leaves it behind if killed.
        for left in (f"faketime_shm_{process.pid}", f"sem.faketime_sem_{process.pid}"):
            cleanup.callback((Path("/dev/shm") / left).unlink, missing_ok=True)
        return process.wait()


def main() -> None:
    """Run the chosen dates one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shift", action="append", choices=SHIFTS, help="default: all of them")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--everything", action="store_true", help="not only what reads the clock")
    parser.add_argument("--quick", action="store_true", help="leave out what takes long")
    parser.add_argument(
        "--markers", default="not (slow or fault or hypothesis or postgres or bench or spark)"
    )
    parser.add_argument("tests", nargs="*", help="files and folders instead of the usual ones")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        preloaded = libraries(Path(folder))
        failed = [
            name for name in arguments.shift or SHIFTS if run(name, preloaded, arguments) != 0
        ]
    if failed:
        sys.exit(f"failed on: {', '.join(failed)}")


if __name__ == "__main__":
    main()
