"""Builds a pipeline from settings: which processors, in which order, into which sinks."""

import sys
from collections.abc import Mapping, Sequence
from typing import cast

from structlog.typing import EventDict, Processor

from leadlog.core.layout import CATEGORIES
from leadlog.core.limits import EVERY
from leadlog.core.settings import Settings
from leadlog.recording.pipeline.chain import Chain
from leadlog.recording.pipeline.complete import Complete
from leadlog.recording.pipeline.guard import guard, strict_guard
from leadlog.recording.resources import Sampler
from leadlog.recording.sinks import ConsoleSink, MemorySink, Notify, Sink, SpoolSink, Tee
from leadlog_processors.envelope import Envelope
from leadlog_processors.failure import Failure
from leadlog_processors.labels import TrainingLabels
from leadlog_processors.privacy import Policy, Privacy
from leadlog_processors.quality import DataQuality
from leadlog_processors.rendering import JSONLine, to_plain
from leadlog_processors.routing import Route
from leadlog_processors.sampling import Sampling
from leadlog_processors.session import Session
from leadlog_processors.timing import PerformanceTier, Tiers


def tiers(settings: Settings) -> tuple[Tiers, Mapping[str, Tiers]]:
    """The general limits and those of single operations."""
    general = Tiers(
        settings.tier_excellent_ms,
        settings.tier_good_ms,
        settings.tier_acceptable_ms,
        settings.tier_slow_ms,
    )
    return general, {name: Tiers(*limits) for name, limits in settings.tier_overrides.items()}


def _make_plain(logger: object, method_name: str, event_dict: EventDict) -> EventDict:  # noqa: ARG001 - structlog's signature
    """Makes objects text, so that personal data inside them is found."""
    plain: EventDict = to_plain(event_dict)
    return plain


def build_chain(settings: Settings, sampler: Sampler, extra: Sequence[Processor] = ()) -> Chain:
    """The processors of a pipeline.

    Args:
        settings: thresholds, policies and limits.
        sampler: fills in memory and load.
        extra: the user's own processors; they see the labelled event before anything in
            it is masked.
    """
    general, overrides = tiers(settings)
    processors: list[Processor] = [
        Complete(),
        Session(),
        Envelope(),
        Failure(),
        sampler,
        PerformanceTier(general, overrides),
        DataQuality(),
        TrainingLabels(
            complexity_size_bytes=settings.complexity_size_bytes,
            complexity_queries=settings.complexity_queries,
            optimization_needed_ms=settings.optimization_needed_ms,
        ),
    ]
    if settings.sampling:
        processors.append(Sampling(settings.sampling))
    processors.extend(extra)
    if settings.pii != "plain":
        key = settings.pseudonym_key.encode() or None
        processors += [_make_plain, Privacy(cast(Policy, settings.pii), key)]
    line = JSONLine(settings.line_limit_bytes, newline=True, guard=strict_guard if extra else guard)
    return Chain(processors, Route(line))


def build_sink(settings: Settings, notify: Notify) -> Sink:
    """Where the lines of a pipeline go.

    Args:
        settings: directory, sizes, durability and modes.
        notify: told of the sink's health.
    """
    if not settings.enabled:
        return MemorySink()
    general = settings.ring_bytes.get(EVERY, 1 << 20)
    sink: Sink = SpoolSink(
        settings.directory,
        ring_bytes={name: settings.ring_bytes.get(name, general) for name in CATEGORIES},
        overflow_bytes=settings.overflow_bytes,
        poll_seconds=settings.poll_seconds,
        segment_bytes=settings.segment_bytes,
        durability=settings.durability,
        file_mode=settings.file_mode,
        directory_mode=settings.directory_mode,
        host=settings.host,
        notify=notify,
    )
    if settings.console == "on" or (settings.console == "auto" and sys.stderr.isatty()):
        sink = Tee(sink, ConsoleSink())
    return sink
