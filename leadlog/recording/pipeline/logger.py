"""The bound logger, and the slot that holds the pipeline.

Built from structlog's parts: a bound logger, a list of processors, and a wrapped logger that
receives the last processor's result. The only processor makes the frame of facts with the pipeline
in the slot, so a logger fetched once follows every later `configure`.
"""

from collections.abc import Callable
from typing import Any, Protocol, Self

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from leadlog.core.forks import renew_after_fork, renew_if_forked
from leadlog.core.native import RLock
from leadlog.core.stderr import tell

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""Level names and their ranks."""


Frames = list[tuple[str, bytes]]
"""Frames, each with its category."""


class LogTarget(Protocol):
    """The part of the pipeline that a logger needs."""

    level: int
    """Lowest level rank that is written."""

    def free(self, method: str, name: Any, values: dict[str, Any], /) -> tuple[str, bytes]:
        """Return category and frame of an application's own log call."""
        ...

    def event(self, method: str, name: str, event: EventDict, /) -> tuple[str, bytes]:
        """Return category and frame of an event that has every section of its log type."""
        ...

    def call(self, method: str, name: str, event_id: str, call: list[Any], /) -> tuple[str, bytes]:
        """Return category and frame of a call on the store that is logged by hand."""
        ...

    def memory_mb(self) -> float | None:
        """Return the resident set at the last sample, 10^6 bytes."""
        ...

    def write(self, category: str, frame: bytes) -> bool:
        """Pass the frame to the sink; return False if the sink is closed."""
        ...

    def intend(self, frames: Frames, brief: Callable[[], Frames]) -> object:
        """Make the sink note frames; see `SpoolSink.intend`."""
        ...

    def settle(self, token: object) -> None:
        """Make the sink withdraw a note."""
        ...


class PipelineSlot:
    """The slot for the pipeline that loggers write to; it is their wrapped logger.

    Args:
        configure: creates the pipeline at the first event if none was set.
        reference: a function and its arguments that return the slot when it is unpickled.

    Attributes:
        lock: held while the pipeline is replaced.
        target: the current pipeline, or None.
        closed: the last pipeline that was closed.
        failures: number of calls that could not be logged at all.
        processor: the single processor of its loggers.
    """

    __slots__ = ("__dict__", "__weakref__", "lock")  # see leadlog.core.native

    def __init__(
        self,
        configure: Callable[[], LogTarget],
        reference: tuple[Callable[..., "PipelineSlot"], tuple[Any, ...]],
    ) -> None:
        self._configure = configure
        self._reference = reference
        self.lock = RLock()
        self.target: LogTarget | None = None
        self.closed: LogTarget | None = None
        self.failures = 0
        self.processor = self.process
        renew_after_fork(self)

    def __copy__(self) -> Self:
        """Return the slot itself, so that copies of a logger log like the original."""
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        """See `__copy__`."""
        return self

    def __reduce__(self) -> tuple[Callable[..., "PipelineSlot"], tuple[Any, ...]]:
        """Pickle a reference to the slot of the process that unpickles it."""
        return self._reference

    def after_fork(self) -> None:
        """Give a forked child a lock that no thread of its parent holds."""
        self.lock = RLock()

    def resolve(self) -> LogTarget:
        """Return the current pipeline, creating it if there is none."""
        renew_if_forked()
        target = self.target
        if target is None:
            target = self._configure()
        return target

    def process(self, logger: WrappedLogger, method_name: str, event_dict: EventDict) -> Any:  # noqa: ARG002 - structlog's signature
        """Return the frame made by the current pipeline; structlog's processor."""
        name = event_dict.pop("event", None)
        return self.resolve().free(method_name, name, dict(event_dict)), {}

    def write(self, category: str, frame: bytes) -> None:
        """Pass a frame to the current pipeline.

        If that was just replaced, the frame is passed to its replacement.
        """
        for _ in range(3):
            if self.resolve().write(category, frame):
                return
        self.failures += 1

    def failed(self, error: Exception) -> None:
        """Count a call that could not be logged, and report the first one."""
        self.failures += 1
        if self.failures == 1:
            tell(f"leadlog: an event could not be logged: {error!r}")


def _merged(text: Any, args: tuple[Any, ...]) -> str:
    """Return the text with arguments merged as in `logging`; appended if they do not fit."""
    try:
        return str(text % args)
    except (TypeError, ValueError, KeyError):
        return f"{text} {args!r}"


