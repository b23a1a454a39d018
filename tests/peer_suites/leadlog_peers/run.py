"""Run public test suites without and with everything captured, and compare test by test.

`make sqlalchemy-tests` and `make peer-suites` run it. Exits with 1 if the outcome of a test
differs without a reason in `expected.py`, or if a record was lost.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from leadlog_peers.outcomes import Run, Verdict, judge
from leadlog_peers.suites import SUITES, Suite
from tests.bench.publish import publish

ROOT = Path(__file__).resolve().parents[3]
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
PAGE = ROOT / "docs" / "explanation" / "capture.md"
SHOWN = 40


def pinned(project: str) -> str:
    """Return the version in .ci/constraints.txt, which must be the installed one."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    (found,) = (line.partition("==")[2] for line in lines if line.startswith(f"{project}=="))
    if found != version(project):
        sys.exit(f"{project} {found} is pinned, {version(project)} installed: make install")
    return found


def release_of(suite: Suite) -> str:
    """Return the version of a suite's project."""
    return suite.requirement.partition("==")[2] or pinned(suite.project)


def pip(python: Path | str, *arguments: str) -> None:
    """Run pip of an environment.

    Raises:
        CalledProcessError: pip failed, and has printed the reason.
    """
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, timeout=900)


def source(suite: Suite, cache: Path) -> Path:
    """Return the folder of a source distribution; download it if necessary."""
    project, release = suite.project, release_of(suite)
    folder = cache / f"{project}-{release}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as temporary:
            options = ("download", "-q", "--no-deps", "--no-binary", project, "--dest", temporary)
            pip(sys.executable, *options, f"{project}=={release}")
            (archive,) = Path(temporary).glob("*.tar.gz")
            with tarfile.open(archive) as opened:
                opened.extractall(temporary, filter="data")
            (unpacked,) = (path for path in Path(temporary).iterdir() if path.is_dir())
            if not any(_configures_pytest(path) for path in unpacked.iterdir()):
                # Otherwise pytest would find the configuration of this project in a parent folder.
                (unpacked / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
            unpacked.rename(folder)
    return folder


def _configures_pytest(path: Path) -> bool:
    if path.name not in {"pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"}:
        return False
    text = path.read_text(encoding="utf-8")
    return re.search(r"^\[(tool[.:])?pytest", text, re.MULTILINE) is not None


def interpreter(suite: Suite, cache: Path) -> Path:
    """Return the Python that runs a suite; create its environment if necessary."""
    if not suite.needs:
        return Path(sys.executable)
    folder = cache / f"env-{suite.project}-{sys.version_info[0]}.{sys.version_info[1]}"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    wanted = "\n".join((suite.requirement, *suite.needs))
    if not ready.exists() or ready.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        options = ("install", "-q", "--constraint", str(CONSTRAINTS), "--editable", str(ROOT))
        # Another project may need an older version of a package that is pinned here.
        pip(python, *options, "pytest", "pytest-xdist")
        pip(python, "install", "-q", suite.requirement, *suite.needs)
        ready.write_text(wanted, encoding="utf-8")
    return python


@dataclass(frozen=True, slots=True)
class Environment:
    """Where and how a suite runs.

    Attributes:
        suite: The suite.
        folder: Its source distribution.
        python: The interpreter.
        arguments: The command line's.
    """

    suite: Suite
    folder: Path
    python: Path
    arguments: argparse.Namespace

    def run(self, outcomes: Path, log: Path | None) -> tuple[Run, float]:
        """Run the suite once, captured if there is a log directory.

        Returns:
            The run, and its duration in seconds.
        """
        suite, arguments = self.suite, self.arguments
        # The plugin's own package, and the installed project, not the source next to the tests.
        paths = (Path(__file__).parents[1], ROOT, ROOT / "processors")
        environment = {
            **os.environ,
            "PYTHONNOUSERSITE": "1",
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
        }
        if not suite.needs:
            environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        command = [str(self.python), "-m", "pytest", "-p", "no:cacheprovider", "-q"]
        command += ["-p", "xdist", "-n", str(arguments.jobs)]
        command += ["-p", "leadlog_peers.plugin", f"--leadlog-outcomes={outcomes}", *suite.options]
        if suite.databases:
            database = "--dburi" if "://" in arguments.db else "--db"
            command.append(f"{database}={arguments.db}")
        if log is not None:
            command.append(f"--leadlog-capture={log}")
        output = outcomes.with_suffix(".txt")
        started = time.perf_counter()
        with output.open("wb") as file:
            subprocess.run(
                [*command, *(arguments.tests or suite.tests)],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
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
    """Count the records in the files of a log directory by log type, operation and outcome."""
    found: Counter[str] = Counter()
    for path in log.rglob("*.jsonl"):
        with path.open("rb") as file:
            for line in file:
                record = json.loads(line)
                details = record.get("operation_details") or {}
                kinds = (record["log_type"], details.get("operation_type"), details.get("outcome"))
                found[" ".join(str(kind) for kind in kinds if kind)] += 1
    return found


def table(title: str, plain: tuple[Run, float], captured: tuple[Run, float]) -> str:
    """Return both runs side by side, as markdown."""
    totals = plain[0].totals(), captured[0].totals()
    rows = [f"| {title} | not captured | captured |", "|---|---|---|"]
    rows += [
        f"| {name} | {totals[0][name]:,} | {totals[1][name]:,} |"
        for name in sorted({*totals[0], *totals[1]})
    ]
    rows.append(f"| seconds | {plain[1]:.0f} | {captured[1]:.0f} |")
    rows.append(f"| records | | {captured[0].total().get('records written', 0):,} |")
    return "\n".join(rows)


def report(
    plain: Run, captured: Run, written: Counter[str], verdict: Verdict, reasons: Mapping[str, str]
) -> list[str]:
    """Print the results of the runs, without their table.

    Returns:
        The faults found, if any.
    """
    counts = captured.total()
    for name, value in counts.items():
        print(f"{name}: {value:,}")
    for name, number in written.most_common():
        print(f"  {name}: {number:,}")
    print(f"outcomes that differ: {len(verdict.unexpected) + len(verdict.expected)}")
    for name, (before, after) in verdict.expected.items():
        print(f"  expected: {name}: {before} -> {after}: {reasons[name]}")
    for name, (before, after) in list(verdict.unexpected.items())[:SHOWN]:
        reason = captured.reasons.get(name) or plain.reasons.get(name, "")
        print(f"  {name}: {before} -> {after}: {reason}")
    return wrong(plain, captured, written, verdict)


def wrong(plain: Run, captured: Run, written: Counter[str], verdict: Verdict) -> list[str]:
    """Return the faults of the runs, as sentences."""
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


def compare(name: str, arguments: argparse.Namespace) -> tuple[str, list[str]]:
    """Run a suite twice, and print the comparison of the runs.

    Returns:
        Their table, and the faults found.
    """
    suite = SUITES[name]
    cache = arguments.cache.absolute()
    environment = Environment(suite, source(suite, cache), interpreter(suite, cache), arguments)
    with tempfile.TemporaryDirectory(prefix="leadlog-peers-") as temporary:
        work = arguments.keep.absolute() / name if arguments.keep else Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        log = work / "log"
        plain = environment.run(work / "plain.json", None)
        captured = environment.run(work / "captured.json", log)
        ran = {*plain[0].outcomes, *captured[0].outcomes}
        whole = not arguments.tests and arguments.db == "sqlite"
        expected = {test: why for test, why in suite.expected.items() if whole or test in ran}
        verdict = judge(plain[0], captured[0], expected)
        text = table(f"{suite.project} {release_of(suite)}", plain, captured)
        print(f"{text}\n", flush=True)
        found = report(plain[0], captured[0], records(log), verdict, suite.expected)
    return text, [f"{name}: {line}" for line in found]


def main() -> None:
    """Download the suites, run each twice, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", action="append", choices=sorted(SUITES), help="repeatable")
    parser.add_argument("tests", nargs="*", help="in place of all that the suite has")
    parser.add_argument(
        "--db", default="sqlite", help="a URL, or a name from SQLAlchemy's setup.cfg"
    )
    parser.add_argument("--jobs", default=2, type=int, help="processes")
    parser.add_argument("--limit", default=1800, type=float, help="seconds for one run at most")
    parser.add_argument("--cache", default=ROOT / ".cache" / "peers", type=Path)
    parser.add_argument("--keep", type=Path, help="folder to leave outcomes, output and log in")
    arguments = parser.parse_args()
    names = arguments.suite or [name for name in sorted(SUITES) if name != "sqlalchemy"]
    if arguments.tests and len(names) > 1:
        parser.error("tests belong to one suite: name it with --suite")
    results = [compare(name, arguments) for name in names]
    wrongs = [line for _, lines in results for line in lines]
    if not wrongs and not arguments.tests and arguments.db == "sqlite" and not arguments.suite:
        publish(PAGE, "\n\n".join(text for text, _ in results), "made by `make peer-suites`")
    elif (
        not wrongs and names == ["sqlalchemy"] and not arguments.tests and arguments.db == "sqlite"
    ):
        publish(PAGE, results[0][0], "made by `make sqlalchemy-tests`")
    for line in wrongs:
        print(line, file=sys.stderr)
    sys.exit(bool(wrongs))


if __name__ == "__main__":
    main()
