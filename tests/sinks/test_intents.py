"""An intended transaction is in the log after a kill: exactly once, and only then."""

import contextlib
import itertools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from leadlog.core.layout import log_files
from leadlog.recording.sinks.belonging import make_mark
from leadlog.recording.sinks.contract import Finish
from leadlog.recording.sinks.descriptors import Descriptors
from leadlog.recording.sinks.intents import Intents
from leadlog.recording.sinks.recover import Recovery, recover
from leadlog.recording.sinks.spool import SpoolSink
from leadlog.recording.sinks.storage import Spool, state_directories
from tests.sinks.snapshots import every_moment

pytestmark = pytest.mark.handmade_lines

POLICY = b'{"pii": "masked"}'


def frame(event_id: str, length: int = 0) -> bytes:
    """Return the facts of one event."""
    return b"\x01" + json.dumps({"event_id": event_id, "pad": "x" * length}).encode() + b"\n"


def finish(category: str, frames: list[bytes]) -> list[bytes]:
    """Return compact JSON, as rendered by the pipeline."""
    lines = []
    for one in frames:
        record = {**json.loads(one[1:]), "category": category}
        lines.append(json.dumps(record, separators=(",", ":")).encode() + b"\n")
    return lines


def finisher_of(policy: bytes | None) -> Finish:
    """Return the finisher for events of dead processes."""
    assert policy == POLICY
    return finish


def ids(directory: Path, category: str = "error_logs") -> list[str]:
    """Return the ids of the events in the files of a category."""
    return [
        json.loads(line)["event_id"]
        for file in log_files(directory, [category])
        for line in file.path.read_bytes().splitlines()
    ]


def _noted(
    directory: Path, *transactions: Sequence[tuple[str, bytes]], limit: int = 1 << 20
) -> Intents:
    intents = Intents(Spool(directory), Descriptors(), POLICY, limit)
    for frames in transactions:
        assert intents.intend(frames) is not None
    return intents


def _die(intents: Intents) -> None:
    """End like a killed process: notes remain, locks are released."""
    for area in (intents._usual, *intents._large):
        if area is not None:
            area.abandon()
            os.close(area.fd)


def _recover(directory: Path) -> Recovery:
    return recover(directory, finisher_of=finisher_of)


def test_what_was_intended_and_not_settled_becomes_records(directory: Path) -> None:
    """In every category, under the policy of the process that died, exactly once."""
    intents = _noted(
        directory,
        [("error_logs", frame("a")), ("database_operations", frame("b"))],
        [("error_logs", frame("c"))],
    )
    assert _recover(directory) == Recovery()  # it is alive
    _die(intents)
    report = _recover(directory)
    assert (report.unsettled, report.errors) == (3, [])
    assert ids(directory) == ["a", "c"]
    assert ids(directory, "database_operations") == ["b"]
    assert _recover(directory) == Recovery()
    assert ids(directory) == ["a", "c"]


def test_what_was_settled_leaves_nothing(directory: Path) -> None:
    """This holds for any number of successive transactions."""
    intents = _noted(directory)
    for number in range(500):
        token = intents.intend([("error_logs", frame(str(number)))])
        assert token is not None
        intents.settle(token)
    _die(intents)
    assert _recover(directory).unsettled == 0
    assert not (directory / "error_logs").exists()
    assert list(Spool(directory).path.iterdir()) == []


def test_records_that_are_in_the_log_already_are_not_written_again(directory: Path) -> None:
    """The process was killed after the first of three records was in its ring, or in the file."""
    sink = SpoolSink(directory, finish=finish, finisher_of=finisher_of, policy=POLICY)
    intents = _noted(directory, [("error_logs", frame(name)) for name in "abc"])
    sink.write("error_logs", frame("b"))
    sink.close(5)
    assert ids(directory) == ["b"]
    _die(intents)
    assert _recover(directory).unsettled == 2
    assert ids(directory) == ["b", "a", "c"]


def test_more_transactions_than_slots_and_larger_ones_are_noted_too(directory: Path) -> None:
    """They get separate files, which are removed when they are settled."""
    many = [[("error_logs", frame(f"many{number}"))] for number in range(70)]
    large = [("error_logs", frame(f"large{number}", 1000)) for number in range(200)]
    intents = _noted(directory, *many, large)
    token = intents.intend([("error_logs", frame("settled", 30_000))])
    assert len(list(Spool(directory).path.iterdir())) == 9
    intents.settle(token)
    assert len(list(Spool(directory).path.iterdir())) == 8
    _die(intents)
    assert _recover(directory).unsettled == 270
    assert sorted(ids(directory)) == sorted(
        [f"many{number}" for number in range(70)] + [f"large{number}" for number in range(200)]
    )


