"""Sinks: where rendered lines go. The contract is in `leadlog.sinks.contract`."""

from leadlog.sinks.compose import Filter, MemorySink, Tee
from leadlog.sinks.console import ConsoleSink
from leadlog.sinks.contract import Sink, SinkStats
from leadlog.sinks.files import FileSink

__all__ = ["ConsoleSink", "FileSink", "Filter", "MemorySink", "Sink", "SinkStats", "Tee"]
