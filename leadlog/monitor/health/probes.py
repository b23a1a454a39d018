"""What checks are made of: probes, what they are given, and the ones that come with leadlog."""

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
    """What probes look at.

    Attributes:
        settings: limits, and where things are.
        directory: the log directory.
        database: the lead store: a path or URL, or an open `LeadDatabase`; None for none.
        database_required: whether somebody named the store, so that it has to be there.
        airtable: `pyairtable.Api`, or anything with its `session`, `endpoint_url` and `api_key`;
            None for none.
        base_id: the base that the sync uses; None for none.
        deep: whether what reads the whole store is checked too.
        now_us: gives the present time, microseconds since 1970.
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
"""Looks at something and says what it found, as one check or several; may raise."""


@attrs.frozen
class Registered:
    """A probe, and when it is due.

    Attributes:
        name: by which it is chosen; a probe that makes one check gives it this name.
        probe: what looks.
        interval_seconds: how often a monitor calls it.
        late: the state where it does not answer in time, or raises.
        prepare: imports what the probe needs, which is not counted in its time.
    """

    name: str
    probe: Probe
    interval_seconds: float
    late: State = "unknown"
    prepare: Callable[[], object] = lambda: None


def built_in() -> list[Registered]:
    """Return the probes that come with leadlog; their modules are loaded when they run."""
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
    """Room for an unprivileged user where a path lies or would lie, 10^6 bytes.

    Raises:
        OSError: no part of the path can be looked at.
    """
    there = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
    return shutil.disk_usage(there).free / 1e6


def disk_check(name: str, path: Path, disk_mb: float, where: str) -> Check:
    """Return whether there is room where a path lies.

    Args:
        name: of the check.
        path: the path; it need not exist.
        disk_mb: free room below which is a warning; below a tenth of it is critical.
        where: that place, for people.
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
