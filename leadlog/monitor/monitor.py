"""The monitor of a log directory: its life, as a process, a thread, or a single look."""

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

    `start` and `stop`, or `with`, run it in a thread; `run` in this one; `cycle` is one cycle, and
    `once` one look at everything.
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
            `leadlog.monitor.measuring.measure` does.
        background: whether checks, summaries and deliveries have threads of their own; else
            each cycle waits for them.
        notice: is called with one line that people should know of.
        observe: is given each event that is read, as
            `leadlog.monitor.health.counting.EventCounts.add` wants it.

    Raises:
        SettingsError: a setting is unknown or bad.
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
        """In a forked child: lets go of everything, so that the parent alone is the monitor."""
        self._lock.release()
        self._work, self._thread = None, None
        self._stop = threading.Event()

    @property
    def figures(self) -> Rolling:
        """What the log adds up to; nothing while it is not at work."""
        return Rolling() if self._work is None else self._work.figures

    def health(self) -> Health | None:
        """Return the newest results of the health checks; None while there are none."""
        work = self._work
        return Health(tuple(work.checks)) if work is not None and work.checks else None

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are pending or firing, as the records have them."""
        work = self._work
        return [] if work is None else [entry(alert) for alert in work.alerts]

    def open(self) -> Work:
        """Become the monitor of the directory, and takes up what the last one left.

        Raises:
            StandbyError: another one watches it.
            ReadError: the state that was kept is damaged.
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
        """End the work; what is on its way is kept for the next monitor. May be repeated."""
        if self._work is not None:
            self._work.close()
            self._work = None
        self._lock.release()

    def cycle(self) -> MonitorReport:
        """Read what is new, does what is due, and writes all of it in one transaction.

        Raises:
            LeadlogError: as `open`.
        """
        return self.open().cycle()

    def once(self, deliver_seconds: float = 30.0) -> MonitorReport:
        """Read all that is new, looks once at everything, and tells what is to be told.

        Nothing has to last for an alert to fire, since the next look may be hours away.

        Args:
            deliver_seconds: how long messages are tried; the rest waits for the next monitor.

        Raises:
            LeadlogError: as `open`.
        """
        return self.open().once(deliver_seconds)

    def run(self, wait: Callable[[float], object] | None = None) -> None:
        """Work until `stop` is called, or `wait` raises.

        Args:
            wait: waits some seconds between two cycles.

        Raises:
            LeadlogError: as `open`.
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
        """Run it in a daemon thread, which ends with the process."""
        if self._thread is None or not self._thread.is_alive():
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="leadlog-monitor", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            self.run()
        except Exception as error:  # noqa: BLE001 - the application that it watches goes on
            self._parts.notice(f"the monitor ended: {error}")

    def stop(self, timeout: float = 10.0) -> None:
        """End `run`, wherever it runs, and waits for the thread."""
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
