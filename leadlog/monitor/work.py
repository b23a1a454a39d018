"""The work of a monitor's cycle: read, check, notify, and store the result in one transaction."""

import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from leadlog.core.clock import utc_date
from leadlog.monitor import state
from leadlog.monitor.alarms import Alarms
from leadlog.monitor.checking import Checker
from leadlog.monitor.configuration import Configuration
from leadlog.monitor.figures.rolling import Rolling
from leadlog.monitor.health import Check
from leadlog.monitor.measuring import DROPPED
from leadlog.monitor.notification.channels import NotificationChannel
from leadlog.monitor.notification.outbox import Outbox
from leadlog.monitor.records import Emit, alert_record, health_record
from leadlog.monitor.rules.base import RuleView
from leadlog.monitor.states import AlertState
from leadlog.monitor.storage import RecordedTransition, recorded
from leadlog.monitor.summaries import Summaries
from leadlog.reading.follow import Follower

__all__ = ["MonitorReport", "Parts", "Work"]

_HEALTH_SECONDS: Final = 60.0
_DAY_US: Final = 86_400_000_000
_DAYS_READ: Final = 8  # the range of baselines and fingerprints
_CYCLE_SECONDS: Final = 0.5  # reading time before alerts and messages are handled
_MOST_EVENTS: Final = 100_000  # in one transaction
_NOTICE_SECONDS: Final = 60.0


@attrs.frozen
class MonitorReport:
    """The state of the monitor after a cycle.

    Attributes:
        at_us: time of the report, microseconds since 1970.
        events: number of events read in this cycle.
        behind: whether more events can be read right now.
        alerts: pending and firing alerts.
        checks: the newest result of each health check.
        undelivered: number of messages not delivered yet.
        ignored: number of records so far that the figures could not use.
        skipped: number of damaged lines read by this process.
    """

    at_us: int
    events: int
    behind: bool
    alerts: tuple[AlertState, ...]
    checks: tuple[Check, ...]
    undelivered: int
    ignored: int
    skipped: int

    @property
    def firing(self) -> list[AlertState]:
        """The firing alerts."""
        return [alert for alert in self.alerts if alert.state == "firing"]


@attrs.frozen(kw_only=True)
class Parts:
    """The configuration and dependencies of a monitor.

    Attributes:
        directory: the log directory.
        configuration: rules and notification intervals.
        channels: notification channels by hash of their URLs.
        checker: runs health checks; None for no checks.
        emit: writes records.
        clock: returns microseconds since 1970.
        measure: measures disk, memory and dropped events, by name.
        background: whether checks, summaries and deliveries run in separate threads.
        notice: called with one line of text for the operator.
        observe: called with each event that is read; None for no call.
    """

    directory: Path
    configuration: Configuration
    channels: Mapping[str, NotificationChannel]
    checker: Checker | None
    emit: Emit
    clock: Callable[[], int]
    measure: Callable[[Path], Mapping[str, float]]
    background: bool
    notice: Callable[[str], None]
    observe: Callable[[Mapping[str, Any]], object] | None = None


