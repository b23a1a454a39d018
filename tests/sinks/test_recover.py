"""Recovery relies on the file and the ring only."""

import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadlog.core.locks import try_lock
from leadlog.recording.sinks.belonging import make_mark
from leadlog.recording.sinks.descriptors import Descriptors
from leadlog.recording.sinks.header import IN_MEMORY, SEEN_US, Header, RingProgress
from leadlog.recording.sinks.overflow import Budget
from leadlog.recording.sinks.recover import Recovery, recover
from leadlog.recording.sinks.report import ring_reports
from leadlog.recording.sinks.ring import Ring
from leadlog.recording.sinks.storage import Spool

pytestmark = pytest.mark.handmade_lines

LINES = [b"first line\n", b"second\n", b"third and last\n"]
ALL = b"".join(LINES)
NAME = "error_logs/1970-01-01.jsonl"


def _leave(directory: Path, head: int = 0, name: str = NAME, offset: int = 0) -> Path:
    """Create the ring of a process that was killed with `LINES` in it."""
    descriptors = Descriptors()
    storage = Spool(directory).create("error_logs", 4096, descriptors, 1)
    ring = Ring(storage, Budget(0).overflow())
    for line in LINES:
        assert ring.put(line)
    lines = ALL[:head].count(b"\n")
    ring.advance(RingProgress(head, lines, name, 0, offset))
    path = storage.path
    assert path is not None
    ring.detach().release()
    return path


def _see(path: Path, days: int = 0) -> None:
    """Set the time of the last pass of a ring's drain to some days ago."""
    with path.open("r+b") as stream:
        page = bytearray(stream.read(4096))
        Header(page).words[SEEN_US] = int((time.time() - days * 86_400) * 1e6)
        stream.seek(0)
        stream.write(page)


def _file(directory: Path, content: bytes, name: str = NAME) -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((directory / "error_logs").iterdir())}


@settings(max_examples=40)
@given(st.integers(0, len(ALL)), st.data())
def test_a_file_is_completed_from_any_byte(
    tmp_path_factory: pytest.TempPathFactory, reached: int, data: st.DataObject
) -> None:
    """Whatever part was written and noted, every line is there exactly once."""
    directory = tmp_path_factory.mktemp("recover")
    whole = ALL[:reached].rfind(b"\n") + 1
    ends = [end for end in (0, 11, 18, 33) if end <= whole]
    head = data.draw(st.sampled_from(ends))
    before = data.draw(st.sampled_from([b"", b"of another process\n"]))
    _leave(directory, head, offset=len(before))
    file = _file(directory, before + ALL[:reached])
    report = recover(directory)
    assert report.errors == []
    assert file.read_bytes() == before + ALL
    assert list(file.parent.iterdir()) == [file]
    (account,) = ring_reports(directory)
    assert (account.accepted, account.written, account.in_ring) == (3, 3, 0)
    assert recover(directory) == Recovery()
    spool = Spool(directory)
    for path in spool.path.iterdir():
        path.unlink()
    spool.leave()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"something else of that length", id="made anew"),
        pytest.param(b"first line\nsomething longer than all the lines together", id="longer"),
        pytest.param(b"first", id="cut"),
    ],
)
def test_a_file_that_is_not_what_the_ring_wrote_is_left_alone(
    directory: Path, content: bytes
) -> None:
    """The rest is written to a new file, from the last line noted as written."""
    _leave(directory, head=11)
    _file(directory, content)
    report = recover(directory)
    assert (report.rings, report.lines, report.errors) == (1, 2, [])
    assert _contents(directory) == {
        "1970-01-01.jsonl": content,
        "1970-01-01.1.jsonl": ALL[11:],
    }


@pytest.mark.parametrize("content", [b"", b"whole lines\n", b"whole lines\nmany of them\n" * 9])
def test_a_file_that_was_replaced_by_whole_lines_is_continued(
    directory: Path, content: bytes
) -> None:
    """If it was removed or rotated, lines noted as written are not written again."""
    _leave(directory, head=11)
    if content:
        _file(directory, content)
    assert recover(directory).lines == 2
    assert _contents(directory) == {"1970-01-01.jsonl": content + ALL[11:]}


def test_lines_that_no_file_was_opened_for_go_to_the_day_last_seen(directory: Path) -> None:
    """The process was killed before its drain's first pass, and recovered much later."""
    _leave(directory, name="")
    assert recover(directory).lines == 3
    assert _contents(directory) == {"1970-01-01.jsonl": ALL}


