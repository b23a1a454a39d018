"""The comparison of two runs of a suite finds the differences, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from leadlog_peers.outcomes import Run, differences, judge

SUITE = """
import os
import pytest

def test_passes(): pass
def test_depends(): assert not os.environ.get("BROKEN")
def test_skips(): pytest.skip("not here")
@pytest.mark.xfail
def test_xfails(): assert False
@pytest.fixture
def bad(): yield; assert False, "torn"
def test_ends_badly(bad): pass
"""


def run(folder: Path, name: str, **environment: str) -> Run:
    """Run the suite with the plugin, as `run.py` does."""
    (folder / "test_it.py").write_text(SUITE)
    path = folder / f"{name}.json"
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-p", "leadlog_peers.plugin", f"--leadlog-outcomes={path}", "test_it.py"),
        ],
        cwd=folder,
        env={
            "PATH": "",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(Path(__file__).parent),
            **environment,
        },
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return Run(**json.loads(path.read_bytes()))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Provide runs of the same suite, intact and with a broken test."""
    folder = tmp_path_factory.mktemp("suite")
    return run(folder, "whole"), run(folder, "broken", BROKEN="1")


def test_every_phase_of_a_test_counts(runs: tuple[Run, Run]) -> None:
    """A failing teardown is not a success, and a skip is not a failure."""
    assert runs[0].outcomes == {
        "test_it.py::test_passes": "passed",
        "test_it.py::test_depends": "passed",
        "test_it.py::test_skips": "skipped",
        "test_it.py::test_xfails": "xfailed",
        "test_it.py::test_ends_badly": "failed in teardown",
    }
    assert runs[0].totals() == {"passed": 2, "skipped": 1, "xfailed": 1, "failed": 1}


def test_a_differing_test_is_found_and_says_why(runs: tuple[Run, Run]) -> None:
    """The broken test is the only difference, with the last line of its error."""
    name = "test_it.py::test_depends"
    assert differences(*runs) == {name: ("passed", "failed in call")}
    assert "assert not" in runs[1].reasons[name] or "Assert" in runs[1].reasons[name]
    assert not judge(*runs, {}).holds
    assert judge(*runs, {name: "it looks at BROKEN"}).holds


def test_an_expected_difference_that_is_gone_is_told(runs: tuple[Run, Run]) -> None:
    """An expected difference that no longer occurs is reported, so the list stays current."""
    verdict = judge(runs[0], runs[0], {"test_it.py::test_passes": "once"})
    assert not verdict.holds
    assert verdict.outdated == {"test_it.py::test_passes"}


def test_a_test_that_only_one_run_had_differs() -> None:
    """A run that stops early, or collects fewer tests, is not a success."""
    assert differences(Run({"a": "passed"}), Run({"b": "passed"})) == {
        "a": ("passed", "missing"),
        "b": ("missing", "passed"),
    }