def test_beyond_the_bound_the_brief_is_noted(directory: Path) -> None:
    """A transaction that is too large notes counts and keys; without these it is counted."""
    intents = _noted(directory, limit=100_000)
    large = [("error_logs", frame("large", 200_000))]
    assert intents.intend(large) is None
    assert intents.unguarded == 1
    assert intents.intend(large, lambda: [("error_logs", frame("brief"))]) is not None
    assert intents.unguarded == 1
    _die(intents)
    _recover(directory)
    assert ids(directory) == ["brief"]


def test_a_sink_that_ends_leaves_no_file(directory: Path) -> None:
    """Also if a transaction is settled after the end; only unsettled notes remain."""
    sink = SpoolSink(directory, finish=finish, finisher_of=finisher_of, policy=POLICY)
    early, late = (sink.intend([("error_logs", frame(name))]) for name in "ab")
    sink.settle(early)
    sink.settle(early)
    sink.close(5)
    spool = Spool(directory).path
    assert len(list(spool.iterdir())) == 1
    sink.settle(late)
    assert list(spool.iterdir()) == []
    assert sink.intend([("error_logs", frame("c"))]) is None
    sink.settle(None)


def test_notes_for_another_directory_at_the_path_are_left_alone(directory: Path) -> None:
    """They may belong to another container: they are reported, and kept."""
    make_mark(directory)
    _die(_noted(directory, [("error_logs", frame("a"))]))
    (directory / ".slots" / "mark").write_bytes(b"another!")
    report = _recover(directory)
    assert report.unsettled == 0
    assert "another log directory" in report.errors[0]
    assert ids(directory) == []
    (notes,) = Spool(directory).path.glob("*.intents")
    later = time.time() + 8 * 86_400
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: later)
        assert _recover(directory).errors == []
    assert not notes.exists()


def test_notes_follow_a_directory_that_is_made_anew(directory: Path) -> None:
    """The log was deleted by `rm -rf` while the process was running."""
    make_mark(directory)
    intents = _noted(directory, [("error_logs", frame("a"))])
    directory.rename(directory.with_name("gone"))
    make_mark(directory)
    intents.belong()
    _die(intents)
    assert _recover(directory).unsettled == 1
    assert ids(directory) == ["a"]


def test_a_forked_child_leaves_the_notes_of_its_parent_alone(directory: Path) -> None:
    """The child may settle an inherited token; the parent's note remains."""
    sink = SpoolSink(directory, finish=finish, finisher_of=finisher_of, policy=POLICY)
    token = sink.intend([("error_logs", frame("parent"))])
    child = os.fork()
    if child == 0:
        sink.settle(token)
        sink.intend([("error_logs", frame("child"))])
        os._exit(0)
    os.waitpid(child, 0)
    _recover(directory)  # or the parent's drain has done it already
    assert ids(directory) == ["child"]
    sink.settle(token)
    sink.close(5)


def test_where_there_is_no_memory_file_system_nothing_is_noted(directory: Path) -> None:
    """Nothing raises."""
    sink = SpoolSink(directory, memory=Path("/proc"), finish=finish, policy=POLICY)
    token = sink.intend([("error_logs", frame("a"))])
    assert token is None
    sink.settle(token)
    sink.close(5)


def test_a_recovery_of_notes_may_be_killed_at_any_store() -> None:
    """The next recovery does the rest, and nothing twice."""
    place = Path(tempfile.mkdtemp(prefix="leadlog-test-", dir="/dev/shm"))
    try:
        directory = place / "logs"
        _die(_noted(directory, [("error_logs", frame(name, 40)) for name in "abc"]))
        with every_moment(Spool(directory).path, directory) as moments:
            assert _recover(directory).unsettled == 3
        assert len(moments) > 5
        for number, moment in enumerate(moments):
            again = place / str(number)
            moment.restore(Spool(again).path, again)
            report = _recover(again)
            assert report.errors == []
            assert ids(again) == ["a", "b", "c"], number
            shutil.rmtree(Spool(again).path)
    finally:
        for folder in itertools.chain(*map(state_directories, place.iterdir())):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(place)


def _fds_of_notes() -> set[int]:
    """Return the descriptors of this process that are open for notes."""
    found = set()
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if fd.readlink().suffix == ".intents":
                found.add(int(fd.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="finds open files in /proc")
def test_a_process_whose_descriptors_were_closed_is_not_taken_for_dead(directory: Path) -> None:
    """After a daemon's closing loop the mappings hold the locks; notes are still removed."""
    before = _fds_of_notes()
    intents = Intents(Spool(directory), Descriptors(), POLICY, 1 << 20)
    kept = intents.intend([("error_logs", frame("kept"))])
    large = intents.intend([("error_logs", frame("large", 1 << 16))])
    settled = intents.intend([("error_logs", frame("settled"))])
    for fd in _fds_of_notes() - before:
        os.close(fd)
    assert _recover(directory) == Recovery()
    intents.settle(settled)
    intents.settle(large)
    assert kept is not None
    kept[0].abandon()  # like a kill
    assert _recover(directory).unsettled == 1
    assert ids(directory) == ["kept"]
    intents.close()
