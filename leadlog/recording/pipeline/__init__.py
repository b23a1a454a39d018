"""The pipeline: configured once, used by every logger.

`configure` builds a pipeline and puts it into the single slot that every logger writes to.
"""

import atexit
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, Unpack, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor

from leadlog.core import settings as _settings
from leadlog.core.errors import SettingsError
from leadlog.core.records import shape
from leadlog.core.settings import Loaded
from leadlog.core.settings.keywords import SettingsKeywords
from leadlog.core.threads import end, is_ending
from leadlog.recording.pipeline.build import build_sink
from leadlog.recording.pipeline.events import category_of
from leadlog.recording.pipeline.facts import Facts, add_failure, frame_of, is_facts, open_facts
from leadlog.recording.pipeline.logger import LEVELS, BoundLogger, Frames, PipelineSlot
from leadlog.recording.pipeline.policy import finisher, policy_of
from leadlog.recording.pipeline.stdlib import EventHandler as _LoggingHandler
from leadlog.recording.resources import Sampler
from leadlog.recording.sinks import BatchSink, Sink, SinkQueue, SinkStats, SpoolSink
from leadlog.recording.sinks.contract import BatchCounts
from leadlog.recording.sinks.intents import Token
from leadlog.recording.sinks.outlets import Outlets, sink_queues
from leadlog_processors.fields import CATEGORIES, DATABASE_OPERATION, MONITORING_DATA
from leadlog_processors.session import bind
from leadlog_processors.session import open_session as session

