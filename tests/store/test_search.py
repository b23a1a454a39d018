"""Searching, compared with a plain Python filter over the same leads."""

from __future__ import annotations

import operator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadlog.core.errors import UnknownFieldError, ValidationError
from leadlog.leads.store import LeadDatabase

START = datetime(2026, 11, 1, tzinfo=UTC)
TEXTS = [None, "Acme", "acme", "ACME Labs", "Ångström", "100%", "a_b", "a\\b", "a/b", "É", "é", "Z"]
LEADS = [
    {
        "id": f"{n:02}",
        "name": f"Lead {n}",
        "company": TEXTS[n % len(TEXTS)],
        "status": TEXTS[(n * 5 + 3) % len(TEXTS)],
        "verified": n % 3 == 0,
        "created_at": START + timedelta(days=n % 7),
    }
    for n in range(36)
]
FIELDS = {
    "company": st.sampled_from([*TEXTS, "ac", "A", "%", "_", "\\", "nobody"]),
    "status": st.sampled_from([*TEXTS, "Zz"]),
    "verified": st.booleans(),
    "created_at": st.integers(-1, 8).map(lambda day: START + timedelta(days=day)),
    "full_name": st.sampled_from(["Lead 1", "lead 1", "Lead", "L", "Lead 30"]),
}


