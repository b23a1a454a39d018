"""Days sealed to Parquet: nothing is lost, and every reader still works."""

import os
import re

import duckdb
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from leadlog.core.clock import parse
from leadlog.core.layout import CATEGORIES, archive_directory, log_files, part_path
from leadlog.reading.analytics.summary import count_days
from leadlog.reading.archive import Policy
from leadlog.reading.archive.parts import writing_part
from leadlog.reading.duck import connect
from leadlog.reading.events import Skipped, read_backwards, read_events
from leadlog.reading.part import damaged_path, restored
from leadlog.reading.sampled import spread_events
from leadlog.reading.scan import scan
from tests.bench.made_events import events, write

DAY = "2026-11-01"
SEAL = Policy(0, parquet_after_days=7)


@pytest.fixture
def day(root):
    """Write a day of events of all categories, last modified on that day."""

    def make(count=600, date=DAY, **more):
        counts = write(root, date, count, **more)
        for file in log_files(root, since=date, until=date):
            os.utime(file.path, (1_793_534_400, 1_793_534_400))  # noon of 2026-11-01
        return counts

    return make


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)
_SECTION = st.dictionaries(
    st.sampled_from(["operation_type", "success", "execution_time_ms", "fields_changed", "x"]),
    _JSON,
)


def _odd(changes):
    """Return an otherwise valid event with changed keys."""
    event = next(events(DAY, 1))
    for key, value in changes.items():
        if isinstance(event.get(key), dict) and isinstance(value, dict):
            event[key] |= value
        else:
            event[key] = value
    try:
        return orjson.dumps(event)
    except TypeError:  # integers of more than 64 bits
        return repr(event).encode()


_LINES = st.one_of(
    st.builds(
        _odd,
        st.dictionaries(
            st.sampled_from(["timestamp", "operation_details", "data_details", "extra", "new"]),
            _JSON | _SECTION,
            max_size=3,
        ),
    ),
    st.binary(max_size=12).filter(lambda line: b"\n" not in line),
    st.sampled_from(
        [
            b'{"timestamp":"2026-11-01T10:00:00.000000Z","timestamp":"x"}',
            b'{"timestamp": "2026-11-01T10:00:00+02:00"}',
            b'{"timestamp":"2026-11-01T10:00:00.000000Z","extra":{"a":1,"a":1.50}}',
            b'{"timestamp":"\\ud800"}',
            b'{"timestamp":"2026-11-01T10:00:00.000000Z","level":"\\u0061"}',
            b'["timestamp"]',
            b"",
        ]
    ),
)


@settings(max_examples=20)
@given(st.lists(_LINES, max_size=12), st.booleans())
@example([_odd({"extra": text}) for text in ("", "abc", "{}", '"')], True)
@example([_odd({"data_details": {"fields_changed": text}}) for text in ("", "abc", "[1]")], False)
def test_a_part_gives_back_what_went_into_it_byte_for_byte(tmp_path_factory, lines, ended):
    """Odd keys, other types, damage, spaces and an unfinished last line are all preserved."""
    content = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    folder = archive_directory(tmp_path_factory.mktemp("log"), "database_operations", DAY)
    folder.mkdir(parents=True)
    part = folder / f"part-{DAY}.parquet"
    with writing_part(part, "database_operations", lambda: [content]):
        pass
    assert b"".join(restored(part, "database_operations")) == content
    assert {path.name for path in folder.iterdir()} <= {part.name, damaged_path(part).name}


def test_events_as_leadlog_writes_them_are_kept_once(root, run, day):
    """Only columns are stored, with strings and naive UTC times, not the text."""
    day(200)
    run()
    for part in root.rglob("*.parquet"):
        (found,) = duckdb.sql(f"SELECT count(*), count(raw) FROM read_parquet('{part}')").fetchall()
        assert found[1] == 0
        kinds = duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet('{part}')").fetchall()
        types = {name: kind for name, kind, *_ in kinds}
        assert (types["timestamp"], types["event_id"]) == ("TIMESTAMP", "VARCHAR")
        assert types["date"] == "DATE"
        stamps = duckdb.sql(f"SELECT timestamp FROM read_parquet('{part}')").fetchall()
        assert stamps == sorted(stamps)


