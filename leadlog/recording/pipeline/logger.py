"""The bound logger, and the slot in which a pipeline sits.

structlog's parts in their own places: a bound logger, a list of processors, and a wrapped logger
that takes what the last processor gives. The only processor of the list makes the frame of facts
of the pipeline in the slot, so that a logger fetched once follows every later `configure`.
"""

from collections.abc import Callable
from typing import Any, Protocol, Self

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from leadlog.core.forks import renew_after_fork, renew_if_forked
from leadlog.core.native import RLock
from leadlog.core.stderr import tell

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""Level names and their rank."""


Frames = list[tuple[str, bytes]]
"""Frames, each with its category."""


class LogTarget(Protocol):
    """The pipeline, as far as a logger needs it."""

    level: int
    """Lowest rank that is written."""

    def free(self, method: str, name: Any, values: dict[str, Any], /) -> tuple[str, bytes]:
        """Category and frame of what an application logs in its own words."""
        ...

    def event(self, method: str, name: str, event: EventDict, /) -> tuple[str, bytes]:
        """Category and frame of an event that has every section of its log type."""
        ...

    def call(self, method: str, name: str, event_id: str, call: list[Any], /) -> tuple[str, bytes]:
        """Category and frame of a call on the store that somebody logs by hand."""
        ...

    def memory_mb(self) -> float | None:
        """Return the resident set at the last sample, 10^6 bytes."""
        ...

    def write(self, category: str, frame: bytes) -> bool:
        """Hand the frame to the sink; False when that is closed."""
        ...

    def intend(self, frames: Frames, brief: Callable[[], Frames]) -> object:
        """Have the sink note frames; see `SpoolSink.intend`."""
        ...

    def settle(self, token: object) -> None:
        """Have the sink strike them out."""
        ...


class PipelineSlot:
    """Holds the pipeline that loggers write to, and is their wrapped logger.

    Args:
        configure: makes the pipeline when the first event comes before any was set.
        reference: a function and its arguments that give the slot where it is unpickled.

    Attributes:
        lock: held while another pipeline is put in.
        target: the pipeline in force, or None.
        closed: the one that was in force last.
        failures: calls that could not be logged at all.
        processor: the one processor of the loggers that write to it.
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
        """Return the slot itself: copies of a logger log as the original."""
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        """See `__copy__`."""
        return self

    def __reduce__(self) -> tuple[Callable[..., "PipelineSlot"], tuple[Any, ...]]:
        """Pickle as what leads to the slot of the process that unpickles."""
        return self._reference

    def after_fork(self) -> None:
        """Give a forked child a lock that no thread of its parent holds."""
        self.lock = RLock()

    def resolve(self) -> LogTarget:
        """Return the pipeline in force; makes one where there is none."""
        renew_if_forked()
        target = self.target
        if target is None:
            target = self._configure()
        return target

    def process(self, logger: WrappedLogger, method_name: str, event_dict: EventDict) -> Any:  # noqa: ARG002 - structlog's signature
        """Return the processor: makes the frame of the pipeline in force."""
        name = event_dict.pop("event", None)
        return self.resolve().free(method_name, name, dict(event_dict)), {}

    def write(self, category: str, frame: bytes) -> None:
        """Pass a frame to the pipeline in force.

        Another may just have taken its place; then that one gets it.
        """
        for _ in range(3):
            if self.resolve().write(category, frame):
                return
        self.failures += 1

    def failed(self, error: Exception) -> None:
        """Count a call that could not be logged, and say so once."""
        self.failures += 1
        if self.failures == 1:
            tell(f"leadlog: an event could not be logged: {error!r}")


def _merged(text: Any, args: tuple[Any, ...]) -> str:
    """Text and arguments merged as `logging` does; side by side where they do not fit."""
    try:
        return str(text % args)
    except (TypeError, ValueError, KeyError):
        return f"{text} {args!r}"


class BoundLogger(structlog.BoundLoggerBase):
    """structlog's bound logger; its calls never raise.

    Keywords become fields of the event, whatever their names are. Positional arguments are merged
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
            else:  # structlog.testing.capture_logs puts its own there
                (category, frame), _ = self._process_event(method, event, kw)
            if not target.write(category, frame):
                slot.write(category, frame)
        except structlog.DropEvent:
            return
        except Exception as error:  # noqa: BLE001 - logging never breaks the caller
            self._logger.failed(error)

    def emit(self, method: str, name: str, event: EventDict) -> None:
        """Log an event that has every section of its log type already, without a copy of it.

        Args:
            method: debug, info, warning, error or critical.
            name: dotted name of what happened.
            event: as `leadlog.core.records.shape` makes it; belongs to the pipeline from now on.
        """
        try:
            slot = self._logger
            target = slot.target or slot.resolve()
            if LEVELS[method] >= target.level:
                slot.write(*target.event(method, name, event))
        except Exception as error:  # noqa: BLE001 - logging never breaks the caller
            self._logger.failed(error)

    def call(self, method: str, name: str, event_id: str, call: list[Any]) -> None:
        """Log a call on the store, of which nothing has been looked at yet.

        Args:
            method: debug, info, warning, error or critical.
            name: dotted name of what happened.
            event_id: of its record.
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
        """Write a frame that was made already.

        Args:
            category: whose it is.
            frame: as `leadlog.recording.pipeline.facts` makes it.
        """
        try:
            self._logger.write(category, frame)
        except Exception as error:  # noqa: BLE001 - logging never breaks the caller
            self._logger.failed(error)

    def intend(self, frames: Frames, brief: Callable[[], Frames]) -> object:
        """Note frames that become true with a COMMIT that is about to be sent.

        Args:
            frames: what recovery writes if this process dies before `settle`.
            brief: gives what is noted in their place where they are too large.

        Returns:
            What `settle` takes; None where nothing was noted.
        """
        target = self._logger.resolve()
        return target.intend(frames, brief) if target.level <= LEVELS["info"] else None

    def settle(self, token: object) -> None:
        """Strike out what `intend` noted; after its frames were written."""
        self._logger.resolve().settle(token)

    def memory_mb(self) -> float | None:
        """Return the resident set at the last sample, 10^6 bytes."""
        return self._logger.resolve().memory_mb()

    def is_enabled_for(self, level: int) -> bool:
        """Return whether events of that rank are written."""
        return level >= self._logger.resolve().level

    def get_effective_level(self) -> int:
        """Return the lowest rank that is written."""
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
        """Log at level debug; like all of these, without waiting for anything."""
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
