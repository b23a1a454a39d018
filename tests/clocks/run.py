"""Run what reads the clock on other dates than today's, by Debian's libfaketime.

`make test-clocks` runs it. What passes today has to pass tomorrow, so a test that fixes a date
without fixing the file's time, or "now", fails here first. Exits with 1 where a test failed.

PostgreSQL is left out: its server runs as another user, who may not read what libfaketime shares
among the processes of this one.
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
# What deals with days, file times and "now"; `--everything` runs the rest as well.
READERS = (
    *("tests/alerting", "tests/analytics", "tests/archive", "tests/erasure", "tests/figures"),
    *("tests/health", "tests/pipeline", "tests/reading", "tests/sinks", "tests/watching"),
    *("tests/cli/test_archive.py", "tests/cli/test_erase.py", "tests/cli/test_history.py"),
    *("tests/cli/test_questions.py", "tests/cli/test_summary.py", "tests/cli/test_trends.py"),
)
# Of these, what takes half of the time and has hardly to do with days; `--quick` leaves it out.
LONG = (
    "tests/archive/test_broken_parts.py",
    "tests/archive/test_merge.py",
    "tests/cli/test_questions.py",
    "tests/pipeline/test_stderr.py",
    "tests/reading/test_lookup.py",
    "tests/reading/test_poison.py",
    "tests/reading/test_query.py",
)
# Midnight comes while the first tests run: workers need some seconds to start.
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
    """Return what is to be preloaded; what libfaketime leaves is compiled into the folder."""
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
    """Return the variables under which a process and its children live so much later."""
    seconds = int(shift.total_seconds())
    return {
        **os.environ,
        "LD_PRELOAD": " ".join(preloaded),
        # An offset: a start time would begin anew in each child.
        "FAKETIME": f"+{seconds}",
        "CLOCK_SHIFT": str(seconds),
        # Waiting, and what psutil says of processes, stays as it is.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def run(name: str, preloaded: list[str], arguments: argparse.Namespace) -> int:
    """Run the tests on one date; return pytest's exit code."""
    now = datetime.now(UTC)
    shift = SHIFTS[name](now) - now
    # How a process is killed does not depend on the date, and takes most of the time.
    tests = arguments.tests or ([] if arguments.everything else [*READERS, "--ignore-glob=*kill*"])
    if arguments.quick:
        tests = [*(one for one in tests if one not in LONG), *(f"--ignore={one}" for one in LONG)]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-n", str(arguments.jobs), "--dist", "worksteal", "--benchmark-disable"]
    command += ["-m", arguments.markers, *tests]
    print(f"== {name}: {now + shift:%Y-%m-%d %H:%M:%S} UTC", flush=True)
    with ExitStack() as cleanup:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(preloaded, shift))
        # The first process owns what its children share, and leaves it behind if it is killed.
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
