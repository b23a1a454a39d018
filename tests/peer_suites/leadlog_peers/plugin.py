"""A pytest plugin for SQLAlchemy's own tests: captures everything and writes the outcomes.

`run.py` loads it with `-p leadlog_peers.plugin`. Under xdist each worker process captures
separately; the controller collects the outcomes and the counts of the records.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from leadlog_peers.everything import Everything
from leadlog_peers.outcomes import Run

_RUN = pytest.StashKey[Run]()
_CAPTURED = pytest.StashKey[Everything]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; strings, not paths, since xdist sends them to its workers."""
    group = parser.getgroup("leadlog")
    group.addoption("--leadlog-outcomes", help="file that the outcomes are written to")
    group.addoption("--leadlog-capture", help="log directory; without it nothing is captured")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin to capture before the first test module is imported and maps its classes."""
    config = session.config
    if not hasattr(config, "workerinput"):
        config.stash[_RUN] = Run()
    directory = config.getoption("leadlog_capture")
    distributing = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if directory and not distributing:
        config.stash[_CAPTURED] = Everything(directory)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Restore the listeners after the fixtures of a test, which may have removed them all."""
    captured = item.config.stash.get(_CAPTURED, None)
    if captured is not None:
        captured.listen_again()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> Any:
    """Note the outcome of each phase of a test, in the process that gets all reports."""
    run = _current.stash.get(_RUN, None)
    if run is not None:
        run.note(report)
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Keep the configuration, which reports do not carry."""
    global _current  # noqa: PLW0603 - pytest hands it to no hook about reports
    _current = config


_current: pytest.Config


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Close the log; pass the counts to the controller, which writes the file."""
    config = session.config
    captured = config.stash.get(_CAPTURED, None)
    counts = captured.close() if captured is not None else None
    if hasattr(config, "workeroutput"):
        config.workeroutput["leadlog"] = counts
        return
    run = config.stash[_RUN]
    if counts is not None:
        run.counts.append(counts)
    path = config.getoption("leadlog_outcomes")
    if path:
        Path(path).write_text(json.dumps(run.as_json()), encoding="utf-8")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take a worker's counts; one that crashed has none, which is reported."""
    counts = getattr(node, "workeroutput", {}).get("leadlog")
    run = _current.stash[_RUN]
    if counts is not None:
        run.counts.append(counts)
    if error is not None:
        run.crashes.append(str(error))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the counts of the captured records."""
    run = _current.stash.get(_RUN, None)
    if run is not None and run.counts:
        terminalreporter.section("leadlog")
        for name, value in run.total().items():
            terminalreporter.write_line(f"{name}: {value}")
