"""The bound logger, and the slot in which a pipeline sits.

structlog's parts in their own places: a bound logger, a list of processors, and a wrapped
logger that takes what the last processor gives. The only processor of the list looks up the
pipeline in the slot, so that a logger fetched once follows every later `configure`.
"""

import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

import structlog
from structlog.typing import EventDict, WrappedLogger

from leadlog.core.forks import renew_after_fork

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""Level names and their rank."""


class Target(Protocol):
    """The pipeline, as far as a logger needs it."""

    level: int
    """Lowest rank that is written."""

    def process(self, logger: WrappedLogger, method_name: str, event_dict: EventDict, /) -> Any:
        """Runs the chain."""
        ...

    def process_complete(
        self, logger: WrappedLogger, method_name: str, event_dict: EventDict, /
    ) -> Any:
        """Runs the chain over an event that has every section of its log type."""
        ...

    def write(self, category: str, line: bytes) -> bool:
        """Hands the line to the sink; False when that is closed."""
        ...


class Slot:
    """Holds the pipeline that loggers write to, and is their wrapped logger.

    Args:
        configure: makes the pipeline when the first event comes before any was set.

    Attributes:
        lock: held while another pipeline is put in.
        target: the pipeline in force, or None.
        failures: calls that could not be logged at all.
    """

    def __init__(self, configure: Callable[[], Target]) -> None:
        self._configure = configure
        self.lock = threading.RLock()
        self.target: Target | None = None
        self.failures = 0
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Gives a forked child a lock that no thread of its parent holds."""
        self.lock = threading.RLock()

    def resolve(self) -> Target:
        """The pipeline in force; makes one where there is none."""
        target = self.target
        if target is None:
            target = self._configure()
        return target

    def process(self, logger: WrappedLogger, method_name: str, event_dict: EventDict) -> Any:
        """The processor: runs the chain of the pipeline in force."""
        return self.resolve().process(logger, method_name, event_dict)

    def write(self, category: str, line: bytes) -> None:
        """The wrapped logger: hands a line to the pipeline in force.

        Another may just have taken its place; then that one gets the line.
        """
        for _ in range(3):
            if self.resolve().write(category, line):
                return
        self.failures += 1

    def failed(self, error: Exception) -> None:
        """Counts a call that could not be logged, and says so once."""
        self.failures += 1
        if self.failures == 1 and not sys.is_finalizing():  # else it may not even import
            print(f"leadlog: an event could not be logged: {error!r}", file=sys.stderr)  # noqa: T201 - the log itself failed


def _merged(text: Any, args: tuple[Any, ...]) -> str:
    """Text and arguments merged as `logging` does; side by side where they do not fit."""
    try:
        return str(text % args)
    except (TypeError, ValueError, KeyError):
        return f"{text} {args!r}"


class BoundLogger(structlog.BoundLoggerBase):
    """structlog's bound logger; its calls never raise.

    Keywords become fields of the event. Positional arguments are merged into the event's
    text with `%`, as `logging` does.
    """

    _logger: Slot

    def _log(self, rank: int, name: str, event: Any, args: tuple[Any, ...], kw: Any) -> None:
        try:
            slot = self._logger
            if rank < slot.resolve().level:
                return
            if args:
                event = _merged(event, args)
            positional, _ = self._process_event(name, event, kw)
            slot.write(*positional)
        except structlog.DropEvent:
            return
        except Exception as error:  # noqa: BLE001 - logging never breaks the caller
            self._logger.failed(error)

    def emit(self, method_name: str, event_name: str, event: EventDict) -> None:
        """Logs an event that is complete already, without a copy of it.

        Args:
            method_name: debug, info, warning, error or critical.
            event_name: dotted name of what happened.
            event: as `leadlog.core.records.shape` makes it; belongs to the pipeline from now on.
        """
        try:
            slot = self._logger
            target = slot.target or slot.resolve()
            if LEVELS[method_name] < target.level:
                return
            event["event_name"] = event_name
            (category, line), _ = target.process_complete(slot, method_name, event)
            if not target.write(category, line):
                slot.write(category, line)
        except structlog.DropEvent:
            return
        except Exception as error:  # noqa: BLE001 - logging never breaks the caller
            self._logger.failed(error)

    def debug(self, event: Any = None, *args: Any, **kw: Any) -> None:
        """Logs at level debug."""
        self._log(10, "debug", event, args, kw)

    def info(self, event: Any = None, *args: Any, **kw: Any) -> None:
        """Logs at level info."""
        self._log(20, "info", event, args, kw)

    def warning(self, event: Any = None, *args: Any, **kw: Any) -> None:
        """Logs at level warning."""
        self._log(30, "warning", event, args, kw)

    warn = warning

    def error(self, event: Any = None, *args: Any, **kw: Any) -> None:
        """Logs at level error."""
        self._log(40, "error", event, args, kw)

    def exception(self, event: Any = None, *args: Any, **kw: Any) -> None:
        """Logs at level error, with the exception being handled."""
        kw.setdefault("exc_info", True)
        self._log(40, "error", event, args, kw)

    def critical(self, event: Any = None, *args: Any, **kw: Any) -> None:
        """Logs at level critical."""
        self._log(50, "critical", event, args, kw)

    fatal = critical

    def log(self, level: int | str, event: Any = None, *args: Any, **kw: Any) -> None:
        """Logs at a level given by name or by `logging`'s number."""
        rank = LEVELS.get(level.lower(), 20) if isinstance(level, str) else level
        name = next((name for name, at in reversed(LEVELS.items()) if rank >= at), "debug")
        self._log(rank, name, event, args, kw)
