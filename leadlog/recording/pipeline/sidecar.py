"""Construction of a log directory's sidecar from settings."""

import resource
from contextlib import suppress
from functools import partial

from leadlog.core.clock import now_us
from leadlog.core.settings import Settings
from leadlog.recording.pipeline.policy import finisher_of
from leadlog.recording.sinks.descriptors import Descriptors
from leadlog.recording.sinks.health import SinkHealth
from leadlog.recording.sinks.segments import Files
from leadlog.recording.sinks.sidecar import Sidecar, key_check
from leadlog.recording.sinks.slots import SlotHolder
from leadlog.recording.sinks.storage import Spool

__all__ = ["make_sidecar"]


def make_sidecar(settings: Settings) -> Sidecar:
    """Return the sidecar of the settings' directory, not yet opened.

    Args:
        settings: the same settings as the applications'.
    """
    # It needs some twenty descriptors for each process that it serves.
    with suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    directory = settings.directory.absolute()
    descriptors = Descriptors()
    slot = SlotHolder(
        directory,
        descriptors,
        host=settings.host,
        file_mode=settings.file_mode,
        directory_mode=settings.directory_mode,
    )
    files = Files(
        directory=directory,
        spool=Spool(directory),
        descriptors=descriptors,
        slot=slot.number,
        host=settings.host,
        segment_bytes=settings.segment_bytes,
        file_mode=settings.file_mode,
        directory_mode=settings.directory_mode,
        durable=settings.durability == "fsync",
    )
    key = settings.pseudonym_key
    return Sidecar(
        files,
        clock=now_us,
        lent_finisher_of=partial(finisher_of, key=key, recovered=False),
        finisher_of=partial(finisher_of, key=key),
        key=key_check(key),
        health=SinkHealth(directory),
    )
