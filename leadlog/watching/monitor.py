"""The monitor: one round after the other, each ending in one transaction."""

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import attrs

from leadlog.alerting.channels import Channel, channels
from leadlog.alerting.configuration import Configuration, configure
from leadlog.alerting.outbox import Outbox
from leadlog.alerting.rules import View
from leadlog.alerting.states import Alert
from leadlog.alerting.storage import History, recorded
from leadlog.clock import now_us, utc_date
from leadlog.figures.minutes import Tally
from leadlog.figures.rolling import Rolling
from leadlog.monitoring import Check
from leadlog.reading.follow import Follower
from leadlog.watching import state
from leadlog.watching.alarms import Alarms
from leadlog.watching.checking import Checker
from leadlog.watching.measuring import DROPPED, measure
from leadlog.watching.records import Emit, alert_record, health_record
from leadlog.watching.summaries import Summaries

__all__ = ["Monitor", "Report"]

POLL_SECONDS: Final = 1.0
_STANDBY_SECONDS: Final = 2.0
_HEALTH_SECONDS: Final = 60.0
_DAY_US: Final = 86_400_000_000
_DAYS_READ: Final = 8  # what baselines and fingerprints look back on
_ROUND_SECONDS: Final = 0.5  # of reading, before alerts and messages have their turn
_MOST_EVENTS: Final = 100_000  # in one transaction
_NOTICE_SECONDS: Final = 60.0


@attrs.frozen
class Report:
    """What the monitor knows after a round.

    Attributes:
        at_us: when, microseconds since 1970.
        events: how many it read in this round.
        behind: whether there is more to read right now.
        alerts: those that are pending or firing.
        checks: newest result of each health check.
        undelivered: messages on their way.
        ignored: records so far that the figures could not use.
        skipped: damaged lines met by this process.
    """

    at_us: int
    events: int
    behind: bool
    alerts: tuple[Alert, ...]
    checks: tuple[Check, ...]
    undelivered: int
    ignored: int
    skipped: int

    @property
    def firing(self) -> list[Alert]:
        """The alerts that fire."""
        return [alert for alert in self.alerts if alert.state == "firing"]


def _emit_nothing_else(level: str, event_name: str, event: dict[str, Any]) -> None:
    from leadlog.pipeline import get_logger

    get_logger().emit(level, event_name, event)


