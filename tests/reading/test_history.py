"""The story of one row, from records as writers leave them."""

from typing import Any

from leadlog.clock import format_us
from leadlog.reading.history import History, history

START = 1_795_428_000_000_000


def record(
    number: int,
    operation: str,
    key: str | None = "1",
    changed: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A record of a call that ended so many seconds after the start."""
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
    """Created, tried, changed by a call on many, read, deleted."""
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


def test_who_did_what_when_and_what_became_of_it_is_told_in_order() -> None:
    """With the session, what was bound, what was tried in vain, and what is missing in between."""
    found = history(story(), "1")
    assert [entry.kind for entry in found.entries] == [
        "create",
        "update",
        "update",
        "update",
        "delete",
    ]
    made, tried, changed, many, _ = found.entries
    assert (made.user, made.context, made.session_id) == ("ana", {"job": "nightly"}, "s1")
    assert made.changes == {"n": {"new": 1}}
    assert (tried.effective, tried.outcome, tried.error) == (False, "rolled_back", "no")
    assert changed.effective
    assert changed.gap is not None
    assert changed.gap.columns == {"n": (1, 5)}
    assert (many.rows, changed.rows) == (2, None)
    assert [doubt.rows for doubt in found.doubts] == [9]
    assert found.names == ("Lead",)


def test_reads_times_and_classes_can_be_chosen() -> None:
    """What lies before is still used to see what does not fit."""
    assert [entry.kind for entry in history(story(), "1", reads=True).entries].count("read") == 1
    since = format_us(START + 3_000_000)
    first, *_ = history(story(), "1", since=since).entries
    assert first.at == since
    assert first.gap is not None
    assert len(history(story(), "1", until=since).entries) == 2
    assert history(story(), "1", entity="Company") == History("1", ())


def test_an_unknown_key_is_answered_with_those_like_it() -> None:
    """First those that begin as it does, else those that are spelled alike."""
    events = [record(n, "create", f"abcdef-{n}") for n in range(5)]
    assert history(events, "abc").near == ("abcdef-0", "abcdef-1", "abcdef-2")
    assert "abcdef-4" in history(events, "abcdeg-4").near
    assert history(events, "nothing alike at all").near == ()
    assert history([], "1") == History("1", ())


def test_an_unknown_outcome_is_no_change_that_is_claimed() -> None:
    """Nor is it passed over."""
    (entry,) = history(
        [record(0, "update", changed={}, details={"outcome": "unknown"})], "1"
    ).entries
    assert (entry.outcome, entry.effective) == ("unknown", False)
