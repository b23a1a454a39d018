"""Stored values on a terminal, JSON, and tables."""

import json
import unicodedata

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.cli import terminal
from leadlog.cli.reading.event_line import event_line
from leadlog.cli.terminal import cells, count, fit, safe, safe_json, table

ANYTHING = st.text(alphabet=st.characters(), max_size=30)
PRINTABLE = st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])
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
    """Any value is shown with printable characters only."""
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
    line = click.unstyle(event_line({**envelope, **sections}))
    assert harmful(line) == []


UPDATE = {
    "timestamp": "2026-11-23T10:00:00.123456Z",
    "level": "info",
    "event_name": "lead.update",
    "operation_details": {"success": True, "outcome": "committed", "execution_time_ms": 12.34},
    "lead_identifier": {"name": "Jane Doe", "company": "Acme"},
    "data_details": {
        "change": "update",
        "fields_changed": {"title": {"old": None, "new": "CTO"}, "row_version": {"new": 2}},
    },
    "training_labels": {"performance_tier": "excellent"},
    "context": {"user": "ana", "request": "PATCH /leads/1"},
}


def plain(event, width=None, **options):
    """The line without its colours and its padding."""
    return " ".join(click.unstyle(event_line(event, width, **options)).split())


def test_the_line_says_what_matters():
    """A line shows time, event, outcome, duration, user, subject, changes and context."""
    assert plain(UPDATE) == (
        "11-23 10:00:00.123 lead.update committed 12.3 ms ana Jane Doe Acme title: null → CTO "
        "request=PATCH /leads/1"
    )


def test_a_failure_says_why():
    """A failure's error is shown first, and a slow tier is named."""
    failed = UPDATE | {
        "level": "error",
        "operation_details": {
            "success": False,
            "outcome": "failed",
            "execution_time_ms": 2100.0,
            "error_message": "a lead needs a name",
        },
        "training_labels": {"performance_tier": "slow"},
    }
    assert "failed 2100.0 ms slow ana Jane Doe Acme a lead needs a name title" in plain(failed)


def test_an_event_of_one_s_own_shows_its_fields():
    """An own event shows its fields, and a warning or error level in place of the outcome."""
    event = {
        "timestamp": "2026-11-23T10:00:00.123456Z",
        "level": "warning",
        "event_name": "import.finished",
        "monitoring_info": {"data_points": {"file": "leads.json", "rows": 3, "nested": {"a": [1]}}},
    }
    assert plain(event) == (
        '11-23 10:00:00.123 import.finished WARNING file=leads.json rows=3 nested={"a":[1]}'
    )


def test_what_is_told_elsewhere_is_not_repeated():
    """Context that is shown elsewhere is left out of the line."""
    told = {"user": "ana", "request": "PATCH /leads/1"}
    assert plain(UPDATE, context=told).endswith("ms Jane Doe Acme title: null → CTO")
    assert "ana" in plain(UPDATE, context={"user": "bo"})


def test_an_error_s_own_context_is_not_what_somebody_bound():
    """The operation and lead that leadlog adds to an error are not shown as bound context."""
    event = {
        "log_type": "error_log",
        "event_name": "error.database",
        "error_details": {"exception_class": "IntegrityError", "error_message": "no"},
        "context": {"operation_id": "1", "lead_data": {"a": 1}, "user": "ana", "job": "nightly"},
    }
    assert plain(event) == "error.database ana IntegrityError no job=nightly"


@given(
    st.dictionaries(st.sampled_from(["timestamp", "level", "event_name", "alerts"]), JSON),
    st.dictionaries(st.sampled_from(SECTIONS), st.dictionaries(st.sampled_from(KEYS), JSON)),
    st.integers(20, 200),
)
def test_a_line_never_takes_more_than_the_terminal_has(envelope, sections, width):
    """A line is never wider than the terminal, whatever the event holds."""
    assert cells(click.unstyle(event_line({**envelope, **sections}, width))) <= width


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])), st.integers(0, 30)
)
def test_a_cut_text_fits(text, width):
    """A text is truncated to a number of cells; one that fits is not changed."""
    cut = fit(text, width)
    assert cells(cut) <= width or not text
    if cells(text) <= width:
        assert cut == text


def test_numbers_have_their_nouns():
    """A number is followed by the singular or the plural of its noun."""
    assert [count(n, "file") for n in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
    assert [count(n, "query", "queries") for n in (1, 2)] == ["1 query", "2 queries"]


def test_tables_are_aligned():
    """Columns line up, missing cells are a dash, and cells are made harmless."""
    assert table([("a", 1, None), ("bb\n", 22, "x")], ("name", "n", "z"), right=(1,)) == [
        "name   n  z",
        "a      1  -",
        r"bb\n  22  x",
    ]
    assert table([]) == []


def test_columns_count_cells():
    """Columns are aligned by cells: a Chinese character takes two, a combining accent none."""
    shown = table([("山田", 1), ("e\u0301", 2), ("ab", 3)])
    assert shown == ["山田  1", "e\u0301     2", "ab    3"]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_table_fits_the_terminal(monkeypatch, width):
    """The widest columns give way; numbers stay whole, and a file is not cut for."""
    rows = [("x" * 150, 123456, "y" * 30), ("a", 1, "山" * 40)]
    assert max(map(len, table(rows, ("name", "n", "z"), right=(1,)))) > 190
    monkeypatch.setattr(terminal, "terminal_width", lambda: width)
    shown = table(rows, ("name", "n", "z"), right=(1,))
    assert max(map(cells, shown)) <= width - 2
    assert all("123456" in line for line in shown[1:2])


@pytest.mark.parametrize(("term", "wanted"), [("xterm", True), ("dumb", False)])
def test_a_dumb_terminal_gets_no_progress_bar(monkeypatch, term, wanted):
    """A dumb terminal, which cannot redraw a line, gets no progress bar."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert terminal.shows_progress() is wanted
