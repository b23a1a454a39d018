"""Sinks: where rendered lines go. The contract is in `leadlog.sinks.contract`.

Each is loaded when it is first used, since readers of the log need none of them.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leadlog.sinks.compose import Filter, MemorySink, Tee
    from leadlog.sinks.console import ConsoleSink
    from leadlog.sinks.contract import Sink, SinkStats
    from leadlog.sinks.health import Notify
    from leadlog.sinks.spool import SpoolSink

_HOMES = {
    "ConsoleSink": "console",
    "Filter": "compose",
    "MemorySink": "compose",
    "Notify": "health",
    "Sink": "contract",
    "SinkStats": "contract",
    "SpoolSink": "spool",
    "Tee": "compose",
}

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


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'leadlog.sinks' has no attribute {name!r}")
    return getattr(importlib.import_module(f"leadlog.sinks.{home}"), name)