class Work:
    """The work of the only monitor of a directory, continued from where the last one stopped.

    Args:
        parts: configuration and dependencies.

    Attributes:
        figures: the rolling figures of the log.
        connection: to the database of the state.
        checks: the newest result of each health check.

    Raises:
        ReadError: the stored state is damaged.
        LogDirectoryError: the directory cannot be written.
    """

    def __init__(self, parts: Parts) -> None:
        directory, notice = parts.directory, parts.notice
        self._parts = parts
        self.figures = Rolling(user_errors_count=parts.configuration.user_errors_count)
        self._follower = Follower(directory, notice=notice)
        self._outbox = Outbox(
            state.database_path(directory),
            parts.channels,
            clock=parts.clock,
            monotonic=time.monotonic,
            notice=notice,
        )
        self._alarms = Alarms(directory, parts.configuration, self._outbox, notice)
        self._summaries = Summaries(directory, notice)
        self._unrecorded: list[RecordedTransition] = []
        self._recorded: list[str] = []
        self._unwritten = True  # there may be transitions whose records are missing
        self._evaluated_us: int | None = None
        self._evaluated_at = float("-inf")
        self._health_us: int | None = None
        self._noticed_at = float("-inf")
        self._dropped: float | None = None
        self._scanned = ""
        self._gone: list[str] = []
        self.checks: list[Check] = []
        self.connection = state.open_state(directory)
        try:
            with self.connection:
                self._load()
        except BaseException:
            self.connection.close()
            raise
        if parts.background:
            self._outbox.start()

    @property
    def alerts(self) -> list[AlertState]:
        """The pending and firing alerts."""
        return list(self._alarms.alerts.values())

    def _load(self) -> None:
        connection = self.connection
        self.figures.load(connection)
        state.load_positions(connection, self._follower)
        self._unrecorded = self._alarms.load(connection)
        self._outbox.load(connection)
        self._summaries.done = str(state.get(connection, "summarised") or "")
        evaluated, dropped = state.get(connection, "evaluated_us"), state.get(connection, DROPPED)
        self._evaluated_us = evaluated if isinstance(evaluated, int) else None
        self._dropped = dropped if isinstance(dropped, float) else None

    def close(self) -> None:
        """Stop; pending messages are kept for the next monitor."""
        self._outbox.stop()
        self._commit()
        self.connection.close()

    def cycle(self) -> MonitorReport:
        """Read new events, run everything due, and store the state in one transaction."""
        now = self._parts.clock()
        self.figures.advance(now)
        events, behind = self._follow(now)
        due = self._is_due(now, behind)
        if due:
            self._evaluate(now)
        if events or due or self._recorded or self._unwritten:
            self._commit()
        if not self._parts.background:
            self._outbox.deliver_due()
        return self._report(now, events, behind)

    def once(self, deliver_seconds: float) -> MonitorReport:
        """Read all new events, evaluate everything once, and send the notices.

        Args:
            deliver_seconds: how long deliveries are tried.
        """
        events, behind, now = 0, True, 0
        while behind:
            now = self._parts.clock()
            self.figures.advance(now)
            read, behind = self._follow(now)
            events += read
            self._commit()
        self._evaluate(now, at_once=True)
        self._commit()
        end = time.monotonic() + deliver_seconds
        while self._outbox.waiting() and time.monotonic() < end:
            if not self._outbox.deliver_due():
                time.sleep(0.2)
        return self._report(now, events, behind)

    def _follow(self, now: int) -> tuple[int, bool]:
        """Read for a limited time; return the number of events, and whether there are more."""
        since = utc_date(now - _DAYS_READ * _DAY_US)
        try:
            self._follower.scan(since)
        except OSError as error:
            self._say(f"cannot list {self._parts.directory}: {error.strerror or error}")
        if since != self._scanned:
            self._scanned = since
            self._gone += self._follower.forget(since)
        take, observe, events = self.figures.take, self._parts.observe, 0
        end = time.monotonic() + _CYCLE_SECONDS
        while events < _MOST_EVENTS and time.monotonic() < end:
            before = events
            for event in self._follower.read():
                take(event.data)
                if observe is not None:
                    observe(event.data)
                events += 1
            if events == before:
                return events, False
        return events, True

    def _is_due(self, now: int, behind: bool) -> bool:
        """Return whether alerts are evaluated now; while catching up they rarely are."""
        every = self._parts.configuration.every
        if behind and time.monotonic() - self._evaluated_at < 4 * every:
            return False
        if behind and self._evaluated_us is None:
            return False
        # After the clock was set back, the next evaluation must not wait for the old time.
        return self._evaluated_us is None or not 0 <= now - self._evaluated_us < every * 1e6

    def _evaluate(self, now: int, *, at_once: bool = False) -> None:
        last = now if self._evaluated_us is None else self._evaluated_us
        self._evaluated_us, self._evaluated_at = now, time.monotonic()
        wait = at_once or not self._parts.background
        if self._parts.checker is not None:
            self.checks = self._parts.checker.poll(wait=wait)
        measured = dict(self._parts.measure(self._parts.directory))
        self._count_dropped(measured.pop(DROPPED, None))
        backlog = [one.value for one in self.checks if one.name == "sync_backlog"]
        if backlog and backlog[0] is not None:
            measured["pending_syncs"] = backlog[0]
        self.figures.measured(measured)
        self._summaries.poll(now, wait=wait)
        view = RuleView(self.figures, self.checks)
        if self._parts.configuration.enabled:
            elapsed = (now - last) / 1e6
            self._alarms.evaluate(self.connection, view, elapsed, now, at_once=at_once)
        health = self._health_us
        if health is None or not 0 <= now - health < _HEALTH_SECONDS * 1e6:
            self._health_us = now
            every = self._parts.configuration.every
            health_record(self._parts.emit, view, self.alerts, every, now)

    def _count_dropped(self, total: float | None) -> None:
        """Count the events dropped since the last evaluation."""
        if total is None:
            return
        if self._dropped is not None and total > self._dropped:
            tally = self.figures.tallies.get("(dropped)")
            at = tally.slot(self.figures.now_minute)
            if at >= 0:
                tally.total[at] += total - self._dropped
        self._dropped = total

    def _commit(self) -> None:
        """Write the state; on failure continue, and try again in the next cycle."""
        connection = self.connection
        try:
            with connection:
                self.figures.save(connection)
                positions_saved = state.save_positions(connection, self._follower)
                connection.executemany(
                    "DELETE FROM positions WHERE file = ?", [(name,) for name in self._gone]
                )
                self._alarms.save(connection)
                self._outbox.save(connection)
                recorded(connection, self._recorded)
                self._save_meta(connection)
        except sqlite3.Error as error:
            self._unwritten = True
            self._outbox.release(saved=False)
            path = state.database_path(self._parts.directory)
            self._say(f"cannot write {path}: {error}; going on, and trying again")
            return
        self._unwritten = False
        self.figures.saved()
        positions_saved()
        self._gone.clear()
        self._recorded.clear()
        self._outbox.release(saved=True)
        self._unrecorded += self._alarms.saved()
        if self._unrecorded:
            self._record()

    def _record(self) -> None:
        """Write the records of transitions and mark them; a kill in between duplicates one."""
        for one in self._unrecorded:
            alert_record(self._parts.emit, one)
            self._recorded.append(one.id)
        self._unrecorded = []
        try:
            with self.connection:
                recorded(self.connection, self._recorded)
        except sqlite3.Error:
            return  # the next cycle's transaction includes them
        self._recorded.clear()

    def _say(self, text: str) -> None:
        """Report a condition that may persist, at most once a minute."""
        if time.monotonic() - self._noticed_at > _NOTICE_SECONDS:
            self._noticed_at = time.monotonic()
            self._parts.notice(text)

    def _save_meta(self, connection: sqlite3.Connection) -> None:
        if self._evaluated_us is not None:
            state.put(connection, "evaluated_us", self._evaluated_us)
        if self._dropped is not None:
            state.put(connection, DROPPED, self._dropped)
        if self._summaries.done:
            state.put(connection, "summarised", self._summaries.done)

    def _report(self, now: int, events: int, behind: bool) -> MonitorReport:
        return MonitorReport(
            at_us=now,
            events=events,
            behind=behind,
            alerts=tuple(self.alerts),
            checks=tuple(self.checks),
            undelivered=self._outbox.waiting(),
            ignored=self.figures.ignored,
            skipped=self._follower.skipped.lines,
        )
