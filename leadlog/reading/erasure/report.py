"""What an erasure did, or would do; it names nobody."""

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
        lines_removed: lines about them.
        lines_changed: lines in which they were covered.
    """

    path: str
    lines_removed: int
    lines_changed: int


@attrs.frozen
class ErasureReport:
    """What an erasure did, or would do.

    Attributes:
        directory: the log directory.
        dry_run: whether nothing was changed.
        pseudonymised: whether pseudonyms stand for them, and no line went.
        lead_ids: how many leads it was about, the ones that were found by their addresses
            included.
        changed: files that named them.
        remaining: files that still name them, and why; a later run goes on.
        summaries: daily summaries that were made anew or covered.
        copies: destination that the log was shipped to, to what happens to the copies there.
        covered: takes the persons out of plain data: a file's name may have them in it.
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
        """All together."""
        return sum(one.lines_removed for one in self.changed)

    @property
    def lines_changed(self) -> int:
        """All together."""
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
