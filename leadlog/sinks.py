"""Where rendered lines go: the public names of `leadlog.recording.sinks`."""

from leadlog.recording.sinks import (
    ConsoleSink,
    Filter,
    MemorySink,
    Notify,
    Sink,
    SinkStats,
    SpoolSink,
    Tee,
)

__all__ = [
    "ConsoleSink",
    "Filter",
    "MemorySink",
    "Notify",
    "Sink",
    "SinkStats",
    "SpoolSink",
    "Tee",
]
