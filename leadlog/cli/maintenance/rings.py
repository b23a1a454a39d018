"""Tables of rings and sinks for `leadlog doctor`: line counts of every process."""

from typing import Any

__all__ = ["COLUMNS", "SINK_COLUMNS", "row_of", "sink_row_of"]

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

SINK_COLUMNS = ("process", "sink", "state", "accepted", "written", "waiting", "dropped", "error")


def row_of(ring: dict[str, Any]) -> tuple[Any, ...]:
    """Return one ring as a row of the table."""
    return (
        ring["process_id"],
        ring["category"],
        "alive" if ring["alive"] else "ended, uncounted" if ring["uncounted"] else "ended",
        ring["accepted"],
        ring["written"],
        ring["in_ring"],
        _dropped(ring),
        ring["degraded"],
    )


def sink_row_of(sink: dict[str, Any]) -> tuple[Any, ...]:
    """Return one additional sink as a row of the table."""
    return (
        sink["process_id"],
        sink["sink"],
        "alive" if sink["alive"] else "ended",
        sink["accepted"],
        sink["written"],
        sink["waiting"],
        _dropped(sink),
        sink["error"],
    )


def _dropped(row: dict[str, Any]) -> str:
    return ", ".join(f"{cause} {lines}" for cause, lines in row["dropped"].items()) or "0"
