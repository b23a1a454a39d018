"""What became of the lines of one category in one process."""

from dataclasses import dataclass, field

__all__ = ["Counts"]


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the lines of a ring.

    Attributes:
        accepted: lines taken.
        written: lines in their files.
        waiting: lines on their way there.
        dropped: lines lost, by cause.
        degraded: lines that for a while lay in this process's own memory only.
        omitted: events that were left out on purpose when they were finished.
    """

    accepted: int
    written: int
    waiting: int
    dropped: dict[str, int] = field(default_factory=dict)
    degraded: int = 0
    omitted: int = 0
