"""Ring and overflow keep every line, in order, within their limits, and count exactly."""

import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.recording.sinks.header import HEADER_BYTES, Header, RingProgress
from leadlog.recording.sinks.overflow import Budget
from leadlog.recording.sinks.ring import Ring
from leadlog.recording.sinks.storage import Storage, heap


def _ring(capacity: int = 64, overflow: int = 0) -> Ring:
    return Ring(heap(capacity, 1, "a test"), Budget(overflow).overflow())


def _take(ring: Ring, most: int) -> bytes:
    """Read, write and note progress like the drain."""
    progress = ring.progress
    data = ring.read(progress.head, most)
    whole = data[: data.rfind(b"\n") + 1]
    lines = progress.written + whole.count(b"\n")
    ring.advance(RingProgress(progress.head + len(whole), lines))
    return whole


lines = st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"") + b"\n")
steps = st.lists(lines | st.integers(1, 80) | st.none(), max_size=60)


@given(steps, st.integers(30, 100), st.sampled_from([0, 2_000]))
def test_what_comes_out_is_what_was_put_in(
    plan: list[bytes | int | None], capacity: int, overflow: int
) -> None:
    """For any order of puts, reads and refills, bytes come out in order and counts balance."""
    ring = _ring(capacity, overflow)
    taken, out = [], []
    for step in plan:
        if isinstance(step, bytes):
            before = sum(ring.counts().dropped.values())
            assert ring.put(step)
            if sum(ring.counts().dropped.values()) == before:
                taken.append(step)
        elif step is None:
            ring.settle()
        else:
            out.append(_take(ring, step))
        counts = ring.counts()
        assert counts.accepted == counts.written + counts.waiting + sum(counts.dropped.values())
        assert ring.tail - ring.progress.head <= capacity
    while ring.end > ring.progress.head:
        out.append(_take(ring, 200))
        ring.settle()
    assert b"".join(out) == b"".join(taken)
    assert ring.counts().written == len(taken)


@given(steps, st.integers(30, 100))
def test_a_ring_can_be_read_by_another_process_at_any_moment(
    plan: list[bytes | int | None], capacity: int
) -> None:
    """A second ring on a copy of the memory continues where the first one stopped."""
    ring = _ring(capacity)
    for step in plan:
        if isinstance(step, bytes):
            ring.put(step)
        elif step is not None:
            _take(ring, step)
    copy = Ring(Storage(bytearray(ring.storage.memory)), Budget(0).overflow())
    assert (copy.tail, copy.progress) == (ring.tail, ring.progress)
    assert copy.read(copy.progress.head, 1000) == ring.read(ring.progress.head, 1000)


def test_a_line_longer_than_the_ring_is_dropped_as_oversize() -> None:
    """It can never fit, so it does not wait."""
    ring = _ring(64, overflow=10_000)
    assert ring.put(b"x" * 64 + b"\n")
    assert ring.put(b"y\n")
    assert ring.counts().dropped == {"oversize": 1}
    assert ring.counts().waiting == 1


def test_the_drain_is_woken_once_a_ring_is_half_full() -> None:
    """It is not woken earlier, nor for every line."""
    woken: list[int] = []
    ring = Ring(heap(100, 1, ""), Budget(0).overflow(), lambda: woken.append(ring.tail))
    for _ in range(10):
        ring.put(b"123456789\n")
    assert woken == [60]


def test_a_sealed_ring_takes_nothing() -> None:
    """The caller can then pass the line to the next sink; lines in the ring stay readable."""
    ring = _ring(overflow=10_000)
    ring.put(b"one\n")
    ring.seal()
    assert not ring.put(b"two\n")
    assert ring.counts().accepted == 1
    assert not ring.finish(leave=False)
    assert _take(ring, 100) == b"one\n"
    assert ring.finish(leave=False)
    assert ring.finished
    assert not ring.put(b"three\n")
    assert ring.counts().written == 1


def test_what_lies_in_the_heap_when_a_ring_is_left_is_counted() -> None:
    """Lines of a ring in the heap die with the process, and are counted."""
    ring = _ring(overflow=10_000)
    for _ in range(10):
        ring.put(b"1234567\n")
    ring.seal()
    assert ring.finish(leave=True)
    counts = ring.counts()
    assert counts.dropped == {"io_error": 10}
    assert (counts.accepted, counts.waiting, counts.degraded) == (10, 0, 10)


def test_a_ring_moves_to_other_storage_when_it_is_empty() -> None:
    """Positions and counts continue; lines that were at risk stay counted."""
    ring = _ring()
    ring.put(b"one\n")
    other = Storage(mmap.mmap(-1, HEADER_BYTES + 64))
    Header.format(other.memory, 64, 1)
    assert not ring.swap(other)
    _take(ring, 100)
    assert ring.swap(other)
    ring.put(b"two\n")
    assert ring.read(ring.progress.head, 100) == b"two\n"
    assert ring.tail == 8
    assert ring.counts().written == 1


def test_a_header_holds_one_progress_or_the_other() -> None:
    """A new progress is valid only after its last store; an invalid page is refused."""
    memory = bytearray(HEADER_BYTES)
    with pytest.raises(ValueError, match="no ring"):
        Header(memory)
    Header.format(memory, 64, 1)
    header = Header(memory)
    first = RingProgress(10, 1, "error_logs/2026-11-23.jsonl", 4, 2)
    header.store(first)
    assert header.progress() == first
    before = bytes(memory)
    header.store(RingProgress(20, 2, "error_logs/2026-11-24.jsonl", 4, 2))
    # The whole second store except its last eight bytes:
    torn = bytearray(memory)
    torn[64:72] = before[64:72]
    assert Header(torn).progress() == first
    with pytest.raises(ValueError, match="longer"):
        header.store(RingProgress(name="x" * 2000))


def test_a_flood_in_one_category_leaves_room_for_the_others() -> None:
    """Each category has a sixteenth of the overflow reserved; the sum stays within the limit."""
    budget = Budget(160_000)
    flooded, quiet = budget.overflow(), budget.overflow()
    line = b"x" * 99 + b"\n"
    while (come := flooded.admit(line)) is not None:
        flooded.append(come)
        flooded.append(come)  # as an interrupted call does
    assert flooded.cost > 100_000
    count = 0
    while (come := quiet.admit(line)) is not None:
        quiet.append(come)
        count += 1
    assert quiet.cost > 9_000
    assert flooded.cost + quiet.cost <= 160_000
    fitting = quiet.fitting(350)
    assert len(fitting) == 3
    for _ in range(2):
        quiet.release(fitting[-1])
    assert len(quiet) == count - 3
    assert quiet.size == (count - 3) * 100
    quiet.release(quiet.last)
    assert quiet.size == quiet.cost == len(quiet) == 0
    assert quiet.total == count
