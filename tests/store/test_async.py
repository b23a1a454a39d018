"""The asyncio lead store has the same calls, results and records as the synchronous one."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import select, text

import leadlog
from leadlog.core.errors import StoreError, ValidationError
from leadlog.leads.store import AsyncLeadDatabase, Lead, LeadDatabase

pytestmark = pytest.mark.asyncio
ADA = {"id": "ada", "name": "Ada Lovelace", "company": "Acme", "email": "ada@acme.example"}


@pytest_asyncio.fixture
async def adb(url: str, clock) -> AsyncIterator[AsyncLeadDatabase]:
    """An empty store on each database, with capture."""
    async with AsyncLeadDatabase(url, clock=clock) as store:
        yield store


def public(kind: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(method)
        for name, method in inspect.getmembers(kind, callable)
        if not name.startswith("_") and name != "over"
    }


async def test_the_names_and_their_arguments_are_the_same():
    """AsyncLeadDatabase has the methods of LeadDatabase, with the same names and defaults."""
    one, other = public(LeadDatabase), public(AsyncLeadDatabase)
    assert one.keys() == other.keys()
    for name, signature in one.items():
        found = [(p.name, p.kind, p.default) for p in other[name].parameters.values()]
        assert found == [(p.name, p.kind, p.default) for p in signature.parameters.values()], name


async def test_every_call_answers_as_the_other_one_does(adb, tmp_path, clock):
    """The same calls return the same results on both kinds of store."""
    with LeadDatabase(tmp_path / "other.db", capture=False, clock=clock) as db:
        steps = [
            ("add_lead", (ADA,)),
            ("add_lead", ({**ADA, "title": "Countess"},)),
            ("get_lead", ("ada",)),
            ("update_lead", ("ada", {"phone": "555"})),
            ("search_leads", ({"company": {"starts_with": "ac"}},)),
            ("search_page", ({"company": "Acme"},)),
            ("find_duplicates", ({"name": "Ada Lovelac", "company": "Acme"},)),
            ("get_merges", ("ada",)),
            ("undo_merge", ("ada",)),
            ("mark_for_sync", ()),
            ("get_sync_pending_leads", ()),
            ("delete_lead", ("ada",)),
            ("get_lead", ("ada",)),
        ]
        for name, arguments in steps:
            expected = getattr(db, name)(*arguments)
            assert await getattr(adb, name)(*arguments) == expected, name
        await adb.add_leads([ADA, {"name": "Bob"}])
        assert (await adb.stats())["total_leads"] == 2


async def test_leads_come_from_and_go_to_asynchronous_iterators(adb):
    """add_leads accepts an asynchronous iterable, and get_all_leads returns one."""

    async def leads():
        for n in range(25):
            await asyncio.sleep(0)
            yield {"name": f"Lead {n}"}

    seen = []
    result = await adb.add_leads(
        leads(), batch_size=10, report=lambda place, outcome: seen.append(outcome.lead_id)
    )
    assert (result.created, len(seen)) == (25, 25)
    found = [lead["id"] async for lead in adb.get_all_leads(page_size=7)]
    assert found == sorted(seen)
    await adb.add_leads({"name": f"{name} Smith", "company": "Acme"} for name in ("Jon", "John"))
    pairs = [pair async for pair in adb.find_all_duplicates(0.9)]
    assert [pair.score > 0.9 for pair in pairs] == [True]


async def test_an_abandoned_iteration_holds_nothing(adb):
    """An abandoned iteration leaves no lock and no open connection."""
    await adb.add_leads({"name": f"Lead {n}"} for n in range(10))
    leads = adb.get_all_leads(page_size=2)
    await anext(leads)
    await leads.aclose()
    assert await adb.add_lead(ADA) == "ada"


async def test_tasks_that_add_the_same_people_make_each_once(adb, logged):
    """Twenty tasks that add the same leads create each once, and every call is one record."""
    people = [{"name": f"Ada{n}", "email": f"ada{n}@acme.example"} for n in range(10)]

    async def add(shift: int) -> list[str]:
        return [await adb.add_lead(lead) for lead in people[shift:] + people[:shift]]

    found = await asyncio.gather(*(add(n % 10) for n in range(20)))
    assert {frozenset(ids) for ids in found} == {frozenset(found[0])}
    assert (await adb.stats())["total_leads"] == 10
    leadlog.flush()
    records = [
        r
        for r in logged("database_operations")
        if r["operation_details"]["operation_type"] == "add_lead"
    ]
    assert len(records) == 200
    assert {record["operation_details"]["success"] for record in records} == {True}
    created = [r for r in records if r["operation_details"]["duplicate_detected"] is False]
    assert sorted(r["lead_identifier"]["lead_id"] for r in created) == sorted(found[0])
    assert {r["performance_metrics"]["database_queries"] for r in created} == {3}


async def test_the_event_loop_goes_on_while_a_task_waits_for_its_turn(adb):
    """An open write session of another task blocks writers, but not the event loop."""
    async with adb.session() as session:
        await session.execute(text("SELECT 1"))
        if adb.url.get_backend_name() == "postgresql":
            await session.execute(text("LOCK TABLE leads IN ACCESS EXCLUSIVE MODE"))
        writing = asyncio.create_task(adb.add_lead(ADA))
        start = time.monotonic()
        for _ in range(50):  # would take as long as the wait for the turn, were the loop blocked
            await asyncio.sleep(0.001)
        assert time.monotonic() - start < 5
        assert not writing.done()
    assert await writing == "ada"


async def test_a_session_is_committed_at_its_end_and_rolled_back_on_error(adb):
    """A session commits at its end and rolls back on an error, through AsyncSession's methods."""
    async with adb.session() as session:
        session.add(Lead(id="ada", full_name="Ada", raw_data={}, **times()))
    async with adb.session(read_only=True) as session:
        found = (await session.scalars(select(Lead))).all()
        assert [lead.id for lead in found] == ["ada"]

    async def fail() -> None:
        async with adb.session() as session:
            (await session.get(Lead, "ada")).title = "lost"
            await session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert (await adb.get_lead("ada"))["title"] is None


