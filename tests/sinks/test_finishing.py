"""Facts become lines after the ring: each once, in order, whichever process finishes them."""

import itertools
import json
import os
import shutil
import tempfile
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadlog.core.layout import log_files
from leadlog.recording.sinks.channel import Channel
from leadlog.recording.sinks.contract import Finish
from leadlog.recording.sinks.descriptors import Descriptors
from leadlog.recording.sinks.overflow import Budget
from leadlog.recording.sinks.recover import recover
from leadlog.recording.sinks.report import ring_reports
from leadlog.recording.sinks.ring import Ring
from leadlog.recording.sinks.segments import Files
from leadlog.recording.sinks.spool import SpoolSink
from leadlog.recording.sinks.storage import Spool, state_directories
from tests.sinks.snapshots import Snapshot, every_moment

pytestmark = pytest.mark.handmade_lines

_TIMES = itertools.count()


def facts(number: int, length: int = 0, *, omit: bool = False) -> bytes:
    """Return a frame of facts."""
    return b"\x01" + json.dumps({"n": number, "length": length, "omit": omit}).encode() + b"\n"


def line(number: int, length: int = 0) -> bytes:
    """Return a frame that is a finished line."""
    return json.dumps({"n": number, "pad": "x" * length}).encode() + b"\n"


def finish(category: str, frames: list[bytes]) -> list[bytes]:
    """Return lines that differ each time, so that a line made twice is noticed."""
    assert category == "error_logs"
    lines = []
    for frame in frames:
        assert frame.startswith(b"\x01"), frame
        one = json.loads(frame[1:])
        record = {"n": one["n"], "pad": "x" * one["length"], "time": next(_TIMES)}
        lines.append(b"" if one["omit"] else json.dumps(record).encode() + b"\n")
    return lines


def finisher_of(policy: bytes | None) -> Finish:
    """Return `finish`, for the frames of dead processes."""
    assert policy == b'{"pii": "masked"}'
    return finish


def numbers(directory: Path) -> list[int]:
    """Return the events in the files, in order; each line must be whole."""
    found = []
    for file in log_files(directory, ["error_logs"]):
        content = file.path.read_bytes()
        assert content.endswith(b"\n") or not content
        found += [json.loads(text)["n"] for text in content.splitlines()]
    return found


def test_facts_and_lines_reach_the_file_in_the_order_they_came(directory: Path) -> None:
    """Runs of one kind, and both alternately; frames dropped deliberately are counted."""
    sink = SpoolSink(directory, finish=finish, policy=b"{}")
    expected = []
    for number in range(3000):
        if number % 1000 < 500:
            frame = line(number) if number % 1000 < 250 else facts(number)
        else:
            frame = facts(number, omit=number % 10 == 0) if number % 3 else line(number)
        assert sink.write("error_logs", frame)
        if b'"omit": true' not in frame:
            expected.append(number)
    assert sink.flush(10)
    assert numbers(directory) == expected
    stats = sink.stats()
    omitted = 3000 - len(expected)
    assert omitted > 50
    assert stats.omitted == {"error_logs": omitted}
    assert stats.accepted == {"error_logs": 3000}
    assert stats.written == {"error_logs": len(expected)}
    assert (stats.in_ring, stats.dropped) == ({}, {})
    (account,) = ring_reports(directory)
    assert (account.accepted, account.written, account.omitted) == (3000, len(expected), omitted)
    sink.close(5)


def test_a_line_that_the_stage_cannot_hold_is_dropped_and_counted(directory: Path) -> None:
    """The finisher should keep the limit; its mistake loses only that event."""
    sink = SpoolSink(directory, finish=finish)
    for number, length in enumerate((10, 70_000, 65_000, 10)):
        sink.write("error_logs", facts(number, length))
    sink.close(5)
    assert numbers(directory) == [0, 2, 3]
    assert sink.stats().dropped == {"error_logs": {"oversize": 1}}
    assert sink.stats().accepted == {"error_logs": 4}
    (account,) = ring_reports(directory)
    assert (account.accepted, account.dropped) == (4, {"oversize": 1})


def test_the_stage_holds_a_line_of_the_limit_asked_for(directory: Path) -> None:
    """This holds for any line limit."""
    sink = SpoolSink(directory, finish=finish, stage_bytes=200_000)
    sink.write("error_logs", facts(1, 199_000))
    sink.close(5)
    assert numbers(directory) == [1]


def test_a_ring_says_when_it_is_more_than_half_full(directory: Path) -> None:
    """Callers then finish their own events; finished lines at its head do not matter."""
    sink = SpoolSink(directory, finish=finish, ring_bytes=4096, poll_seconds=60)
    assert not sink.crowded("error_logs")
    sink.write("error_logs", line(1, 1000))
    assert not sink.crowded("error_logs")
    sink.write("error_logs", line(2, 1100))
    assert sink.crowded("error_logs")
    assert not sink.crowded("database_operations")
    assert sink.flush(5)
    assert not sink.crowded("error_logs")
    sink.close(5)


def test_a_finisher_that_raises_loses_nothing(directory: Path) -> None:
    """Its events wait, and the sink reports that."""
    warnings: list[str] = []
    broken = True

    def fragile(category: str, frames: list[bytes]) -> list[bytes]:
        if broken:
            raise RuntimeError("no policy")
        return finish(category, frames)

    sink = SpoolSink(directory, finish=fragile, warn=warnings.append)
    for number in range(5):
        sink.write("error_logs", facts(number))
    assert not sink.flush(0.3)
    assert sink.stats().in_ring == {"error_logs": 5}
    broken = False
    sink.close(5)
    assert numbers(directory) == [0, 1, 2, 3, 4]
    assert "no policy" in warnings[0]


