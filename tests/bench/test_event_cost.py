"""What one fully enriched event costs its caller, beside its peers in the same run."""

from pathlib import Path
from typing import Any

import loguru

import leadlog
from tests.bench.compare import compare
from tests.bench.stock import METRICS, RESULT, events, finished, messy, stock, typical

CALLS = 300
ROUNDS = 20


def test_an_enriched_event_against_its_peers(tmp_path: Path, capsys: Any) -> None:
    """At most 1.25 times a stock structlog chain, and a quarter of loguru's `serialize`.

    From the call to the hand-over of the line. Every call has another lead. The peers log the
    finished record and enrich nothing. Shown beside it: leads with every field, and logging by
    hand, which also sorts what the caller passed into the sections.
    """
    leadlog.configure(directory=tmp_path / "logs")
    log, by_hand = leadlog.get_logger(), leadlog.DatabaseLogger()
    file = (tmp_path / "stock.jsonl").open("wb")
    plain = stock(file)
    loguru.logger.remove()
    loguru.logger.add(tmp_path / "loguru.jsonl", serialize=True)
    count = CALLS * (ROUNDS + 1)
    ours = events(typical(), count)
    theirs, others = (finished(events(typical(), count)) for _ in range(2))
    full, given = events(messy(), count), typical()

    found = compare(
        {
            "stock structlog + orjson": lambda: plain.info("lead.add", **next(theirs)),
            "leadlog, fully enriched": lambda: log.emit("info", "lead.add", next(ours)),
            "leadlog, every field": lambda: log.emit("info", "lead.add", next(full)),
            "leadlog, by hand": lambda: by_hand.log_database_operation(
                "add_lead", next(given), RESULT, METRICS
            ),
            "loguru serialize": lambda: loguru.logger.bind(**next(others)).info("lead.add"),
        },
        calls=CALLS,
        rounds=ROUNDS,
        between=leadlog.flush,  # what is behind the hand-over is not in anybody's turn
    )
    file.close()
    assert leadlog.flush()
    with capsys.disabled():
        print(f"\n{found.table()}")
    assert found.ratios["leadlog, fully enriched"] <= 1.25
    assert found.ratios["leadlog, fully enriched"] <= found.ratios["loguru serialize"] / 4