def times():
    from datetime import UTC, datetime

    now = datetime(2026, 11, 23, tzinfo=UTC)
    return {"created_at": now, "updated_at": now}


async def test_a_task_that_would_wait_for_itself_is_told(tmp_path):
    """A write inside the task's own write session raises at once instead of deadlocking."""
    async with AsyncLeadDatabase(tmp_path / "leads.db", capture=False) as db, db.session():
        with pytest.raises(StoreError, match="this task already has an open write session"):
            await db.add_lead(ADA)


async def test_a_cancelled_call_is_rolled_back_and_leaves_no_lock(adb):
    """A call cancelled while waiting has written nothing, and other tasks continue."""
    async with adb.session() as session:
        await session.execute(text("SELECT 1"))
        if adb.url.get_backend_name() == "postgresql":
            await session.execute(text("LOCK TABLE leads IN ACCESS EXCLUSIVE MODE"))
        writing = asyncio.create_task(adb.add_lead(ADA))
        for _ in range(20):
            await asyncio.sleep(0.001)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    assert await adb.get_lead("ada") is None
    assert await adb.add_lead(ADA) == "ada"


async def test_an_error_is_raised_and_recorded(adb, logged):
    """The error of a refused lead is raised, and the log has its record and its error."""
    with pytest.raises(ValidationError, match="a lead needs a name"):
        await adb.add_lead({"company": "Acme"})
    (record,) = logged("database_operations")
    (error,) = logged("error_logs")
    assert record["operation_details"]["success"] is False
    assert error["context"]["operation_id"] == record["operation_details"]["operation_id"]


async def test_drivers_of_the_other_kind_are_told(tmp_path):
    """A synchronous driver is refused with the name of the class that supports it."""
    with pytest.raises(StoreError, match=r"sqlite\+pysqlite.*one for LeadDatabase"):
        AsyncLeadDatabase("sqlite+pysqlite:///x.db")
    with pytest.raises(StoreError, match=r"sqlite\+aiosqlite.*one for AsyncLeadDatabase"):
        LeadDatabase("sqlite+aiosqlite:///x.db")


async def test_both_kinds_share_a_file(tmp_path):
    """Both kinds of store can use one file at the same time; closing twice is allowed."""
    with LeadDatabase(tmp_path / "leads.db", capture=False) as db:
        db.add_lead(ADA)
        other = AsyncLeadDatabase(tmp_path / "leads.db", capture=False)
        found = await asyncio.gather(*(other.get_lead("ada") for _ in range(5)))
        assert {lead["name"] for lead in found} == {"Ada Lovelace"}
        await other.close()
        await other.close()
        with pytest.raises(StoreError, match="is closed"):
            await other.get_lead("ada")
