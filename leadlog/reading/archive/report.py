"""The report of a janitor's run or dry run."""

from pathlib import Path
from typing import Any

import attrs

from leadlog.reading.archive.plan import Action, Excess, Kept
from leadlog.reading.archive.policy import Policy

__all__ = ["JanitorReport", "Result"]


@attrs.frozen
class Result:
    """One action that was carried out or planned.

    Attributes:
        action: the action.
        freed_bytes: number of bytes freed; None if nothing was done.
        freed_bytes_estimate: estimated number of bytes to be freed, judged by the beginning of the
            file; None if it was carried out.
        error: why it failed; None otherwise.
    """

    action: Action
    freed_bytes: int | None = None
    freed_bytes_estimate: int | None = None
    error: str | None = None


@attrs.frozen
class JanitorReport:
    """The report of a run or dry run.

    Attributes:
        directory: the log directory.
        today: the UTC day from which ages were counted.
        policy: the policy that was applied.
        dry_run: whether nothing was changed.
        results: one for each file that was or should have been touched.
        kept: files left alone although the policy applies to them.
        excess: limits that are not kept, because the remaining files must not be touched yet.
        bytes_before: size of all log files at the start.
        bytes_after: size of all log files at the end.
        buckets_stored: sealed days whose bucket table was created.
        buckets_failed: reasons by sealed day whose bucket table could not be created.
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
        """The actions that failed."""
        return tuple(result for result in self.results if result.error is not None)

    @property
    def findings(self) -> bool:
        """Whether a person must act on something that no later run will repair."""
        return bool(self.excess or self.buckets_failed) or any(
            kept.hindrance.finding for kept in self.kept
        )

    @property
    def freed_bytes(self) -> int:
        """The number of bytes freed in total; 0 in a dry run."""
        return sum(result.freed_bytes or 0 for result in self.results)

    @property
    def freed_bytes_estimate(self) -> int | None:
        """The estimated number of bytes to be freed in total; None except in a dry run."""
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
