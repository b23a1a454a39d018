"""Any schedule of edits, crashes and faults converges without loss or duplicates.

People edit the table and users the store, before and during syncs; syncs crash before any call or
commit, and meet every fault of the fake Airtable. If both sides changed a field, the overwritten
value must be in a conflict event.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, event

import leadlog
from leadlog.core.errors import AirtableError
from leadlog.leads.airtable import AirtableSyncManager
from leadlog.leads.airtable.pace import Paces
from leadlog.leads.airtable.wire import Wire
from leadlog.leads.store import LeadDatabase, links
from leadlog.recording.sinks import MemorySink
from leadlog.testing import FakeAirtable
from leadlog.testing.airtable import LEAD_FIELDS
from tests.airtable.conftest import EPOCH, Clock, check_counts

SCHEDULES = int(os.environ.get("SYNC_SCHEDULES", "3000")) if os.environ.get("SOAK") else 12
TITLES = {"title": "Job Title", "location": "Location", "notes": "Notes", "verified": "Verified"}
PEOPLE = 5

Kind = Literal["to_airtable", "from_airtable", "bidirectional"]


class Crash(BaseException):
    """Simulates the death of the process."""


def normalised(value: Any) -> Any:
    """Return a location as the server normalises it."""
    return value.lower() if isinstance(value, str) else value


def same(one: Any, other: Any) -> bool:
    return one == other or (not one and not other)


class Schedules(RuleBasedStateMachine):
    """A store, a table, and all the edits made to both."""

    sink: MemorySink

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        fields = [
            {**one, "normalise": normalised if one["name"] == "Location" else None}
            for one in LEAD_FIELDS
        ]
        self.airtable = FakeAirtable(clock=self.clock, epoch=EPOCH, fields=fields)
        self.db = LeadDatabase(":memory:", capture=False, clock=self.clock.microseconds)
        self.wire = Wire()
        self.paces = Paces(self.clock.for_transport, self.clock.sleep)
        self.sink.lines.clear()
        self.local: dict[tuple[str, str], Any] = {}  # (lead, field): written, not yet synchronised
        self.remote: dict[tuple[str, str], Any] = {}  # (row, field): as above
        self.entered: set[int] = set()  # people entered in the table
        self.by_people: set[str] = set()  # rows that people made
        self.boundaries = 0
        self.crash_at: int | None = None
        event.listen(self.db.connections.engine, "commit", self.before_commit)
        self.clock.before_call = self.boundary

    def boundary(self) -> None:
        """Called before each call and each commit."""
        self.boundaries += 1
        if self.crash_at is not None and self.boundaries == self.crash_at:
            self.crash_at = None
            raise Crash

    def before_commit(self, connection: Connection) -> None:
        """Crash, leaving the transaction as the death of the process would."""
        try:
            self.boundary()
        except Crash:
            connection.connection.rollback()
            raise

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self.airtable.close()
            self.db.close()

    @initialize(conflict=st.sampled_from(["local", "remote"]), dated=st.booleans())
    def choose(self, conflict: str, dated: bool) -> None:
        self.options = {
            "conflict": conflict,
            "modified_field": "Last Modified" if dated else "",
            "max_delete_share": 1.0,
        }
        self.manager = self.connect()

    def connect(self) -> AirtableSyncManager:
        return AirtableSyncManager(
            self.db,
            api_key=self.airtable.api_key,
            base_id=self.airtable.base_id,
            table=self.airtable.table_name,
            endpoint_url=self.airtable.endpoint_url,
            paces=self.paces,
            **self.options,
        )

    # ---------------------------------------------------------------------------- what is there

    def leads(self) -> dict[str, dict[str, Any]]:
        return {lead["id"]: lead for lead in self.db.get_all_leads()}

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["id"]: row["fields"] for row in self.airtable.records()}

    def linked(self) -> dict[str, str]:
        """Return the row id of each linked lead."""
        rows = list(self.rows())
        with self.db.connections.read() as connection:
            found = links.links_of(connection, rows)
        return {link.lead_id: record_id for record_id, link in found.items()}

    def link_of(self, lead_id: str) -> links.Link | None:
        with self.db.connections.read() as connection:
            found = links.links_of(connection, list(self.rows()))
        return next((link for link in found.values() if link.lead_id == lead_id), None)

    def lead_of(self, record_id: str) -> str | None:
        return next((lead for lead, row in self.linked().items() if row == record_id), None)

    # ------------------------------------------------------------------------------- what they do

    @rule(person=st.integers(0, PEOPLE - 1), title=st.sampled_from(["CTO", "CEO", None]))
    def add_lead(self, person: int, title: str | None) -> None:
        given = {"name": f"Person {person} Prime", "email": f"p{person}@x.example", "title": title}
        before = self.leads()
        lead_id = self.db.add_lead(given)
        was = before.get(lead_id, {}).get("title")
        if title is not None and was != title:
            self.wrote_lead(lead_id, "title", was, title)

    @rule(
        pick=st.integers(0, 99),
        field=st.sampled_from(list(TITLES)),
        value=st.sampled_from(["Aa", "Bb", "Cc", None]),
    )
    def edit_lead(self, pick: int, field: str, value: str | None) -> None:
        leads = self.leads()
        if not leads:
            return
        lead = leads[sorted(leads)[pick % len(leads)]]
        new = bool(value) if field == "verified" else value
        if same(lead[field], new):
            return
        self.db.update_lead(lead["id"], {field: new})
        self.wrote_lead(lead["id"], field, lead[field], new)

    def wrote_lead(self, lead_id: str, field: str, was: Any, new: Any) -> None:
        record_id = self.linked().get(lead_id)
        if record_id is not None and same(self.remote.get((record_id, field), ...), was):
            del self.remote[record_id, field]  # whoever wrote here saw it
        if self.back_to_base(self.link_of(lead_id), "base_local", field, new):
            self.local.pop((lead_id, field), None)
        else:
            self.local[lead_id, field] = new

    @rule(pick=st.integers(0, 99))
    def delete_lead(self, pick: int) -> None:
        leads = self.leads()
        if not leads:
            return
        lead = leads[sorted(leads)[pick % len(leads)]]
        record_id = self.linked().get(lead["id"])
        for field in TITLES:
            self.local.pop((lead["id"], field), None)
            if record_id is not None and same(
                self.remote.get((record_id, field), ...), lead[field]
            ):
                del self.remote[record_id, field]
        self.db.delete_lead(lead["id"])

    @rule(person=st.integers(0, PEOPLE - 1), title=st.sampled_from(["CFO", None]))
    def create_row(self, person: int, title: str | None) -> None:
        if person in self.entered:
            return
        self.entered.add(person)
        cells = {"Full Name": f"Person {person} Prime", "Email": f"p{person}@x.example"}
        record_id = self.airtable.create({**cells, "Job Title": title} if title else cells)
        self.by_people.add(record_id)
        if title:
            self.remote[record_id, "title"] = title

    @rule(
        pick=st.integers(0, 99),
        field=st.sampled_from(list(TITLES)),
        value=st.sampled_from(["dd", "ee", "ff", None]),
    )
    def edit_row(self, pick: int, field: str, value: str | None) -> None:
        rows = self.rows()
        if not rows:
            return
        record_id = sorted(rows)[pick % len(rows)]
        self.write_row(record_id, field, value)

    def write_row(self, record_id: str, field: str, value: str | None) -> None:
        new = bool(value) if field == "verified" else value
        was = self.rows()[record_id].get(TITLES[field])
        if same(was, new):
            return
        lead_id = self.lead_of(record_id)
        if lead_id is not None and (lead_id, field) in self.local:
            seen = self.local[lead_id, field]
            if same(normalised(seen) if field == "location" else seen, was):
                del self.local[lead_id, field]
        self.airtable.edit(record_id, {TITLES[field]: new})
        link = None if lead_id is None else self.link_of(lead_id)
        if self.back_to_base(link, "base_remote", field, new):
            self.remote.pop((record_id, field), None)
        else:
            self.remote[record_id, field] = new

    def back_to_base(
        self,
        link: links.Link | None,
        side: Literal["base_local", "base_remote"],
        field: str,
        new: Any,
    ) -> bool:
        """Return whether an edit restores the agreed value, so that a merge sees no change.

        False if the other side has a different value that was not edited there: it was sent by a
        sync that died before the commit, so the edit counts as a new one.
        """
        if link is None or not same(getattr(link, side).get(field, ...), new):
            return False
        lead, row = self.leads().get(link.lead_id), self.rows().get(link.record_id)
        if side == "base_local":
            written = (link.record_id, field) in self.remote
            other = None if row is None else row.get(TITLES[field])
            return row is None or written or same(other, link.base_remote.get(field, ...))
        written = (link.lead_id, field) in self.local
        other = None if lead is None else lead[field]
        return lead is None or written or same(other, link.base_local.get(field, ...))

    @rule(pick=st.integers(0, 99))
    def delete_row(self, pick: int) -> None:
        rows = self.rows()
        if not rows:
            return
        record_id = sorted(rows)[pick % len(rows)]
        lead_id = self.lead_of(record_id)
        for field, title in TITLES.items():
            self.remote.pop((record_id, field), None)
            if lead_id is not None and (lead_id, field) in self.local:
                seen = self.local[lead_id, field]
                was = rows[record_id].get(title)
                if same(normalised(seen) if field == "location" else seen, was):
                    del self.local[lead_id, field]
        self.airtable.delete(record_id)

    @rule(pick=st.integers(0, 99))
    def duplicate_row(self, pick: int) -> None:
        rows = self.rows()
        if rows and len(rows) < 12:
            self.by_people.add(self.airtable.duplicate(sorted(rows)[pick % len(rows)]))

    @rule(pick=st.integers(0, 99))
    def clear_lead_id(self, pick: int) -> None:
        rows = self.rows()
        if rows:
            self.airtable.edit(sorted(rows)[pick % len(rows)], {"Lead ID": None})

    @rule(seconds=st.sampled_from([0.001, 1.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.clock.forward(seconds)

    # ------------------------------------------------------------------------------------- syncs

    def run(self, kind: Kind) -> Any:
        manager = self.manager
        call = {
            "to_airtable": manager.sync_to_airtable,
            "from_airtable": manager.sync_from_airtable,
            "bidirectional": manager.bidirectional_sync,
        }[kind]
        return call()

    kinds = st.sampled_from(["to_airtable", "from_airtable", "bidirectional"])

    @rule(kind=kinds)
    def sync(self, kind: Kind) -> None:
        result = self.run(kind)
        assert result.success, result.error
        assert result.synced + result.skipped + result.failed == result.total

    @rule(kind=kinds, at=st.integers(1, 25))
    def crash(self, kind: Kind, at: int) -> None:
        self.boundaries, self.crash_at = 0, at
        with suppress(Crash):
            self.run(kind)
        self.crash_at = None
        before = self.manager.wire
        for name in Wire.__dataclass_fields__:
            self.wire.add(**{name: getattr(before, name)})
        self.manager = self.connect()  # another process takes over

    @rule(
        kind=kinds,
        fault=st.sampled_from(
            [
                ("close", {"applied": True}),
                ("close", {}),
                ("cut", {}),
                ("error", {"applied": True}),
                ("error", {"status": 500}),
                ("throttle", {}),
                ("throttle", {"retry_after": 45}),
                ("iterator", {}),
                ("quota", {}),
                ("partial", {"keep": 0}),
                ("partial", {"keep": 2}),
            ]
        ),
        at=st.sampled_from([1, 2, 3, 4, 5, "upsert", "update", "delete"]),
        times=st.sampled_from([1, 2, 7]),
    )
    def fault(
        self, kind: Kind, fault: tuple[Any, dict[str, Any]], at: int | str, times: int
    ) -> None:
        name, options = fault
        if name in {"iterator", "partial"}:
            at = "list"
        where = {"nth": at} if isinstance(at, int) else {"route": at}
        self.airtable.fail(name, times=times, **where, **options)
        with suppress(AirtableError):
            self.run(kind)
        self.airtable.clear_faults()
        self.clock.forward(60)

    @precondition(lambda self: self.linked())
    @rule(
        kind=kinds,
        route=st.sampled_from([None, "update", "update", "upsert"]),
        pick=st.integers(0, 99),
        fields=st.permutations(list(TITLES)),
        at_home=st.sampled_from([False, False, True]),
    )
    def meanwhile(
        self, kind: Kind, route: str | None, pick: int, fields: list[str], at_home: bool
    ) -> None:
        """Edit a side between two calls of a sync that has changes to send.

        The edited field is not one that the sync is about to send: Airtable has no conditional
        writes, so an edit of it at that moment is always overwritten unnoticed.
        """
        self.edit_lead(pick, fields[0], "gg")

        def edit(_: Any) -> None:
            if at_home:
                self.edit_lead(pick, fields[1], "hh")
                return
            alive = self.leads()
            linked = {row: lead for lead, row in self.linked().items() if lead in alive}
            dirty = {lead for lead, _ in self.local}
            free = [
                record_id
                for record_id in sorted(linked, key=lambda row: (linked[row] not in dirty, row))
                if (linked[record_id], fields[1]) not in self.local
            ]
            if free:
                self.write_row(free[0], fields[1], "hh")

        self.airtable.fail("hook", route=route, call=edit)
        self.run(kind)
        self.airtable.clear_faults()

    # ------------------------------------------------------------------------------------ checks

    @precondition(lambda self: self.local or self.remote)
    @rule()
    def settle(self) -> None:
        """An undisturbed sync converges: every written value is present or in a conflict event."""
        for _ in range(5):
            before = self.airtable.counters.by_method
            result = self.run("bidirectional")
            assert result.success, result.error
            after = self.airtable.counters.by_method
            if not result.actions and after["PATCH"] + after["DELETE"] == (
                before["PATCH"] + before["DELETE"]
            ):
                break
        else:
            raise AssertionError(f"it does not come to rest: {result.outcomes}")
        assert result.failed == 0, result.outcomes
        self.equal(result.duplicates)
        self.nothing_lost()
        wire = self.manager.wire
        for name in Wire.__dataclass_fields__:
            wire.add(**{name: getattr(self.wire, name)})
        check_counts(wire, self.airtable)

    def equal(self, duplicates: dict[str, str]) -> None:
        leads, rows, linked = self.leads(), self.rows(), self.linked()
        assert set(linked) == set(leads)
        assert set(rows) == {*linked.values(), *duplicates}
        assert set(duplicates) <= self.by_people, "the sync made a row twice"
        for lead_id, record_id in linked.items():
            row = rows[record_id]
            assert row["Lead ID"] == lead_id
            for field, title in TITLES.items():
                mine = leads[lead_id][field]
                mine = normalised(mine) if field == "location" else mine
                assert same(mine, row.get(title)), (field, leads[lead_id], row)
        names = [lead["full_name"] for lead in leads.values()]
        assert len(names) == len(set(names)), "a person is two leads"
        made = [rows[record_id]["Full Name"] for record_id in rows if record_id not in duplicates]
        assert len(made) == len(set(made)), "a person is two rows"

    def nothing_lost(self) -> None:
        leads, rows = self.leads(), self.rows()
        told: set[tuple[str, str, str]] = set()
        for _, line in self.sink.lines:
            found = json.loads(line)
            if found["event_name"] != "sync.conflict":
                continue
            conflict = found["context"]["conflict"]
            for field, values in conflict["fields"].items():
                told.add((conflict["lead_id"], field, str(values["local"] or None)))
                told.add((conflict["record_id"], field, str(values["remote"] or None)))
        for (lead_id, field), value in self.local.items():
            there = lead_id in leads and same(leads[lead_id][field], value)
            assert there or (lead_id, field, str(value or None)) in told, (lead_id, field, value)
        for (record_id, field), value in self.remote.items():
            now = rows.get(record_id, {}).get(TITLES[field], ...)
            there = record_id in rows and same(None if now is ... else now, value)
            assert there or (record_id, field, str(value or None)) in told, (
                record_id,
                field,
                value,
            )
        self.local.clear()
        self.remote.clear()


@pytest.mark.timeout(7200)
def test_any_schedule_converges_without_loss_or_duplicate():
    """After edits, crashes and faults in any order, both sides are equal and nothing is lost."""
    Schedules.sink = MemorySink()
    with leadlog.configure(sink=Schedules.sink):
        run_state_machine_as_test(
            Schedules,
            settings=settings(
                max_examples=SCHEDULES,
                stateful_step_count=14,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
