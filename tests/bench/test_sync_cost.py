"""The cost of a sync of 10,000 leads: API calls, rate, CPU time, memory.

The server is a separate process without limits; the rate is that of the throttle's clock, which
advances only when the throttle waits, so the test itself never waits.
"""

import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any

import psutil
import pytest

from leadlog.leads.airtable import AirtableSyncManager, SyncResult
from leadlog.leads.airtable.pace import Paces
from leadlog.leads.store import LeadDatabase

LEADS = 10_000
PUSH_CPU_SECONDS = 20.0
GROWTH_MB = 25.0


class Clock:
    """A clock that advances only when it sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def server() -> Iterator[dict[str, str]]:
    """Provide the address of the fake Airtable."""
    program = Path(__file__).with_name("airtable_server.py")
    process = subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())
    process.communicate(timeout=30)


def people() -> Iterator[dict[str, Any]]:
    """Yield leads without duplicates, with most fields."""
    for n in range(LEADS):
        yield {
            "name": f"Ada{n} Lovelace",
            "company": f"Company {n // 10}",
            "email": f"ada{n}@acme.example",
            "title": "Chief Technology Officer",
            "linkedin_url": f"https://linkedin.com/in/ada-{n}",
            "location": "London, United Kingdom",
            "industry": "Computing",
            "verified": n % 2 == 0,
            "status": f"stage {n % 7}",
            "source": "conference",
        }


def resident_mb() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6


def measured(what: str, call: Any, clock: Clock, memory: list[float]) -> SyncResult:
    """Run a sync and print its cost."""
    memory.clear()
    before = resident_mb()
    wall, cpu, waited = time.perf_counter(), time.process_time(), clock.seconds
    result: SyncResult = call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    waited = clock.seconds - waited
    print(
        f"\n{what}: {result.wire.attempts} API calls (fewest possible {result.api_calls_minimum}) "
        f"in {waited:.0f} s of the throttle's clock, {cpu:.1f} s of our CPU, {wall:.1f} s here; "
        f"memory {before:.0f} MB, then {memory[len(memory) // 5]:.0f} MB after a fifth and "
        f"{resident_mb():.0f} MB in the end"
    )
    assert result.success
    assert result.wire.attempts == result.api_calls_minimum
    assert result.wire.attempts <= 5 * (waited + 1)
    assert cpu <= PUSH_CPU_SECONDS
    return result


def test_a_first_push_and_a_sync_without_changes(server, tmp_path):
    """A sync makes the fewest possible calls, five a second, in constant memory."""
    clock, memory = Clock(), []
    with LeadDatabase(tmp_path / "leads.db") as db:
        db.add_leads(people(), report=lambda *_: None)
        sync = AirtableSyncManager(
            db,
            **server,
            paces=Paces(clock, clock.sleep),
            progress=lambda *_: memory.append(psutil.Process().memory_info().rss / 1e6),
        )
        first = measured("first push", sync.sync_to_airtable, clock, memory)
        assert first.counts()["rows_created"] == LEADS
        assert first.wire.attempts == 1 + 1 + ceil(LEADS / 10)  # schema, list, upserts
        assert memory[-1] - memory[len(memory) // 5] <= GROWTH_MB
        again = measured("nothing changed", sync.bidirectional_sync, clock, memory)
        assert again.unchanged == LEADS
        assert not again.batches
        assert again.wire.attempts == 1 + LEADS // 100  # schema, pages
