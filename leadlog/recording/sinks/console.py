"""The console sink: a readable line per event, for development."""

import sys
from typing import Any, TextIO

import orjson
import structlog

from leadlog.recording.sinks.contract import SinkStats

_SHOWN = (
    ("operation_details", ("operation_type", "outcome", "records_affected", "error_message")),
    ("lead_identifier", ("lead_id", "name")),
    ("sync_details", ("sync_type",)),
    ("sync_results", ("success", "leads_synced", "leads_failed")),
    ("migration_results", ("success", "records_migrated", "records_failed")),
    ("error_details", ("error_type", "error_message", "fingerprint")),
    ("operation_info", ("operation_name", "total_duration_ms", "success")),
    ("monitoring_info", ("monitoring_type", "data_points")),
    ("performance_metrics", ("execution_time_ms", "database_queries")),
    ("training_labels", ("performance_tier", "data_quality")),
)


def facts(record: dict[str, Any]) -> dict[str, Any]:
    """Return the few values of a record that are shown in its line."""
    found: dict[str, Any] = {}
    for section, keys in _SHOWN:
        values = record.get(section) or {}
        found.update((key, values[key]) for key in keys if values.get(key) is not None)
    return found


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal; False if it is closed or None."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


class ConsoleSink:
    """Sink that prints events to a stream, with colours if it is a terminal.

    Args:
        stream: standard error by default; if there is none, nothing is printed.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._render = structlog.dev.ConsoleRenderer(colors=is_terminal(self._stream))

    def write(self, category: str, line: bytes) -> bool:  # noqa: ARG002 - every category is shown
        """See `Sink.write`; a failing stream does not stop the logging."""
        try:
            record = orjson.loads(line)
            shown = {
                "timestamp": record["timestamp"],
                "level": record["level"],
                "event": record["event_name"],
                **facts(record),
            }
            self._stream.write(str(self._render(None, record["level"], shown)) + "\n")
        except (AttributeError, OSError, ValueError, KeyError):
            return True
        return True

    def flush(self, timeout: float) -> bool:  # noqa: ARG002 - a stream has no timeout
        """See `Sink.flush`."""
        try:
            self._stream.flush()
        except (AttributeError, OSError, ValueError):
            return False
        return True

    def close(self, timeout: float) -> None:
        """See `Sink.close`; the stream stays open, since the sink does not own it."""
        self.flush(timeout)

    def stats(self) -> SinkStats:
        """See `Sink.stats`; lines shown on a terminal are not counted."""
        return SinkStats()
