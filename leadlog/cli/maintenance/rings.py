"""The rings, for `leadlog doctor`: what became of the lines of every process."""

from typing import Any

__all__ = ["COLUMNS", "row_of"]

COLUMNS = (
    "process",
    "category",
    "state",
    "accepted",
    "written",
    "in ring",
    "dropped",
    "degraded",
)


def row_of(ring: dict[str, Any]) -> tuple[Any, ...]:
    """One ring as a row of the table."""
    dropped = ", ".join(f"{cause} {lines}" for cause, lines in ring["dropped"].items())
    return (
        ring["process_id"],
        ring["category"],
        "alive" if ring["alive"] else "ended, uncounted" if ring["uncounted"] else "ended",
        ring["accepted"],
        ring["written"],
        ring["in_ring"],
        dropped or "0",
        ring["degraded"],
    )
