"""The same rows from DuckDB over every kind of file, from Spark, and from plain Python."""

import datetime as dt
import hashlib
import json
import multiprocessing
import os
import queue
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from leadlog import archive
from leadlog.analytics.engine import DuckDBEngine
from leadlog.analytics.queries import BUILT_IN
from leadlog.analytics.spark import SparkEngine
from leadlog.clock import format_us
from leadlog.errors import ReadError
from leadlog.layout import CATEGORIES, log_files
from leadlog.reading.events import read_events
from leadlog.reading.moments import microseconds
from leadlog.records import RECORDS
from tests.analytics.plain import COLUMNS, PLAIN
from tests.bench.made_events import events

DAYS = ("2026-11-21", "2026-11-22", "2026-11-23")
EVENTS = 400_000 if os.environ.get("SOAK") else 400

SPARK = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.showConsoleProgress": "false",
    # What follows makes small queries quick and changes no result.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.executor.memory": "512m",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.codegen.wholeStage": "false",
}
MASTERS = ("local[2]", "local-cluster[2,1,1024]")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of made-up events, with what the built-in queries look for."""
    root = tmp_path_factory.mktemp("engines") / "log"
    folder = dict(zip(RECORDS, CATEGORIES, strict=True))
    chance = random.Random(7)
    for day in DAYS:
        for number, event in enumerate(events(day, EVENTS)):
            event["session_id"] = f"s{number % 9:07}"
            if number % 7 in (3, 4):
                event["sample_rate"] = (0.3, 0.7)[number % 7 - 3]
            if event["log_type"] == "database_operation":
                event["operation_details"]["transaction_id"] = f"{day}-{number // 90}"
                event["data_details"]["fields_processed"] = [["name"], ["name", "email"], None][
                    number % 3
                ]
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


@pytest.fixture(scope="module")
def expected(written: Path) -> dict[str, str]:
    """What plain Python makes of the lines."""
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
    return hashes


@pytest.fixture(scope="module")
def sealed(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same log, sealed to Parquet by the archive."""
    root = tmp_path_factory.mktemp("sealed") / "log"
    shutil.copytree(written, root)
    archive.run(root, archive.Policy(parquet_after_days=1), today="2026-11-30")
    assert all(file.archived for file in log_files(root))
    return root


def digest(rows: list[tuple[Any, ...]]) -> str:
    """A hash of the rows, whatever their order and whatever an engine calls a type."""
    return hashlib.sha256(repr(sorted(map(repr, map(plain, rows)))).encode()).hexdigest()


def plain(value: Any) -> Any:
    """A value without its engine."""
    if isinstance(value, dt.datetime):
        return format_us(microseconds(value))
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return tuple(map(plain, value))
    return value


def answers(engine: Any) -> dict[str, str]:
    """What an engine makes of all built-in queries."""
    found = {}
    for name, sql in BUILT_IN.items():
        rows = engine.rows(sql)
        found[name] = digest(
            [tuple(row[key] for key in COLUMNS.get(name, tuple(row))) for row in rows]
        )
    return found


def test_every_built_in_query_is_done_in_plain_python_too() -> None:
    """None is left out of the comparison."""
    assert PLAIN.keys() == BUILT_IN.keys()


@pytest.mark.parametrize("kind", ["lines", "compressed", "parquet", "both"])
def test_duckdb_says_what_plain_python_says(
    kind: str, written: Path, sealed: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    """Over lines, compressed lines, Parquet, and Parquet with lines that were left behind."""
    root = {"lines": written, "parquet": sealed}.get(kind, tmp_path / "log")
    if kind == "compressed":
        shutil.copytree(written, root)
        archive.run(root, archive.Policy(compress_after_days=1), today="2026-11-30")
        assert all(file.compressed for file in log_files(root))
    if kind == "both":
        shutil.copytree(sealed, root)
        for category in ("database_operations", "sync_operations"):
            shutil.copytree(written / category, root / category, dirs_exist_ok=True)
    with DuckDBEngine(root) as engine:
        assert answers(engine) == expected


def _on_spark(source: str, window: tuple[str, str], out: Any) -> None:
    """Runs in a process of its own, whose Java serves both masters and ends with it."""
    from pyspark.sql import SparkSession

    for master in MASTERS:
        builder: Any = SparkSession.builder.master(master)
        for key, value in SPARK.items():
            builder = builder.config(key, value)
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        with SparkEngine(source, session=session) as engine:
            found = answers(engine)
        with SparkEngine(source, None, *window, session=session) as engine:
            volume = [plain(tuple(row.values())) for row in engine.rows(BUILT_IN["volume"])]
        with SparkEngine(f"{source}-not-there", session=session) as engine:
            try:
                missing = str(engine.rows(BUILT_IN["volume"]))
            except ReadError as error:
                missing = str(error)
        out.put((found, volume, missing))
        session.stop()


@pytest.fixture
def on_spark(sealed: Path) -> Iterator[Callable[..., Iterator[Any]]]:
    """Runs all built-in queries on a Spark of this machine, on one master after the other."""
    pytest.importorskip("pyspark", reason="`make spark-tests` installs PySpark")
    if shutil.which("java") is None:
        pytest.skip("Java 17 is not installed, e.g. openjdk-17-jre-headless")
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    started = []

    def run(*window: str) -> Iterator[Any]:
        process = context.Process(target=_on_spark, args=(str(sealed / "archive"), window, out))
        process.start()
        started.append(process)
        for _ in MASTERS:
            yield next(filter(None, (answer(process) for _ in range(600))))

    def answer(process: Any) -> Any:
        try:
            return out.get(timeout=1)
        except queue.Empty:
            assert process.is_alive(), "Spark ended without an answer; see its output"

    yield run
    for process in started:
        process.join(20)
        process.kill()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_spark_says_what_plain_python_says(
    on_spark: Callable[..., Iterator[Any]], expected: dict[str, str]
) -> None:
    """In one process and in several, over the archive's Parquet; a window cuts alike."""
    since, until = "2026-11-22T00:00:00.000000Z", "2026-11-23T00:00:00.000000Z"
    for found, volume, missing in on_spark(since, until):
        assert found == expected
        assert {row[0] for row in volume} == {"2026-11-22"}
        assert sum(row[2] for row in volume) == EVENTS
        assert "-not-there" in missing
