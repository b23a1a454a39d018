"""A sample of the log that represents the whole."""

from __future__ import annotations

from leadlog.reading.sampled import newest_events, spread_events

DAY = 86_400_000_000
CATEGORY = "database_operations"


def everything(_):
    return True


def test_the_newest_come_first_over_all_writers(tmp_path, append, event):
    """Two writers and two days are one stream; reading ends at the oldest requested time."""
    append(f"{CATEGORY}/1970-01-01.jsonl", event(1), event(5))
    append(f"{CATEGORY}/1970-01-02.jsonl", event(DAY + 1), event(DAY + 3))
    append(f"{CATEGORY}/1970-01-02.w1.jsonl", event(DAY + 2))
    found = newest_events(tmp_path / "log", [CATEGORY], oldest_us=5, most=100, where=everything)
    assert [one.timestamp[-12:] for one in found] == [
        "0:00.000003Z",
        "0:00.000002Z",
        "0:00.000001Z",
        "0:00.000005Z",
    ]


def test_no_more_lines_are_read_than_allowed(tmp_path, append, event):
    """Lines that do not match count too: the cost is what is limited."""
    append(f"{CATEGORY}/1970-01-01.jsonl", *(event(at, odd=at % 2) for at in range(100)))
    found = newest_events(
        tmp_path / "log", [CATEGORY], oldest_us=0, most=10, where=lambda data: data["odd"]
    )
    assert len(list(found)) == 5


def test_small_files_are_read_whole_and_each_event_once(tmp_path, append, event):
    """Of small files, no file and no line is left out."""
    append(f"{CATEGORY}/1970-01-01.jsonl", *(event(at) for at in range(7)))
    append(f"{CATEGORY}/1970-01-01.w1.jsonl", event(50))
    append(f"{CATEGORY}/1970-01-02.jsonl", *(event(DAY + at) for at in range(900)))
    found = spread_events(
        tmp_path / "log", [CATEGORY], since_us=0, until_us=2 * DAY, most=100_000, where=everything
    )
    assert len(found) == len({(one.path, one.offset) for one in found}) == 908


def test_a_large_file_is_read_in_places_all_over_it(tmp_path, append, event):
    """A tenth of the lines is read, from every tenth of the file."""
    append(f"{CATEGORY}/1970-01-01.jsonl", *(event(at) for at in range(10_000)))
    found = spread_events(
        tmp_path / "log", [CATEGORY], since_us=0, until_us=DAY, most=1000, where=everything
    )
    assert 900 <= len(found) <= 1000
    numbers = [int(one.timestamp[20:26]) for one in found]
    assert all(any(low <= one < low + 1000 for one in numbers) for low in range(0, 10_000, 1000))


def test_only_the_time_that_is_wanted_counts(tmp_path, append, event):
    """The end of the period is excluded, its start included."""
    append(f"{CATEGORY}/1970-01-01.jsonl", *(event(at) for at in range(10)))
    found = spread_events(
        tmp_path / "log", [CATEGORY], since_us=3, until_us=6, most=1000, where=everything
    )
    assert sorted(one.timestamp[-3:-1] for one in found) == ["03", "04", "05"]
