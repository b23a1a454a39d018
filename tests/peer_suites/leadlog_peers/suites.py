"""The public test suites that are run without and with everything captured."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from leadlog_peers.expected import SQLALCHEMY

__all__ = ["SUITES", "Suite"]


@dataclass(frozen=True, slots=True)
class Suite:
    """A project's test suite, as in its source distribution.

    Attributes:
        requirement: Name and version of the project on the package index; without a version, the
            one that .ci/constraints.txt pins.
        tests: The tests to run, relative to the suite's root.
        options: Further options of pytest.
        needs: Further requirements of its tests. Such a suite runs in a separate environment, the
            others in the current one.
        databases: Whether it accepts SQLAlchemy's options `--db` and `--dburi`.
        expected: The tests whose outcome capture may change, with the reasons.
    """

    requirement: str
    tests: tuple[str, ...]
    options: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    databases: bool = False
    expected: Mapping[str, str] = field(default_factory=dict)

    @property
    def project(self) -> str:
        """The project's name on the package index."""
        return re.split(r"[=\[]", self.requirement)[0]


# SQLAlchemy's tests that count Python's calls and memory (test/aaa_profiling) are not in the
# selection; its options leave out other tests that depend on time or on other tools, as
# SQLAlchemy's own checks do.
SUITES = {
    "sqlalchemy": Suite(
        "SQLAlchemy",
        ("test/orm", "test/engine/test_execute.py", "test/engine/test_transaction.py"),
        options=("--nomemory", "--notimingintensive", "--nomypy"),
        databases=True,
        expected=SQLALCHEMY,
    ),
    "alembic": Suite(
        "alembic==1.20.1",
        ("tests",),
        needs=("black", "tzdata"),
        databases=True,
    ),
    "apscheduler": Suite(
        "apscheduler==3.11.3",
        ("tests/test_jobstores.py",),
        options=("-k", "sqlalchemy"),
        needs=("pytz",),
    ),
    "flask-sqlalchemy": Suite("flask-sqlalchemy==3.1.1", ("tests",), needs=("flask",)),
    "sqlalchemy-utils": Suite("sqlalchemy-utils[test]==0.43.0", ("tests",), needs=("aiosqlite",)),
    "sqlmodel": Suite(
        "sqlmodel==0.0.50",
        ("tests",),
        needs=("aiosqlite", "dirty-equals", "fastapi", "httpx", "jinja2", "greenlet", "black"),
    ),
}
