"""Construction of a pipeline's sink from settings."""

import functools
import sys

from leadlog.core.layout import CATEGORIES
from leadlog.core.limits import EVERY
from leadlog.core.settings import Settings
from leadlog.recording.pipeline.finish import Finisher
from leadlog.recording.pipeline.policy import finisher_of, policy_of
from leadlog.recording.sinks import ConsoleSink, MemorySink, Notify, Sink, SpoolSink, Tee
from leadlog.recording.sinks.console import is_terminal
from leadlog.recording.sinks.outlets import Outlets
from leadlog.recording.sinks.sidecar import ANY_KEY, key_check


def build_sink(
    settings: Settings, notify: Notify, finisher: Finisher, outlets: Outlets, *, travels: bool
) -> Sink:
    """Return the sink for the lines of a pipeline.

    Args:
        settings: directory, sizes, durability and modes.
        notify: called with changes of the sink's health.
        finisher: turns facts into lines.
        outlets: the additional sinks, which receive the lines written to files.
        travels: whether a sidecar may finish the facts, because no processor of the user is needed.
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
        finish=finisher,
        finisher_of=functools.partial(finisher_of, key=settings.pseudonym_key),
        policy=policy_of(settings),
        stage_bytes=settings.line_limit_bytes,
        outlets=outlets,
        key=_key_check(settings) if travels else None,
    )
    if settings.console == "on" or (settings.console == "auto" and is_terminal(sys.stderr)):
        sink = Tee(sink, ConsoleSink())
    return sink


def _key_check(settings: Settings) -> str:
    """Return the check value that a sidecar's key needs to finish facts as this process would."""
    return key_check(settings.pseudonym_key) if settings.pii == "pseudonymised" else ANY_KEY
