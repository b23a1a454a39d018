"""The end of the log, merged over categories, and new events."""

import json
import os
import shutil
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.core.clock import format_us
from leadlog.core.layout import CATEGORIES
from leadlog.reading.events import Skipped
from leadlog.reading.tail import Tail
from leadlog.reading.where import parse

DAY_US = 86_400_000_000


class EnoughError(Exception):
    """Raised to end following."""


def follow(tail, *steps):
    """Follow while each step changes the log; return the new events, batch by batch."""
    # Each step allows enough rounds for a scan of the folders and the held-back round.
    waits = iter([action for step in (*steps, lambda: None) for action in (step, *[None] * 12)])

    def wait():
        try:
            action = next(waits)
        except StopIteration:
            raise EnoughError from None
        if action is not None:
            action()

    batches = []
    with pytest.raises(EnoughError):
        batches.extend(tail.follow(wait))
    return batches


def numbers(batches):
    """Return the `n` of each event, in the order of arrival."""
    return [event.data["n"] for batch in batches for event in batch]


ENTRY = st.tuples(
    st.sampled_from(CATEGORIES), st.integers(0, 2), st.integers(0, 3 * DAY_US), st.booleans()
)


@given(st.lists(ENTRY, max_size=60), st.integers(0, 70))
def test_the_last_events_are_the_last_in_time(tmp_path_factory, entries, count):
    """Over categories, writers, days and segments, the last N are the N latest, oldest first."""
    root = tmp_path_factory.mktemp("log")
    segment = defaultdict(int)
    expected = []
    for category, writer, at, new_segment in sorted(entries, key=lambda entry: entry[2]):
        date = format_us(at)[:10]
        segment[category, writer, date] += new_segment
        number = segment[category, writer, date]
        name = f"{date}{f'.w{writer}' if writer else ''}{f'.{number}' if number else ''}.jsonl"
        path = root / category / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as stream:
            stream.write(json.dumps({"timestamp": format_us(at)}) + "\n")
        expected.append(format_us(at))
    found = Tail(root).last(count)
    assert [event.timestamp for event in found] == (expected[-count:] if count else [])


@given(st.lists(st.tuples(ENTRY, st.booleans()), max_size=30))
def test_following_loses_nothing_and_repeats_nothing(tmp_path_factory, entries):
    """Existing events are in the last ones, new ones in the followed ones, each once."""
    root = tmp_path_factory.mktemp("log")

    def write(entry, number):
        category, writer, at, _ = entry
        path = root / category / f"{format_us(at)[:10]}{f'.w{writer}' if writer else ''}.jsonl"
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as stream:
            stream.write(json.dumps({"timestamp": format_us(at), "n": number}) + "\n")

    before = [(number, entry) for number, (entry, early) in enumerate(entries) if early]
    after = [(number, entry) for number, (entry, early) in enumerate(entries) if not early]
    for number, entry in before:
        write(entry, number)
    tail = Tail(root)
    seen = [event.data["n"] for event in tail.last(1_000)]
    steps = [lambda number=number, entry=entry: write(entry, number) for number, entry in after]
    batches = follow(tail, *steps)
    assert sorted(seen) == [number for number, _ in before]
    assert numbers(batches) == [number for number, _ in after]


def test_only_wanted_categories_and_events_come(append, event, tmp_path):
    """Categories and the condition apply to the last events and to the followed ones."""
    append("error_logs/2026-11-23.jsonl", event(1, n=1), event(2, n=2))
    append("sync_operations/2026-11-23.jsonl", event(3, n=3))
    tail = Tail(tmp_path / "log", ["error_logs"], parse("n!=1"))
    assert [found.data["n"] for found in tail.last(10)] == [2]

    def more():
        append("error_logs/2026-11-23.jsonl", event(4, n=1), event(5, n=5))
        append("sync_operations/2026-11-23.jsonl", event(6, n=6))

    assert numbers(follow(tail, more)) == [5]


