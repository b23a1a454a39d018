"""Lines that no writer of leadlog produces: every reader continues, and all count the same."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from leadlog.reading import run_query
from leadlog.reading.analytics.counting import Engine
from leadlog.reading.analytics.engine import DuckDBEngine
from leadlog.reading.analytics.queries import BUILT_IN
from leadlog.reading.analytics.reports import slow_report
from leadlog.reading.analytics.summary import count_days, events_of, summary_of
from leadlog.reading.damage import damaged_lines
from leadlog.reading.events import LINE_LIMIT_BYTES, Skipped, read_backwards
from leadlog.reading.merged import read_merged
from leadlog.reading.oddities import oddities
from tests.bench.made_events import blank

DAY = "2026-11-01"
CATEGORY = "database_operations"


def line(number: int) -> bytes:
    """Return an event as leadlog writes it, except for its values."""
    event = blank("database_operation", 1_000_000 * number, number, DAY)
    event["operation_details"] |= {
        "operation_type": "update",
        "entity": "Deal",
        "success": True,
        "outcome": "committed",
        "execution_time_ms": 10.0,
        "records_affected": 1,
    }
    return orjson.dumps(event)


SOUND = line(2)
START = b'{"timestamp":"2026-11-01T00:00:02.000000Z","log_type":"database_operation",'


def other(old: bytes, new: bytes) -> bytes:
    """Return the sound line with a part replaced."""
    assert old in SOUND
    return SOUND.replace(old, new)


DAMAGED = {
    "longer than the limit": SOUND[:-1] + b',"x":"' + b"a" * LINE_LIMIT_BYTES + b'"}',
    "too long for DuckDB": SOUND[:-1] + b',"x":"' + b"a" * 3 * LINE_LIMIT_BYTES + b'"}',
    "zeros": b"\0" * 1000,
    "a byte order mark": b"\xef\xbb\xbf" + SOUND,
    "not UTF-8": other(b"Deal", b"De\xffal"),
    "half a surrogate pair": other(b"Deal", b"De\\ud800al"),
    "a raw control character": other(b"Deal", b"De\x01al"),
    "no time": other(b"2026-11-01T00:00:02.000000Z", b"yesterday"),
    "a day that no calendar has": other(b"2026-11-01T", b"2026-02-30T"),
    "an hour that no day has": other(b"T00:", b"T24:"),
    "a year of five digits": other(b"2026-11-01T", b"+10000-12-31T"),
    "an offset": other(b"000000Z", b"000000+02:00"),
    "a number for a time": other(b'"2026-11-01T00:00:02.000000Z"', b"1796007149"),
    "an array": b"[1,2]",
    "a text": b'"x"',
    "torn": SOUND[:200],
    "two in one": SOUND + SOUND,
    "more behind it": SOUND + b" x",
}
EVENTS = {
    "sound": SOUND,
    "a carriage return": SOUND + b"\r",
    "not a number": other(b"10.0", b"NaN"),
    "infinite": other(b"10.0", b"1e999"),
    "a clock for a duration": other(b"10.0", b"1796007149929627400"),
    "a huge duration": other(b"10.0", b"1e17"),
    "the longest duration": other(b"10.0", b"1e12"),
    "a negative duration": other(b"10.0", b"-1.5"),
    "a text for a duration": other(b"10.0", b'"10"'),
    "an integer without end": other(b'"records_affected":1', b'"records_affected":1' + b"0" * 40),
    "the largest integer": other(
        b'"database_queries":null', b'"database_queries":9223372036854775807'
    ),
    "nested deeply": START + b'"extra":' + b"[" * 900 + b"]" * 900 + b"}",
    "a key twice": SOUND[:-1] + b',"level":"error"}',
    "a version to come": other(b'"schema_version":1', b'"schema_version":99'),
    "a text for a version": other(b'"schema_version":1', b'"schema_version":"x"'),
    "the last day": other(b"2026-11-01T", b"9999-12-31T"),
    "the first day": other(b"2026-11-01T", b"0001-01-01T"),
    "a text for a section": other(b'"training_labels":{', b'"training_labels":"x","y":{'),
    "hardly ever kept": SOUND[:-1] + b',"sample_rate":1e-300}',
    "kept less than never": SOUND[:-1] + b',"sample_rate":-1.0}',
    "a zero character": other(b"Deal", b"De\\u0000al"),
}
# DuckDB accepts a number in a text; leadlog never writes one so.
COUNTED = {name: one for name, one in EVENTS.items() if name != "a text for a duration"}
NOTHING = {"empty": b"", "spaces": b"  \t "}

CASES = [
    *((name, one, 2, 1) for name, one in DAMAGED.items()),
    *((name, one, 3, 0) for name, one in EVENTS.items()),
    *((name, one, 2, 0) for name, one in NOTHING.items()),
]


def merged(root: Path) -> tuple[int, int]:
    skipped = Skipped()
    return sum(1 for _ in read_merged(root, skipped=skipped)), skipped.lines


def backwards(root: Path) -> tuple[int, int]:
    skipped = Skipped()
    path = root / CATEGORY / f"{DAY}.jsonl"
    return sum(1 for _ in read_backwards(path, skipped=skipped)), skipped.lines


def relation(root: Path) -> tuple[int, int]:
    with DuckDBEngine(root) as engine:
        (row,) = engine.rows("SELECT COUNT(*) AS n FROM operations")
        return row["n"], engine.damaged().lines


def summed_up_by(engine: Engine) -> Callable[[Path], tuple[int | None, int | None]]:
    def count(root: Path) -> tuple[int | None, int | None]:
        tally = count_days(root, DAY, engine=engine, today="2026-12-01").tally
        return events_of(tally)["events_read"], tally.lines_skipped

    return count


READERS = {
    "merged": merged,
    "backwards": backwards,
    "relation": relation,
    "python": summed_up_by("python"),
    "duckdb": summed_up_by("duckdb"),
}


@pytest.fixture
def log(tmp_path: Path) -> Callable[[bytes], Path]:
    """Return a function that writes a log of two sound lines with another one in between."""

    def write(between: bytes) -> Path:
        path = tmp_path / "log" / CATEGORY / f"{DAY}.jsonl"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"\n".join((line(1), between, line(5), b"")))
        return tmp_path / "log"

    return write


@pytest.mark.handmade_lines
@pytest.mark.parametrize(("name", "between", "events", "damaged"), CASES, ids=[c[0] for c in CASES])
def test_every_reader_goes_on_and_counts_the_same(
    log: Callable[[bytes], Path], name: str, between: bytes, events: int, damaged: int
) -> None:
    """Line readers in both directions, the relation, and both engines of the summary agree."""
    root = log(between)
    found = {reader: read(root) for reader, read in READERS.items()}
    assert found == dict.fromkeys(READERS, (events, damaged))
    assert len(list(damaged_lines(root))) == damaged


@pytest.mark.handmade_lines
@pytest.mark.parametrize("between", COUNTED.values(), ids=COUNTED)
def test_no_value_stops_a_built_in_query(log: Callable[[bytes], Path], between: bytes) -> None:
    """Values that cannot have been measured are in no sum."""
    root = log(between)
    with DuckDBEngine(root) as engine:
        for sql in BUILT_IN.values():
            engine.rows(sql)
        names = {one["operation"] for one in slow_report(engine)["operations"]}
    assert "Deal.update" in names
    by_engine = [
        summary_of(count_days(root, DAY, engine=engine, exact=True, today="2026-12-01"))
        for engine in ("python", "duckdb")
    ]
    assert by_engine[0] == by_engine[1]
    assert orjson.dumps(by_engine[0])


@pytest.mark.handmade_lines
@pytest.mark.parametrize("name", ["too long for DuckDB", "nested deeply", "a huge duration"])
def test_a_query_in_the_sandbox_goes_on(log: Callable[[bytes], Path], name: str) -> None:
    """A query continues, although no file can be written there."""
    root = log({**DAMAGED, **EVENTS}[name])
    with run_query(root, "SELECT count(*) AS n FROM operations") as rows:
        (row,) = rows.reader.read_all().to_pylist()
    assert (row["n"], rows.damaged_lines) == ((2, 1) if name in DAMAGED else (3, 0))


ODD = (
    "a clock for a duration",
    "a huge duration",
    "a negative duration",
    "the largest integer",
    "a version to come",
    "a text for a version",
    "the last day",
    "the first day",
    "kept less than never",
)


@pytest.mark.parametrize("name", EVENTS)
def test_odd_values_are_named(name: str) -> None:
    """Only numbers and times are named as odd."""
    from leadlog.reading.events import decode

    event = decode(EVENTS[name])
    assert event is not None
    found = list(oddities(event, DAY))
    assert bool(found) == (name in ODD or name == "an integer without end"), found


def test_a_value_that_was_passed_and_not_taken_is_odd() -> None:
    """The record keeps the value separately, with its intended key."""
    event: dict[str, Any] = orjson.loads(SOUND)
    event["extra"] = {"operation_details.execution_time_ms": 1e18, "mine": 1e18}
    (found,) = oddities(event, DAY)
    assert "operation_details.execution_time_ms" in found


def test_three_thousand_small_files_need_few_descriptors(tmp_path: Path) -> None:
    """Files are opened when they are read, not when they are listed."""
    import resource

    folder = tmp_path / CATEGORY
    folder.mkdir()
    for writer in range(3_000):
        rest = b"rubbish\n" + line(0) if writer == 7 else b""
        (folder / f"{DAY}.w{writer + 1}.jsonl").write_bytes(line(writer) + b"\n" + rest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = len(os.listdir("/proc/self/fd")) + 60  # noqa: PTH208 - names suffice
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(few, hard), hard))
    try:
        assert merged(tmp_path) == (3_000, 1)
        assert relation(tmp_path) == (3_000, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
