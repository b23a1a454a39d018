"""A stock structlog chain, and the events that it and leadlog log in turns."""

import itertools
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson
import structlog

from leadlog.core import settings
from leadlog.core.records import shape
from leadlog.recording.pipeline import Pipeline
from leadlog.recording.sinks import MemorySink
from leadlog.testing.leads import generate_leads

METRICS = {
    "execution_time_ms": 150.5,
    "database_queries": 2,
    "database_time_ms": 1.5,
    "memory_usage_mb": 25.3,
    "cpu_time_ms": 120.0,
}
RESULT = {"success": True, "records_affected": 1, "duplicate_detected": False}


class FlushedFile:
    """The stock wrapped logger: writes a line and flushes it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def info(self, line: bytes) -> None:
        """Write one line."""
        self._file.write(line + b"\n")
        self._file.flush()


def stock(file: BinaryIO) -> Any:
    """Return structlog as its documentation configures it for speed: orjson, three processors."""
    return structlog.wrap_logger(
        FlushedFile(file),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
    ).bind()


def typical() -> Iterator[dict[str, Any]]:
    """Yield leads as in the worked example of the record contract, a different one each time."""
    for i in itertools.count():
        yield {
            "id": f"uuid-{i}",
            "name": f"John Doe{chr(97 + i % 26)}",
            "company": f"Test Corp {i}",
            "email": f"john{i}@test.com",
        }


def messy() -> Iterator[dict[str, Any]]:
    """Yield leads with every field, valid or not, a different one each time."""
    for i, lead in enumerate(itertools.cycle([*generate_leads(3000, seed=1)])):
        yield {**lead, "id": str(i)}


def events(leads: Iterator[dict[str, Any]], count: int) -> Iterator[dict[str, Any]]:
    """Return events as capture hands them over: measured, not yet enriched; made beforehand."""
    made = []
    for lead in itertools.islice(leads, count):
        changes = {key: {"new": value} for key, value in lead.items() if value is not None}
        result = {**RESULT, "outcome": "committed", "entity": "Lead", "fields_changed": changes}
        made.append(shape.database_operation("add_lead", lead, result, METRICS))
    return iter(made)


def finished(made: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Return leadlog's records of events, without the keys that structlog's own chain adds.

    So a peer writes the same content, and computes nothing.
    """
    sink = MemorySink()
    with Pipeline(settings.load(), sink=sink) as pipeline:
        log = pipeline.get_logger()
        for event in made:
            log.emit("info", "lead.add", event)
    records = [orjson.loads(line) for _, line in sink.lines]
    for record in records:
        for key in ("timestamp", "level", "event_name"):
            del record[key]
    return iter(records)
