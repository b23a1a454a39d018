"""A log of three days, as lines and sealed, and the results of plain Python."""

import datetime as dt
import json
import os
import random
import shutil
from pathlib import Path

import pytest

from leadlog.core.layout import CATEGORIES, log_files
from leadlog.core.records import RECORDS
from leadlog.reading import archive
from leadlog.reading.analytics.summary import count_days
from leadlog.reading.events import read_events
from leadlog.reading.moments import microseconds
from tests.analytics.answers import DAYS, EVENTS, digest, summaries
from tests.analytics.plain import PLAIN
from tests.bench.made_events import events


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return three days of generated events that each built-in query matches."""
    root = tmp_path_factory.mktemp("engines") / "log"
    folder = dict(zip(RECORDS, CATEGORIES, strict=True))
    chance = random.Random(7)
    for day in DAYS:
        for number, event in enumerate(events(day, EVENTS, sampled=0.2)):
            event["session_id"] = f"s{number % 9:07}"
            if event["log_type"] == "database_operation":
                event["operation_details"]["transaction_id"] = f"{day}-{number // 90}"
                event["data_details"]["fields_processed"] = [["name"], ["name", "email"], None][
                    number % 3
                ]
                if number % 11 == 0:
                    event["operation_details"]["load"] = "lazy"
                    event["performance_metrics"]["database_queries"] = number % 20
                event["performance_metrics"]["database_time_ms"] = chance.choice((None, 0.5, 1.25))
            if event["log_type"] == "sync_operation":
                event["sync_details"]["batch_size"] = chance.choice((1, 10, 50))
            path = root / folder[event["log_type"]] / f"{day}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as stream:
                stream.write(json.dumps(event) + "\n")
    past = microseconds(dt.datetime(2026, 11, 24)) // 1_000_000
    for file in log_files(root):
        os.utime(file.path, (past, past))
    return root


@pytest.fixture(scope="session")
def expected(written: Path) -> dict[str, str]:
    """Return the results of plain Python: the rows of the queries, and the summary."""
    log = {
        category: [
            (file.date, event.data)
            for file in log_files(written, [category])
            for event in read_events(file.path)
        ]
        for category in CATEGORIES
    }
    hashes = {}
    for name, function in PLAIN.items():
        rows = function(log)
        assert rows, name
        hashes[name] = digest(rows)
    return {
        **hashes,
        **summaries(lambda *days: count_days(written, *days, exact=True, engine="python")),
    }


@pytest.fixture(scope="session")
def sealed(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same log, sealed to Parquet by the archive."""
    root = tmp_path_factory.mktemp("sealed") / "log"
    shutil.copytree(written, root)
    archive.run(root, archive.Policy(parquet_after_days=1), today="2026-11-30")
    assert all(file.archived for file in log_files(root))
    return root
