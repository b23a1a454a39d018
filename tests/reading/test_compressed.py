"""Compressed files are read as their content."""

import io
import json
import os

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from leadlog.core.clock import format_us
from leadlog.core.errors import ReadError
from leadlog.core.layout import log_files
from leadlog.reading.compressed import Unpacked, is_cut, open_unpacked, spool_unpacked
from leadlog.reading.events import Skipped, read_backwards, read_events
from leadlog.reading.tail import Tail


def pack(content):
    """Return a content as the janitor compresses it."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


def lines(count, start=0):
    """Return a file's content of `count` events."""
    return b"".join(
        json.dumps({"timestamp": format_us(number), "n": number}).encode() + b"\n"
        for number in range(start, start + count)
    )


@given(
    st.lists(st.binary(max_size=200).map(lambda part: part * 50), min_size=1, max_size=4),
    st.lists(
        st.one_of(
            st.tuples(st.just("read"), st.integers(0, 3_000)),
            st.tuples(st.just("seek"), st.integers(0, 40_000)),
        ),
        max_size=12,
    ),
)
def test_it_reads_and_seeks_like_the_content(tmp_path_factory, frames, steps):
    """Any sequence of reads and seeks behaves as on the content itself."""
    path = tmp_path_factory.mktemp("log") / "2026-11-23.jsonl.zst"
    path.write_bytes(b"".join(map(pack, frames)))
    plain = io.BytesIO(b"".join(frames))
    size = len(plain.getvalue())
    with open_unpacked(path) as unpacked, spool_unpacked(path) as spooled:
        for step, number in steps:
            target = min(number, size)
            expected = plain.read(number) if step == "read" else plain.seek(target)
            for stream in (unpacked, spooled):
                got = stream.read(number) if step == "read" else stream.seek(target)
                assert got == expected
        assert unpacked.seek(0, os.SEEK_END) == size
        assert unpacked.read() == b""


def test_seeking_is_relative_too_and_ends_at_the_end(tmp_path):
    """The raw content supports all three kinds of seeking, and stops at its end."""
    path = tmp_path / "x.zst"
    path.write_bytes(pack(b"0123456789"))
    with Unpacked(path.open("rb"), path) as unpacked:
        assert (unpacked.readable(), unpacked.seekable()) == (True, True)
        assert unpacked.seek(4) == 4
        assert unpacked.seek(-1, os.SEEK_CUR) == 3
        assert unpacked.read(2) == b"34"
        assert unpacked.seek(-2, os.SEEK_END) == 8
        assert unpacked.seek(100) == 10


@given(st.integers(0, 400), st.booleans(), st.integers(0, 20))
def test_events_are_those_of_the_original(tmp_path_factory, count, finished, start):
    """Events, offsets and skipped lines are the same compressed or not, in both directions."""
    folder = tmp_path_factory.mktemp("log")
    content = lines(count) + b"rubbish\n" + lines(3, count) + (b"" if finished else b'{"tim')
    plain, packed = folder / "2026-11-23.jsonl", folder / "2026-11-22.jsonl.zst"
    plain.write_bytes(content)
    packed.write_bytes(pack(content))
    begin = len(lines(min(start, count)))
    for read in (
        lambda path, skipped: read_events(path, skipped=skipped),
        lambda path, skipped: read_events(path, start=begin, skipped=skipped),
        lambda path, skipped: read_backwards(path, skipped=skipped),
        lambda path, skipped: read_backwards(path, end=begin + 7, skipped=skipped),
    ):
        seen = []
        for path in (plain, packed):
            skipped = Skipped()
            events = [(event.raw, event.offset) for event in read(path, skipped)]
            seen.append((events, skipped.lines, skipped.unfinished))
        assert seen[0] == seen[1]


