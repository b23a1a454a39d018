"""The report of an erasure or its dry run; it names no one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

__all__ = ["Changed", "ErasureReport"]


@attrs.frozen
class Changed:
    """One file that named the persons.

    Attributes:
        path: relative to the log directory.
        lines_removed: number of lines about them.
        lines_changed: number of lines in which they were masked.
    """

    path: str
    lines_removed: int
    lines_changed: int


@attrs.frozen
class ErasureReport:
    """The report of an erasure or dry run.

    Attributes:
        directory: the log directory.
        dry_run: whether nothing was changed.
        pseudonymised: whether pseudonyms replace the persons, so that no line was removed.
        lead_ids: number of leads, including those found by their addresses.
        changed: files that named the persons.
        remaining: reasons by file that still names them; a later run continues.
        summaries: daily summaries that were rebuilt or masked.
        copies: treatment of shipped copies, by destination.
        covered: erases the persons from plain data, such as file names.
    """

    directory: Path
    dry_run: bool
    pseudonymised: bool
    lead_ids: int
    changed: tuple[Changed, ...]
    remaining: dict[str, str]
    summaries: tuple[str, ...]
    copies: dict[str, str]
    covered: Callable[[Any], Any] = attrs.field(eq=False, repr=False)

    @property
    def lines_removed(self) -> int:
        """The total number of lines removed."""
        return sum(one.lines_removed for one in self.changed)

    @property
    def lines_changed(self) -> int:
        """The total number of lines changed."""
        return sum(one.lines_changed for one in self.changed)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "dry_run": self.dry_run,
            "pseudonymised": self.pseudonymised,
            "leads": self.lead_ids,
            "lines_removed": self.lines_removed,
            "lines_changed": self.lines_changed,
            "files": [attrs.asdict(one) for one in self.changed],
            "summaries": list(self.summaries),
            "remaining": self.remaining,
            "copies": self.copies,
        }
