"""The history of one row, from records as written by writers."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from leadlog.core.clock import format_us
from leadlog.core.layout import log_files
from leadlog.reading import archive
from leadlog.reading.history import Histories, History, history, pushdown_for, sealed_keys
from leadlog.reading.merged import read_merged
from tests.bench.made_events import blank

START = 1_795_428_000_000_000


def record(
    number: int,
    operation: str,
    key: str | None = "1",
    changed: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a record of a call that ended a number of seconds after the start."""
    who = {"lead_id": key, **more.pop("who", {})}
    details = {"operation_type": operation, "outcome": "committed", "entity": "Lead"}
    return {
        "timestamp": format_us(START + 1_000_000 * number),
        "event_id": f"{number:030x}",
        "log_type": "database_operation",
        "session_id": "s1",
        "process_id": 7,
        "operation_details": {**details, "records_affected": 1, **more.pop("details", {})},
        "lead_identifier": who,
        "data_details": {"fields_changed": changed},
        **more,
    }


def story() -> list[dict[str, Any]]:
    """Return a row's records: created, tried, changed by a call on many, read, deleted."""
    both = {"lead_ids": ["1", "2"], "lead_count": 2}
    return [
        record(0, "create", changed={"n": {"new": 1}}, context={"user": "ana", "job": "nightly"}),
        record(1, "create", "2", {"n": {"new": 1}}),
        record(
            2,
            "update",
            changed={"n": {"old": 1, "new": 9}},
            details={"outcome": "rolled_back", "error_message": "no"},
        ),
        record(3, "update", changed={"n": {"old": 5, "new": 6}}),
        record(4, "update", None, None, who=both, details={"bulk": True, "records_affected": 2}),
        record(5, "get_lead", details={"outcome": "completed"}),
        record(6, "delete", None, details={"bulk": True, "records_affected": 9}),
        record(7, "delete", changed={}),
    ]


def only(found: Histories) -> History:
    """Return the history of the only row."""
    (row,) = found.rows
    return row


def test_who_did_what_when_and_what_became_of_it_is_told_in_order() -> None:
    """Entries have the session, bound values, failed attempts, and gaps."""
    found = only(history(story(), "1"))
    assert [entry.kind for entry in found.entries] == [
        "create",
        "update",
        "update",
        "update",
        "delete",
        "delete",
    ]
    made, tried, changed, many, perhaps, _ = found.entries
    assert (made.user, made.context, made.session_id) == ("ana", {"job": "nightly"}, "s1")
    assert made.changes == {"n": {"new": 1}}
    assert (tried.effective, tried.outcome, tried.error) == (False, "rolled_back", "no")
    assert changed.effective
    assert changed.gap is not None
    assert changed.gap.columns == {"n": (1, 5)}
    assert (many.rows, changed.rows) == (2, None)
    assert (perhaps.rows, perhaps.named, perhaps.effective) == (9, False, False)
    assert found.doubts == ()
    assert found.entity == "Lead"


def test_reads_times_and_classes_can_be_chosen() -> None:
    """Earlier events are still used to detect contradictions."""
    read = only(history(story(), "1", reads=True))
    assert [entry.kind for entry in read.entries].count("read") == 1
    since = format_us(START + 3_000_000)
    first, *_ = only(history(story(), "1", since=since)).entries
    assert first.at == since
    assert first.gap is not None
    assert len(only(history(story(), "1", until=since)).entries) == 2
    assert history(story(), "1", entity="Company") == Histories("1")


def test_rows_of_two_classes_with_one_key_have_two_histories() -> None:
    """Calls on unnamed rows of one class are not in the history of the other."""
    events = [
        record(0, "create", changed={"n": {"new": 1}}),
        record(1, "create", changed={"n": {"new": 2}}, details={"entity": "Deal"}),
        record(2, "update", None, {"n": {"new": 3}}, details={"entity": "Deal", "bulk": True}),
        record(3, "update", changed={"n": {"old": 1, "new": 4}}),
        record(4, "update", changed={"n": {"new": 5}}, details={"entity": None}),
    ]
    nobody, deal, lead = history(events, "1").rows
    assert [row.entity for row in (nobody, deal, lead)] == ["", "Deal", "Lead"]
    assert [entry.event_id[-1] for entry in deal.entries] == ["1", "2"]
    assert [entry.event_id[-1] for entry in lead.entries] == ["0", "3"]
    assert [entry.event_id[-1] for entry in nobody.entries] == ["4"]
    assert history(events, "1", entity="Deal").rows == (deal,)