def small(text):
    """Return a text with A to Z in lower case."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def compared(compare):
    return lambda value, wanted: value is not None and compare(value, wanted)


ORACLE = {
    "eq": operator.eq,
    "ne": operator.ne,
    "in": lambda value, wanted: value in wanted,
    "is_null": lambda value, wanted: (value is None) is wanted,
    "lt": compared(operator.lt),
    "lte": compared(operator.le),
    "gt": compared(operator.gt),
    "gte": compared(operator.ge),
    "contains": compared(lambda value, wanted: small(wanted) in small(value)),
    "starts_with": compared(lambda value, wanted: small(value).startswith(small(wanted))),
}


@st.composite
def conditions(draw, field):
    """A value, or operators with values that suit the field."""
    values = FIELDS[field]
    some = values.filter(lambda value: value is not None)
    known = {
        "eq": values,
        "ne": values,
        "in": st.lists(values, max_size=3),
        "is_null": st.booleans(),
    }
    if field != "verified":
        known |= dict.fromkeys(["lt", "lte", "gt", "gte"], some)
    if field not in {"verified", "created_at"}:
        known |= dict.fromkeys(["contains", "starts_with"], some)
    if draw(st.booleans()):
        return draw(values)
    names = draw(st.lists(st.sampled_from(sorted(known)), min_size=1, max_size=2, unique=True))
    return {name: draw(known[name]) for name in names}


@st.composite
def searches(draw):
    fields = draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=3, unique=True))
    orders = st.sampled_from(["company", "-company", "verified", "-created_at", "name", "-id"])
    return {
        "filters": {field: draw(conditions(field)) for field in fields},
        "order_by": draw(st.none() | orders | st.lists(orders, max_size=2)),
        "limit": draw(st.none() | st.integers(0, 40)),
        "offset": draw(st.integers(0, 40)),
    }


def passes(lead, filters):
    return all(
        ORACLE[name](lead[field], value)
        for field, condition in filters.items()
        for name, value in (
            condition.items() if isinstance(condition, dict) else [("eq", condition)]
        )
    )


def ordered(leads, order_by):
    names = [order_by] if isinstance(order_by, str) else (order_by or ["created_at"])
    leads = sorted(leads, key=lambda lead: lead["id"])
    for name in reversed(names):
        field, descending = name.removeprefix("-"), name.startswith("-")
        blank = [lead for lead in leads if lead[field] is None]
        rest = [lead for lead in leads if lead[field] is not None]
        # A stable sort downwards keeps equal ones in order.
        rest.sort(key=lambda lead: lead[field], reverse=descending)
        leads = rest + blank
    return leads


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(search=searches())
def test_a_search_finds_what_a_plain_filter_finds(db, search):
    """Any filters, order, limit and offset give the same result as Python."""
    if db.stats()["total_leads"] == 0:
        assert db.add_leads(LEADS).created == len(LEADS)
    everybody = list(db.get_all_leads())
    wanted = [lead for lead in everybody if passes(lead, search["filters"])]
    wanted = ordered(wanted, search["order_by"])[search["offset"] :]
    if search["limit"] is not None:
        wanted = wanted[: search["limit"]]
    found = db.search_leads(**search)
    assert [lead["id"] for lead in found] == [lead["id"] for lead in wanted]
    assert found == wanted


@pytest.fixture
def some(memory: LeadDatabase) -> LeadDatabase:
    memory.add_leads(
        [
            {"name": "Ada", "company": "Acme", "email": "ada@acme.example", "verified": True},
            {"name": "Bob", "company": "Beta"},
            {"name": "Carl"},
        ]
    )
    return memory


def names(leads):
    return [lead["name"] for lead in leads]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (None, ["Ada", "Bob", "Carl"]),
        ({}, ["Ada", "Bob", "Carl"]),
        ({"company": " Acme "}, ["Ada"]),
        ({"company": ""}, ["Carl"]),
        ({"company": None}, ["Carl"]),
        ({"company": {"ne": "Acme"}}, ["Bob", "Carl"]),
        ({"name": {"in": ("Bob", "Carl")}, "company": {"is_null": True}}, ["Carl"]),
        ({"verified": "yes"}, ["Ada"]),
        ({"created_at": {"gte": "2020-01-01", "lt": "2999-01-01"}}, ["Ada", "Bob", "Carl"]),
        ({"name": {"contains": "'; DROP TABLE leads; --"}}, []),
        ({"company": {}}, ["Ada", "Bob", "Carl"]),
    ],
)
def test_filters(some, filters, found):
    """Filter values are parsed like stored ones: stripped, blank as None, dates from ISO text."""
    assert sorted(names(some.search_leads(filters))) == found


def test_a_search_gives_a_hundred_leads_unless_told(memory):
    """The default limit is 100; None removes it."""
    memory.add_leads({"name": f"Lead {n}"} for n in range(120))
    assert len(memory.search_leads()) == 100
    assert len(memory.search_leads(limit=None)) == 120
    assert memory.search_leads(limit=0) == []


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"compny": "x"}, "unknown field 'compny'; did you mean 'company'"),
        ({"Job Title": "x"}, "unknown field 'Job Title'; did you mean 'title'"),
        ({"raw_data": "x"}, "unknown field 'raw_data'"),
        ({5: "x"}, "unknown field 5"),
        ({"name; DROP TABLE leads": "x"}, "unknown field"),
        ({"company": {"contain": "x"}}, "unknown operator 'contain' on company; did you mean"),
        ({"verified": {"contains": "x"}}, "unknown operator 'contains' on verified"),
        ({"company": {None: "x"}}, "unknown operator None"),
    ],
)
def test_a_name_that_is_not_known_is_refused_with_the_closest(some, filters, message):
    """An unknown field or operator is refused, with the closest name suggested."""
    with pytest.raises(UnknownFieldError, match=message):
        some.search_leads(filters)
    with pytest.raises(ValueError, match="unknown"):
        some.search_leads(filters)


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"filters": "Acme"}, "filters are 'Acme'; give a mapping"),
        ({"filters": {"company": ["Acme"]}}, "for any of several values"),
        ({"filters": {"company": {"in": "Acme"}}}, "give a list of values"),
        ({"filters": {"company": {"contains": 5}}}, "'contains' on company is 5; give text"),
        ({"filters": {"company": {"contains": "\0"}}}, "NUL"),
        ({"filters": {"company": {"lt": None}}}, "give a value to compare"),
        ({"filters": {"company": {"is_null": 1}}}, "give True or False"),
        ({"filters": {"verified": "perhaps"}}, "verified is 'perhaps'"),
        ({"filters": {"created_at": {"gt": "yesterday"}}}, "created_at is 'yesterday'"),
        ({"limit": -1}, "limit is -1"),
        ({"limit": 1.5}, "limit is 1.5"),
        ({"offset": None}, "offset is None"),
        ({"order_by": 5}, "order_by is 5"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(some, search, message):
    """An invalid filter, limit or order is refused with an error that names it."""
    with pytest.raises(ValidationError, match=message):
        some.search_leads(**search)


@pytest.mark.parametrize("order_by", ["nam", "--name", "", ["name", "nam"], [None]])
def test_an_order_by_something_unknown_is_refused(some, order_by):
    """Sorting by an unknown field is refused."""
    if order_by == "":
        order_by = [""]
    with pytest.raises(UnknownFieldError, match="unknown field"):
        some.search_leads(order_by=order_by)