def test_every_form_of_a_day_says_the_same(root, run, day, tools):
    """Lines, compressed lines and Parquet give the same rows, and the summary the same n."""
    counts = day(int(os.environ.get("EVENTS", "3000")))

    def told():
        connection = connect()
        try:
            rows = {
                category: connection.execute(
                    f"SELECT count(*), count(DISTINCT event_id) FROM ({found.select(connection)})"
                ).fetchone()
                for category in CATEGORIES
                for found in [scan(root, category, since=DAY)]
            }
        finally:
            connection.close()
        python = count_days(root, DAY, exact=True, engine="python")
        table = count_days(root, DAY, exact=True, engine="duckdb")
        assert table.tally == python.tally
        assert table.exact == python.exact
        return rows, table.tally, tools.read(root)

    plain = told()
    assert plain[0] == {category: (count, count) for category, count in counts.items()}
    assert sum(count for _, count in plain[1].counts()) == sum(counts.values())
    assert run(Policy(7)).errors == ()
    assert all(file.compressed for file in log_files(root))
    assert told() == plain
    assert run().errors == ()
    assert all(file.archived for file in log_files(root))
    assert told() == plain
    assert count_days(root, DAY).from_buckets == (DAY,)
    assert count_days(root, DAY).tally == plain[1]


