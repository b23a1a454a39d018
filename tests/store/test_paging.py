"""Keyset paging: all pages together equal the search, despite concurrent changes."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from leadlog.core.errors import UnknownFieldError, ValidationError
from leadlog.leads.store import LeadDatabase
from leadlog.leads.store.search import Keyset

NAMES = ["company", "status", "verified", "created_at", "name", "id", "email", "title"]
ORDERS = st.sampled_from([*NAMES, *(f"-{name}" for name in NAMES)])
LEADS = [
    {
        "id": f"{n:02}",
        "name": f"Lead {n // 4}",
        "company": [None, "Acme", "Beta", "Acme Labs"][n % 4],
        "status": ["new", None, "won"][n % 3],
        "title": ["CTO", None][n % 2],
        "verified": n % 3 == 0,
        "created_at": f"2026-11-{1 + n % 5:02}T00:00:00.{n % 2}00001Z",
        "email": f"lead{n}@acme.example" if n % 5 else None,
    }
    for n in range(25)
]


def value_of(lead, field):
    return lead["full_name" if field == "name" else field]


def expected(leads, order_by):
    """Return the leads in the promised order: blanks last, ties in the last field's direction."""
    leads = sorted(leads, key=lambda lead: lead["id"], reverse=order_by[-1].startswith("-"))
    for name in reversed(order_by):
        field, descending = name.removeprefix("-"), name.startswith("-")
        blank = [lead for lead in leads if value_of(lead, field) is None]
        rest = [lead for lead in leads if value_of(lead, field) is not None]
        rest.sort(key=lambda lead: value_of(lead, field), reverse=descending)
        leads = rest + blank
    return [lead["id"] for lead in leads]


def pages(db, **search):
    """Return the leads of all pages, in order."""
    after, found = None, []
    while True:
        page = db.search_page(after=after, **search)
        found.append([lead["id"] for lead in page.leads])
        if page.next is None:
            return found
        after = page.next


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order_by=st.lists(ORDERS, min_size=1, max_size=3),
    limit=st.integers(1, 30),
    filters=st.sampled_from([{}, {"verified": True}, {"company": {"is_null": True}}]),
)
def test_all_pages_together_are_the_search(db, order_by, limit, filters):
    """Every matching lead appears once, in order, and all pages but the last are full."""
    if db.stats()["total_leads"] == 0:
        db.add_leads(LEADS)
    order_by = list({name.removeprefix("-"): name for name in order_by}.values())
    found = pages(db, filters=filters, order_by=order_by, limit=limit)
    everybody = db.search_leads(filters, limit=None)
    assert [lead_id for page in found for lead_id in page] == expected(everybody, order_by)
    assert all(len(page) == limit for page in found[:-1])
    assert len(found[-1]) <= limit


def test_what_is_added_or_deleted_meanwhile_shifts_nothing(db):
    """A page begins after the previous page's last lead, even if that lead was deleted."""
    db.add_leads({"id": f"{n}", "name": f"Lead {n}"} for n in range(0, 10, 2))
    first = db.search_page(order_by="name", limit=2)
    db.delete_lead("2")
    db.add_leads([{"id": "1", "name": "Lead 1"}, {"id": "5", "name": "Lead 5"}])
    second = db.search_page(order_by="name", limit=2, after=first.next)
    assert [lead["id"] for lead in second.leads] == ["4", "5"]


def test_the_oldest_come_first_without_an_order(db):
    """The default order is that of search_leads: oldest first."""
    db.add_leads(LEADS)
    found = pages(db, limit=7)
    assert [i for page in found for i in page] == [
        lead["id"] for lead in db.search_leads(limit=None)
    ]


@pytest.mark.parametrize("cursor", ["", "x", "é", "bm9uZQ", "W10", "WzEsMl0", 5, b"W10"])
def test_what_is_no_cursor_is_refused(memory, cursor):
    """An invalid cursor is refused with an error that says what to pass."""
    with pytest.raises(ValidationError, match="give the `next` of a page"):
        memory.search_page(after=cursor)


def test_a_cursor_of_another_order_is_refused(memory):
    """A cursor of a search with another order is refused."""
    memory.add_leads(LEADS)
    cursor = memory.search_page(order_by="name", limit=1).next
    with pytest.raises(ValidationError, match=r"in another order; .* by -full_name, -id"):
        memory.search_page(order_by="-name", limit=1, after=cursor)
    with pytest.raises(UnknownFieldError, match="did you mean 'company'"):
        memory.search_page(order_by="compny")
    with pytest.raises(ValidationError, match="limit is"):
        memory.search_page(limit=0)


