"""The pipeline: configure once, log from anywhere.

`configure` builds a pipeline and puts it into the one slot that every logger writes to.
"""

import atexit
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from leadlog.core import settings as _settings
from leadlog.core.records import shape
from leadlog.core.settings import Loaded
from leadlog.recording.pipeline.build import build_chain, build_sink
from leadlog.recording.pipeline.complete import Complete
from leadlog.recording.pipeline.logger import LEVELS, BoundLogger, Slot
from leadlog.recording.pipeline.stdlib import LoggingHandler as _LoggingHandler
from leadlog.recording.resources import Sampler
from leadlog.recording.sinks import Sink, SinkStats
from leadlog_processors.session import open_session as session

__all__ = [
    "LoggingHandler",
    "Pipeline",
    "Stats",
    "configure",
    "current",
    "flush",
    "get_logger",
    "is_configured",
    "is_enabled",
    "report_failure",
    "session",
    "shutdown",
    "stats",
]

_CLOSE_SECONDS = 2.0
_OFF = 1000


@dataclass(frozen=True, slots=True)
class Stats:
    """What became of the events of a pipeline since it was built.

    Attributes:
        directory: the log directory.
        accepted: lines handed to the sink, by category.
        written: lines that are in their files, by category.
        dropped: lines lost, by category and cause.
        in_ring: lines on their way to their files, by category.
        degraded: lines that for a while lay where a kill would have lost them, by category.
        sampled_out: events left out on purpose.
        processor_errors: how often a processor raised; the events were written.
        failures: calls that could not be logged at all.
    """

    directory: str
    accepted: dict[str, int]
    written: dict[str, int]
    dropped: dict[str, dict[str, int]]
    in_ring: dict[str, int]
    degraded: dict[str, int]
    sampled_out: int
    processor_errors: int
    failures: int


