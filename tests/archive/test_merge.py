"""Merging of a day's parts: each event exists exactly once at every moment."""

import os
import subprocess
import sys

import orjson
import pytest

from leadlog.core.layout import archive_directory, log_files, parse_name
from leadlog.reading import erasure
from leadlog.reading.analytics.summary import count_days
from leadlog.reading.archive import Policy
from leadlog.reading.damage import damaged_lines
from leadlog.reading.duck import connect
from leadlog.reading.events import read_events
from leadlog.reading.merged import read_merged
from leadlog.reading.scan import scan
from tests.bench.made_events import events

DAY = "2026-11-01"
SEAL = Policy(0, parquet_after_days=7)
CATEGORY = "database_operations"


@pytest.fixture
def writers(root, tools):
    """Return files of one day by three writers, whose events interleave in time."""

    def make(count=240, names=("", ".w1", ".w1.1")):
        made = [line for line in events(DAY, count) if line["log_type"] == "database_operation"]
        for number, name in enumerate(names):
            lines = b"".join(orjson.dumps(one) + b"\n" for one in made[number :: len(names)])
            tools.add(root, f"{CATEGORY}/{DAY}{name}.jsonl", content=lines)
        return [one["event_id"] for one in made]

    return make


def table(root):
    """Return the events that DuckDB finds, sorted."""
    with connect(threads=1) as connection:
        sql = scan(root, CATEGORY).select(connection)
        found = connection.sql(f"SELECT event_id FROM ({sql}) ORDER BY 1").fetchall()
        return [row[0] for row in found]


def in_order(root):
    """Return the events in the order of the readers."""
    return [event.data["event_id"] for event in read_merged(root)]


def test_a_day_ends_with_one_part(root, run, writers, tools):
    """The merged part has the same lines in time order, for every reader, and is in the report."""
    ids = writers()
    before, counted = tools.read(root), count_days(root, DAY, exact=True)
    report = run()
    assert [one.action.verb for one in report.results] == ["archive"] * 3 + ["merge"]
    assert (report.errors, report.kept) == ((), ())
    merged = report.results[-1]
    assert merged.action.reason == "its day has 3 parts"
    assert [one.file.path.name for one in merged.action.parts] == [
        f"part-{DAY}.parquet",
        f"part-{DAY}.w1.parquet",
        f"part-{DAY}.w1.1.parquet",
    ]
    assert tools.names(root) == [
        f"archive/buckets/{DAY}.json.zst",
        f"archive/category={CATEGORY}/date={DAY}/part-{DAY}.m1.parquet",
    ]
    (file,) = log_files(root)
    assert merged.freed_bytes == merged.action.found.size_bytes - file.path.stat().st_size
    assert report.as_dict()["actions"][-1]["parts"][0] == f"part-{DAY}.parquet"
    assert tools.read(root) == before
    assert in_order(root) == table(root) == ids
    found = count_days(root, DAY)
    assert (found.from_buckets, found.tally) == ((DAY,), counted.tally)
    assert run().results == ()


def test_what_comes_late_is_merged_into_it(root, run, writers, tools):
    """A late file of the day, even of a name used before, is merged under the next number."""
    writers()
    run()
    before = tools.read(root)
    tools.add(root, f"{CATEGORY}/{DAY}.jsonl")
    late = tools.read(root)
    assert len(late) > len(before)
    run()
    assert [file.path.name for file in log_files(root)] == [f"part-{DAY}.m2.parquet"]
    assert tools.read(root) == late
    assert count_days(root, DAY).tally == count_days(root, DAY, exact=True).tally


def test_a_dry_run_shows_the_merging(root, run, writers, tools):
    """A dry run shows merges of existing parts and of those that sealing would create."""
    writers()
    before = tools.snapshot(root)
    dry = run(dry_run=True)
    assert [one.action.verb for one in dry.results] == ["archive"] * 3 + ["merge"]
    assert dry.results[-1].freed_bytes_estimate == 0
    assert tools.snapshot(root) == before


def test_a_part_whose_original_is_still_there_is_not_merged(root, run, writers, tools):
    """While the original exists, its copy must not be merged into another part."""
    writers(names=("",))
    path = root / CATEGORY / f"{DAY}.jsonl"
    content = path.read_bytes()
    run()
    path.write_bytes(content)  # modified today, so it stays
    for name in (".w1", ".w2"):
        tools.add(root, f"{CATEGORY}/{DAY}{name}.jsonl")
    before = tools.read(root)
    assert run().results[-1].action.reason == "its day has 2 parts"
    assert tools.read(root) == before
    os.utime(path, (1_793_534_400, 1_793_534_400))
    run()
    assert [file.path.name for file in log_files(root)] == [f"part-{DAY}.m2.parquet"]
    assert tools.read(root) == before


