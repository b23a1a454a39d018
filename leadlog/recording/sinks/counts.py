"""Counts of the lines of one category in one process."""

from dataclasses import dataclass, field

__all__ = ["Counts"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of the lines of a ring.

    Attributes:
        accepted: lines taken.
        written: lines in their files.
        waiting: lines on their way to the files.
        dropped: lines lost, by cause.
        degraded: lines that were temporarily in this process's own memory only.
        omitted: events dropped deliberately when they were finished.
    """

    accepted: int = 0
    written: int = 0
    waiting: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    degraded: int = 0
    omitted: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Return the sum of both counts."""
        causes = self.dropped.keys() | other.dropped.keys()
        return Counts(
            accepted=self.accepted + other.accepted,
            written=self.written + other.written,
            waiting=self.waiting + other.waiting,
            dropped={
                cause: self.dropped.get(cause, 0) + other.dropped.get(cause, 0)
                for cause in sorted(causes)
            },
            degraded=self.degraded + other.degraded,
            omitted=self.omitted + other.omitted,
        )