def test_calls_on_unnamed_rows_stand_among_the_changes_while_there_is_a_row() -> None:
    """They are included neither before the creation, nor after the deletion, nor with zero rows."""
    events = [
        record(0, "update", None, {"n": {"new": 0}}, details={"bulk": True}),
        record(1, "create", changed={"n": {"new": 1}}),
        record(2, "update", None, {"n": {"new": 2}}, details={"bulk": True}),
        record(3, "update", None, {"n": {"new": 3}}, details={"bulk": True, "records_affected": 0}),
        record(4, "update", None, {"n": {}}, details={"bulk": True, "outcome": "rolled_back"}),
        record(5, "delete", changed={}),
        record(6, "update", None, {"n": {"new": 6}}, details={"bulk": True}),
    ]
    found = only(history(events, "1"))
    assert [entry.event_id[-1] for entry in found.entries] == ["1", "2", "5"]
    late = only(history(events[2:], "1"))  # the log begins when the row exists
    assert [entry.event_id[-1] for entry in late.entries] == ["2", "5"]


def test_a_lost_update_is_told_with_what_it_overwrote() -> None:
    """A lost update is not a gap: both changes are in the log."""
    events = [
        record(0, "create", changed={"n": {"new": 1}}),
        record(1, "update", changed={"n": {"old": 1, "new": 2}}),
        record(2, "update", changed={"n": {"old": 1, "new": 3}}),
    ]
    *_, last = only(history(events, "1")).entries
    assert last.gap is None
    assert last.lost_update is not None
    assert last.lost_update.overwritten == events[1]["event_id"]
    assert last.lost_update.columns == {"n": (2, 1)}


def test_an_unknown_key_is_answered_with_those_like_it() -> None:
    """Keys with the same prefix are suggested first, else similar ones."""
    events = [record(n, "create", f"abcdef-{n}") for n in range(5)]
    assert history(events, "abc").near == ("abcdef-0", "abcdef-1", "abcdef-2")
    assert "abcdef-4" in history(events, "abcdeg-4").near
    assert history(events, "nothing alike at all").near == ()
    assert history([], "1") == Histories("1")


def test_an_unknown_outcome_is_no_change_that_is_claimed() -> None:
    """It is neither claimed as a change nor omitted."""
    events = [record(0, "update", changed={}, details={"outcome": "unknown"})]
    (entry,) = only(history(events, "1")).entries
    assert (entry.outcome, entry.effective) == ("unknown", False)


KEY = 'ü,"1'


def calls_of_every_kind() -> Iterator[dict[str, Any]]:
    """Return records as written by leadlog: on that row, others, several, or unnamed ones."""
    kinds = itertools.product(
        ("committed", "rolled_back", "failed", "completed", "unknown", None),
        (False, True, None),
        (None, KEY, "2", "2…"),
        (None, [KEY], ["2", KEY], ["2"]),
        (None, 7),
        (False, True),
    )
    for number, (outcome, bulk, key, keys, records_cut, truncated) in enumerate(kinds):
        event = blank("database_operation", 1_000_000 * number, number, "2026-11-01")
        event["operation_details"] |= {
            "operation_type": "update" if number % 5 else "add_leads",
            "outcome": outcome,
            "bulk": bulk,
            "entity": "Lead",
        }
        event["lead_identifier"]["lead_id"] = key
        if keys is not None:
            event["lead_identifier"] |= {"lead_ids": keys, "lead_count": len(keys)}
        if records_cut is not None:
            event["operation_details"]["records_cut"] = records_cut
        if truncated:
            event |= {"truncated": True, "truncated_fields": ["lead_identifier.lead_id"]}
        event["data_details"]["fields_changed"] = {"n": {"new": number}}
        yield event


def test_of_a_sealed_day_only_what_matters_is_read(tmp_path: Path) -> None:
    """The omitted calls have no place in the history, and most calls on other rows are omitted."""
    events = list(calls_of_every_kind())
    path = tmp_path / "database_operations" / "2026-11-01.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in events))
    os.utime(path, (1_793_534_400, 1_793_534_400))  # noon of that day
    report = archive.run(tmp_path, archive.Policy(parquet_after_days=1), today="2026-11-30")
    assert report.errors == ()
    assert [file.archived for file in log_files(tmp_path)] == [True]
    read = [event.data for event in read_merged(tmp_path, pushdown=pushdown_for(KEY))]
    kept = {event["event_id"] for event in read}
    nothing = history([], KEY)
    for event in events:
        if event["event_id"] not in kept:
            told = history([event], KEY, reads=True)
            assert replace(told, near=()) == nothing, event
    assert 0 < len(read) < len(events)
    assert history(read, KEY, reads=True) == history(events, KEY, reads=True)
    assert {*sealed_keys(tmp_path)} == {KEY, "2", "2…"}


def test_a_row_that_is_not_in_the_log_is_told_by_the_keys_of_sealed_days() -> None:
    """The keys of sealed days are queried only if the row is not found."""

    def keys() -> Iterator[str]:
        yield from ("lead-1", "other")

    assert history(story(), "lead-2", others=keys()).near == ("lead-1",)
    left = keys()
    assert history(story(), "1", others=left).near == ()
    assert next(left) == "lead-1"
