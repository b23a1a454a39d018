"""Counting of one day's events, in Python or in DuckDB, with the same tally.

Python needs no further package and starts faster; DuckDB is many times faster for many events.
`engine_for` chooses.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, Literal

from leadlog.core.layout import LogFile
from leadlog.core.records.operation import operation_name
from leadlog.reading.analytics.durations import is_duration
from leadlog.reading.analytics.sections import PERCENTS, Exact, at_ranks
from leadlog.reading.analytics.subjects import LEAST_RATE
from leadlog.reading.analytics.tally import Tally
from leadlog.reading.events import Skipped, read_events

__all__ = ["Engine", "EventCounter", "engine_for"]

Engine = Literal["auto", "python", "duckdb"]

_MANY_BYTES = 8_000_000


def engine_for(files: Iterable[LogFile], wanted: Engine = "auto") -> Engine:
    """Return the engine to count some files with."""
    if wanted != "auto":
        return wanted
    files = list(files)
    if any(file.archived for file in files):
        return "duckdb"  # no other engine reads Parquet as fast
    packed = sum(_size_of(file) * (7 if file.compressed else 1) for file in files)
    return "duckdb" if packed > _MANY_BYTES and find_spec("duckdb") is not None else "python"


def _size_of(file: LogFile) -> int:
    try:
        return file.path.stat().st_size
    except FileNotFoundError:  # sealed or removed since it was listed; its reader reports it
        return 0


class EventCounter:
    """Counts in Python, event by event; keeps eight bytes per duration for exact percentiles."""

    def __init__(self) -> None:
        self._durations: defaultdict[tuple[str, float], array[float]] = defaultdict(
            lambda: array("d")
        )

    def count(self, files: Iterable[LogFile], *, over: bool) -> Tally:
        """Return the tally of some files.

        Args:
            files: files of one day.
            over: whether the day is over: then a last line without a line end will never be
                completed, and counts as skipped.

        Raises:
            ReadError: a file cannot be read.
        """
        tally = Tally()
        skipped = Skipped()
        for file in files:
            for event in read_events(file.path, skipped=skipped, to_damage=True):
                tally.add(event.data)
                self._keep(event.data)
        tally.lines_skipped = skipped.lines + (skipped.unfinished if over else 0)
        return tally

    def _keep(self, event: dict[str, object]) -> None:
        details = event.get("operation_details")
        if event.get("log_type") != "database_operation" or not isinstance(details, dict):
            return
        duration: Any = details.get("execution_time_ms")
        if is_duration(duration):
            rate = event.get("sample_rate")
            rate = rate if isinstance(rate, float) and LEAST_RATE <= rate < 1.0 else 1.0
            operation = details.get("operation_type")
            name = operation_name(
                operation if isinstance(operation, str) else None, details.get("entity")
            )
            self._durations[name or "unknown", rate].append(float(duration))

    def exact(self) -> Exact:
        """Return the exact percentiles of everything counted, by operation."""
        by_operation: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        for (name, rate), values in self._durations.items():
            by_operation[name] += ((value, 1 / rate) for value in values)
        return {
            name: dict(zip(PERCENTS, at_ranks(sorted(pairs)), strict=True))
            for name, pairs in by_operation.items()
        }

    def close(self) -> None:
        """Do nothing; only the other engine holds a database."""
