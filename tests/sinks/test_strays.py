"""Shared memory is released, even by processes that log elsewhere, without losing lines."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadlog.recording.sinks.descriptors import Descriptors
from leadlog.recording.sinks.overflow import Budget
from leadlog.recording.sinks.ring import Ring
from leadlog.recording.sinks.spool import SpoolSink
from leadlog.recording.sinks.storage import PATH_SUFFIX, Spool
from leadlog.recording.sinks.strays import shared_memory, sweep

pytestmark = pytest.mark.handmade_lines


@pytest.fixture
def memory() -> Iterator[Path]:
    """A separate memory file system."""
    folder = Path(tempfile.mkdtemp(prefix="leadlog-test-", dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


def _killed(directory: Path, memory: Path) -> None:
    """Create the ring of a process that was killed with three lines in it."""
    storage = Spool(directory, memory).create("error_logs", 4096, Descriptors(), 1)
    ring = Ring(storage, Budget(0).overflow())
    for line in (b"one\n", b"two\n", b"three\n"):
        ring.put(line)
    ring.detach().release()


def test_lines_go_home_though_nobody_logs_there_any_more(tmp_path: Path, memory: Path) -> None:
    """They are written to their directory; then nothing of it remains in memory."""
    home = tmp_path / "home"
    home.mkdir()
    _killed(home, memory)
    (one,) = shared_memory(memory)
    assert (one.directory, one.exists, one.in_use, one.waiting) == (home, True, False, 3)
    assert one.bytes > 4096
    swept = sweep(None, memory)
    assert swept.recovered[home].lines == 3
    (file,) = (home / "error_logs").iterdir()
    assert file.read_bytes() == b"one\ntwo\nthree\n"
    for path in Spool(home, memory).path.iterdir():
        path.unlink()  # the counts of the dead process
    sweep(None, memory)
    assert list(memory.iterdir()) == []


def test_what_has_no_home_is_kept_for_a_week_and_counted_when_it_goes(
    tmp_path: Path, memory: Path
) -> None:
    """A deleted directory may be mounted again; after a week, the events are counted as lost."""
    gone = tmp_path / "gone"
    _killed(gone, memory)
    folder = Spool(gone, memory).path
    assert sweep(None, memory).removed == []
    assert folder.exists()
    past = folder.stat().st_mtime - 8 * 86_400
    os.utime(folder, (past, past))
    swept = sweep(None, memory)
    assert [one.directory for one in swept.removed] == [gone]
    assert swept.lost == 3
    assert not folder.exists()
    assert not folder.with_suffix(PATH_SUFFIX).exists()


def test_what_is_in_use_or_left_out_is_not_touched(tmp_path: Path, memory: Path) -> None:
    """This is independent of its age, and of whether its directory still exists."""
    directory = tmp_path / "logs"
    sink = SpoolSink(directory, memory=memory)
    folder = Spool(directory, memory).path
    os.utime(folder, (0, 0))
    shutil.rmtree(directory, ignore_errors=True)  # it may be about to be created
    (one,) = shared_memory(memory)
    assert one.in_use
    assert sweep(None, memory).removed == []
    other = tmp_path / "other"
    other.mkdir()
    _killed(other, memory)
    assert other not in sweep(None, memory, but=other).recovered
    sink.close(5)


def test_a_process_that_logs_elsewhere_does_it_by_itself(
    tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute after its start and then hourly; recent changes are left to their own process."""
    from leadlog.recording.sinks import drain
    from tests.sinks.conftest import until

    monkeypatch.setattr(drain, "_SWEEP_FIRST_SECONDS", 0.1)
    home = tmp_path / "home"
    home.mkdir()
    _killed(home, memory)
    recent = tmp_path / "recent"
    recent.mkdir()
    _killed(recent, memory)
    folder = Spool(home, memory).path
    past = folder.stat().st_mtime - 700
    os.utime(folder, (past, past))
    sink = SpoolSink(tmp_path / "elsewhere", memory=memory, recover_seconds=0.05)
    assert until(lambda: list(home.glob("error_logs/*.jsonl")))
    assert list(recent.iterdir()) == []
    sink.close(5)
