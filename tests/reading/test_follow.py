"""Following with storable positions."""

import json
import os
import random

import pytest
import zstandard

from leadlog.core.clock import format_us
from leadlog.reading import archive
from leadlog.reading.follow import Follower

NAME = "error_logs/2026-11-23.jsonl"


def numbers(follower, since="2026-11-01"):
    """Return the `n` of all new events."""
    found = []
    follower.scan(since)
    while True:
        batch = [event.data["n"] for event in follower.read()]
        if not batch:
            return found
        found += batch


@pytest.fixture
def follow(tmp_path):
    """Make a follower, continued from another one or new."""

    def make(before=None):
        told = []
        follower = Follower(tmp_path / "log", notice=told.append)
        follower.told = told
        if before is not None:
            follower.positions = dict(before.positions)
        return follower

    return make


def test_a_sealed_day_is_not_followed(follow, append, event, tmp_path):
    """Its Parquet is not read as damaged text, and lines read before are not repeated."""
    append(NAME, event(1, n=1), event(2, n=2))
    os.utime(tmp_path / "log" / NAME, (1_763_900_000, 1_763_900_000))
    before = follow()
    assert numbers(before) == [1, 2]
    sealed = archive.run(tmp_path / "log", archive.Policy(parquet_after_days=1), today="2026-11-30")
    assert sealed.errors == ()
    assert not (tmp_path / "log" / NAME).exists()
    for follower in (before, follow(before), follow()):
        assert numbers(follower) == []
        assert (follower.told, follower.skipped.lines) == ([], 0)


def test_each_line_comes_once(follow, append, event):
    """Existing lines are read, then new ones; an unfinished line is not read yet."""
    append(NAME, event(1, n=1), event(2, n=2), b'{"timestamp": "2026-11-23T10')
    follower = follow()
    assert numbers(follower) == [1, 2]
    assert numbers(follower) == []
    append(NAME, b':00:00.000000Z", "n": 3}\n')
    assert numbers(follower) == [3]
    assert numbers(follow(follower)) == []


def test_another_process_goes_on(follow, append, event):
    """Another process continues with nothing but the positions."""
    append(NAME, event(1, n=1))
    first = follow()
    assert numbers(first) == [1]
    append(NAME, event(2, n=2))
    append("error_logs/2026-11-24.jsonl", event(3, n=3))
    assert numbers(follow(first)) == [2, 3]


def test_a_file_that_is_compressed_meanwhile_is_gone_on_with(follow, append, event):
    """Its content is the same, so its position stays valid."""
    path = append(NAME, event(1, n=1), event(2, n=2))
    follower = follow()
    assert numbers(follower) == [1, 2]
    append(NAME, event(3, n=3))
    packed = path.with_name(path.name + ".zst")
    packed.write_bytes(zstandard.compress(path.read_bytes()))
    path.unlink()
    assert numbers(follower) == [3]
    assert numbers(follower) == []
    assert numbers(follow(follower)) == []
    assert not follower.told


def test_a_copy_of_the_file_is_the_file(follow, append, event):
    """A restored backup has another inode and is not read again."""
    path = append(NAME, event(1, n=1), event(2, n=2))
    follower = follow()
    assert numbers(follower) == [1, 2]
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    append(NAME, event(3, n=3))
    assert numbers(follower) == [3]


def test_another_file_of_the_name_is_read_from_its_start(follow, append, event):
    """Another file is read from its start, even if it is longer than what was read of the first."""
    path = append(NAME, event(1, n=1))
    follower = follow()
    assert numbers(follower) == [1]
    path.unlink()
    append(NAME, event(7, n=7), event(8, n=8), event(9, n=9))
    assert numbers(follower) == [7, 8, 9]
    assert "replaced" in follower.told[0]


def test_a_file_that_was_cut_short_is_not_read_again(follow, append, event):
    """The remaining content was read already; later lines are new."""
    path = append(NAME, event(1, n=1, more="x" * 600), event(2, n=2))
    follower = follow()
    assert numbers(follower) == [1, 2]
    first = len(path.read_bytes().splitlines(keepends=True)[0])
    os.truncate(path, first)
    assert numbers(follower) == []
    append(NAME, event(3, n=3))
    assert numbers(follower) == [3]
    assert "cut short" in follower.told[0]


def test_a_damaged_compressed_file_is_told_of_once_and_holds_up_nothing(follow, append, event):
    """The others are read; the file is tried again when it has changed."""
    path = append("error_logs/2026-11-22.jsonl", event(1, n=1))
    packed = path.with_name(path.name + ".zst")
    whole = zstandard.compress(path.read_bytes())
    packed.write_bytes(whole[:-4])
    path.unlink()
    append(NAME, event(2, n=2))
    follower = follow()
    assert numbers(follower)[-1:] == [2]
    assert numbers(follower) == []
    assert len(follower.told) == 1
    packed.write_bytes(whole)
    assert numbers(follower) in ([], [1])


def test_old_days_are_left_out_and_forgotten(follow, append, event):
    """Files before `since` are not read, and positions of removed files do not accumulate."""
    path = append(NAME, event(1, n=1))
    append("error_logs/2026-10-01.jsonl", event(0, n=0))
    follower = follow()
    assert numbers(follower) == [1]
    path.unlink()
    follower.scan("2026-11-30")
    assert follower.forget("2026-11-24") == [NAME]
    assert follower.positions == {}


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_to_the_files_each_line_comes_once(tmp_path, follow, seed):
    """Appends in pieces, new segments and days, compression and restarts, in any order."""
    draw = random.Random(seed)
    folder = tmp_path / "log" / "error_logs"
    folder.mkdir(parents=True)
    follower, found, written = follow(), [], 0
    current = [folder / "2026-11-23.jsonl"]
    pending = b""
    for step in range(60):
        match draw.choice(["write", "write", "half", "segment", "pack", "restart", "read", "read"]):
            case "write":
                with current[-1].open("ab") as stream:
                    for _ in range(draw.randrange(1, 5)):
                        line = json.dumps({"timestamp": format_us(written), "n": written}) + "\n"
                        stream.write(pending or line.encode())
                        pending = b""
                        written += 1
            case "half":
                if not pending:
                    line = json.dumps({"timestamp": format_us(written), "n": written}) + "\n"
                    data = line.encode()
                    cut = draw.randrange(1, len(data))
                    with current[-1].open("ab") as stream:
                        stream.write(data[:cut])
                    pending = data[cut:]
            case "segment":
                if not pending:
                    current.append(folder / f"2026-11-23.{step + 1}.jsonl")
            case "pack":
                for path in current[:-1]:
                    if path.exists():
                        packed = path.with_name(path.name + ".zst")
                        packed.write_bytes(zstandard.compress(path.read_bytes()))
                        path.unlink()
            case "restart":
                follower = follow(follower)
            case "read":
                found += numbers(follower)
    found += numbers(follower)
    assert sorted(found) == list(range(written))
    assert not follower.skipped.lines