def test_the_last_events_that_fulfil_a_condition_may_lie_far_back(append, event, tmp_path):
    """The search continues back through days until enough are found."""
    append("error_logs/2026-11-20.jsonl", event(1, n=1, rare=True))
    for day in (21, 22, 23):
        at = day * DAY_US
        append(f"error_logs/2026-11-{day}.jsonl", *(event(at + i, n=i) for i in range(500)))
    assert [
        found.data["n"] for found in Tail(tmp_path / "log", None, parse("rare=true")).last(1)
    ] == [1]


def test_a_log_directory_may_appear_later(append, event, tmp_path):
    """Following may start before the directory exists."""
    tail = Tail(tmp_path / "log")
    assert tail.last(10) == []
    batches = follow(tail, lambda: append("error_logs/2026-11-23.jsonl", event(1, n=1)))
    assert numbers(batches) == [1]


def test_a_new_day_and_a_new_segment_are_followed(append, event, tmp_path):
    """New files are read from their start, and the old one is still read."""
    append("error_logs/2026-11-23.jsonl", event(1, n=1))
    batches = follow(
        Tail(tmp_path / "log"),
        lambda: append("error_logs/2026-11-24.jsonl", event(3, n=3)),
        lambda: append("error_logs/2026-11-23.jsonl", event(4, n=4)),
        lambda: append("error_logs/2026-11-24.1.jsonl", event(5, n=5)),
        lambda: append("error_logs/2026-11-24.w1.jsonl", event(6, n=6)),
    )
    assert numbers(batches) == [3, 4, 5, 6]


def test_a_line_is_an_event_once_its_newline_is_there(append, event, tmp_path):
    """A partial line, even from before the start, is returned once it is complete."""
    begun = json.dumps(event(1, n=1)).encode()
    append("error_logs/2026-11-23.jsonl", event(0, n=0), begun[:10])
    tail = Tail(tmp_path / "log")
    assert [found.data["n"] for found in tail.last(5)] == [0]
    batches = follow(
        tail,
        lambda: append("error_logs/2026-11-23.jsonl", begun[10:20]),
        lambda: append("error_logs/2026-11-23.jsonl", begun[20:] + b"\n", b'{"timestamp": "2026-'),
        lambda: append("error_logs/2026-11-23.jsonl", b'11-23T10:00:02Z", "n": 2}\n'),
    )
    assert numbers(batches) == [1, 2]
    assert tail.skipped == Skipped()


def test_events_of_one_moment_come_in_the_order_of_time(append, event, tmp_path):
    """Of events that several files show in the same rounds, the earlier is first."""

    def at_once():
        append("sync_operations/2026-11-23.jsonl", event(30, n=3))
        append("error_logs/2026-11-23.jsonl", event(20, n=2))
        append("monitoring_data/2026-11-23.jsonl", event(10, n=1))

    assert numbers(follow(Tail(tmp_path / "log"), at_once)) == [1, 2, 3]


def test_a_truncated_file_is_read_from_its_start(append, event, tmp_path):
    """Truncation is reported, and later events are returned."""
    path = append("error_logs/2026-11-23.jsonl", event(1, n=1), event(2, n=2))
    told = []
    tail = Tail(tmp_path / "log", notice=told.append)

    def truncate():
        os.truncate(path, 0)
        append("error_logs/2026-11-23.jsonl", event(3, n=3))

    batches = follow(tail, lambda: append("error_logs/2026-11-23.jsonl", event(2, n=2)), truncate)
    assert numbers(batches) == [2, 3]
    assert told == [f"{path} was truncated; reading it from its start"]


def test_a_deleted_file_is_read_to_its_end(append, event, tmp_path):
    """The remaining events of a deleted file are returned, and a new file of its name is read."""
    path = append("error_logs/2026-11-23.jsonl", event(1, n=1))
    told = []

    def delete():
        append("error_logs/2026-11-23.jsonl", event(2, n=2))
        path.unlink()

    batches = follow(
        Tail(tmp_path / "log", notice=told.append),
        lambda: None,
        delete,
        lambda: append("error_logs/2026-11-23.jsonl", event(3, n=3)),
    )
    assert numbers(batches) == [2, 3]
    assert told == [f"{path} was deleted"]


