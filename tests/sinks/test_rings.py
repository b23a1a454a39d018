"""A full ring is followed by another; order, limits and counts hold, and memory is released."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from leadlog.core.layout import log_files
from leadlog.recording.sinks.report import ring_reports
from leadlog.recording.sinks.spool import SpoolSink
from leadlog.recording.sinks.storage import Spool
from tests.sinks.conftest import until

pytestmark = pytest.mark.handmade_lines


class Gate:
    """A writer that works like `os.write` once it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def write(self, fd: int, data: bytes) -> int:
        """Write, or fail as on a full disk."""
        if not self._open.is_set():
            raise OSError(28, "No space left on device")
        return os.write(fd, data)

    def open(self) -> None:
        """Let all writes succeed from now on."""
        self._open.set()


def _lines(directory: Path, category: str = "error_logs") -> list[bytes]:
    return [
        line
        for file in log_files(directory, [category])
        for line in file.path.read_bytes().splitlines()
    ]


def _rings(directory: Path, category: str = "error_logs") -> list[int]:
    return [path.stat().st_size for path in Spool(directory).path.glob(f"{category}.*.ring")]


def _sink(directory: Path, write: Callable[[int, bytes], int], **options: int) -> SpoolSink:
    return SpoolSink(
        directory,
        write=write,
        warn=lambda _: None,
        recover_seconds=0.05,
        ring_bytes=1 << 16,
        **options,
    )


def test_lines_that_find_their_ring_full_keep_their_order_and_are_safe(directory: Path) -> None:
    """Ten times the first ring's size waits in memory that survives, and frees it afterwards."""
    gate = Gate()
    sink = _sink(directory, gate.write)
    for number in range(10_000):
        sink.write("error_logs", b"%d %s\n" % (number, b"x" * 600))
    stats = sink.stats()
    assert stats.in_ring == stats.accepted == {"error_logs": 10_000}
    assert (stats.dropped, stats.degraded) == ({}, {})
    assert sink.crowded("error_logs")
    assert len(_rings(directory)) >= 3
    gate.open()
    assert sink.flush(30)
    assert [int(line.split()[0]) for line in _lines(directory)] == list(range(10_000))
    assert sink.stats().written == {"error_logs": 10_000}
    assert not sink.crowded("error_logs")
    assert until(lambda: sum(_rings(directory)) == (1 << 16) + 4096, 30)
    sink.write("error_logs", b"10000 after\n")
    sink.close(30)
    assert _lines(directory)[-1] == b"10000 after"
    assert sink.stats().written == {"error_logs": 10_001}
    assert not Spool(directory).path.exists()


def test_further_rings_keep_to_their_bound_and_leave_room_for_other_categories(
    directory: Path,
) -> None:
    """A flood takes three quarters of the limit, then the heap, then lines are dropped."""
    sink = _sink(directory, Gate().write, overflow_bytes=4 << 20)
    line = b"x" * 999 + b"\n"
    for _ in range(9_000):
        sink.write("database_operations", line)
    stats = sink.stats()
    rings = _rings(directory, "database_operations")
    assert 3 << 20 <= sum(rings) <= (3 << 20) + (1 << 16) + 2 * 4096
    assert stats.degraded["database_operations"] > 2_000
    assert stats.dropped["database_operations"]["ring_full"] > 1_000
    for _ in range(500):
        sink.write("error_logs", line)
    stats = sink.stats()
    assert stats.in_ring["error_logs"] == 500
    assert "error_logs" not in stats.degraded
    for name, accepted in stats.accepted.items():
        lost = sum(stats.dropped.get(name, {}).values())
        assert accepted == stats.in_ring[name] + lost
    sink.close(0.1)


def test_a_sink_that_is_closed_while_several_rings_are_full_leaves_them_all(
    directory: Path,
) -> None:
    """The next process writes them to files, in order."""
    sink = _sink(directory, Gate().write)
    for number in range(3_000):
        sink.write("error_logs", b"%d %s\n" % (number, b"x" * 600))
    sink.close(0.1)
    following = _sink(directory, os.write)
    assert until(lambda: not [one for one in ring_reports(directory) if one.in_ring])
    following.close(5)
    assert [int(line.split()[0]) for line in _lines(directory)] == list(range(3_000))


def test_callers_that_log_while_rings_grow_lose_nothing(directory: Path) -> None:
    """Four threads, rings of 64 KiB, a slow drain and a reader of the counts: all in order."""
    sink = _sink(directory, lambda fd, data: os.write(fd, data[:20_000]))

    def work(name: int) -> None:
        for number in range(4_000):
            assert sink.write("error_logs", b"%d %d %s\n" % (name, number, b"x" * 300))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        sink.stats()
    sink.close(20)
    found = [line.split() for line in _lines(directory)]
    for name in range(4):
        assert [int(line[1]) for line in found if int(line[0]) == name] == list(range(4_000))
    stats = sink.stats()
    assert stats.written == stats.accepted == {"error_logs": 16_000}
