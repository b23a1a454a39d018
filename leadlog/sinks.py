"""Destinations of rendered lines: the public names of `leadlog.recording.sinks`."""

from leadlog.recording.sinks import (
    BatchCounts,
    BatchSink,
    ConsoleSink,
    Filter,
    MemorySink,
    Notify,
    Sink,
    SinkQueue,
    SinkStats,
    SpoolSink,
    Tee,
)

__all__ = [
    "BatchCounts",
    "BatchSink",
    "ConsoleSink",
    "Filter",
    "MemorySink",
    "Notify",
    "Sink",
    "SinkQueue",
    "SinkStats",
    "SpoolSink",
    "Tee",
]