def test_a_replaced_file_is_read_from_its_start(append, event, tmp_path):
    """Another file under the same name is a new file, even if its size is the same."""
    path = append("error_logs/2026-11-23.jsonl", event(1, n=1))
    told = []

    def replace():
        other = append("error_logs/new", event(2, n=2))
        other.replace(path)

    batches = follow(Tail(tmp_path / "log", notice=told.append), lambda: None, replace)
    assert numbers(batches) == [2]
    assert told == [f"{path} was replaced; reading the new one from its start"]


def test_the_whole_directory_may_go_and_come_back(append, event, tmp_path):
    """Following survives `rm -rf` of the log."""
    append("error_logs/2026-11-23.jsonl", event(1, n=1))
    batches = follow(
        Tail(tmp_path / "log"),
        lambda: shutil.rmtree(tmp_path / "log"),
        lambda: append("error_logs/2026-11-23.jsonl", event(2, n=2)),
    )
    assert numbers(batches) == [2]


def test_damage_is_counted_while_following(append, event, tmp_path):
    """Damaged lines are counted, and the following events are returned."""
    append("error_logs/2026-11-23.jsonl", b"rubbish\n", event(1, n=1))
    tail = Tail(tmp_path / "log")
    assert [found.data["n"] for found in tail.last(10)] == [1]
    more = lambda: append("error_logs/2026-11-23.jsonl", b"\x00\x00\n", event(2, n=2))  # noqa: E731
    assert numbers(follow(tail, more)) == [2]
    assert tail.skipped.lines == 2


def test_a_flood_comes_whole(append, event, tmp_path):
    """More events than fit into one round are returned in several, in order."""
    count = 20_000
    batches = follow(
        Tail(tmp_path / "log"),
        lambda: append(
            "error_logs/2026-11-23.jsonl", *(event(i, n=i, fill="x" * 200) for i in range(count))
        ),
    )
    assert numbers(batches) == list(range(count))
    assert len(batches) > 3


def test_foreign_files_are_left_alone(append, event, tmp_path):
    """Only log files are read."""
    append("error_logs/2026-11-23.jsonl", event(1, n=1))
    append("error_logs/notes.txt", b"rubbish\n")
    append("error_logs/.2026-11-22.jsonl.zst.0123abcd.tmp", b"rubbish\n")
    append("monitoring_data/daily-summary-2026-11-23.json", b"{}\n")
    tail = Tail(tmp_path / "log")
    assert [found.data["n"] for found in tail.last(10)] == [1]
    assert tail.skipped.lines == 0


def test_a_file_deleted_after_the_start_is_no_error(append, event, tmp_path):
    """Retention may remove an old day between listing and reading."""
    old = append("error_logs/2026-11-22.jsonl", event(1, n=1))
    append("error_logs/2026-11-23.jsonl", event(2, n=2))
    told = []
    tail = Tail(tmp_path / "log", notice=told.append)
    old.unlink()
    assert [found.data["n"] for found in tail.last(10)] == [2]
    assert told == [f"{old} was deleted"]


def test_the_end_is_that_of_the_beginning(append, event, tmp_path):
    """Events written between the creation and `last` belong to the followed ones."""
    append("error_logs/2026-11-23.jsonl", event(1, n=1))
    tail = Tail(tmp_path / "log")
    append("error_logs/2026-11-23.jsonl", event(2, n=2))
    assert [found.data["n"] for found in tail.last(10)] == [1]
    assert numbers(follow(tail)) == [2]


def test_paths_are_those_of_the_directory_that_was_given(append, event, tmp_path, monkeypatch):
    """A relative directory stays relative in notices and events."""
    append("error_logs/2026-11-23.jsonl", event(1, n=1))
    monkeypatch.chdir(tmp_path)
    (found,) = Tail("log").last(1)
    assert found.path == Path("log/error_logs/2026-11-23.jsonl")
