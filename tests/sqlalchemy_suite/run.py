"""Runs SQLAlchemy's own tests without and with everything captured, and compares test by test.

`make sqlalchemy-tests` runs it. Exits with 1 where the outcome of a test differs and
`expected.py` does not say why, or where a record was lost.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from tests.bench.publish import publish
from tests.sqlalchemy_suite.expected import EXPECTED
from tests.sqlalchemy_suite.outcomes import Run, Verdict, judge

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "capture.md"
SELECTION = ("test/orm", "test/engine/test_execute.py", "test/engine/test_transaction.py")
# Those that count Python's calls and memory (test/aaa_profiling) are not in the selection; these
# options leave out what else depends on time or on other tools, as SQLAlchemy's own checks do.
OPTIONS = ("--nomemory", "--notimingintensive", "--nomypy")
SHOWN = 40


def pinned() -> str:
    """The version of SQLAlchemy in .ci/constraints.txt, which must be the installed one."""
    lines = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    (found,) = (line.partition("==")[2] for line in lines if line.startswith("SQLAlchemy=="))
    if found != version("SQLAlchemy"):
        sys.exit(f"SQLAlchemy {found} is pinned, {version('SQLAlchemy')} installed: make install")
    return found


def source(release: str, cache: Path) -> Path:
    """The folder with SQLAlchemy's source distribution, downloaded where it is not there yet."""
    folder = cache / f"sqlalchemy-{release}"
    if not (folder / "setup.cfg").exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as temporary:
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q"]
            pip += ["--no-deps", "--no-binary", "SQLAlchemy", f"SQLAlchemy=={release}"]
            subprocess.run([*pip, "--dest", temporary], check=True, timeout=600)
            (archive,) = Path(temporary).glob("*.tar.gz")
            with tarfile.open(archive) as opened:
                opened.extractall(temporary, filter="data")
            shutil.rmtree(folder, ignore_errors=True)
            (Path(temporary) / folder.name).rename(folder)
    return folder


def run_suite(
    folder: Path, outcomes: Path, arguments: argparse.Namespace, log: Path | None
) -> tuple[Run, float]:
    """One run of the suite.

    Returns:
        What it came to, and how many seconds it took.
    """
    # Only the plugins named here; and the installed SQLAlchemy, not the source beside the tests.
    environment = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "processors")]),
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "xdist"]
    command += ["-p", "tests.sqlalchemy_suite.plugin", f"--leadlog-outcomes={outcomes}"]
    database = "--dburi" if "://" in arguments.db else "--db"
    command += [f"{database}={arguments.db}", "-n", str(arguments.jobs), "-q", *OPTIONS]
    if log is not None:
        command.append(f"--leadlog-capture={log}")
    output = outcomes.with_suffix(".txt")
    started = time.perf_counter()
    with output.open("wb") as file:
        subprocess.run(
            [*command, *(arguments.tests or SELECTION)],
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=arguments.limit,
            check=False,  # failures are compared, not counted
        )
    seconds = time.perf_counter() - started
    if not outcomes.exists():
        lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
        sys.exit("\n".join([*lines[-SHOWN:], "the suite did not run to its end"]))
    return Run(**json.loads(outcomes.read_bytes())), seconds


def records(log: Path) -> Counter[str]:
    """The records in the files of a log directory, by log type, event kind and outcome."""
    found: Counter[str] = Counter()
    for path in log.rglob("*.jsonl"):
        with path.open("rb") as file:
            for line in file:
                record = json.loads(line)
                details = record.get("operation_details") or {}
                kinds = (record["log_type"], details.get("operation_type"), details.get("outcome"))
                found[" ".join(str(kind) for kind in kinds if kind)] += 1
    return found


def table(release: str, plain: tuple[Run, float], captured: tuple[Run, float]) -> str:
    """Both runs side by side, as markdown."""
    totals = plain[0].totals(), captured[0].totals()
    rows = [f"| SQLAlchemy {release} | not captured | captured |", "|---|---|---|"]
    rows += [
        f"| {name} | {totals[0][name]:,} | {totals[1][name]:,} |"
        for name in sorted({*totals[0], *totals[1]})
    ]
    rows.append(f"| seconds | {plain[1]:.0f} | {captured[1]:.0f} |")
    rows.append(f"| records | | {captured[0].total().get('records written', 0):,} |")
    return "\n".join(rows)


def report(plain: Run, captured: Run, written: Counter[str], verdict: Verdict) -> list[str]:
    """Prints what the runs came to, but for their table.

    Returns:
        What is wrong, if anything is.
    """
    counts = captured.total()
    for name, value in counts.items():
        print(f"{name}: {value:,}")
    for name, number in written.most_common():
        print(f"  {name}: {number:,}")
    print(f"outcomes that differ: {len(verdict.unexpected) + len(verdict.expected)}")
    for name, (before, after) in verdict.expected.items():
        print(f"  expected: {name}: {before} -> {after}: {EXPECTED[name]}")
    for name, (before, after) in list(verdict.unexpected.items())[:SHOWN]:
        reason = captured.reasons.get(name) or plain.reasons.get(name, "")
        print(f"  {name}: {before} -> {after}: {reason}")
    return wrong(plain, captured, written, verdict)


def wrong(plain: Run, captured: Run, written: Counter[str], verdict: Verdict) -> list[str]:
    """What is wrong with the runs, in sentences."""
    counts = captured.total()
    found = [] if plain.totals()["passed"] else ["no test passed"]
    if verdict.unexpected:
        found.append(f"{len(verdict.unexpected)} tests have another outcome when captured")
    found += [f"expected to differ, but does not: {name}" for name in sorted(verdict.outdated)]
    found += [f"a worker died: {text}" for text in (*plain.crashes, *captured.crashes)]
    for name in ("records dropped", "processor errors", "failures", "flushes that took too long"):
        if counts.get(name, 0):
            found.append(f"{name}: {counts[name]:,}")
    if not counts.get("records written"):
        found.append("nothing was captured")
    elif sum(written.values()) != counts["records written"]:
        found.append(f"{sum(written.values()):,} records are in the files")
    return found


def main() -> None:
    """Downloads, runs twice, compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tests", nargs="*", help=f"default: {' '.join(SELECTION)}")
    parser.add_argument("--db", default="sqlite", help="a URL, or a name from its setup.cfg")
    parser.add_argument("--jobs", default=2, type=int, help="processes")
    parser.add_argument("--limit", default=1800, type=float, help="seconds for one run at most")
    parser.add_argument("--cache", default=ROOT / ".cache" / "sqlalchemy", type=Path)
    parser.add_argument("--keep", type=Path, help="folder to leave outcomes, output and log in")
    arguments = parser.parse_args()
    release = pinned()
    folder = source(release, arguments.cache.absolute())
    with tempfile.TemporaryDirectory(prefix="leadlog-sqlalchemy-") as temporary:
        work = arguments.keep.absolute() if arguments.keep else Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        log = work / "log"
        plain = run_suite(folder, work / "plain.json", arguments, None)
        captured = run_suite(folder, work / "captured.json", arguments, log)
        whole = not arguments.tests and arguments.db == "sqlite"
        ran = {*plain[0].outcomes, *captured[0].outcomes}
        expected = {name: why for name, why in EXPECTED.items() if whole or name in ran}
        verdict = judge(plain[0], captured[0], expected)
        text = table(release, plain, captured)
        print(f"{text}\n")
        found = report(plain[0], captured[0], records(log), verdict)
    if not found and whole:
        publish(PAGE, text, "made by `make sqlalchemy-tests`")
    for line in found:
        print(line, file=sys.stderr)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
