"""What a janitor did, or would do."""

from pathlib import Path
from typing import Any

import attrs

from leadlog.reading.archive.plan import Action, Excess, Kept
from leadlog.reading.archive.policy import Policy

__all__ = ["JanitorReport", "Result"]


@attrs.frozen
class Result:
    """One thing that was done, or would be.

    Attributes:
        action: what, with which file, and why.
        freed_bytes: by how much less its files take; None where nothing was done.
        freed_bytes_estimate: about by how much less they would take, judged by the beginning
            of the file; None where it was done.
        error: why it could not be done; None otherwise.
    """

    action: Action
    freed_bytes: int | None = None
    freed_bytes_estimate: int | None = None
    error: str | None = None


@attrs.frozen
class JanitorReport:
    """What a janitor did, or would do.

    Attributes:
        directory: the log directory.
        today: the UTC day that ages were counted from.
        policy: what was wanted.
        dry_run: whether nothing was changed.
        results: one per file that was touched or should have been.
        kept: files that the policy wants touched and that were left alone.
        excess: limits that are not kept, since the rest may not be touched yet.
        bytes_before: of all log files, at the start.
        bytes_after: of all log files, at the end.
        buckets_stored: sealed days whose bucket table was made.
        buckets_failed: sealed days whose bucket table could not be made, and why.
    """

    directory: Path
    today: str
    policy: Policy
    dry_run: bool
    results: tuple[Result, ...]
    kept: tuple[Kept, ...]
    excess: tuple[Excess, ...]
    bytes_before: int
    bytes_after: int
    buckets_stored: tuple[str, ...] = ()
    buckets_failed: dict[str, str] = attrs.field(factory=dict)

    @property
    def errors(self) -> tuple[Result, ...]:
        """What could not be done."""
        return tuple(result for result in self.results if result.error is not None)

    @property
    def findings(self) -> bool:
        """Whether somebody should see to something that no later run will repair."""
        return bool(self.excess or self.buckets_failed) or any(
            kept.hindrance.finding for kept in self.kept
        )

    @property
    def freed_bytes(self) -> int:
        """By how much less the files take, all together; in a dry run 0."""
        return sum(result.freed_bytes or 0 for result in self.results)

    @property
    def freed_bytes_estimate(self) -> int | None:
        """About by how much less they would take, all together; None but in a dry run."""
        if not self.dry_run:
            return None
        return sum(result.freed_bytes_estimate or 0 for result in self.results)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data, for JSON."""
        return {
            "directory": str(self.directory),
            "today": self.today,
            "dry_run": self.dry_run,
            "policy": attrs.asdict(self.policy),
            "actions": [
                {
                    "action": result.action.verb,
                    "category": result.action.found.file.category,
                    "file": result.action.found.file.path.name,
                    "parts": [one.file.path.name for one in result.action.parts],
                    "bytes": result.action.found.size_bytes,
                    "freed_bytes": result.freed_bytes,
                    "freed_bytes_estimate": result.freed_bytes_estimate,
                    "reason": result.action.reason,
                    "error": result.error,
                }
                for result in self.results
            ],
            "kept": [
                {
                    "category": kept.file.category,
                    "file": kept.file.path.name,
                    "reason": kept.hindrance.reason,
                    "finding": kept.hindrance.finding,
                }
                for kept in self.kept
            ],
            "excess": [attrs.asdict(excess) for excess in self.excess],
            "buckets_stored": list(self.buckets_stored),
            "buckets_failed": self.buckets_failed,
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "freed_bytes": self.freed_bytes,
            "freed_bytes_estimate": self.freed_bytes_estimate,
        }
