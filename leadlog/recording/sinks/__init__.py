"""Sinks: destinations of rendered lines. See `leadlog.recording.sinks.contract` for the contract.

Each is imported on first use, since readers of the log need none of them.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leadlog.recording.sinks.compose import Filter, MemorySink, Tee
    from leadlog.recording.sinks.console import ConsoleSink
    from leadlog.recording.sinks.contract import BatchCounts, BatchSink, Sink, SinkQueue, SinkStats
    from leadlog.recording.sinks.health import Notify
    from leadlog.recording.sinks.spool import SpoolSink

_HOMES = {
    "BatchCounts": "contract",
    "BatchSink": "contract",
    "ConsoleSink": "console",
    "Filter": "compose",
    "MemorySink": "compose",
    "Notify": "health",
    "Sink": "contract",
    "SinkQueue": "contract",
    "SinkStats": "contract",
    "SpoolSink": "spool",
    "Tee": "compose",
}

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


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'leadlog.recording.sinks' has no attribute {name!r}")
    return getattr(importlib.import_module(f"leadlog.recording.sinks.{home}"), name)