class Monitor:
    """Watches one log directory.

    `start` and `stop`, or `with`, run it in a thread; `run` in this one; `round` is one round.
    Only one monitor of a directory is at work; a second one stands by until the first has ended.

    Args:
        directory: the log directory; that of the settings by default.
        configuration: the rules; those of the settings by default.
        channels: where messages go; those of the setting `alerts_urls` by default.
        database: the lead store that health checks look at; that of the settings by default.
        checks: whether health checks are made.
        emit: writes records; by default the pipeline of this process, which should write to the
            same directory.
        clock: microseconds since 1970.
        measure: measures disk, memory and dropped events, by name, as
            `leadlog.watching.measuring.measure` does.
        background: whether checks, summaries and deliveries have threads of their own; else
            each round waits for them.
        notice: is told in one line about what somebody should know.

    Raises:
        SettingsError: a setting is unknown or bad.
    """

    def __init__(
        self,
        directory: str | Path | None = None,
        *,
        configuration: Configuration | None = None,
        channels: Mapping[str, Channel] | None = None,
        database: Any = None,
        checks: bool = True,
        emit: Emit | None = None,
        clock: Callable[[], int] = now_us,
        measure: Callable[[Path], Mapping[str, float]] = measure,
        background: bool = True,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        from leadlog.settings import load

        settings = load(directory=directory).settings
        self.directory = Path(settings.directory).absolute()
        self.configuration = configuration or configure(settings.alerts)
        self._notice = notice
        self._clock = clock
        self._measure = measure
        self._background = background
        self._emit = emit or _emit_nothing_else
        self._lock = state.Lock(self.directory)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._channels = _channels(settings.alerts_urls) if channels is None else channels
        self._checker = Checker(self.directory, database, clock) if checks else None
        self._noticed_at = float("-inf")
        self._reset()

    def _reset(self) -> None:
        """Makes everything new that is loaded from the database."""
        self.figures = Rolling()
        self._follower = Follower(self.directory, notice=self._notice)
        self._outbox = Outbox(
            state.database_path(self.directory),
            self._channels,
            clock=self._clock,
            monotonic=time.monotonic,
            notice=self._notice,
        )
        self._alarms = Alarms(self.directory, self.configuration, self._outbox, self._notice)
        self._summaries = Summaries(self.directory, self._notice)
        self._unrecorded: list[History] = []
        self._recorded: list[str] = []
        self._evaluated_us: int | None = None
        self._evaluated_at = float("-inf")
        self._health_us: int | None = None
        self._dropped: float | None = None
        self._scanned = ""
        self._gone: list[str] = []
        self._checks: list[Check] = []

    # --------------------------------------------------------------------------------- its life

    def open(self) -> None:
        """Becomes the monitor of the directory, and takes up what the last one left.

        Raises:
            StandbyError: another one watches it.
            ReadError: the state that was kept is damaged.
            LogDirectoryError: the directory cannot be written.
        """
        if self._connection is not None:
            return
        self._lock.take()
        try:
            self._reset()
            connection = state.open_state(self.directory)
            try:
                with connection:
                    self._load(connection)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            self._lock.release()
            raise
        self._connection = connection
        if self._background:
            self._outbox.start()

    def _load(self, connection: sqlite3.Connection) -> None:
        self.figures.load(connection)
        state.load_positions(connection, self._follower)
        self._unrecorded = self._alarms.load(connection)
        self._outbox.load(connection)
        self._summaries.done = str(state.get(connection, "summarised") or "")
        evaluated, dropped = state.get(connection, "evaluated_us"), state.get(connection, DROPPED)
        self._evaluated_us = evaluated if isinstance(evaluated, int) else None
        self._dropped = dropped if isinstance(dropped, float) else None

    def close(self) -> None:
        """Ends the work; what is on its way is kept for the next monitor. May be repeated."""
        self._outbox.stop()
        if self._connection is not None:
            self._commit(self._connection)
            self._connection.close()
            self._connection = None
        self._lock.release()

    def run(self, wait: Callable[[float], object] | None = None) -> None:
        """Works until `stop` is called, or `wait` raises.

        Args:
            wait: waits some seconds between two rounds.

        Raises:
            LeadlogError: as `open`, and where a log file cannot be read.
        """
        wait = wait or self._stop.wait
        told = ""
        try:
            while not self._stop.is_set():
                try:
                    self.open()
                except state.StandbyError as error:
                    if str(error) != told:
                        told = str(error)
                        self._notice(f"{told}; standing by")
                    wait(_STANDBY_SECONDS)
                    continue
                if not self.round().behind:
                    wait(POLL_SECONDS)
        finally:
            self.close()

    def start(self) -> None:
        """Runs it in a daemon thread, which ends with the process."""
        if self._thread is None or not self._thread.is_alive():
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="leadlog-monitor", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            self.run()
        except Exception as error:  # noqa: BLE001 - the application that it watches goes on
            self._notice(f"the monitor ended: {error}")

    def stop(self, timeout: float = 10.0) -> None:
        """Ends `run`, wherever it runs, and waits for the thread."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --------------------------------------------------------------------------------- its work

    def round(self) -> Report:
        """Reads what is new, does what is due, and writes all of it in one transaction.

        Raises:
            LeadlogError: as `open`, and where a log file cannot be read.
        """
        self.open()
        connection = self._connection
        if connection is None:
            raise AssertionError("open has set it")
        now = self._clock()
        self.figures.advance(now)
        events, behind = self._follow(now)
        if self._is_due(now, behind):
            self._evaluate(connection, now)
        self._commit(connection)
        if not self._background:
            self._outbox.deliver_due()
        return self._report(now, events, behind)

    def once(self, deliver_seconds: float = 30.0) -> Report:
        """Reads all that is new, looks once at everything, and tells what is to be told.

        Nothing has to last for an alert to fire, since the next look may be hours away.

        Args:
            deliver_seconds: how long messages are tried; the rest waits for the next monitor.

        Raises:
            LeadlogError: as `round`.
        """
        self.open()
        connection = self._connection
        if connection is None:
            raise AssertionError("open has set it")
        events, behind = 0, True
        while behind:
            now = self._clock()
            self.figures.advance(now)
            read, behind = self._follow(now)
            events += read
            self._commit(connection)
        self._evaluate(connection, now, at_once=True)
        self._commit(connection)
        end = time.monotonic() + deliver_seconds
        while self._outbox.waiting() and time.monotonic() < end:
            if not self._outbox.deliver_due():
                self._stop.wait(0.2)
        return self._report(now, events, behind)

    def _follow(self, now: int) -> tuple[int, bool]:
        """Reads for a while; how many events, and whether there is more."""
        since = utc_date(now - _DAYS_READ * _DAY_US)
        try:
            self._follower.scan(since)
        except OSError as error:
            self._say(f"cannot list {self.directory}: {error.strerror or error}")
        if since != self._scanned:
            self._scanned = since
            self._gone += self._follower.forget(since)
        take, events = self.figures.take, 0
        end = time.monotonic() + _ROUND_SECONDS
        while events < _MOST_EVENTS and time.monotonic() < end:
            before = events
            for event in self._follower.read():
                take(event.data)
                events += 1
            if events == before:
                return events, False
        return events, True

    def _is_due(self, now: int, behind: bool) -> bool:
        """Whether alerts are evaluated now: not on the way through the past."""
        every = self.configuration.every
        if behind and time.monotonic() - self._evaluated_at < 4 * every:
            return False
        if behind and self._evaluated_us is None:
            return False
        # A clock that was set back has not passed the time yet, and must not stop this.
        return self._evaluated_us is None or not 0 <= now - self._evaluated_us < every * 1e6

    def _evaluate(self, connection: sqlite3.Connection, now: int, *, at_once: bool = False) -> None:
        last = now if self._evaluated_us is None else self._evaluated_us
        self._evaluated_us, self._evaluated_at = now, time.monotonic()
        wait = at_once or not self._background
        if self._checker is not None:
            self._checks = self._checker.poll(wait=wait)
        measured = dict(self._measure(self.directory))
        self._count_dropped(measured.pop(DROPPED, None))
        backlog = [one.value for one in self._checks if one.name == "sync_backlog"]
        if backlog and backlog[0] is not None:
            measured["pending_syncs"] = backlog[0]
        self.figures.measured(measured)
        self._summaries.poll(now, wait=wait)
        view = View(self.figures, self._checks)
        if self.configuration.enabled:
            elapsed = (now - last) / 1e6
            self._alarms.evaluate(connection, view, elapsed, now, at_once=at_once)
        health = self._health_us
        if health is None or not 0 <= now - health < _HEALTH_SECONDS * 1e6:
            self._health_us = now
            every = self.configuration.every
            health_record(self._emit, view, self._alarms.alerts.values(), every, now)

    def _count_dropped(self, total: float | None) -> None:
        """What was dropped since the last look; what was dropped before the first is no news."""
        if total is None:
            return
        if self._dropped is not None and total > self._dropped:
            tally: Tally = self.figures.tallies.get("(dropped)")
            at = tally.slot(self.figures.now_minute)
            if at >= 0:
                tally.total[at] += total - self._dropped
        self._dropped = total

    def _commit(self, connection: sqlite3.Connection) -> None:
        """Writes everything; where that fails, goes on, and tries again in the next round."""
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
            self._outbox.release(saved=False)
            path = state.database_path(self.directory)
            self._say(f"cannot write {path}: {error}; going on, and trying again")
            return
        self.figures.saved()
        positions_saved()
        self._gone.clear()
        self._recorded.clear()
        self._outbox.release(saved=True)
        self._unrecorded += self._alarms.saved()
        for one in self._unrecorded:
            alert_record(self._emit, one)
            self._recorded.append(one.id)
        self._unrecorded = []

    def _say(self, text: str) -> None:
        """Tells of what may last, once a minute."""
        if time.monotonic() - self._noticed_at > _NOTICE_SECONDS:
            self._noticed_at = time.monotonic()
            self._notice(text)

    def _save_meta(self, connection: sqlite3.Connection) -> None:
        if self._evaluated_us is not None:
            state.put(connection, "evaluated_us", self._evaluated_us)
        if self._dropped is not None:
            state.put(connection, DROPPED, self._dropped)
        if self._summaries.done:
            state.put(connection, "summarised", self._summaries.done)

    def _report(self, now: int, events: int, behind: bool) -> Report:
        return Report(
            at_us=now,
            events=events,
            behind=behind,
            alerts=tuple(self._alarms.alerts.values()),
            checks=tuple(self._checks),
            undelivered=self._outbox.waiting(),
            ignored=self.figures.ignored,
            skipped=self._follower.skipped.lines,
        )


def _channels(urls: str) -> Mapping[str, Channel]:
    return channels(urls) if urls.strip() else {}
