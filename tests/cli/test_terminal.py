"""Stored values on a terminal, JSON, and tables."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.cli.reading.event_line import event_line
from leadlog.cli.terminal import safe, safe_json, table

ANYTHING = st.text(alphabet=st.characters(), max_size=30)
NO_SURROGATES = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)


def harmful(text):
    """Characters that a terminal may obey: controls and marks of format."""
    return [
        char
        for char in text
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        and char not in "\u200c\u200d"
    ]


@given(ANYTHING)
def test_nothing_that_steers_a_terminal_is_left(text):
    """Whatever a value holds, what is shown of it is printable."""
    assert harmful(safe(text)) == []


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"])))
def test_what_is_printable_stays(text):
    """Names in any script are shown as they are."""
    assert safe(text) == text


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\u202eb\u2066c", r"a\u202eb\u2066c"),
        ("\x9b2J", r"\x9b2J"),
        ("line\nbreak\r\t", r"line\nbreak\r\t"),
        ("no\u00a0break", "no break"),
        ("نیم\u200cفاصله", "نیم\u200cفاصله"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_harmful_characters_are_spelled_out(stored, shown):
    """Escape sequences and marks of direction are readable instead of obeyed."""
    assert safe(stored) == shown


@given(st.dictionaries(NO_SURROGATES, NO_SURROGATES))
def test_json_keeps_its_value(value):
    """Escaping in JSON changes the spelling, never the value."""
    line = json.dumps(value, ensure_ascii=False).encode()
    shown = safe_json(line)
    assert json.loads(shown) == value
    assert harmful(shown.decode()) == []


def test_harmless_json_is_left_as_it_is():
    """A line that needs nothing is handed on unchanged."""
    line = '{"name": "Müller 李", "note": "a\\u001b"}'.encode()
    assert safe_json(line) is line


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANYTHING,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(ANYTHING, inner, max_size=2),
    max_leaves=4,
)
SECTIONS = [
    "operation_details",
    "lead_identifier",
    "sync_results",
    "migration_results",
    "operation_info",
    "error_details",
    "training_labels",
]
KEYS = ["success", "execution_time_ms", "name", "company", "performance_tier", "error_message"]


@given(
    st.dictionaries(st.sampled_from(["timestamp", "level", "event_name", "alerts"]), JSON),
    st.dictionaries(st.sampled_from(SECTIONS), JSON | st.dictionaries(st.sampled_from(KEYS), JSON)),
)
def test_any_event_is_one_harmless_line(envelope, sections):
    """An event of any shape becomes one line that only carries our own colours."""
    import click

    line = click.unstyle(event_line({**envelope, **sections}))
    assert harmful(line) == []


def test_the_line_says_what_matters():
    """Time, level, event, outcome, duration, tier, lead and error are in it."""
    import click

    line = click.unstyle(
        event_line(
            {
                "timestamp": "2026-11-23T10:00:00.123456Z",
                "level": "error",
                "event_name": "lead.add",
                "operation_details": {
                    "success": False,
                    "execution_time_ms": 12.34,
                    "error_message": "a lead needs a name",
                },
                "lead_identifier": {"name": "Jane Doe", "company": "Acme"},
                "training_labels": {"performance_tier": "excellent", "data_quality": "low"},
            }
        )
    )
    assert " ".join(line.split()) == (
        "11-23 10:00:00.123 ERROR lead.add failed 12.3 ms excellent Jane Doe Acme "
        "quality low a lead needs a name"
    )


def test_tables_are_aligned():
    """Columns line up, missing cells are a dash, and cells are made harmless."""
    assert table([("a", 1, None), ("bb\n", 22, "x")], ("name", "n", "z"), right=(1,)) == [
        "name   n  z",
        "a      1  -",
        r"bb\n  22  x",
    ]
    assert table([]) == []
