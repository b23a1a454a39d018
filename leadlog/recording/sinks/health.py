"""The health of a sink: dropped lines, failures and recoveries.

Reported twice: as events in the log itself, and as lines on standard error, in case the log is
what is broken. Both are rate-limited.
"""

import os
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leadlog.core.stderr import tell
from leadlog.recording.sinks.contract import BatchCounts
from leadlog.recording.sinks.counts import Counts

__all__ = ["Notify", "SinkHealth"]

Notify = Callable[[dict[str, Any]], None]
"""Function called with a condition of the sink, see `SinkHealth`."""

_QUIET_SECONDS = 1.0
_AGAIN_SECONDS = 60.0


@dataclass(slots=True)
class _Condition:
    """One problem of one category, current or past.

    Attributes:
        since: when it began; None if there is no problem.
        last: when it was last seen.
        told: whether `began` was reported, so that `ended` must be reported as well.
        next: time before which a new beginning is not reported.
        base: number of lines when it began.
        lines: lines affected since it began.
        detail: cause or error.
        sink: the additional sink that it concerns; "" for the files.
    """

    since: float | None = None
    last: float = 0.0
    told: bool = False
    next: float = 0.0
    base: int = 0
    lines: int = 0
    detail: str = ""
    sink: str = ""


class SinkHealth:
    """Monitor of the counts of all categories.

    Each event is a dict: `condition` (`failing`: files cannot be written, lines wait;
    `dropping`: lines are lost; `degraded`: lines are in this process's own memory, where a
    kill would lose them), `state` (`began`, `ended`), `category`, `detail` (error, causes or
    reason), `lines` (lost, or at risk, since it began; for `failing` those waiting) and
    `seconds` since it began. The same condition of a category is reported once a minute at most.

    Args:
        directory: the log directory.
        notify: receives the events; by default they are discarded.
        warn: receives lines for users, one a minute at most; by default standard error.
        now: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        directory: Path,
        notify: Notify | None = None,
        warn: Callable[[str], None] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._notify = notify
        self._warn = warn or tell
        self._now = now
        self._warn_at = 0.0
        self._degraded_at = 0.0
        self._said_for_good: set[str] = set()
        self._conditions: dict[tuple[str, str, str], _Condition] = {}

    def look(self, category: str, counts: Counts, error: Exception | None, degraded: str) -> None:
        """Compare the counts with the last call's, and report changes; never raises.

        Args:
            category: the counts' category.
            counts: the lines so far.
            error: the exception that prevents writing its files now, or None.
            degraded: why its ring is in the heap, or "".
        """
        text = "" if error is None else self._describe(error, category)
        self._follow(category, "failing", text, counts.waiting, counted=False)
        causes = ", ".join(counts.dropped)
        self._follow(category, "dropping", causes, sum(counts.dropped.values()), counted=True)
        reason = degraded or "the ring was full"
        self._follow(
            category, "degraded", reason, counts.degraded, counted=True, lasting=bool(degraded)
        )

    def look_at_sink(self, name: str, counts: BatchCounts) -> None:
        """Compare the counts of an additional sink with the last call's, and report changes.

        Its events have the conditions `sink_failing` (it raises, its lines wait) and
        `sink_dropping` (it does not get lines), its name under `sink`, and no category.

        Args:
            name: the sink's name.
            counts: the lines so far.
        """
        self._follow("", "sink_failing", counts.error, counts.waiting, counted=False, sink=name)
        lost = {cause: lines for cause, lines in counts.dropped.items() if cause != "closed"}
        causes = ", ".join(lost)
        self._follow("", "sink_dropping", causes, sum(lost.values()), counted=True, sink=name)

    def _follow(
        self,
        category: str,
        condition: str,
        detail: str,
        lines: int,
        *,
        counted: bool,
        lasting: bool = False,
        sink: str = "",
    ) -> None:
        """Update one condition, which holds while its count grows or while it has a detail."""
        now = self._now()
        state = self._conditions.get((category, condition, sink))
        if state is None:
            state = self._conditions[category, condition, sink] = _Condition(sink=sink)
        on = lines > state.base + state.lines if counted else bool(detail)
        if on:
            if state.since is None:
                state.since = now
                state.base = 0 if not counted else state.base + state.lines
                state.lines = 0
                state.told = now >= state.next
            state.last = now
            state.detail = detail
            state.lines = lines - state.base
            if state.told and state.since == now:
                state.next = now + _AGAIN_SECONDS
                self._tell(category, condition, "began", state)
            if condition != "degraded":
                self._warn_people(category, condition, state)
            elif state.since == now:
                self._warn_of_risk(category, state, lasting)
        elif state.since is not None and now >= state.last + _QUIET_SECONDS:
            if state.told:
                self._tell(category, condition, "ended", state)
            state.since = None

    def _tell(self, category: str, condition: str, step: str, state: _Condition) -> None:
        if self._notify is None:
            return
        event = {
            "condition": condition,
            "state": step,
            "category": category,
            "detail": state.detail,
            "lines": state.lines,
            "seconds": round(state.last - (state.since or state.last), 3),
        }
        if state.sink:
            event["sink"] = state.sink
        try:
            self._notify(event)
        except Exception as error:  # noqa: BLE001 - a listener must not stop the drain
            self._warn_once_a_minute(f"leadlog: cannot report the log's health: {error!r}")

    def unusable(self, error: Exception) -> None:
        """Report that the log directory cannot be used as it is."""
        self._warn_once_a_minute(
            f"leadlog: cannot write to {self._directory}: {self._describe(error)}; events wait in "
            "memory until it can be written (see `leadlog doctor`)"
        )

    def trouble(self, text: str) -> None:
        """Report a problem that concerns no single category."""
        self._warn_once_a_minute(f"leadlog: {self._directory}: {text}")

    def _warn_people(self, category: str, condition: str, state: _Condition) -> None:
        if state.sink:
            what = "wait for it" if condition == "sink_failing" else "were dropped for it"
            message = (
                f"leadlog: the sink {state.sink} is in trouble ({state.detail}); {state.lines} "
                f"events {what}, and are in the files of {self._directory}"
            )
        elif condition == "failing":
            message = (
                f"leadlog: cannot write to {self._directory / category}: {state.detail}; "
                f"{state.lines} events wait in memory until it can be written"
            )
        else:
            message = (
                f"leadlog: {state.lines} events of {category} were dropped ({state.detail}); "
                f"the log is {self._directory}"
            )
        self._warn_once_a_minute(message + " (see `leadlog doctor`)")

    def _warn_of_risk(self, category: str, state: _Condition, lasting: bool) -> None:
        """Report that a kill would lose lines now, separately from lines that are lost.

        If no memory survives a kill, this is true for every line, and reported only once.
        """
        now = self._now()
        if now < self._degraded_at or (lasting and state.detail in self._said_for_good):
            return
        self._degraded_at = now + _AGAIN_SECONDS
        if lasting:
            self._said_for_good.add(state.detail)
        self._warn_quietly(
            f"leadlog: events of {category} lie in this process's own memory until they are in "
            f"their files, and a kill would lose them ({state.detail}; see `leadlog doctor`)"
        )

    def _warn_once_a_minute(self, message: str) -> None:
        now = self._now()
        if now < self._warn_at:
            return
        self._warn_at = now + _AGAIN_SECONDS
        self._warn_quietly(message)

    def _warn_quietly(self, message: str) -> None:
        try:
            self._warn(message)
        except Exception:  # noqa: BLE001 - standard error may be closed, and nothing else is left
            return

    def _describe(self, error: Exception, category: str = "") -> str:
        """Return the message of an error, with the owner of a folder this user may not write to."""
        text = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if isinstance(error, PermissionError):
            text += _whose(self._directory / category)
        return text or repr(error)


def _whose(path: Path) -> str:
    """Return a note on the owner of a folder, or of the nearest parent that can be read."""
    if sys.platform == "win32":
        return ""
    for one in (path, *path.parents):
        try:
            state = one.stat()
        except OSError:
            continue
        return (
            f" ({one} belongs to {_name(state.st_uid)}, mode {stat.S_IMODE(state.st_mode):04o}, "
            f"and this process runs as {_name(os.geteuid())}: write as one user, or as one group "
            "with directory_mode and file_mode)"
        )
    return ""


def _name(user: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