def test_a_finisher_that_raises_halfway_loses_nothing(directory: Path) -> None:
    """The part of the batch finished before is finished again, in its place."""
    calls = itertools.count()

    def fragile(category: str, frames: list[bytes]) -> list[bytes]:
        if next(calls) in (1, 3):
            raise RuntimeError("no policy")
        return finish(category, frames)

    sink = SpoolSink(directory, finish=fragile, warn=lambda _: None)
    for number in range(200):
        sink.write("error_logs", facts(number))
    assert sink.flush(10)
    sink.close(5)
    assert next(calls) > 4
    assert numbers(directory) == list(range(200))
    assert sink.stats().written == {"error_logs": 200}


def test_closing_tries_again_what_failed_when_it_began(directory: Path) -> None:
    """A pass that was in progress and failed is not the last one."""
    inside, closing = threading.Event(), threading.Event()

    def fragile(category: str, frames: list[bytes]) -> list[bytes]:
        if not closing.is_set():
            inside.set()
            closing.wait(10)
            raise RuntimeError("no policy")
        return finish(category, frames)

    sink = SpoolSink(directory, finish=fragile, warn=lambda _: None)
    sink.write("error_logs", facts(0))
    assert inside.wait(10)
    closer = threading.Thread(target=sink.close, args=(5,))
    closer.start()
    time.sleep(0.2)  # it is closing now
    closing.set()
    closer.join(20)
    assert numbers(directory) == [0]


# ------------------------------------------------------------------------------- recovery


def _ring(spool: Spool, capacity: int = 4096, stage: int = 256) -> Ring:
    storage = spool.create(
        "error_logs", capacity, Descriptors(), 1, stage=stage, policy=b'{"pii": "masked"}'
    )
    return Ring(storage, Budget(0).overflow())


def _files(directory: Path, spool: Spool, chunk: int = 1 << 20) -> Files:
    return Files(
        directory=directory,
        spool=spool,
        descriptors=Descriptors(),
        slot=lambda: 0,
        write=lambda fd, data: os.write(fd, data[:chunk]),
    )


def test_facts_of_the_dead_are_finished_under_their_own_policy(directory: Path) -> None:
    """Recovery requests a finisher for the policy stored next to the ring."""
    ring = _ring(Spool(directory))
    for number in range(40):
        assert ring.put(facts(number))
    ring.detach().release()
    report = recover(directory, finisher_of=finisher_of)
    assert (report.rings, report.lines, report.errors) == (1, 40, [])
    assert numbers(directory) == list(range(40))


def test_without_a_finisher_facts_are_left_for_somebody_who_has_one(directory: Path) -> None:
    """They are neither written unfinished nor lost."""
    ring = _ring(Spool(directory))
    assert ring.put(facts(1))
    ring.detach().release()
    report = recover(directory)
    assert (report.rings, report.lines) == (0, 0)
    assert "`leadlog recover` can finish" in report.errors[0]
    assert recover(directory, finisher_of=finisher_of).lines == 1


frame_plans = st.lists(
    st.tuples(st.sampled_from(["line", "facts", "facts", "omit"]), st.integers(0, 90)),
    min_size=1,
    max_size=14,
)


@settings(max_examples=4 if not os.environ.get("SOAK") else 200)
@given(frame_plans, st.sampled_from([17, 1 << 20]), st.integers(0, 1 << 30))
def test_a_kill_at_any_store_loses_nothing_and_doubles_nothing(
    plan: list[tuple[str, int]], chunk: int, seed: int
) -> None:
    """After each store of the drain, and of the following recovery: every event once, whole."""
    place = Path(tempfile.mkdtemp(prefix="leadlog-test-", dir="/dev/shm"))
    try:
        directory = place / "logs"
        spool = Spool(directory)
        ring = _ring(spool)
        kept = [number for number, (kind, _) in enumerate(plan) if kind != "omit"]
        for number, (kind, length) in enumerate(plan):
            frame = facts(number, length, omit=kind == "omit")
            assert ring.put(line(number, length) if kind == "line" else frame)
        channel = Channel("error_logs", ring, _files(directory, spool, chunk), lambda: 1, finish)
        with every_moment(spool.path, directory) as moments:
            channel.transfer()
        ring.detach().release()
        assert numbers(directory) == kept
        shutil.rmtree(spool.path)
        assert len(moments) >= (3 if kept else 1)
        for at, moment in enumerate(moments):
            twice = (seed + at) % 7 == 0
            assert _recovered(place / str(at), moment, twice=twice) == kept
    finally:
        shutil.rmtree(place)


def _recovered(place: Path, moment: Snapshot, *, twice: bool) -> list[int]:
    """Return the files' events after recovery, or (`twice`) after it is killed at each store."""
    directory = place / "logs"
    spool = Spool(directory)
    moment.restore(spool.path, directory)
    with every_moment(spool.path, directory) if twice else nullcontext([]) as moments:
        assert recover(directory, finisher_of=finisher_of).errors == []
    found = numbers(directory)
    for folder in state_directories(directory):
        shutil.rmtree(folder, ignore_errors=True)
    for at, again in enumerate(moments):
        assert _recovered(place / f"again{at}", again, twice=False) == found
    return found
