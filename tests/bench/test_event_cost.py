"""What one fully enriched event costs its caller, beside its peers in the same run."""

import itertools
from pathlib import Path
from typing import Any

import loguru
import orjson
import structlog

import leadlog
from leadlog.testing.leads import generate_leads
from tests.bench.compare import compare

RESULT = {"success": True, "records_affected": 1, "duplicate_detected": False}
METRICS = {
    "execution_time_ms": 150.5,
    "database_queries": 2,
    "memory_usage_mb": 25.3,
    "cpu_time_ms": 120.0,
}


class FlushedFile:
    """The stock wrapped logger: writes a line and flushes it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def info(self, line: bytes) -> None:
        """Writes one line."""
        self._file.write(line + b"\n")
        self._file.flush()


def stock(path: Path) -> Any:
    """structlog as its documentation sets it up for speed: orjson, bytes, three processors."""
    return structlog.wrap_logger(
        FlushedFile(path),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
    ).bind()


def test_an_enriched_event_against_its_peers(tmp_path: Path, capsys: Any) -> None:
    """At most 1.25 times a stock structlog chain, and a quarter of loguru's `serialize`.

    Every call has another lead. The peers log the same values, and enrich nothing.
    """
    leads = [
        {"id": str(i), "name": lead.get("name") or "A B", **lead}
        for i, lead in enumerate(generate_leads(3000, seed=1))
    ]
    turns = {name: itertools.cycle(leads) for name in ("stock", "leadlog", "loguru")}
    leadlog.configure(directory=tmp_path / "logs")
    log = leadlog.DatabaseLogger()
    plain = stock(tmp_path / "stock.jsonl")
    loguru.logger.remove()
    loguru.logger.add(tmp_path / "loguru.jsonl", serialize=True)

    def leadlog_event() -> None:
        log.log_database_operation("add_lead", next(turns["leadlog"]), RESULT, METRICS)

    def stock_event() -> None:
        plain.info(
            "lead.add",
            operation_type="add_lead",
            lead=next(turns["stock"]),
            result=RESULT,
            performance_metrics=METRICS,
        )

    def loguru_event() -> None:
        loguru.logger.bind(
            operation_type="add_lead",
            lead=next(turns["loguru"]),
            result=RESULT,
            performance_metrics=METRICS,
        ).info("lead.add")

    found = compare(
        {"stock structlog + orjson": stock_event, "leadlog": leadlog_event, "loguru": loguru_event},
        calls=2000,
    )
    with capsys.disabled():
        print(f"\n{found.table()}")
    assert found.ratios["leadlog"] <= 1.25
    assert found.ratios["leadlog"] <= found.ratios["loguru"] / 4
