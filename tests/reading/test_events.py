"""Reading one file: complete events, counted damage, up to the last newline."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.core.clock import format_us
from leadlog.core.errors import ReadError
from leadlog.reading import events as module
from leadlog.reading.events import Skipped, decode, read_backwards, read_events


def line(number, **more):
    """The bytes of an event's line."""
    return json.dumps({"timestamp": format_us(number), **more}).encode() + b"\n"


NO_EVENT = [
    b"null",
    b"17",
    b"[1]",
    b"{}",
    b'{"timestamp": 3}',
    b'{"timestamp": "2026-11-23T10:00:00.000000Z"',
    b'{"timestamp": "\xff"}',
    b'{"timestamp": "\\ud800"}',
    b"\x00\x00\x00",
    line(1)[:-1] + line(2)[:-1],
    b'{"timestamp": "yesterday"}',
    b'{"timestamp": "2026-02-30T10:00:00.000000Z"}',
    b'{"timestamp": "2026-11-23T24:00:00.000000Z"}',
    b'{"timestamp": "2026-11-23T10:00:00.000000+02:00"}',
    b'{"timestamp": "2026-11-23 10:00:00.000000Z"}',
    b'{"timestamp": "+10000-12-31T10:00:00.000000Z"}',
]


def test_events_come_with_their_place(append, event):
    """An event has its data, its bytes, its file and its offset."""
    path = append("error_logs/2026-11-23.jsonl", event(1, a=1), event(2, b="é"))
    first, second = read_events(path)
    assert (first.data["a"], second.data["b"]) == (1, "é")
    assert first.timestamp == "1970-01-01T00:00:00.000001Z"
    assert second.path == path
    assert path.read_bytes()[second.offset :] == second.raw + b"\n"


@pytest.mark.parametrize("damage", NO_EVENT)
def test_damage_is_counted_and_passed_over(append, damage):
    """A line that is not an event is counted with its place, and reading continues."""
    path = append("error_logs/2026-11-23.jsonl", line(1), damage + b"\n", line(2))
    skipped = Skipped()
    assert [event.timestamp for event in read_events(path, skipped=skipped)] == [
        format_us(1),
        format_us(2),
    ]
    assert (skipped.lines, skipped.places) == (1, [(path, len(line(1)))])
    skipped = Skipped()
    assert [event.timestamp for event in read_backwards(path, skipped=skipped)] == [
        format_us(2),
        format_us(1),
    ]
    assert (skipped.lines, skipped.places) == (1, [(path, len(line(1)))])


@pytest.mark.parametrize("blank", [b"", b"  ", b"\r", b"\t"])
def test_an_empty_line_is_nothing(append, blank):
    """It is neither an event nor damage."""
    path = append("error_logs/2026-11-23.jsonl", line(1), blank + b"\n", line(2))
    for read in (read_events, read_backwards):
        skipped = Skipped()
        assert sum(1 for _ in read(path, skipped=skipped)) == 2
        assert skipped == Skipped()


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1E+999"])
def test_a_number_that_json_has_not_is_null(number):
    """Other programs write such numbers; the line is still an event."""
    raw = line(1, n=17, m=[0.5]).replace(b"17", number)
    assert decode(raw) == {"timestamp": format_us(1), "n": None, "m": [0.5]}


def test_what_is_odd_in_two_ways_is_an_event_or_damage():
    """A number above 64 bits becomes a float; half a surrogate pair is damage."""
    said = {"timestamp": "2026-11-23T10:00:00.000000Z", "n": 17, "m": 5, "k": "k"}
    raw = json.dumps(said, separators=(",", ":")).encode()
    huge = b"9" * 30
    found = decode(raw.replace(b"17", b"NaN").replace(b":5", b":" + huge))
    assert found == decode(raw.replace(b"17", b"null").replace(b":5", b":" + huge))
    assert found["m"] == 1e30
    assert decode(raw.replace(b"17", b"NaN").replace(b'"k":"k"', b'"k":"\\ud800"')) is None


@pytest.mark.parametrize("stamp", ["2026-11-23T10:00:00Z", "2026-11-23T10:00:00.1Z"])
def test_a_moment_may_have_fewer_digits(stamp):
    """A timestamp of another program with fewer digits is accepted."""
    assert decode(json.dumps({"timestamp": stamp}).encode()) == {"timestamp": stamp}