class BoundLogger(structlog.BoundLoggerBase):
    """A structlog bound logger whose calls never raise.

    Keywords become fields of the event, whatever their names. Positional arguments are merged
    into the event's text with `%`, as `logging` does.
    """

    _logger: PipelineSlot
    _processors: list[Processor]

    def bind(self, /, **new_values: Any) -> Self:
        """Return a logger that adds these values to each of its events."""
        return type(self)(self._logger, self._processors, {**self._context, **new_values})

    def new(self, /, **new_values: Any) -> Self:
        """Return a logger that adds these values, and no others, to each of its events."""
        return type(self)(self._logger, self._processors, dict(new_values))

    def _log(self, rank: int, method: str, event: Any, args: tuple[Any, ...], kw: Any) -> None:
        try:
            slot = self._logger
            target = slot.target or slot.resolve()
            if rank < target.level:
                return
            if event is None:
                event = kw.pop("event", None)
            if args:
                event = _merged(event, args)
            if self._processors[0] is slot.processor:
                values = {**self._context, **kw} if self._context else kw
                category, frame = target.free(method, event, values)
            else:  # structlog.testing.capture_logs replaces it
                (category, frame), _ = self._process_event(method, event, kw)
            if not target.write(category, frame):
                slot.write(category, frame)
        except structlog.DropEvent:
            return
        except Exception as error:  # noqa: BLE001 - logging never breaks the caller
            self._logger.failed(error)

    def emit(self, method: str, name: str, event: EventDict) -> None:
        """Log an event that has every section of its log type already, without copying it.

        Args:
            method: debug, info, warning, error or critical.
            name: the event name.
            event: an event made by `leadlog.core.records.shape`; owned by the pipeline from now on.
        """
        try:
            slot = self._logger
            target = slot.target or slot.resolve()
            if LEVELS[method] >= target.level:
                slot.write(*target.event(method, name, event))
        except Exception as error:  # noqa: BLE001 - logging never breaks the caller
            self._logger.failed(error)

    def call(self, method: str, name: str, event_id: str, call: list[Any]) -> None:
        """Log a call on the store, without processing its arguments yet.

        Args:
            method: debug, info, warning, error or critical.
            name: the event name.
            event_id: the event_id of its record.
            call: the name of a function of `leadlog.core.records.shape`, and its arguments.
        """
        try:
            slot = self._logger
            target = slot.target or slot.resolve()
            if LEVELS[method] >= target.level:
                slot.write(*target.call(method, name, event_id, call))
        except Exception as error:  # noqa: BLE001 - logging never breaks the caller
            self._logger.failed(error)

    def hand_over(self, category: str, frame: bytes) -> None:
        """Write a frame that was made elsewhere.

        Args:
            category: its category.
            frame: a frame made by `leadlog.recording.pipeline.facts`.
        """
        try:
            self._logger.write(category, frame)
        except Exception as error:  # noqa: BLE001 - logging never breaks the caller
            self._logger.failed(error)

    def intend(self, frames: Frames, brief: Callable[[], Frames]) -> object:
        """Note frames that a COMMIT about to be sent makes true.

        Args:
            frames: the frames that recovery writes if this process dies before `settle`.
            brief: returns shorter frames to note if the others are too large.

        Returns:
            The token for `settle`; None if nothing was noted.
        """
        target = self._logger.resolve()
        return target.intend(frames, brief) if target.level <= LEVELS["info"] else None

    def settle(self, token: object) -> None:
        """Withdraw the note made by `intend`, after its frames were written."""
        self._logger.resolve().settle(token)

    def memory_mb(self) -> float | None:
        """Return the resident set at the last sample, 10^6 bytes."""
        return self._logger.resolve().memory_mb()

    def is_enabled_for(self, level: int) -> bool:
        """Return whether events of a level rank are written."""
        return level >= self._logger.resolve().level

    def get_effective_level(self) -> int:
        """Return the lowest level rank that is written."""
        return self._logger.resolve().level

    def debug(self, event: Any = None, /, *args: Any, **kw: Any) -> None:
        """Log at level debug."""
        self._log(10, "debug", event, args, kw)

    def info(self, event: Any = None, /, *args: Any, **kw: Any) -> None:
        """Log at level info."""
        self._log(20, "info", event, args, kw)

    msg = info

    def warning(self, event: Any = None, /, *args: Any, **kw: Any) -> None:
        """Log at level warning."""
        self._log(30, "warning", event, args, kw)

    warn = warning

    def error(self, event: Any = None, /, *args: Any, **kw: Any) -> None:
        """Log at level error."""
        self._log(40, "error", event, args, kw)

    def exception(self, event: Any = None, /, *args: Any, **kw: Any) -> None:
        """Log at level error, with the exception being handled."""
        kw.setdefault("exc_info", True)
        self._log(40, "error", event, args, kw)

    def critical(self, event: Any = None, /, *args: Any, **kw: Any) -> None:
        """Log at level critical."""
        self._log(50, "critical", event, args, kw)

    fatal = critical

    def log(self, level: int | str, event: Any = None, /, *args: Any, **kw: Any) -> None:
        """Log at a level given by name or by `logging`'s number."""
        rank = LEVELS.get(level.lower(), 20) if isinstance(level, str) else level
        name = next((name for name, at in reversed(LEVELS.items()) if rank >= at), "debug")
        self._log(rank, name, event, args, kw)

    async def adebug(self, event: Any = None, /, *args: Any, **kw: Any) -> None:
        """Log at level debug; like all asynchronous methods, without waiting."""
        self.debug(event, *args, **kw)

    async def ainfo(self, event: Any = None, /, *args: Any, **kw: Any) -> None:
        """Log at level info."""
        self.info(event, *args, **kw)

    amsg = ainfo

    async def awarning(self, event: Any = None, /, *args: Any, **kw: Any) -> None:
        """Log at level warning."""
        self.warning(event, *args, **kw)

    awarn = awarning

    async def aerror(self, event: Any = None, /, *args: Any, **kw: Any) -> None:
        """Log at level error."""
        self.error(event, *args, **kw)

    async def aexception(self, event: Any = None, /, *args: Any, **kw: Any) -> None:
        """Log at level error, with the exception being handled."""
        self.exception(event, *args, **kw)

    async def acritical(self, event: Any = None, /, *args: Any, **kw: Any) -> None:
        """Log at level critical."""
        self.critical(event, *args, **kw)

    afatal = acritical

    async def alog(self, level: int | str, event: Any = None, /, *args: Any, **kw: Any) -> None:
        """Log at a level given by name or by `logging`'s number."""
        self.log(level, event, *args, **kw)