@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: b"",
        lambda packed: packed[:-1],
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:-1] + bytes([packed[-1] ^ 1]),
        lambda packed: packed + b"\x28\xb5",
        lambda packed: packed + b"rubbish",
        lambda packed: b"no zstd at all",
    ],
)
def test_damage_is_never_taken_for_the_end(tmp_path, damage):
    """A torn or changed file is an error with a remedy, not a shorter file."""
    path = tmp_path / "2026-11-23.jsonl.zst"
    path.write_bytes(damage(pack(lines(1_000))))
    for read in (read_events, read_backwards):
        with pytest.raises(ReadError, match=r"damaged at byte \d+ of its content.*backup"):
            list(read(path))


@given(st.binary(max_size=300), st.integers(1, 3), st.floats(0, 1), st.booleans())
def test_a_cut_is_seen_without_unpacking(tmp_path_factory, content, frames, where, checked):
    """A file of whole frames is complete, and any shorter one is not."""
    path = tmp_path_factory.mktemp("log") / "x.zst"
    frame = zstandard.ZstdCompressor(write_checksum=checked).compress(content)
    path.write_bytes(frame * frames)
    assert not is_cut(path)
    end = int(where * (len(frame) * frames - 1))
    path.write_bytes((frame * frames)[:end])
    assert is_cut(path) == bool(end % len(frame) or not end)


def test_little_that_stands_for_much_is_read_in_pieces(tmp_path):
    """A small file with an enormous content does not exhaust the memory."""
    path = tmp_path / "x.zst"
    path.write_bytes(pack(b"a" * 120_000_000))
    assert path.stat().st_size < 5_000
    with Unpacked(path.open("rb"), path) as unpacked:
        buffer = bytearray(120_000_000)
        pieces = list(iter(lambda: unpacked.readinto(buffer), 0))
    assert sum(pieces) == 120_000_000
    assert max(pieces) <= 40_000_000


def test_a_file_compressed_since_it_was_listed_is_read(tmp_path):
    """A reader with the old name gets the content from the new place."""
    path = tmp_path / "error_logs" / "2026-11-23.jsonl"
    path.parent.mkdir()
    path.write_bytes(lines(5))
    (listed,) = log_files(tmp_path)
    path.with_name(path.name + ".zst").write_bytes(pack(path.read_bytes()))
    path.unlink()
    for read in (read_events, read_backwards):
        assert sorted(event.data["n"] for event in read(listed.path)) == list(range(5))


def test_original_and_copy_are_one_file(tmp_path):
    """While both exist, only the original counts."""
    folder = tmp_path / "error_logs"
    folder.mkdir()
    for name in ("2026-11-22.w1.2.jsonl", "2026-11-23.jsonl"):
        (folder / name).write_bytes(lines(2))
        (folder / f"{name}.zst").write_bytes(pack(lines(2)))
    (folder / "2026-11-23.1.jsonl.zst").write_bytes(pack(lines(2)))
    names = [file.path.name for file in log_files(tmp_path)]
    assert names == ["2026-11-22.w1.2.jsonl", "2026-11-23.jsonl", "2026-11-23.1.jsonl.zst"]


def test_the_last_events_may_lie_in_compressed_files(append, event, tmp_path):
    """Reading backwards continues from a growing file into compressed ones, across writers."""
    append("error_logs/2026-11-22.w1.jsonl.zst", pack(lines(4)))
    append("error_logs/2026-11-23.jsonl.zst", pack(lines(4, 4)))
    append("error_logs/2026-11-24.jsonl", lines(4, 8))
    found = Tail(tmp_path / "log").last(9)
    assert [one.data["n"] for one in found] == list(range(3, 12))


def test_a_file_compressed_after_the_start_is_neither_lost_nor_deleted(append, tmp_path):
    """The last events are found in the copy, and no deletion is reported."""
    path = append("error_logs/2026-11-22.jsonl", lines(4))
    append("error_logs/2026-11-23.jsonl", lines(1, 4))
    notices = []
    tail = Tail(tmp_path / "log", notice=notices.append)
    path.with_name(path.name + ".zst").write_bytes(pack(path.read_bytes()))
    path.unlink()
    assert [one.data["n"] for one in tail.last(10)] == list(range(5))
    rounds = iter(range(12))

    def wait():
        if next(rounds, None) is None:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        list(tail.follow(wait))
    assert notices == []