def test_a_line_without_its_newline_is_no_event_yet(append):
    """An unfinished line is left alone, and distinguished from damage."""
    path = append("error_logs/2026-11-23.jsonl", line(1), line(2)[:-1])
    skipped = Skipped()
    assert [event.timestamp for event in read_events(path, skipped=skipped)] == [format_us(1)]
    assert (skipped.lines, skipped.unfinished) == (0, 1)
    assert [event.timestamp for event in read_backwards(path)] == [format_us(1)]
    append("error_logs/2026-11-23.jsonl", b"\n")
    assert [event.timestamp for event in read_events(path, start=len(line(1)))] == [format_us(2)]


@pytest.mark.parametrize("content", [b"", b"no newline", b"\n"])
def test_files_with_nothing_in_them(append, content):
    """Empty files and files with half a line hold no events in either direction."""
    path = append("error_logs/2026-11-23.jsonl", content)
    assert list(read_events(path)) == []
    assert list(read_backwards(path)) == []


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40).filter(lambda raw: b"\n" not in raw),
            st.integers(0, 999_999).map(lambda number: line(number)[:-1]),
            st.integers(60_000, 70_000).map(lambda size: line(1, fill="x" * size)[:-1]),
        ),
        max_size=30,
    ),
    st.booleans(),
)
def test_backwards_is_forwards_reversed(tmp_path_factory, lines, finished):
    """Both directions find the same events and the same damage, for any lines."""
    path = tmp_path_factory.mktemp("log") / "2026-11-23.jsonl"
    path.write_bytes(b"\n".join(lines) + (b"\n" if finished and lines else b""))
    forwards, backwards = Skipped(), Skipped()
    events = list(read_events(path, skipped=forwards))
    assert list(read_backwards(path, skipped=backwards)) == events[::-1]
    assert forwards.lines == backwards.lines
    complete = [one for one in (lines if finished else lines[:-1]) if one.strip()]
    assert len(events) + forwards.lines == len(complete)
    assert [event.data for event in events] == [
        data for data in map(decode, complete) if data is not None
    ]


def test_a_line_beyond_the_limit_is_one_damaged_line(append):
    """An endless line is skipped without being held in memory, and the next event is read."""
    huge = b'{"fill": "' + b"x" * (2 * module.LINE_LIMIT_BYTES) + b'"}\n'
    path = append("error_logs/2026-11-23.jsonl", line(1), huge, line(2))
    for read, order in (
        (read_events, [format_us(1), format_us(2)]),
        (read_backwards, [format_us(2), format_us(1)]),
    ):
        skipped = Skipped()
        assert [event.timestamp for event in read(path, skipped=skipped)] == order
        assert skipped.lines == 1


def test_a_line_beyond_the_limit_without_end_is_unfinished(append):
    """An endless line at the end of a file is not counted as damage yet."""
    path = append("error_logs/2026-11-23.jsonl", line(1), b"x" * (module.LINE_LIMIT_BYTES + 1))
    skipped = Skipped()
    assert [event.timestamp for event in read_events(path, skipped=skipped)] == [format_us(1)]
    assert (skipped.lines, skipped.unfinished) == (0, 1)


def test_backwards_from_an_offset_leaves_out_what_is_not_complete_there(append):
    """The given end may lie within a line, which is then left out."""
    path = append("error_logs/2026-11-23.jsonl", line(1), line(2), line(3))
    for end, expected in ((len(line(1)) * 2 + 3, 2), (len(line(1)) * 2, 2), (3, 0), (0, 0)):
        assert sum(1 for _ in read_backwards(path, end=end)) == expected


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """The error names the file and a remedy."""
    for read in (read_events, read_backwards):
        with pytest.raises(ReadError, match=r"missing\.jsonl: No such file.*check that it exists"):
            list(read(tmp_path / "missing.jsonl"))
        with pytest.raises(ReadError, match="Is a directory"):
            list(read(tmp_path))


def test_places_of_much_damage_are_bounded(append):
    """A file full of damage does not exhaust the memory with places."""
    path = append("error_logs/2026-11-23.jsonl", b"rubbish\n" * 5_000)
    skipped = Skipped()
    assert list(read_events(path, skipped=skipped)) == []
    assert skipped.lines == 5_000
    assert len(skipped.places) == 20
