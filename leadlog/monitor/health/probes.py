"""Probes of health checks: their context, their registration, and the built-in ones."""

import importlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from leadlog.core.clock import now_us
from leadlog.monitor.health.checks import Check, State, judge

if TYPE_CHECKING:
    from leadlog.core.settings import Settings

__all__ = ["Probe", "ProbeContext", "Registered", "built_in", "disk_check"]


@attrs.frozen
class ProbeContext:
    """The context of probes.

    Attributes:
        settings: limits, and locations.
        directory: the log directory.
        database: the lead store: a path or URL, or an open `LeadDatabase`; None without one.
        database_required: whether the store was configured explicitly, so that it must exist.
        airtable: `pyairtable.Api`, or an object with its `session`, `endpoint_url` and `api_key`;
            None without one.
        base_id: the base that the sync uses; None without one.
        deep: whether to run checks that read the whole store.
        now_us: returns the current time in microseconds since 1970.
    """

    settings: "Settings"
    directory: Path
    database: Any = None
    database_required: bool = False
    airtable: Any = None
    base_id: str | None = None
    deep: bool = False
    now_us: Callable[[], int] = now_us


Probe = Callable[[ProbeContext], Iterable[Check]]
"""Function that checks one subject and returns or yields its checks; may raise."""


@attrs.frozen
class Registered:
    """A probe and its schedule.

    Attributes:
        name: name by which it is selected; a probe with a single check gives it this name.
        probe: the probe itself.
        interval_seconds: how often a monitor calls it.
        late: the state if the probe raises or does not answer in time.
        prepare: imports the probe's modules, outside of its time limit.
    """

    name: str
    probe: Probe
    interval_seconds: float
    late: State = "unknown"
    prepare: Callable[[], object] = lambda: None


def built_in() -> list[Registered]:
    """Return the built-in probes; their modules are imported when they run."""
    return [
        _built_in("database", 30.0, late="critical"),
        _built_in("airtable", 60.0, late="warning"),
        _built_in("sync", 60.0, "backlog"),
        _built_in("log", 30.0),
        _built_in("shipping", 30.0),
        _built_in("migrations", 300.0, "unfinished"),
        _built_in("operations", 60.0),
    ]


def _built_in(
    name: str, interval_seconds: float, module: str = "", late: State = "unknown"
) -> Registered:
    def load() -> Any:
        return importlib.import_module(f"leadlog.monitor.health.{module or name}")

    def probe(context: ProbeContext) -> Iterable[Check]:
        found: Iterable[Check] = load().probe(context)
        return found

    return Registered(name, probe, interval_seconds, late, load)


def _free_mb(path: Path) -> float:
    """Return the free space for an unprivileged user at a path, which need not exist, in MB.

    Raises:
        OSError: no part of the path can be examined.
    """
    there = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
    return shutil.disk_usage(there).free / 1e6


def disk_check(name: str, path: Path, disk_mb: float, where: str) -> Check:
    """Return a check of the free space at a path.

    Args:
        name: name of the check.
        path: the path; it need not exist.
        disk_mb: free space below which the state is warning; below a tenth of it critical.
        where: description of the place, for the message.
    """
    room = _free_mb(path)
    return judge(
        name,
        round(room, 1),
        warning=disk_mb,
        critical=disk_mb / 10,
        unit="MB",
        below=True,
        message=f"only {room:.0f} MB are free {where}"
        if room <= disk_mb
        else f"{room:.0f} MB are free {where}",
        remedy="make room (`leadlog archive` compresses and deletes old log files), or move it "
        "to a larger disk",
    )
