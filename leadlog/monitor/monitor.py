"""The monitor of a log directory, run as a process, in a thread, or once."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from leadlog.core.clock import now_us
from leadlog.core.forks import renew_after_fork
from leadlog.monitor import state
from leadlog.monitor.checking import Checker
from leadlog.monitor.configuration import Configuration, configure
from leadlog.monitor.figures.rolling import Rolling
from leadlog.monitor.health import Health
from leadlog.monitor.measuring import measure
from leadlog.monitor.notification.channels import NotificationChannel
from leadlog.monitor.notification.channels import channels as channels_of
from leadlog.monitor.records import Emit, entry
from leadlog.monitor.work import MonitorReport, Parts, Work

__all__ = ["Monitor"]

_POLL_SECONDS: Final = 1.0
_STANDBY_SECONDS: Final = 2.0


def _emit(level: str, event_name: str, event: dict[str, Any]) -> None:
    from leadlog.recording.pipeline import get_logger

    get_logger().emit(level, event_name, event)


class Monitor:
    """Watches one log directory.

    `start` and `stop`, or `with`, run it in a thread, `run` in the calling one; `cycle` runs one
    cycle, and `once` a single complete evaluation.
    Only one monitor of a directory is active; a second one stands by until the first has ended.

    Args:
        directory: the log directory; the one of the settings by default.
        configuration: the rules; those of the settings by default.
        channels: notification channels; those of the setting `alerts_urls` by default.
        database: the lead store for health checks; the one of the settings by default.
        checks: whether health checks are run.
        emit: writes records; by default the pipeline of this process, which should write to the
            same directory.
        clock: returns microseconds since 1970.
        measure: measures disk, memory and dropped events, by name, as
            `leadlog.monitor.measuring.measure` does.
        background: whether checks, summaries and deliveries run in separate threads; otherwise
            each cycle waits for them.
        notice: called with one line of text for the operator.
        observe: called with each event that is read, such as
            `leadlog.monitor.health.counting.EventCounts.add`.

    Raises:
        SettingsError: a setting is unknown or invalid.
    """

    def __init__(
        self,
        directory: str | Path | None = None,
        *,
        configuration: Configuration | None = None,
        channels: Mapping[str, NotificationChannel] | None = None,
        database: Any = None,
        checks: bool = True,
        emit: Emit = _emit,
        clock: Callable[[], int] = now_us,
        measure: Callable[[Path], Mapping[str, float]] = measure,
        background: bool = True,
        notice: Callable[[str], None] = lambda _: None,
        observe: Callable[[Mapping[str, Any]], object] | None = None,
    ) -> None:
        from leadlog.core.settings import load

        settings = load(directory=directory).settings
        self.directory = Path(settings.directory).absolute()
        self.configuration = configuration or configure(settings.alerts)
        self._parts = Parts(
            directory=self.directory,
            configuration=self.configuration,
            channels=channels_of(settings.alerts_urls) if channels is None else channels,
            checker=Checker(self.directory, database, clock) if checks else None,
            emit=emit,
            clock=clock,
            measure=measure,
            background=background,
            notice=notice,
            observe=observe,
        )
        self._lock = state.Lock(self.directory)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._work: Work | None = None
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Release everything in a forked child, so that only the parent is the monitor."""
        self._lock.release()
        self._work, self._thread = None, None
        self._stop = threading.Event()

    @property
    def figures(self) -> Rolling:
        """The rolling figures; empty while the monitor is not active."""
        return Rolling() if self._work is None else self._work.figures

    def health(self) -> Health | None:
        """Return the newest results of the health checks; None if there are none yet."""
        work = self._work
        return Health(tuple(work.checks)) if work is not None and work.checks else None

    def alerts(self) -> list[dict[str, Any]]:
        """Return the pending and firing alerts in the form of the records."""
        work = self._work
        return [] if work is None else [entry(alert) for alert in work.alerts]

    def open(self) -> Work:
        """Become the directory's active monitor, and load the state of the last one.

        Raises:
            StandbyError: another monitor is active.
            ReadError: the stored state is damaged.
            LogDirectoryError: the directory cannot be written.
        """
        if self._work is None:
            self._lock.take()
            try:
                self._work = Work(self._parts)
            except BaseException:
                self._lock.release()
                raise
        return self._work

    def close(self) -> None:
        """Stop; pending messages are kept for the next monitor. May be called repeatedly."""
        if self._work is not None:
            self._work.close()
            self._work = None
        self._lock.release()

    def cycle(self) -> MonitorReport:
        """Read new events, run everything due, and store the state in one transaction.

        Raises:
            LeadlogError: as for `open`.
        """
        return self.open().cycle()

    def once(self, deliver_seconds: float = 30.0) -> MonitorReport:
        """Read all new events, evaluate everything once, and send the notices.

        No condition has to last for an alert to fire, since the next evaluation may be hours away.

        Args:
            deliver_seconds: how long deliveries are tried; the rest is left to the next monitor.

        Raises:
            LeadlogError: as for `open`.
        """
        return self.open().once(deliver_seconds)

    def run(self, wait: Callable[[float], object] | None = None) -> None:
        """Run cycles until `stop` is called or `wait` raises.

        Args:
            wait: waits for some seconds between two cycles.

        Raises:
            LeadlogError: as for `open`.
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
                        self._parts.notice(f"{told}; standing by")
                    wait(_STANDBY_SECONDS)
                    continue
                if not self.cycle().behind:
                    wait(_POLL_SECONDS)
        finally:
            self.close()

    def start(self) -> None:
        """Start it in a daemon thread, which ends with the process."""
        if self._thread is None or not self._thread.is_alive():
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="leadlog-monitor", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            self.run()
        except Exception as error:  # noqa: BLE001 - the application must continue
            self._parts.notice(f"the monitor ended: {error}")

    def stop(self, timeout: float = 10.0) -> None:
        """Stop `run`, in whichever thread it runs, and wait for the thread."""
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
