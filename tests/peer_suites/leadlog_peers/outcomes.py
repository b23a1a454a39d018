"""The outcomes of one run of a test suite, and how two runs differ."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

MISSING = "missing"


@dataclass
class Run:
    """The result of one run of the suite.

    Attributes:
        outcomes: by test: passed, skipped, xfailed, xpassed, or the phases that failed.
        reasons: the last line of a failed test's report, by test.
        counts: counts of the records, by name; one mapping per process.
        crashes: the messages of workers that died.
    """

    outcomes: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    counts: list[dict[str, int]] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)

    def note(self, report: pytest.TestReport) -> None:
        """Add the report on one phase of a test."""
        name, before = report.nodeid, self.outcomes.get(report.nodeid)
        if hasattr(report, "wasxfail"):
            outcome = "xfailed" if report.skipped else "xpassed"
        elif report.failed:
            outcome = f"failed in {report.when}"
            lines = report.longreprtext.strip().splitlines()
            self.reasons[name] = lines[-1][:300] if lines else ""
        else:
            outcome = report.outcome
        if before is None or before == "passed":
            self.outcomes[name] = outcome
        elif outcome != "passed":
            self.outcomes[name] = f"{before}, {outcome}"

    def totals(self) -> Counter[str]:
        """Return the number of tests by outcome."""
        return Counter(outcome.split(" ")[0] for outcome in self.outcomes.values())

    def total(self) -> dict[str, int]:
        """Return the counts of the records of all processes together."""
        total: Counter[str] = Counter()
        for counts in self.counts:
            total.update(counts)
        return dict(total)

    def as_json(self) -> dict[str, Any]:
        """Return the run as JSON, for `Run(**json)` in another process."""
        return {
            "outcomes": self.outcomes,
            "reasons": self.reasons,
            "counts": self.counts,
            "crashes": self.crashes,
        }


def differences(plain: Run, captured: Run) -> dict[str, tuple[str, str]]:
    """Return the tests whose outcomes differ, with both; `missing` if a run lacks the test."""
    names = {**plain.outcomes, **captured.outcomes}
    both = {
        name: (plain.outcomes.get(name, MISSING), captured.outcomes.get(name, MISSING))
        for name in names
    }
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


@dataclass(frozen=True)
class Verdict:
    """The comparison of two runs, given the expected differences.

    Attributes:
        unexpected: differing tests that are not listed.
        expected: differing tests that are listed.
        outdated: listed tests that do not differ.
    """

    unexpected: Mapping[str, tuple[str, str]]
    expected: Mapping[str, tuple[str, str]]
    outdated: frozenset[str]

    @property
    def holds(self) -> bool:
        """Whether the differences are exactly the listed ones."""
        return not self.unexpected and not self.outdated


def judge(plain: Run, captured: Run, expected: Mapping[str, str]) -> Verdict:
    """Compare the differences of two runs with the expected ones, given as reasons by test."""
    found = differences(plain, captured)
    return Verdict(
        unexpected={name: pair for name, pair in found.items() if name not in expected},
        expected={name: pair for name, pair in found.items() if name in expected},
        outdated=frozenset(expected) - frozenset(found),
    )
