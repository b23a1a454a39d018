"""Two stores on one table, with rollbacks, removed fields and storms of 5xx, converge.

Each person is entered once, in one of the stores or in the table. In the end every store has the
people of the table, without duplicates, and everyone who was never deleted or rolled back.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from leadlog.core.errors import AirtableError, SyncError
from leadlog.leads.airtable import AirtableSyncManager
from leadlog.leads.airtable.pace import Paces
from leadlog.leads.store import LeadDatabase
from leadlog.leads.store.backups import restore
from leadlog.testing import FakeAirtable
from tests.airtable.conftest import EPOCH, Clock

SCHEDULES = int(os.environ.get("WIDE_SCHEDULES", "3000")) if os.environ.get("SOAK") else 10
COLUMNS = {"title": "Job Title", "location": "Location", "notes": "Notes"}
ROUNDS = 8


class WideSchedules(RuleBasedStateMachine):
    """Two stores, one table, and all faults between them."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.folder = tempfile.TemporaryDirectory()
        self.airtable = FakeAirtable(clock=self.clock, epoch=EPOCH)
        self.stores = [
            LeadDatabase(
                Path(self.folder.name) / f"{name}.db",
                capture=False,
                clock=self.clock.microseconds,
            )
            for name in "ab"
        ]
        self.backups: dict[int, Path] = {}
        self.entered = 0
        self.sure: set[str] = set()  # who was never deleted nor rolled back

    @initialize(dated=st.booleans(), policy=st.sampled_from(["local", "remote"]))
    def choose(self, dated: bool, policy: str) -> None:
        modified = "Last Modified" if dated else ""
        self.options = {"conflict": policy, "modified_field": modified, "max_delete_share": 0.5}

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self.airtable.close()
            for store in self.stores:
                store.close()
            self.folder.cleanup()

    def manager(self, which: int, **options: Any) -> AirtableSyncManager:
        return AirtableSyncManager(
            self.stores[which],
            api_key=self.airtable.api_key,
            base_id=self.airtable.base_id,
            table=self.airtable.table_name,
            endpoint_url=self.airtable.endpoint_url,
            paces=Paces(self.clock.for_transport, self.clock.sleep),
            **{**self.options, **options},
        )

    def leads(self, which: int) -> dict[str, dict[str, Any]]:
        return {lead["full_name"]: lead for lead in self.stores[which].get_all_leads()}

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["fields"]["Full Name"]: row for row in self.airtable.records()}

    which = st.integers(0, 1)
    pick = st.integers(0, 99)

    def new_person(self) -> str:
        self.entered += 1
        name = f"Person {self.entered} Prime"
        self.sure.add(name)
        return name

    @rule(which=which, title=st.sampled_from(["CTO", None]))
    def add_lead(self, which: int, title: str | None) -> None:
        name = self.new_person()
        email = f"{name.replace(' ', '.')}@x.example"
        self.stores[which].add_lead({"name": name, "email": email, "title": title})

    @rule()
    def add_row(self) -> None:
        name = self.new_person()
        email = f"{name.replace(' ', '.')}@x.example"
        self.airtable.create({"Full Name": name, "Email": email})

    values = st.sampled_from(["Aa", "Bb", None])

    @rule(which=which, pick=pick, field=st.sampled_from(list(COLUMNS)), value=values)
    def edit_lead(self, which: int, pick: int, field: str, value: str | None) -> None:
        leads = self.leads(which)
        if leads:
            self.clock.forward(1)
            name = sorted(leads)[pick % len(leads)]
            self.stores[which].update_lead(leads[name]["id"], {field: value})

    @rule(pick=pick, field=st.sampled_from(list(COLUMNS)), value=values)
    def edit_row(self, pick: int, field: str, value: str | None) -> None:
        rows = self.rows()
        if rows:
            self.clock.forward(1)
            row = rows[sorted(rows)[pick % len(rows)]]
            self.airtable.edit(row["id"], {COLUMNS[field]: value})

    @rule(which=which, pick=pick)
    def delete_lead(self, which: int, pick: int) -> None:
        leads = self.leads(which)
        if leads:
            name = sorted(leads)[pick % len(leads)]
            self.sure.discard(name)
            self.stores[which].delete_lead(leads[name]["id"])

    @rule(pick=pick)
    def delete_row(self, pick: int) -> None:
        rows = self.rows()
        if rows:
            name = sorted(rows)[pick % len(rows)]
            self.sure.discard(name)
            self.airtable.delete(rows[name]["id"])

    @rule(which=which)
    def back_up(self, which: int) -> None:
        self.clock.forward(1)
        self.backups[which] = self.stores[which].backup(Path(self.folder.name)).path

    @rule(which=which)
    def roll_back(self, which: int) -> None:
        backup = self.backups.get(which)
        if backup is not None:
            self.clock.forward(1)
            before = set(self.leads(which))
            restore(self.stores[which].connections, backup, replace=True)
            self.sure -= before - set(self.leads(which))

    kinds = st.sampled_from(["sync_to_airtable", "sync_from_airtable", "bidirectional_sync"])

    @rule(which=which, kind=kinds)
    def sync(self, which: int, kind: str) -> None:
        self.clock.forward(1)
        getattr(self.manager(which), kind)()

    @rule(
        which=which,
        kind=kinds,
        status=st.sampled_from([500, 502, 503, 504]),
        first=st.integers(1, 6),
        applied=st.booleans(),
    )
    def storm(self, which: int, kind: str, status: int, first: int, applied: bool) -> None:
        """Answer every call after some point with 5xx; requests applied before stay applied."""
        for nth in range(first, first + 12):
            self.airtable.fail("error", nth=nth, status=status, applied=applied)
        with suppress(AirtableError):
            getattr(self.manager(which), kind)()
        self.airtable.clear_faults()
        self.clock.forward(60)

    @rule(which=which, column=st.sampled_from(["Notes", "Location"]))
    def remove_field(self, which: int, column: str) -> None:
        """Remove a field, which stops the sync, and recreate it blank in all rows."""
        self.airtable.remove_field(column)
        with pytest.raises(SyncError, match="there is no field"):
            self.manager(which).bidirectional_sync()
        assert self.manager(which).create_missing_fields() == [column]

    @rule()
    def settle(self) -> None:
        """Without further faults, and with a decision about deletes, all sides converge."""
        for _ in range(ROUNDS):
            before = self.airtable.counters.by_method
            actions = 0
            for which in (0, 1):
                result = self.manager(which, deletes="apply").bidirectional_sync()
                assert result.success, result.error
                actions += sum(len(one.actions) for one in result.outcomes)
            after = self.airtable.counters.by_method
            writes = sum(after[one] - before[one] for one in ("PATCH", "POST", "DELETE"))
            if not writes and not actions:
                break
        else:
            raise AssertionError("it does not come to rest")
        everybody = [row["fields"]["Full Name"] for row in self.airtable.records()]
        assert len(everybody) == len(set(everybody)), "a person is two rows"
        rows = self.rows()
        for which in (0, 1):
            listed = [lead["full_name"] for lead in self.stores[which].get_all_leads()]
            assert sorted(listed) == sorted(rows), "a store has others, or somebody twice"
            for name, lead in self.leads(which).items():
                for field, column in COLUMNS.items():
                    there = rows[name]["fields"].get(column)
                    assert (lead[field] or None) == (there or None), (name, field, which)
        assert self.sure <= set(rows), "somebody is lost"


@pytest.mark.hypothesis
@pytest.mark.timeout(7200)
def test_any_wide_schedule_settles_without_loss_or_duplicate():
    """After any schedule with two stores, rollbacks and faults, all sides are equal."""
    run_state_machine_as_test(
        WideSchedules,
        settings=settings(
            max_examples=SCHEDULES,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
