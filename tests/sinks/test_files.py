"""The file sink writes whole lines, keeps categories apart, and counts what it cannot write."""

import os
import stat
import threading
from pathlib import Path

import pytest

from leadlog.layout import CATEGORIES
from leadlog.sinks import FileSink, Filter, MemorySink, Tee
from leadlog.sinks.drops import read_drops, state_directory

pytestmark = pytest.mark.handmade_lines

DAY_US = 86_400_000_000


def test_each_category_has_its_folder_and_day(tmp_path: Path) -> None:
    """A line goes to the file of its category and of the UTC day that the clock tells."""
    now = [0]
    sink = FileSink(tmp_path, clock=lambda: now[0])
    sink.write("error_logs", b"one\n")
    now[0] = DAY_US
    sink.write("error_logs", b"two\n")
    sink.close(1)
    assert (tmp_path / "error_logs" / "1970-01-01.jsonl").read_bytes() == b"one\n"
    assert (tmp_path / "error_logs" / "1970-01-02.jsonl").read_bytes() == b"two\n"


def test_files_are_private(tmp_path: Path) -> None:
    """The log holds personal data: files are 0600, folders 0700."""
    sink = FileSink(tmp_path / "logs")
    sink.write("error_logs", b"one\n")
    sink.close(1)
    folder = tmp_path / "logs" / "error_logs"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_lines_of_many_threads_stay_whole(tmp_path: Path) -> None:
    """Eight threads, long lines: every line is there once, whole, and in its thread's order."""
    sink = FileSink(tmp_path)

    def work(name: int) -> None:
        for i in range(300):
            sink.write("error_logs", b"%d %d %s\n" % (name, i, b"x" * 3000))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.close(1)
    (file,) = (tmp_path / "error_logs").glob("*.jsonl")
    lines = [line.split(b" ") for line in file.read_bytes().splitlines()]
    assert all(len(parts) == 3 and len(parts[2]) == 3000 for parts in lines)
    for name in range(8):
        assert [int(p[1]) for p in lines if int(p[0]) == name] == list(range(300))
    assert sink.stats().written == {"error_logs": 2400}


def test_a_category_that_cannot_be_written_leaves_the_others_alone(tmp_path: Path) -> None:
    """A file in a folder's place: one warning, its lines counted as dropped, the rest written."""
    tmp_path.joinpath("error_logs").write_text("in the way")
    warnings: list[str] = []
    sink = FileSink(tmp_path, warn=warnings.append)
    for _ in range(5):
        assert sink.write("error_logs", b"lost\n")
        assert sink.write("sync_operations", b"kept\n")
    sink.close(1)
    stats = sink.stats()
    assert stats.dropped == {"error_logs": {"io_error": 5}}
    assert stats.written["sync_operations"] == 5
    assert stats.accepted["error_logs"] == 5
    (warning,) = warnings
    assert str(tmp_path) in warning
    (ledger,) = read_drops(tmp_path)
    assert ledger["process_id"] == os.getpid()
    assert ledger["dropped"] == {"error_logs": {"io_error": 5}}
    for path in state_directory(tmp_path).iterdir():
        path.unlink()


def test_a_closed_sink_says_so(tmp_path: Path) -> None:
    """After close a line is refused, so that the caller can hand it to the next sink."""
    sink = FileSink(tmp_path)
    sink.close(1)
    sink.close(1)
    assert sink.write("error_logs", b"late\n") is False
    assert sink.flush(1)


def test_every_category_can_be_written(tmp_path: Path) -> None:
    """The six folders of the contract exist from the start."""
    FileSink(tmp_path).close(1)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(CATEGORIES)


def test_a_tee_hands_on_copies_and_a_filter_only_what_it_lets_through() -> None:
    """Composition: the first sink's answers count, the others get copies."""
    first, second = MemorySink(), MemorySink()
    tee = Tee(first, Filter(second, lambda category, line: category == "error_logs"))
    tee.write("error_logs", b"a\n")
    tee.write("sync_operations", b"b\n")
    assert first.lines == [("error_logs", b"a\n"), ("sync_operations", b"b\n")]
    assert second.lines == [("error_logs", b"a\n")]
    assert tee.stats().accepted == {"error_logs": 1, "sync_operations": 1}
    assert tee.flush(1)
    tee.close(1)
    assert tee.write("error_logs", b"late\n") is False
    assert len(second.lines) == 1
