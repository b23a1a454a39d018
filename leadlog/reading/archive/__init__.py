"""The janitor: compresses files of past days, and removes files beyond the limits.

    from leadlog.reading import archive

    policy = archive.Policy(retention_days={"*": 90, "error_logs": 365}, retention_bytes="20GB")
    report = archive.run("database_logs", policy, dry_run=True)

`plan` decides, as a pure function; `run` scans, plans and acts. `leadlog archive` does the same
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
    """Apply a policy to the files of a log.

    It may be killed at any moment: nothing is lost, and the next run continues. A failure with one
    file is reported and does not affect the others.

    Args:
        directory: the log directory.
        policy: the policy; by default, compression after seven days and no removal.
        dry_run: change nothing, not even a lock file, and report what would be done.
        today: the UTC day, `2026-11-23`; the clock's by default.
        progress: called occasionally with the bytes read so far and in total.

    Raises:
        LogDirectoryError: the directory does not exist, cannot be read or written, or another
            janitor is running there; on Windows, always.
    """
    if sys.platform == "win32":
        raise LogDirectoryError("the janitor needs a POSIX system, which Windows is not")
    from leadlog.reading.archive.janitor import Janitor

    return Janitor(
        directory, Policy() if policy is None else policy, dry_run, today, progress
    ).run()