PLANS = [
    # filters, order, the index that serves it
    ({"email": "e7@acme.example"}, None, "ix_leads_email"),
    ({"company": "Acme 7"}, None, "ix_leads_company"),
    ({"name": "Lead 7"}, None, "ix_leads_full_name"),
    ({"name": {"starts_with": "LEAD 77"}}, None, "ix_leads_full_name_small"),
    ({"company": {"starts_with": "acme 77"}}, None, "ix_leads_company_small"),
    ({"email": {"starts_with": "e77"}}, None, "ix_leads_email_small"),
    ({"email": {"in": ["e1@acme.example", "e2@acme.example"]}}, None, "ix_leads_email"),
    ({"created_at": {"gte": "2026-12-01T00:00:00Z"}}, None, "ix_leads_created_at"),
]
ORDERED = [
    ("created_at", "ix_leads_created_at"),
    ("-created_at", "ix_leads_created_at"),
    ("updated_at", "ix_leads_updated_at"),
    ("company", "ix_leads_company"),
    ("-company", "ix_leads_company"),
    ("name", "ix_leads_full_name"),
    ("-email", "ix_leads_email"),
    ("status", "ix_leads_status"),
    ("id", "leads_pkey|sqlite_autoindex_leads_1"),
]


@pytest.fixture
def filled(db: LeadDatabase) -> LeadDatabase:
    """A store with enough leads, and current statistics, for the planner to use indexes."""
    db.add_leads(
        {
            "name": f"Lead {n}",
            "company": f"Acme {n % 500}",
            "email": f"e{n}@acme.example",
            "status": f"stage {n % 50}",
        }
        for n in range(2000)
    )
    with db.session() as session:
        session.connection().exec_driver_sql("ANALYZE")
    return db


def plan_of(db: LeadDatabase, statement) -> str:
    """Return the database's query plan."""
    with db.session(read_only=True) as session:
        connection = session.connection()
        lite = connection.dialect.name == "sqlite"
        dialect = sqlite.dialect(paramstyle="named") if lite else postgresql.dialect()
        compiled = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        explain = "EXPLAIN QUERY PLAN " if lite else "EXPLAIN "
        rows = connection.exec_driver_sql(explain + compiled.replace("%", "%%")).all()
        return "\n".join(str(row[-1]) for row in rows)


@pytest.mark.parametrize(("filters", "order_by", "index"), PLANS)
def test_an_index_serves_each_search_by_a_usual_field(filled, filters, order_by, index):
    """The query plan uses the index and does not scan the table."""
    plan = plan_of(filled, next(Keyset(filters, order_by, None).statements(10)))
    assert index in plan, plan
    assert not re.search(r"SCAN leads$|Seq Scan", plan, re.MULTILINE), plan


@pytest.mark.parametrize(("order_by", "index"), ORDERED)
def test_an_index_gives_each_page_in_order(filled, order_by, index):
    """A page far into the result starts in the index and needs no sort."""
    page = filled.search_page(order_by=order_by, limit=3)
    statements = [Keyset(None, order_by, None).statements(10)]
    if page.next is not None:
        statements.append(Keyset(None, order_by, page.next).statements(10))
    for statement in (next(some) for some in statements):
        plan = plan_of(filled, statement)
        assert re.search(index, plan), plan
        assert "B-TREE" not in plan, plan
        assert "Sort" not in plan, plan


def test_a_search_by_two_fields_takes_the_better_index(tmp_path):
    """After many leads were added, the planner uses the more selective of two indexes."""
    with LeadDatabase(tmp_path / "leads.db", capture=False) as db:
        db.add_leads(
            {"name": f"Lead {n}", "company": f"Acme {n // 5}", "status": f"stage {n % 3}"}
            for n in range(3000)
        )
        for first, second in ((0, 1), (1, 0)):
            fields = [("company", "Acme 7"), ("status", "stage 1")]
            filters = dict((fields[first], fields[second]))
            plan = plan_of(db, next(Keyset(filters, None, None).statements(10)))
            assert "ix_leads_company" in plan, plan
