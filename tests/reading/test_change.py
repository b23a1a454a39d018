"""Interpretation of a single record as a change of a table."""

from typing import Any

import pytest

from leadlog.reading.change import Change, change_of, unreadable


def record(
    operation: str, *, outcome: str = "committed", key: str | None = "1", **more: Any
) -> dict[str, Any]:
    """Return a record as in the log, shortened to the relevant keys."""
    data = {"fields_changed": more.pop("changed", None)}
    data |= {name: more.pop(name) for name in ("change", "duplicate_action") if name in more}
    who = {"lead_id": key} | {
        name: more.pop(name) for name in ("lead_ids", "lead_count") if name in more
    }
    details = {"entity": "Lead", "bulk": False, "records_affected": 1}
    envelope = {name: more.pop(name) for name in ("truncated", "truncated_fields") if name in more}
    return {
        "timestamp": "2026-11-23T10:00:00.000000Z",
        "event_id": "e1",
        "log_type": "database_operation",
        "operation_details": details | {"operation_type": operation, "outcome": outcome} | more,
        "lead_identifier": who,
        "data_details": data,
    } | envelope


def understood(operation: str, **more: Any) -> Change:
    """Return the change of such a record."""
    change = change_of(record(operation, **more))
    assert change is not None
    return change


NEW = {"title": {"new": "CTO"}}
BOTH = {"title": {"old": None, "new": "CTO"}}
OLD = {"title": {"old": "CTO"}}


@pytest.mark.parametrize(
    ("kind", "operation", "more"),
    [
        ("create", "add_lead", {"changed": NEW, "duplicate_action": "none"}),
        ("create", "add_lead", {"changed": NEW, "duplicate_action": "created"}),
        ("update", "add_lead", {"changed": BOTH, "duplicate_action": "updated"}),
        ("update", "add_lead", {"changed": NEW, "duplicate_action": "merged"}),
        ("update", "add_lead", {"changed": BOTH}),
        ("update", "update_lead", {"changed": NEW}),
        ("delete", "delete_lead", {"changed": OLD}),
        ("create", "create", {"changed": NEW}),
        ("update", "update", {"changed": BOTH}),
        ("delete", "delete", {"changed": OLD}),
        ("read", "get_lead", {"outcome": "completed"}),
        ("read", "anything", {"outcome": "completed"}),
        ("update", "import_row", {"changed": BOTH}),
        ("delete", "purge", {"changed": OLD}),
        ("create", "add_leads", {"bulk": True, "duplicate_action": "none"}),
        (None, "add_leads", {"bulk": True, "duplicate_action": "updated"}),
        ("delete", "add_lead", {"change": "delete", "changed": NEW}),
        ("create", "update_lead", {"change": "create", "changed": BOTH}),
    ],
)
def test_the_kind_of_change_is_what_the_record_says_or_shows(
    kind: str | None, operation: str, more: dict[str, Any]
) -> None:
    """`change` decides if present, then names, duplicates and values."""
    assert understood(operation, **more).kind == kind


def test_the_keys_of_many_rows_count_only_where_all_are_known() -> None:
    """A list that is shorter than the number of rows does not identify the others."""
    many = {"bulk": True, "key": None}
    listed = {"lead_ids": ["1", "2"], "lead_count": 2}
    assert understood("delete", **many, **listed, records_affected=2).keys == ("1", "2")
    assert understood("delete", **many, **listed, records_affected=3).keys is None
    assert understood("delete", **many, **listed, records_affected=None).keys is None
    assert understood("delete", **many, records_affected=2).keys is None
    short = {"lead_ids": ["1", "2"], "lead_count": 300}
    assert understood("delete", **many, **short, records_affected=300).keys is None
    some = understood("delete", **many, **short, records_affected=300)
    assert (some.listed, some.partly) == (("1", "2"), True)
    assert not understood("delete", **many, **short, records_affected=299).partly
    assert not understood("delete", **many, **listed, records_affected=2).partly


def test_the_key_that_a_call_on_many_rows_happens_to_name_is_not_its_only_row() -> None:
    """`bulk` with a lead_id is still about many rows."""
    assert understood("add_lead", bulk=True, key="1").key is None


@pytest.mark.parametrize(
    ("paths", "cut", "whole"),
    [
        (["data_details.fields_changed.notes.new"], {"notes"}, True),
        (["data_details.fields_changed.raw.new.deep[3]"], {"raw"}, True),
        (["data_details.fields_changed"], set(), False),
        (["error_details.stack_trace"], set(), True),
        (["…"], {"notes", "raw"}, False),
    ],
)
def test_values_that_were_cut_are_not_known(paths: list[str], cut: set[str], whole: bool) -> None:
    """`truncated_fields` names the columns; beyond its limit the values' look decides."""
    changed = {"notes": {"new": "long…"}, "raw": {"new": {"a": 1}}, "note": {"new": "short"}}
    found = understood("update", changed=changed, truncated=True, truncated_fields=paths)
    assert (found.cut, found.whole) == (cut, whole)


@pytest.mark.parametrize("value", ["***", "token=***", "p:0123456789abcdef", ["a", {"b": "***"}]])
def test_masked_values_are_recognised(value: Any) -> None:
    """A mask or a pseudonym is recognised as a whole, within a text, or nested."""
    assert unreadable(value) == "masked"


@pytest.mark.parametrize("value", [None, 0, "", "p: 1", "**", "http://x", {"a": ["p:12"]}, []])
def test_ordinary_values_are_not_taken_for_masked_ones(value: Any) -> None:
    """A text that only resembles a pseudonym is a value."""
    assert unreadable(value) is None


@pytest.mark.parametrize(
    "damage",
    [
        {"operation_details": None},
        {"operation_details": []},
        {"lead_identifier": "x"},
        {"data_details": 3},
        {"data_details": {"fields_changed": [1]}},
        {"data_details": {"fields_changed": {"a": 1}}},
        {"lead_identifier": {"lead_id": 7, "lead_ids": [None, 3]}},
        {"truncated": True, "truncated_fields": {"a": 1}},
        {"event_id": None, "sample_rate": "x"},
    ],
)
def test_a_record_of_another_shape_never_raises(damage: dict[str, Any]) -> None:
    """Records that other programs write under our log type are read as far as possible."""
    change_of(record("add_lead", changed=NEW) | damage)


def test_other_types_of_records_say_nothing_about_a_table() -> None:
    """An error or a health record is no change."""
    assert change_of({"timestamp": "x", "log_type": "error_log"}) is None
    assert change_of({"timestamp": "x"}) is None