@pytest.mark.parametrize("policy", [Policy(7), SEAL], ids=["compressed", "sealed"])
def test_a_closed_day_is_sampled_all_over_and_read_backwards(root, run, tools, policy):
    """Samples cover the whole day, and reading backwards reads no more than requested."""
    lines = [orjson.dumps(line) + b"\n" for line in events(DAY, 3_000)]
    lines = [line for line in lines if b'"database_operation"' in line]
    tools.add(root, f"database_operations/{DAY}.jsonl", content=b"".join(lines))
    assert run(policy).errors == ()
    (file,) = log_files(root)
    assert file.path.suffix in {".zst", ".parquet"}
    start = parse(f"{DAY}T00:00:00Z")

    def sampled(most, begin=0.0, end=1.0):
        moments = (start + int(share * 86_400_000_000) for share in (begin, end))
        since, until = moments
        return spread_events(
            root,
            ["database_operations"],
            since_us=since,
            until_us=until,
            most=most,
            where=lambda _: True,
        )

    found = sampled(400)
    numbers = [lines.index(event.raw + b"\n") for event in found]
    assert 200 <= len(numbers) <= 400
    assert {number * 10 // len(lines) for number in numbers} == set(range(10))
    assert len(sampled(100_000)) == len(lines)
    assert [event.raw + b"\n" for event in read_backwards(file.path)] == lines[::-1]
    half = sampled(100_000, 0.5)
    assert 0 < len(half) < len(lines)
    assert all(event.timestamp >= f"{DAY}T12" for event in half)


def test_damage_is_kept_beside_the_part_and_counted(root, run, tools):
    """Damaged lines are stored next to the part, and readers count them as before."""
    content = tools.events(DAY, 500) + b'\xff\xfe\n{"torn": \n' + tools.events(DAY, 200) + b'{"no'
    tools.add(root, f"error_logs/{DAY}.jsonl", content=content)

    def told():
        skipped = Skipped()
        (file,) = log_files(root)
        forwards = [event.raw for event in read_events(file.path, skipped=skipped)]
        backwards = [event.raw for event in read_backwards(file.path)]
        return forwards, backwards[::-1], skipped.lines, skipped.unfinished

    before = told()
    assert before[2:] == (2, 1)
    run()
    assert tools.names(root) == [
        "archive/buckets/2026-11-01.json.zst",
        f"archive/category=error_logs/date={DAY}/_damaged-{DAY}.jsonl",
        f"archive/category=error_logs/date={DAY}/part-{DAY}.parquet",
    ]
    assert told() == before
    assert count_days(root, DAY).tally.lines_skipped == 3


def test_a_dry_run_says_what_a_run_does(root, run, day, tools):
    """A dry run lists the same files and actions; nothing is changed."""
    day(50)
    before = tools.snapshot(root)
    dry = run(dry_run=True)
    assert tools.snapshot(root) == before
    real = run()
    assert [one.action for one in dry.results] == [one.action for one in real.results]
    assert {one.action.verb for one in real.results} == {"archive"}
    assert (dry.buckets_stored, real.buckets_stored) == ((), (DAY,))
    assert run().buckets_stored == ()


def test_a_part_is_as_private_and_as_old_as_its_original(root, run, tools):
    """Permissions and time are the original's, and folders are as open as the category's."""
    path = tools.add(root, f"error_logs/{DAY}.jsonl")
    path.chmod(0o640)
    path.parent.chmod(0o750)
    old = path.stat()
    run()
    part = part_path(root, log_files(root)[0])
    assert part.stat().st_mode == old.st_mode
    assert part.stat().st_mtime_ns == old.st_mtime_ns
    assert part.parent.stat().st_mode & 0o777 == 0o750


def test_as_long_as_the_original_is_there_it_is_read(root, run, tools):
    """A part whose original exists counts once; the next run removes the original."""
    path = tools.add(root, f"error_logs/{DAY}.jsonl")
    content, before = path.read_bytes(), tools.read(root)
    run()
    tools.add(root, f"error_logs/{DAY}.jsonl", content=content)
    assert tools.read(root) == before
    (done,) = run().results
    assert (done.action.verb, done.error) == ("archive", None)
    assert tools.read(root) == before
    assert not path.exists()


def test_an_original_that_is_not_what_was_sealed_stays(root, run, tools):
    """Two files of one name that differ are never merged into one."""
    tools.add(root, f"error_logs/{DAY}.jsonl")
    run()
    path = tools.add(root, f"error_logs/{DAY}.jsonl", content=b'{"timestamp": "other"}\n')
    (failed,) = run().results
    assert re.search(r"does not reproduce its original.*the original stays", failed.error)
    assert path.read_bytes() == b'{"timestamp": "other"}\n'
    assert len(list(root.rglob("*.parquet"))) == 1


def test_a_folder_that_is_a_link_is_not_followed(root, run, tools, tmp_path):
    """Nothing is written through a link in place of the archive."""
    path = tools.add(root, f"error_logs/{DAY}.jsonl")
    (root / "archive").symlink_to(tmp_path)
    report = run()
    assert report.findings
    assert "is a link or a file, not a folder" in report.kept[0].hindrance.reason
    assert path.exists()
    assert not list(tmp_path.glob("category=*"))


def test_retention_takes_parts_and_what_lies_beside_them(root, run, day, tools):
    """A merged part, its damaged lines, its folder and the bucket table are removed together."""
    day(60)
    tools.add(root, f"sync_operations/{DAY}.w1.jsonl", content=b"rubbish\n")
    run()
    assert len(list(archive_directory(root, "sync_operations", DAY).iterdir())) == 2
    report = run(Policy(0, {"sync_operations": 20}, parquet_after_days=7))
    assert [one.action.verb for one in report.results] == ["remove"]
    assert not archive_directory(root, "sync_operations", DAY).exists()
    assert report.buckets_stored == (DAY,)  # made again from the rest
    assert "sync_operation" not in {run.log_type for run in count_days(root, DAY).tally.runs}
    report = run(Policy(0, 20, parquet_after_days=7))
    assert report.errors == ()
    assert tools.names(root) == []