__all__ = [
    "LoggingHandler",
    "Pipeline",
    "Stats",
    "bind",
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
_LOOK_EVERY = 16
"""Events after which a caller checks again for a backlog of the drain; with one, after each."""
_MOST_FACTS_BYTES = 32 * 1024
"""Larger facts are finished by the caller, which cuts them to the length of a line."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of the events of a pipeline since it was built.

    Attributes:
        directory: the log directory.
        accepted: lines handed to the sink, by category.
        written: lines that are in their files, by category.
        dropped: lines lost, by category and cause.
        in_ring: lines on their way to their files, by category.
        degraded: lines that were temporarily stored where a kill would have lost them, by category.
        sampled_out: events dropped by sampling in this process (not by a sidecar).
        processor_errors: number of times a processor raised; the events were written.
        failures: number of calls that could not be logged at all.
        sinks: counts of the additional sinks, by name.
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
    sinks: dict[str, BatchCounts] = field(default_factory=dict)


class Pipeline:
    """The path of events to their sink: facts, their finisher, and the background sampler.

    Also a context manager that closes the pipeline. Created by `configure`; a pipeline created
    directly is independent of the one that `leadlog.get_logger` writes to.

    Args:
        loaded: the settings in force.
        processors: the user's processors, run before masking and rendering.
        sink: a sink that replaces the files.
        sinks: sinks in addition to the files.
        before: the pipeline that this one replaces; sinks that both have stay open.

    Attributes:
        loaded: the settings in force and their origins.
        level: lowest level rank that is written.
    """

    def __init__(
        self,
        loaded: Loaded,
        processors: Sequence[Processor] = (),
        sink: Sink | None = None,
        sinks: Sequence[SinkQueue] = (),
        before: "Pipeline | None" = None,
    ) -> None:
        self.loaded = loaded
        self.processors = tuple(processors)
        self.given_sink = sink
        self.given_sinks = tuple(sinks)
        self._outlets: Outlets = Outlets(sinks, before._outlets if before else None)
        settings = loaded.settings
        self.level = LEVELS[settings.level] if settings.enabled else _OFF
        self._sampler = Sampler(settings.memory_sample_seconds, settings.store_sample_seconds)
        self._live = settings.enrich == "caller"
        policy, key = orjson.loads(policy_of(settings)), settings.pseudonym_key
        self._finisher = finisher(policy, key, processors)
        self._notes_finisher = finisher(policy, key, processors, recovered=True)
        self._slot = PipelineSlot(lambda: self, (_slot_of, (loaded,)))
        self._failures_before = _current.failures
        self._sink = sink or build_sink(
            settings,
            self._tell_health,
            self._finisher,
            self._outlets,
            travels=not processors or self._live,
        )
        spool = self._sink if isinstance(self._sink, SpoolSink) else None
        self._intents = spool if spool is not None and spool.takes_facts else None
        self._spool = None if self._live else self._intents
        self._until_look = 0
        self._slot.target = self
        _open.add(self)
        if is_ending():
            self.write = self._write_at_once  # type: ignore[method-assign]
        if settings.enabled:
            self._sampler.start()

    def __enter__(self) -> Self:
        return self

    def __copy__(self) -> Self:
        """Return the pipeline itself, so that copies of its loggers log to it."""
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        """See `__copy__`."""
        return self

    def __reduce__(self) -> tuple[Callable[..., "Pipeline"], tuple[Any, ...]]:
        """Pickle the settings only; see `_pipeline_of`."""
        return _pipeline_of, (self.loaded,)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _tell_health(self, condition: dict[str, Any]) -> None:
        """Log a change of the sink's health."""
        event = shape.monitoring_data("log_health", {"metrics": condition})
        ended = condition["state"] == "ended"
        self.get_logger().emit("info" if ended else "warning", "monitoring.log_health", event)

    def free(self, method: str, name: Any, values: dict[str, Any]) -> tuple[str, bytes]:
        """See `Target.free`."""
        exc_info = values.pop("exc_info", None)
        if type(name) is not str:
            name = _text_of(name)
        facts = open_facts("free", method, name)
        facts["values"] = values
        if exc_info:
            add_failure(facts, exc_info)
        return category_of(method, values, failed="failure" in facts), self._frame(facts)

    def event(self, method: str, name: str, event: EventDict) -> tuple[str, bytes]:
        """See `Target.event`."""
        facts = open_facts("event", method, name, event["timestamp"], event["event_id"])
        exc_info = event.pop("exc_info", None)
        if exc_info:
            add_failure(facts, exc_info)
        facts["event"] = self._sampler(None, method, event)
        category = CATEGORIES.get(event["log_type"], CATEGORIES[MONITORING_DATA])
        return category, self._frame(facts)

    def call(self, method: str, name: str, event_id: str, call: list[Any]) -> tuple[str, bytes]:
        """See `Target.call`."""
        facts = open_facts("call", method, name, None, event_id)
        facts["memory"] = self._sampler.memory_mb()
        facts["call"] = call
        return CATEGORIES[DATABASE_OPERATION], self._frame(facts)

    def memory_mb(self) -> float | None:
        """See `Target.memory_mb`."""
        return self._sampler.memory_mb()

    def _frame(self, facts: Facts) -> bytes:
        """Return the frame of facts; the finished line if processors must get live objects."""
        frame = frame_of(facts)
        return self._finisher.finish_live(facts, frame) if self._live else frame

    def write(self, category: str, frame: bytes) -> bool:
        """See `Target.write`."""
        spool = self._spool
        if spool is not None and len(frame) <= _MOST_FACTS_BYTES:
            self._until_look -= 1
            if self._until_look > 0 or not spool.crowded(category):
                if self._until_look <= 0:
                    self._until_look = _LOOK_EVERY
                return spool.write(category, frame)
        if is_facts(frame):
            frame = self._finisher.finish(frame)
        return not frame or self._sink.write(category, frame)

    def _write_at_once(self, category: str, frame: bytes) -> bool:
        """Write as `write` does, then close: when the interpreter ends, nothing else would."""
        taken = Pipeline.write(self, category, frame)
        self.close()
        return taken

    def intend(self, frames: Frames, brief: Callable[[], Frames]) -> Token | None:
        """See `Target.intend`; if unmasked facts must not be stored, finished lines are noted."""
        if self._intents is None:
            return None
        if self._live:
            return self._intents.intend(self._finished(frames), lambda: self._finished(brief()))
        return self._intents.intend(frames, brief)

    def _finished(self, frames: Frames) -> Frames:
        found = [(category, self._notes_finisher.finish(frame)) for category, frame in frames]
        return [(category, line) for category, line in found if line]

    def settle(self, token: object) -> None:
        """See `Target.settle`."""
        if self._intents is not None:
            self._intents.settle(cast(Token, token))

    def get_logger(self) -> BoundLogger:
        """Return a logger that writes to this pipeline, even when it is not the current one."""
        return _logger(self._slot)

    def flush(self, timeout: float = 5.0, *, sinks: bool = False) -> bool:
        """Wait until every event so far is in its file.

        Args:
            timeout: maximum number of seconds to wait.
            sinks: also wait until the additional sinks took the events or dropped them.

        Returns:
            True if all events are in their files (and sinks), False on timeout.
        """
        deadline = time.monotonic() + timeout
        done = self._sink.flush(timeout)
        if sinks:
            done &= self._outlets.flush(max(deadline - time.monotonic(), 0.0))
        return done

    def close(self, timeout: float = _CLOSE_SECONDS) -> None:
        """Write the remaining events and release all resources; further calls do nothing."""
        if _current.target is self:
            _current.target = None
            _current.closed = self
        _open.discard(self)
        self._sampler.close()
        self._sink.close(timeout)
        self._outlets.close(0.0)  # not yet closed if the sink is not the files' sink

    def stats(self) -> Stats:
        """Return the counts of the events so far."""
        counts: SinkStats = self._sink.stats()
        return Stats(
            directory=str(self.loaded.settings.directory),
            accepted={
                name: taken
                for name, count in counts.accepted.items()
                if (taken := count - counts.omitted.get(name, 0))
            },
            written=dict(counts.written),
            dropped={name: dict(causes) for name, causes in counts.dropped.items()},
            in_ring=dict(counts.in_ring),
            degraded=dict(counts.degraded),
            sampled_out=self._finisher.counts.sampled_out,
            processor_errors=self._finisher.counts.errors,
            failures=_current.failures - self._failures_before + self._slot.failures,
            sinks=self._outlets.counts(),
        )


def configure(
    *,
    processors: Sequence[Processor] = (),
    sink: Sink | None = None,
    sinks: Sequence[BatchSink | SinkQueue] = (),
    take_over: bool = False,
    **settings: Unpack[SettingsKeywords],
) -> Pipeline:
    """Build the pipeline that all of leadlog logs to, and make it the current one.

    May be called again: with the same settings it changes nothing and returns the current
    pipeline; with others it builds a new pipeline, replaces the old one with it, and closes the
    old one after every line is written.

    Args:
        processors: structlog processors of the application; they see each labelled event before
            it is masked and rendered.
        sink: receives the lines instead of the files, see `leadlog.recording.sinks`.
        sinks: receive the lines written to the files, each sink in its own thread, see
            `leadlog.sinks.BatchSink`; a `leadlog.sinks.SinkQueue` gives one a name and a larger
            queue. A process that logs after a shutdown, or unpickles a logger, has none.
        take_over: also configure `structlog.get_logger()` to log here; otherwise structlog's
            configuration is not changed.
        settings: settings by name, see docs/reference/settings.md.

    Raises:
        SettingsError: a setting is unknown or has a bad value, or an object is not a sink.
    """
    if sink is not None and sinks:
        raise SettingsError("sinks= add to the files, which sink= replaces; give one of the two")
    queues = sink_queues(sinks)
    with _current.lock:
        loaded = _settings.load(**settings)
        old = _current.target
        if (
            isinstance(old, Pipeline)
            and old.loaded.settings == loaded.settings
            and old.processors == tuple(processors)
            and old.given_sink is sink
            and old.given_sinks == queues
        ):
            pipeline = old
        else:
            before = old if isinstance(old, Pipeline) else None
            pipeline = Pipeline(loaded, processors, sink, queues, before)
            _current.target = pipeline
            if isinstance(old, Pipeline):
                old.close()
    if take_over:
        structlog.configure(
            processors=[_current.processor],
            wrapper_class=BoundLogger,
            context_class=dict,
            logger_factory=lambda *_: _current,
            cache_logger_on_first_use=True,
        )
    return pipeline


def current() -> Pipeline:
    """Return the current pipeline.

    If there is none, create one like the last one that was closed, so that late events are
    written to the same place under the same policy; or one with the default settings if none
    was ever configured.
    """
    with _current.lock:
        target, closed = _current.target, _current.closed
        if isinstance(target, Pipeline):
            return target
        if not isinstance(closed, Pipeline):
            return configure()
        pipeline = Pipeline(closed.loaded, closed.processors, closed.given_sink)
        _current.target = pipeline
        return pipeline


def _current_slot() -> PipelineSlot:
    """Return the slot of the loggers that follow `configure`; called to unpickle one."""
    return _current


def _pipeline_of(loaded: Loaded) -> Pipeline:
    """Return this process's open pipeline with these settings, creating it if there is none."""
    for pipeline in list(_open):
        if pipeline.loaded.settings == loaded.settings:
            return pipeline
    return Pipeline(loaded)


def _slot_of(loaded: Loaded) -> PipelineSlot:
    return _pipeline_of(loaded).get_logger()._logger


_open: weakref.WeakSet[Pipeline] = weakref.WeakSet()
_current = PipelineSlot(current, (_current_slot, ()))


def _text_of(name: object) -> str:
    try:
        return str(name)
    except Exception:  # noqa: BLE001 - a value's own code may raise anything
        return f"<unprintable {type(name).__name__}>"


def _logger(slot: PipelineSlot) -> BoundLogger:
    return BoundLogger(slot, processors=[slot.processor], context={})


def get_logger() -> BoundLogger:
    """Return a structlog bound logger that writes to the current pipeline.

    Its calls never raise and never wait for the log. `bind` and `new` work as in structlog.
    """
    return _logger(_current)


def flush(timeout: float = 5.0, *, sinks: bool = False) -> bool:
    """Wait until every event logged so far is in its file, up to `timeout` seconds.

    Args:
        timeout: maximum number of seconds to wait.
        sinks: also wait until the additional sinks took the events or dropped them.

    Returns:
        True if all events are there, also if nothing was ever configured; False on timeout.
    """
    target = _current.target
    return target.flush(timeout, sinks=sinks) if isinstance(target, Pipeline) else True


def shutdown(timeout: float = _CLOSE_SECONDS) -> None:
    """Close the current pipeline; a later event opens a new one like it."""
    with _current.lock:
        target = _current.target
        if isinstance(target, Pipeline):
            target.close(timeout)


def forget() -> None:
    """Shut down and forget the configuration, as in a new process; for tests."""
    with _current.lock:
        shutdown()
        _current.closed = None


def _at_exit() -> None:
    shutdown()
    end()


atexit.register(_at_exit)


def stats() -> Stats:
    """Return the event counts of the current pipeline."""
    return current().stats()


class LoggingHandler(_LoggingHandler):
    """Handler that routes Python's `logging` to the current pipeline; see `pipeline.stdlib`."""

    def __init__(self, level: int | str = 0) -> None:
        super().__init__(get_logger(), level)


def is_enabled() -> bool:
    """Return whether events are recorded now; never raises into the application.

    False if nothing was configured and the settings are bad, which is reported once.
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
    """Count an error inside leadlog that lost an event, and report the first one."""
    _current.failed(error)


def is_configured() -> bool:
    """Return whether there is a current pipeline."""
    return _current.target is not None
