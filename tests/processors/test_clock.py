"""Times keep every microsecond; ids sort by time and are unique."""

import multiprocessing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog_processors.clock import format_us, new_id, parse_us, utc_date

MICROSECONDS = st.integers(min_value=-62_135_596_800_000_000, max_value=253_402_300_799_999_999)


@given(MICROSECONDS)
def test_a_time_survives_the_way_through_text(us: int) -> None:
    """Formatting and parsing gives the same microsecond for every year from 1 to 9999."""
    text = format_us(us)
    assert parse_us(text) == us
    assert len(text) == 27
    assert utc_date(us) == text[:10]


@given(MICROSECONDS, MICROSECONDS)
def test_times_sort_as_their_texts(first: int, second: int) -> None:
    """The text of an earlier time sorts before that of a later one."""
    assert (first < second) == (format_us(first) < format_us(second))


def test_an_offset_is_taken_into_account() -> None:
    """10:00 at +02:00 is 08:00 UTC, and missing digits are zeros."""
    assert format_us(parse_us("2026-11-23T10:00:00.5+02:00")) == "2026-11-23T08:00:00.500000Z"


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-23", "2026-11-23T10:00:00"])
def test_a_text_without_zone_or_sense_is_refused(text: str) -> None:
    """A time without a zone is refused, and the message shows the remedy."""
    with pytest.raises(ValueError, match=r"2026-11-23T10:00:00\.000000Z"):
        parse_us(text)


def test_ids_of_one_process_never_repeat_and_sort_by_time() -> None:
    """A hundred thousand ids are distinct and in the order of their creation."""
    ids = [new_id() for _ in range(100_000)]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)


def _send_ids(queue: "multiprocessing.Queue[list[str]]") -> None:
    queue.put([new_id(1) for _ in range(1000)])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # forking is what is tested
def test_ids_of_forked_processes_differ() -> None:
    """Children forked from one parent have their own tags, so simultaneous ids differ."""
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[list[str]] = context.Queue()
    children = [context.Process(target=_send_ids, args=(queue,)) for _ in range(3)]
    for child in children:
        child.start()
    ids = [new_id(1) for _ in range(1000)]
    for _ in children:
        ids += queue.get(timeout=30)
    for child in children:
        child.join()
    assert len(set(ids)) == 4000