def test_a_name_that_is_no_log_file_is_not_written_to(directory: Path) -> None:
    """Whatever a header says, only files with valid log file names are written."""
    outside = _file(directory, ALL[:11], "precious.txt")
    _leave(directory, head=11, name="../precious.txt")
    assert recover(directory).lines == 2
    assert outside.read_bytes() == ALL[:11]


def test_an_error_leaves_the_ring_for_the_next_time(directory: Path) -> None:
    """If the disk is full in the middle of a line, that is reported, and completed later."""
    ring = _leave(directory)
    file = _file(directory, b"")
    room = 14

    def write(fd: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        count = os.write(fd, data[:room])
        room -= count
        return count

    report = recover(directory, write=write)
    assert (report.rings, len(report.errors)) == (0, 1)
    assert "No space left" in report.errors[0]
    assert ring.exists()
    assert file.read_bytes() == ALL[:14]
    assert recover(directory).lines == 2
    assert file.read_bytes() == ALL


def _leave_two(directory: Path) -> tuple[Path, Path]:
    """Create the rings of a process that was killed with a full ring and a further one."""
    descriptors = Descriptors()
    paths = []
    for lines in (LINES[:2], LINES[2:]):
        storage = Spool(directory).create("error_logs", 4096, descriptors, 1)
        ring = Ring(storage, Budget(0).overflow())
        for line in lines:
            assert ring.put(line)
        assert storage.path is not None
        paths.append(storage.path)
        ring.detach().release()
    return paths[0], paths[1]


def test_a_further_ring_waits_for_the_older_one(directory: Path) -> None:
    """Its process, or another recovering one, dies just after the older ring was checked."""
    older, further = _leave_two(directory)
    with older.open("rb") as held:
        assert try_lock(held.fileno())
        assert recover(directory) == Recovery(alive=2)
        assert further.exists()
    assert recover(directory) == Recovery(rings=2, lines=3)
    assert list(_contents(directory).values()) == [ALL]


def test_a_further_ring_waits_for_one_that_cannot_be_written(directory: Path) -> None:
    """A temporary disk error does not reverse the order either."""
    older, further = _leave_two(directory)
    failing = [True]

    def write(fd: int, data: bytes) -> int:
        if failing and failing.pop():
            raise OSError(28, "No space left on device")
        return os.write(fd, data)

    report = recover(directory, write=write)
    assert (report.rings, report.alive, len(report.errors)) == (0, 1, 1)
    assert older.exists()
    assert further.exists()
    assert recover(directory).lines == 3
    assert list(_contents(directory).values()) == [ALL]


def test_living_rings_and_damaged_ones_are_left_alone(directory: Path) -> None:
    """Living rings are locked; damaged ones cannot be parsed, which is reported."""
    descriptors = Descriptors()
    storage = Spool(directory).create("error_logs", 4096, descriptors, 1)
    assert storage.path is not None
    damaged = storage.path.with_name("error_logs.1.abc.ring")
    damaged.write_bytes(bytes(8192))
    report = recover(directory)
    assert (report.alive, report.rings) == (1, 0)
    assert report.errors == [f"{damaged.name}: no ring of this version"]
    storage.release()


def test_a_ring_belongs_to_a_directory_and_not_to_its_path(directory: Path) -> None:
    """In another container, the same path is a different directory with a different log."""
    directory.mkdir()
    _see(_leave(directory, name=""))
    elsewhere = directory.rename(directory.with_name("elsewhere"))
    directory.mkdir()
    report = recover(directory)
    assert (report.rings, report.lines) == (0, 0)
    assert "another log directory" in report.errors[0]
    assert list(directory.rglob("*.jsonl")) == []
    directory.rmdir()
    elsewhere.rename(directory)
    assert recover(directory).lines == 3


def test_a_directory_that_is_made_anew_under_a_living_process_is_still_its_own(
    directory: Path,
) -> None:
    """The log was deleted by `rm -rf`; the next line stores its new identity."""
    from leadlog.recording.sinks.spool import SpoolSink
    from tests.sinks.conftest import until

    sink = SpoolSink(directory, clock=lambda: 0)
    sink.write("error_logs", b"one\n")
    assert sink.flush(5)
    directory.rename(directory.with_name("gone"))
    file = directory / "error_logs" / "1970-01-01.jsonl"
    for _ in range(200):
        sink.write("error_logs", b"two\n")
        if until(file.exists, 0.05):
            break
    assert sink.flush(5)
    (ring,) = Spool(directory).path.glob("error_logs.*.ring")
    with ring.open("rb") as stream:
        assert Header(stream.read(4096)).belongs(directory)
    sink.close(5)


@pytest.mark.parametrize("change", ["mark", "inode"])
def test_another_directory_at_the_same_path_gets_no_lines(directory: Path, change: str) -> None:
    """It may belong to another container: device and inode may be equal, the mark is not."""
    make_mark(directory)
    path = _leave(directory)
    _see(path)
    if change == "mark":
        (directory / ".slots" / "mark").write_bytes(b"another!")
    else:
        directory.rename(directory.with_name("elsewhere"))
        make_mark(directory)
    report = recover(directory)
    assert (report.lines, path.exists()) == (0, True)
    (problem,) = report.errors
    assert "it holds 3 events for another log directory that was at" in problem
    assert not list(directory.rglob("*.jsonl"))


@pytest.mark.parametrize(("head", "days", "lost"), [(len(ALL), 0, 0), (11, 8, 2), (11, 6, None)])
def test_what_another_directory_left_goes_when_it_is_empty_or_a_week_old(
    directory: Path, head: int, days: int, lost: int | None
) -> None:
    """After `rm -rf` on the log, its remains in memory are not reported endlessly."""
    make_mark(directory)
    path = _leave(directory, head)
    _see(path, days)
    shutil.rmtree(directory)
    make_mark(directory)
    report = recover(directory)
    assert path.exists() is (lost is None)
    assert len(report.errors) == (1 if lost is None else 0)
    assert (report.rings, report.lines, report.lost) == (0, 0, lost or 0)


def test_lines_that_died_in_the_heap_are_told_once(directory: Path) -> None:
    """The header contains their number."""
    path = _leave(directory)
    page = bytearray(path.read_bytes())
    header = Header(page)
    header.words[IN_MEMORY] = 7
    path.write_bytes(bytes(page))
    report = recover(directory)
    assert (report.lines, report.lost) == (3, 7)
    assert recover(directory).lost == 0
    (account,) = ring_reports(directory)
    assert (account.accepted, account.dropped) == (10, {"lost": 7})


def test_a_file_that_a_ring_names_is_not_continued_by_others(directory: Path) -> None:
    """It has half a line that must be completed first, so the next segment is begun."""
    from leadlog.recording.sinks.spool import SpoolSink

    def write(fd: int, data: bytes) -> int:
        if os.path.samestat(os.fstat(fd), file.stat()):
            raise OSError(5, "Input/output error")  # so that it cannot be completed now
        return os.write(fd, data)

    _leave(directory)
    file = _file(directory, ALL[:14])
    sink = SpoolSink(directory, clock=lambda: 0, write=write, recover_seconds=3600)
    sink.write("error_logs", b"new\n")
    sink.close(5)
    assert recover(directory).errors == []
    assert _contents(directory) == {"1970-01-01.jsonl": ALL, "1970-01-01.1.jsonl": b"new\n"}


def test_headers_of_the_past_are_kept_for_a_week_and_rubble_is_removed(directory: Path) -> None:
    """Files left incomplete by a kill are removed too, once no process can be writing them."""
    spool = Spool(directory)
    _leave(directory)
    recover(directory)
    (past,) = spool.path.glob("*.past")
    with past.open("r+b") as stream:
        stream.truncate(100_000)  # killed between renaming and truncating
    half = spool.path / "error_logs.1.abc.new"
    half.touch()
    spool.tidy()
    assert past.stat().st_size == 4096
    assert half.exists()
    old = time.time() - 8 * 86_400
    os.utime(past, (old, old))
    os.utime(half, (old, old))
    spool.tidy()
    assert list(spool.path.iterdir()) == []


def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path, directory: Path) -> None:
    """A link in place of the folder is refused; open permissions are restricted."""
    spool = Spool(directory)
    spool.path.parent.mkdir(exist_ok=True)
    spool.path.symlink_to(tmp_path)
    with pytest.raises(PermissionError, match="not a directory of this user"):
        spool.create("error_logs", 4096, Descriptors(), 1)
    spool.path.unlink()
    spool.path.mkdir(mode=0o755)
    storage = spool.create("error_logs", 4096, Descriptors(), 1)
    assert spool.path.stat().st_mode & 0o777 == 0o700
    storage.release()
