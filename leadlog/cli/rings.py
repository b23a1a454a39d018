"""The rings, for `leadlog doctor`: what became of the lines of every process."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from leadlog.sinks.report import ring_reports

__all__ = ["COLUMNS", "rings_of", "row_of"]

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


def rings_of(directory: Path, findings: list[dict[str, str]]) -> list[dict[str, Any]]:
    """What every process handed over, wrote, holds and lost, and what to do about it.

    Args:
        directory: the log directory.
        findings: gets what is wrong.
    """
    rings = ring_reports(directory.absolute())
    causes: dict[str, int] = {}
    for ring in rings:
        for cause, lines in ring.dropped.items():
            causes[cause] = causes.get(cause, 0) + lines
    if causes:
        said = ", ".join(f"{cause} {lines}" for cause, lines in sorted(causes.items()))
        findings.append(
            {
                "finding": f"{sum(causes.values())} events were dropped ({said})",
                "remedy": "make the directory writable or make room; the table of rings says "
                "which process and category lost them",
            }
        )
    left = sum(ring.in_ring for ring in rings if not ring.alive)
    if left:
        findings.append(
            {
                "finding": f"{left} events of processes that ended are not in files yet",
                "remedy": "run `leadlog recover`; a process that logs here does it by itself",
            }
        )
    return [asdict(ring) for ring in rings]


def row_of(ring: dict[str, Any]) -> tuple[Any, ...]:
    """One ring as a row of the table."""
    dropped = ", ".join(f"{cause} {lines}" for cause, lines in ring["dropped"].items())
    return (
        ring["process_id"],
        ring["category"],
        "alive" if ring["alive"] else "ended",
        ring["accepted"],
        ring["written"],
        ring["in_ring"],
        dropped or "0",
        ring["degraded"],
    )
