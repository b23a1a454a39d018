"""The monitor's own measurements: disk space, memory, and dropped events."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import psutil

from leadlog.recording.sinks.report import ring_reports

__all__ = ["DROPPED", "measure"]

DROPPED = "dropped_total"
"""Name of the sum of all events that processes dropped."""


def measure(directory: Path) -> Mapping[str, float]:
    """Return current measurements by name; those that cannot be taken are omitted.

    Args:
        directory: the log directory.

    Returns:
        `disk_free_percent` and `disk_free_mb` (for an unprivileged user), `memory_free_percent`
        and `memory_free_mb` (available to new processes), and `dropped_total`.
    """
    found: dict[str, float] = {}
    try:
        disk = shutil.disk_usage(directory)
        found["disk_free_percent"] = 100 * disk.free / disk.total
        found["disk_free_mb"] = disk.free / 1e6
    except (OSError, ZeroDivisionError):
        pass
    try:
        memory = psutil.virtual_memory()
        found["memory_free_percent"] = 100 * memory.available / memory.total
        found["memory_free_mb"] = memory.available / 1e6
    except (OSError, psutil.Error):
        pass
    try:
        rings = ring_reports(directory.absolute())
        found[DROPPED] = float(sum(sum(one.dropped.values()) for one in rings))
    except OSError:
        pass
    return found
