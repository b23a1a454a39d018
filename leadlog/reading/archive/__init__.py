"""The janitor: compresses files of past days, and removes what is beyond the limits.

    from leadlog.reading import archive

    policy = archive.Policy(retention_days={"*": 90, "error_logs": 365}, retention_bytes="20GB")
    report = archive.run("database_logs", policy, dry_run=True)

`plan` decides, as a pure function; `run` looks, plans and acts. `leadlog archive` is the same
from the command line.
"""

import os
import sys
from collections.abc import Callable

from leadlog.core.errors import LogDirectoryError
from leadlog.reading.archive.plan import Action, Excess, FoundFile, Kept, Plan, plan
from leadlog.reading.archive.policy import Policy
from leadlog.reading.archive.report import JanitorReport, Result

__all__ = [
    "Action",
    "Excess",
    "FoundFile",
    "JanitorReport",
    "Kept",
    "Plan",
    "Policy",
    "Result",
    "plan",
    "run",
]


def run(
    directory: str | os.PathLike[str],
    policy: Policy | None = None,
    dry_run: bool = False,
    *,
    today: str | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> JanitorReport:
    """Do with the files of a log what a policy wants.

    It may be killed at any moment: nothing is lost, and the next run goes on. What cannot be
    done with one file is in the report and does not hold up the others.

    Args:
        directory: the log directory.
        policy: what is wanted; by default, compression after seven days and no removal.
        dry_run: changes nothing, not even a lock file, and reports what would be done.
        today: the UTC day, `2026-11-23`; the clock's by default.
        progress: is called now and then with the bytes read so far and in all.

    Raises:
        LogDirectoryError: there is no such directory, it cannot be read or written, or another
            janitor is at work there; on Windows, always.
    """
    if sys.platform == "win32":
        raise LogDirectoryError("the janitor needs a POSIX system, which Windows is not")
    from leadlog.reading.archive.janitor import Janitor

    return Janitor(
        directory, Policy() if policy is None else policy, dry_run, today, progress
    ).run()
