"""Checks of the log itself: whether it is writable, has space, lost events, or lags."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from leadlog.core.clock import parse
from leadlog.core.layout import log_files
from leadlog.monitor.health.checks import Check, judge
from leadlog.monitor.health.probes import ProbeContext, disk_check
from leadlog.reading.events import read_backwards
from leadlog.recording.sinks.board import SinkReport, sink_reports
from leadlog.recording.sinks.report import RingReport, ring_reports

__all__ = ["directory_checks", "probe", "ring_checks", "sink_checks"]


def probe(context: ProbeContext) -> Iterator[Check]:
    """Check whether the log is writable, has lost nothing, and does not lag."""
    directory = context.directory
    yield from directory_checks(directory, context.settings.health_disk_mb)
    rings = ring_reports(directory.absolute())
    yield from ring_checks(rings)
    yield from sink_checks(sink_reports(directory.absolute()))
    yield _lag(rings, context)
    yield _clock(context)


def directory_checks(directory: Path, disk_mb: float) -> Iterator[Check]:
    """Yield checks of the log directory: whether it is writable and has free space.

    Args:
        directory: the log directory; it need not exist yet.
        disk_mb: free space below which the state is warning; below a tenth of it critical.
    """
    there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    name = "log_writable"
    if there == directory and not directory.is_dir():
        yield Check(
            name,
            "critical",
            message=f"{directory} is not a directory",
            remedy="move that file away, or choose another directory (LEADLOG_DIRECTORY)",
        )
    elif not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        yield Check(
            name,
            "critical",
            message=f"{there} is not writable, so events are dropped",
            remedy=f"give this user write permission there (chown or chmod {there}), or set "
            "LEADLOG_DIRECTORY",
        )
    else:
        yield Check(name, "ok", message=f"{there} can be written")
    yield disk_check("log_disk", there, disk_mb, f"where {directory} lies")


def ring_checks(rings: Sequence[RingReport]) -> Iterator[Check]:
    """Yield checks of the rings of all processes: lines that were lost or not recovered."""
    causes: dict[str, int] = {}
    for ring in rings:
        for cause, lines in ring.dropped.items():
            causes[cause] = causes.get(cause, 0) + lines
    dropped = sum(causes.values())
    said = ", ".join(f"{cause} {lines}" for cause, lines in sorted(causes.items()))
    yield judge(
        "log_dropped",
        float(dropped),
        warning=1.0,
        unit="events",
        message=f"{dropped} events were dropped ({said})" if dropped else "no event was dropped",
        remedy="make the directory writable or make room; the table of rings of `leadlog doctor` "
        "says which process and category lost them",
    )
    uncounted = sorted({ring.process_id for ring in rings if ring.uncounted})
    yield judge(
        "log_uncounted",
        float(len(uncounted)),
        warning=1.0,
        unit="processes",
        message=f"{len(uncounted)} processes without shared memory ended before they closed the "
        f"log, such as {uncounted[-1]}; what they had not written is lost, and was not counted"
        if uncounted
        else "every process without shared memory closed the log",
        remedy="end them with leadlog.flush() or leadlog.shutdown(), or give them /dev/shm",
    )
    left = sum(ring.in_ring for ring in rings if not ring.alive)
    yield judge(
        "log_waiting",
        float(left),
        warning=1.0,
        unit="events",
        message=f"{left} events of processes that ended are not in files yet"
        if left
        else "no event of a process that ended waits",
        remedy="run `leadlog recover`; a process that logs here does it by itself",
    )


def sink_checks(sinks: Sequence[SinkReport]) -> Iterator[Check]:
    """Yield checks of lines that additional sinks lost; nothing without such sinks."""
    if not sinks:
        return
    lost = {
        name: sum(sum(one.dropped.values()) for one in sinks if one.sink == name)
        for name in sorted({one.sink for one in sinks})
    }
    dropped = sum(lost.values())
    said = ", ".join(f"{name} {lines}" for name, lines in lost.items() if lines)
    yield judge(
        "log_sinks_dropped",
        float(dropped),
        warning=1.0,
        unit="events",
        message=f"{dropped} events did not reach additional sinks ({said}); the files have them"
        if dropped
        else "every event reached the additional sinks",
        remedy="see that the sinks' receivers answer, or give them a larger SinkQueue.queue_bytes; "
        "the table of sinks of `leadlog doctor --json` says what they raised",
    )
    failing = [one for one in sinks if one.alive and one.error]
    yield judge(
        "log_sinks_failing",
        float(len(failing)),
        warning=1.0,
        unit="sinks",
        message=f"the sink {failing[0].sink} of process {failing[0].process_id} fails: "
        f"{failing[0].error}"
        if failing
        else "no additional sink fails",
        remedy="see that its receiver answers; nothing is lost in the files",
    )


def _lag(rings: Sequence[RingReport], context: ProbeContext) -> Check:
    """Return a check of the longest time that an event waits in a living process."""
    since = min((one.waiting_since for one in rings if one.alive and one.waiting_since), default="")
    lag = 0.0
    if since:
        lag = max((context.now_us() - parse(since)) / 1e6, 0.0)
    limit = context.settings.health_log_lag_seconds
    return judge(
        "log_lag",
        round(lag, 3),
        warning=limit,
        critical=limit * 10,
        unit="s",
        message=f"the oldest event on its way to its file has waited for {lag:.1f} s"
        if since
        else "no event waits for its file",
        remedy="see that the disk is neither full nor stalled, and that the processes that log "
        "get processor time",
    )


def _clock(context: ProbeContext) -> Check:
    """Return a check of the newest events' timestamps, which must not lie in the future."""
    files = log_files(context.directory)
    newest = ""
    if files:
        last = [file for file in files if file.date == files[-1].date]
        ends = (next(read_backwards(file.path), None) for file in last)
        newest = max((event.timestamp for event in ends if event is not None), default="")
    ahead = 0.0
    if newest:
        ahead = max((parse(newest) - context.now_us()) / 1e6, 0.0)
    return judge(
        "log_clock",
        round(ahead, 3),
        warning=context.settings.health_clock_seconds,
        unit="s",
        message=f"the newest event is {ahead:.1f} s ahead of this clock"
        if ahead
        else "no event has a future timestamp",
        remedy="let all hosts that log here follow the same time servers; a clock that was set "
        "back recovers by itself",
    )
