"""Filters of the fake Airtable: what pyairtable writes is understood, anything else is refused."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyairtable import formulas as f

from leadlog.testing.airtable.formula import parse
from leadlog.testing.airtable.refusals import Refusal

CELLS = {
    "Name": "Ana",
    "Two Words": "x",
    "Score": 5,
    "Done": True,
    "Day": "2026-03-01",
    "At": "2026-03-01T10:00:00.000Z",
    "Empty": None,
}


def value(formula):
    """Return the value of a formula for the record."""
    return parse(str(formula)).value("recA", CELLS.get)


@pytest.mark.parametrize(
    "formula",
    [
        f.match({"Name": "Ana", "Score": 5}),
        f.match({"Name": "no", "Score": 5}, match_any=True),
        f.match({"Score": (">=", 5)}),
        f.match({"Done": True}),
        f.match({"Day": date(2026, 3, 1)}),
        f.match({"At": datetime(2026, 3, 1, 10, tzinfo=UTC)}),
        f.match({"Day": ("<", datetime(2026, 3, 1, 10, tzinfo=UTC))}),
        f.AND(f.NE(f.Field("Name"), "Eva"), f.NOT(f.EQ(f.Field("Score"), 4))),
        f.XOR(f.Field("Done").eq(True), f.Field("Score").lt(5)),
        f.EQ(f.RECORD_ID(), "recA"),
        f.OR(f.EQ(f.RECORD_ID(), "recB"), f.EQ(f.RECORD_ID(), "recA")),
        f.EQ(f.LOWER(f.Field("Name")), "ana"),
        f.EQ(f.Field("Empty"), ""),
        f.EQ(f.Field("Empty"), 0),
        f.EQ(f.Field("Empty"), f.BLANK()),
        f.EQ(f.Field("Empty"), False),
        f.IF(f.Field("Done"), 1, 0),
        "Name = 'Ana'",
        '{Two Words} & "y" = "xy"',
        "({Score} > 4) = ({Score} < 6)",
        "CONCATENATE(Name, Score, Done, Empty) = 'Ana51'",
        "AND(FIND('n', Name) = 2, LEN(TRIM(' ab ')) = 2, UPPER('a') = 'A', -1 < .5)",
    ],
)
def test_formula_that_holds(formula):
    """Equality, order, joins and the listed functions give what Airtable gives."""
    assert value(formula)


@pytest.mark.parametrize(
    "formula",
    [
        f.match({"Name": "ana"}),
        f.match({"Name": "Ana", "Score": 6}),
        f.EQ(f.Field("Score"), "5"),
        f.GT(f.Field("Name"), 1),
        f.NOT(f.Field("Name")),
        f.FALSE(),
        f.match({"Day": date(2026, 3, 2)}),
        "IF({Score} = 4, 1)",
    ],
)
def test_formula_that_does_not_hold(formula):
    """Case counts, a text is not a number, and blank is not true."""
    assert not value(formula)


@pytest.mark.parametrize(
    "formula",
    [
        "{Name",
        "{Name} =",
        "= 1",
        "{Name} 'x'",
        "AND(",
        "AND(1",
        "AND(1 2)",
        "(1",
        "NOT()",
        "NOT(1, 2)",
        "RECORD_ID(1)",
        "REGEX_MATCH({Name}, 'A')",
        "DATETIME_PARSE('soon')",
        "{Score} * 2",
        "-{Score}",
        "'",
        ")",
        "#",
        "(" * 5_000 + "1" + ")" * 5_000,
        "NOT(" * 5_000,
    ],
)
def test_formula_that_cannot_be_read_is_refused(formula):
    """Unknown formulas are refused as by Airtable, never evaluated to true or false."""
    with pytest.raises(Refusal, match="INVALID_FILTER_BY_FORMULA"):
        value(formula)


def test_filter_of_a_list(airtable, table, refused):
    """A list has the matching records; a field that is not there is refused even without rows."""
    unknown = {"formula": "{Nope} = 1"}
    assert refused(table.all, **unknown) == (422, "INVALID_FILTER_BY_FORMULA")
    assert refused(table.all, formula="REGEX(1)") == (422, "INVALID_FILTER_BY_FORMULA")
    one = airtable.create({"Full Name": "Ana"})
    airtable.create({"Full Name": "Eva"})
    assert [record["id"] for record in table.all(formula=f.match({"Full Name": "Ana"}))] == [one]
    assert table.first(formula=f.EQ(f.RECORD_ID(), one))["id"] == one


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_can_be_looked_for(wanted, other):
    """Whatever a text has in it, pyairtable's quoting is read back as that very text."""
    formula = parse(str(f.match({"Name": wanted})))
    assert formula.value("recA", {"Name": wanted}.get)
    assert formula.value("recA", {"Name": other}.get) is (wanted == other)


@given(st.text(max_size=60))
def test_any_text_is_a_formula_or_refused(text):
    """No text crashes the parser."""
    try:
        parse(text)
    except Refusal:
        pass