def test_damaged_lines_and_rests_come_along(root, run, tools):
    """Damaged lines and unfinished last lines are kept in the merged part."""
    whole = tools.events(DAY, 400)
    for name, rest in (("", b'{"torn'), (".w1", whole.splitlines()[0]), (".w2", b"\xff")):
        content = tools.events(DAY, 300, len(name)) + b"rubbish\n" + rest
        tools.add(root, f"error_logs/{DAY}{name}.jsonl", content=content)

    def told():
        damaged = sorted(one.content for one in damaged_lines(root))
        lines = [event.raw for file in log_files(root) for event in read_events(file.path)]
        return damaged, sorted(lines), count_days(root, DAY, exact=True).tally.lines_skipped

    before = told()
    assert len(before[0]) == 6
    run()
    assert [file.path.name for file in log_files(root)] == [f"part-{DAY}.m1.parquet"]
    assert told() == before


def test_a_merged_part_is_as_private_as_the_most_private(root, run, writers):
    """A merged part has the narrowest permissions and the newest time of its sources."""
    writers()
    modes = (0o640, 0o604, 0o600)
    for file, mode in zip(log_files(root), modes, strict=True):
        file.path.chmod(mode)
    run()
    (file,) = log_files(root)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.stat().st_mtime == 1_793_534_400


# Stops the janitor forever when it reaches a step, given by a function's name.
STOPPED = """
import os, sys
from leadlog.reading import archive
from leadlog.reading.archive import Policy, merge
step, root, today = sys.argv[1:]
def stop(*given):
    os._exit(9)
def last(folder):
    if any(name.startswith("_merged-") for name in os.listdir(folder.path)):
        os._exit(9)
setattr(merge, step, last if step == "finish_merges" else stop)
archive.run(root, Policy(0, None, None, 7), today=today)
"""


@pytest.fixture
def stop(root, writers, tools, environment):
    """Kill a merge at a step; return the lines and their totals."""

    def kill(step):
        writers()
        before = tools.read(root), count_days(root, DAY, exact=True).tally
        command = [sys.executable, "-c", STOPPED, step, str(root), tools.today]
        done = subprocess.run(command, env=environment, timeout=60, check=False)
        assert done.returncode == 9
        return before

    return kill


@pytest.mark.parametrize("step", ["_write_list", "finish_merges"])
def test_a_kill_between_the_steps(root, run, stop, tools, step):
    """With old and merged parts present, each event is read once; the next run finishes."""
    lines, tally = stop(step)
    folder = archive_directory(root, CATEGORY, DAY)
    assert sum(path.suffix == ".parquet" for path in folder.iterdir()) >= 3
    for _ in range(2):
        assert tools.read(root) == lines
        assert len(table(root)) == sum(lines.values())
        assert count_days(root, DAY).tally == count_days(root, DAY, exact=True).tally == tally
        run(dry_run=True)
        assert run().errors == ()
    assert [path.name for path in folder.iterdir()] == [f"part-{DAY}.m1.parquet"]


def test_a_part_of_an_old_name_is_not_lost_to_a_merge_that_did_not_end(root, run, stop, tools):
    """A late file with the name of a merged part is sealed once that merge has finished."""
    stop("finish_merges")
    tools.add(root, f"{CATEGORY}/{DAY}.jsonl", content=tools.events(DAY, 500))
    late = tools.events(DAY, 500).splitlines()
    run()
    assert all(tools.read(root)[line] == 1 for line in late)


def test_erasing_ends_a_merge_first(root, stop, tools):
    """An unfinished merge is completed first, so that no unread part keeps erased lines."""
    lines, _ = stop("finish_merges")
    person = orjson.loads(next(iter(lines)))["lead_identifier"]["lead_id"]
    erasure.run(root, lead_ids=[person], today=tools.today)
    left = tools.read(root)
    assert left == {line: n for line, n in lines.items() if person.encode() not in line}
    assert not any(person.encode() in path.read_bytes() for path in root.rglob("_*"))
    parts = [path.name for path in root.rglob("part-*")]
    assert len(parts) == len(log_files(root))


def test_a_part_that_cannot_be_read_fails_the_merging_and_everything_stays(root, run, writers):
    """A damaged part makes the merge fail; the others stay, and the error is reported once."""
    writers()
    run()
    folder = archive_directory(root, CATEGORY, DAY)
    spoilt = folder / f"part-{DAY}.w5.parquet"
    spoilt.write_bytes(b"PAR1 this is none PAR1")
    report = run()
    (failed,) = report.errors
    assert (failed.action.verb, report.kept) == ("merge", ())
    assert DAY in report.buckets_failed
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [f"part-{DAY}.m1.parquet", spoilt.name]
    )


def test_names_of_merged_parts_are_read_and_written():
    """Names of merged parts are recognised, and belong to no writer."""
    file = parse_name(f"part-{DAY}.m12.parquet")
    assert (file.merged, file.segment, file.archived) == (True, 12, True)
    assert file.name == f"part-{DAY}.m12.parquet"
    assert parse_name(f"part-{DAY}.m0.parquet") is None
    assert parse_name(f"{DAY}.m1.jsonl") is None