class Pipeline:
    """A processor chain, its sink and its background sampler.

    Also a context manager that closes at the end. Made by `configure`; a pipeline made
    directly is independent of the one that `leadlog.get_logger` writes to.

    Args:
        loaded: the settings in force.
        processors: the user's own, run before masking and rendering.
        sink: in place of the files.

    Attributes:
        loaded: the settings in force, and their origins.
        level: lowest rank that is written.
    """

    def __init__(
        self, loaded: Loaded, processors: Sequence[Processor] = (), sink: Sink | None = None
    ) -> None:
        self.loaded = loaded
        self.processors = tuple(processors)
        self.given_sink = sink
        settings = loaded.settings
        self.level = LEVELS[settings.level] if settings.enabled else _OFF
        self._sampler = Sampler(settings.memory_sample_seconds, settings.store_sample_seconds)
        self._chain = build_chain(settings, self._sampler, processors)
        self._slot = Slot(lambda: self)
        self._failures_before = _current.failures
        self._sink = sink or build_sink(settings, self._tell_health)
        self.process = self._chain.run
        self.process_complete = self._chain.without(Complete).run
        self.write = self._sink.write
        self._slot.target = self
        if settings.enabled:
            self._sampler.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _tell_health(self, condition: dict[str, Any]) -> None:
        """Logs what the sink tells of itself."""
        event = shape.monitoring_data("log_health", {"metrics": condition})
        ended = condition["state"] == "ended"
        self.get_logger().emit("info" if ended else "warning", "monitoring.log_health", event)

    def get_logger(self) -> BoundLogger:
        """A logger that writes to this pipeline, whichever is the current one."""
        return _logger(self._slot)

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits until every event so far is in its file.

        Args:
            timeout: seconds to wait at most.

        Returns:
            Whether all of them are.
        """
        return self._sink.flush(timeout)

    def close(self, timeout: float = _CLOSE_SECONDS) -> None:
        """Writes what is left and releases everything; further calls do nothing."""
        if _current.target is self:
            _current.target = None
        self._sampler.close()
        self._sink.close(timeout)

    def stats(self) -> Stats:
        """What became of the events so far."""
        counts: SinkStats = self._sink.stats()
        return Stats(
            directory=str(self.loaded.settings.directory),
            accepted=dict(counts.accepted),
            written=dict(counts.written),
            dropped={name: dict(causes) for name, causes in counts.dropped.items()},
            in_ring=dict(counts.in_ring),
            degraded=dict(counts.degraded),
            sampled_out=self._chain.counts.sampled_out,
            processor_errors=self._chain.counts.errors,
            failures=_current.failures - self._failures_before + self._slot.failures,
        )


def configure(
    *,
    processors: Sequence[Processor] = (),
    sink: Sink | None = None,
    take_over: bool = False,
    **settings: Any,
) -> Pipeline:
    """Builds the pipeline that all of leadlog logs to, and puts it in force.

    May be called again: with the same settings it changes nothing and gives the pipeline
    in force; with others it builds a new one, puts it in the old one's place, and closes
    the old one with every line written.

    Args:
        processors: structlog processors of your own; they see each labelled event before
            it is masked and rendered.
        sink: takes the lines in place of the files, see `leadlog.recording.sinks`.
        take_over: also makes this the configuration of `structlog.get_logger()`, which is
            left alone otherwise.
        settings: settings by name, see docs/reference/settings.md.

    Raises:
        SettingsError: a setting is unknown or has a bad value.
    """
    with _current.lock:
        loaded = _settings.load(**settings)
        old = _current.target
        if (
            isinstance(old, Pipeline)
            and old.loaded.settings == loaded.settings
            and old.processors == tuple(processors)
            and old.given_sink is sink
        ):
            pipeline = old
        else:
            pipeline = Pipeline(loaded, processors, sink)
            _current.target = pipeline
            if isinstance(old, Pipeline):
                old.close()
    if take_over:
        structlog.configure(
            processors=[_process],
            wrapper_class=BoundLogger,
            context_class=dict,
            logger_factory=lambda *_: _current,
            cache_logger_on_first_use=True,
        )
    return pipeline


def current() -> Pipeline:
    """The pipeline in force; one with the default settings where none was configured."""
    with _current.lock:
        target = _current.target
        return target if isinstance(target, Pipeline) else configure()


_current = Slot(current)


def _process(logger: WrappedLogger, method_name: str, event_dict: EventDict) -> Any:
    return _current.process(logger, method_name, event_dict)


def _logger(slot: Slot) -> BoundLogger:
    process = _process if slot is _current else slot.process
    return BoundLogger(slot, processors=[process], context={})


def get_logger() -> BoundLogger:
    """A structlog bound logger that writes to the pipeline in force.

    Its calls never raise and never block on the log. `bind` and `new` work as in structlog.
    """
    return _logger(_current)


def flush(timeout: float = 5.0) -> bool:
    """Waits until every event so far is in its file, at most `timeout` seconds.

    Returns:
        Whether all of them are; True where nothing was ever configured.
    """
    target = _current.target
    return target.flush(timeout) if isinstance(target, Pipeline) else True


def shutdown(timeout: float = _CLOSE_SECONDS) -> None:
    """Closes the pipeline in force; the next event would build a new one."""
    with _current.lock:
        target = _current.target
        if isinstance(target, Pipeline):
            target.close(timeout)


atexit.register(shutdown)


def stats() -> Stats:
    """What became of the events of the pipeline in force."""
    return current().stats()


class LoggingHandler(_LoggingHandler):
    """Routes Python's `logging` into the pipeline in force; see `pipeline.stdlib`."""

    def __init__(self, level: int | str = 0) -> None:
        super().__init__(get_logger(), level)


def is_enabled() -> bool:
    """Whether anything is captured now; never raises into whoever is to be captured.

    Where nothing was configured and the settings found are bad, nothing is: that is said once.
    """
    target = _current.target
    if target is None:
        try:
            target = current()
        except Exception as error:  # noqa: BLE001 - the caller is an application's database call
            report_failure(error)
            return False
    return target.level < _OFF


def report_failure(error: Exception) -> None:
    """Counts an error inside leadlog that cost an event, and says so once."""
    _current.failed(error)


def is_configured() -> bool:
    """Whether a pipeline is in force."""
    return _current.target is not None
