"""Sampling in the background: of the process, and of the store while its figures are used."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import leadlog
from leadlog.leads.store import LeadDatabase
from leadlog.recording.resources import Sampler, StoreSample, disk_bytes, watch_store

SECOND = 1_000_000_000


class Clock:
    """A clock in nanoseconds that advances only when a test sets it."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now


class Store:
    """A store whose every look takes some of the clock's time."""

    closed = False

    def __init__(self, clock: Clock, takes: int = 0) -> None:
        self.clock = clock
        self.takes = takes
        self.looks = 0

    def sample(self) -> StoreSample:
        self.looks += 1
        self.clock.now += self.takes
        return StoreSample(1.5, 7, 2, 1, self.clock.now)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sampler(clock):
    made = Sampler(3600, 60, clock)
    yield made
    made.close()


def measured():
    """An event of performance_metrics, as far as the sampler cares."""
    names = ("database_size_mb", "total_leads", "pending_syncs", "active_connections")
    return {
        "performance_data": {"memory_usage_mb": None, "sample_age_ms": None},
        "system_info": dict.fromkeys((*names, "system_load", "sample_age_ms")),
    }


def test_a_store_is_looked_at_only_while_somebody_asks(sampler, clock):
    """Without such events counting costs nothing; with them it is done once a minute."""
    store = Store(clock)
    watch_store(store)
    sampler.look_at_store()
    assert store.looks == 0
    first = sampler(None, "info", measured())
    assert first["system_info"]["total_leads"] is None  # unknown is null
    sampler.look_at_store()
    sampler.look_at_store()
    assert store.looks == 1
    clock.now += 61 * SECOND
    sampler.look_at_store()
    assert store.looks == 2
    clock.now += 600 * SECOND  # not requested in between
    sampler.look_at_store()
    assert store.looks == 2


def test_values_carry_their_age(sampler, clock):
    """A value sampled 30 seconds ago has that age; values measured by the caller stay."""
    store = Store(clock)
    watch_store(store)
    sampler(None, "info", measured())
    sampler.look_at_store()
    clock.now = store.clock.now + 30 * SECOND
    event = measured()
    event["system_info"]["total_leads"] = 99
    event["system_info"]["system_load"] = 0.5
    event["performance_data"]["memory_usage_mb"] = 12.5
    found = sampler(None, "info", event)
    assert found["system_info"] == {
        "database_size_mb": 1.5,
        "total_leads": 99,
        "pending_syncs": 2,
        "active_connections": 1,
        "system_load": 0.5,
        "sample_age_ms": 30_000,
    }
    assert found["performance_data"] == {"memory_usage_mb": 12.5, "sample_age_ms": None}


def test_memory_that_nobody_measured_is_the_sample_with_its_age(sampler):
    """A record written by hand gets the resident set of a moment ago."""
    found = sampler(None, "info", measured())["performance_data"]
    assert found["memory_usage_mb"] > 1
    assert found["sample_age_ms"] is not None


def test_looking_takes_a_hundredth_of_the_time_at_most(sampler, clock):
    """A store that takes 10 s to count is counted every 1000 s, not every minute."""
    store = Store(clock, takes=10 * SECOND)
    watch_store(store)
    for _ in range(2500):
        sampler(None, "info", measured())
        sampler.look_at_store()
        clock.now += SECOND
    assert store.looks == 3


def test_a_store_that_cannot_be_counted_is_unknown(sampler, clock):
    """An old value does not stand for one that can no longer be had."""
    store = Store(clock)
    watch_store(store)
    sampler(None, "info", measured())
    sampler.look_at_store()
    store.sample = lambda: 1 / 0
    clock.now += 61 * SECOND
    sampler.look_at_store()
    assert sampler(None, "info", measured())["system_info"]["total_leads"] is None


def test_the_figures_are_those_of_the_store_opened_last(sampler, clock):
    """A store that is closed is not looked at, and its figures stand for no other."""
    first, second = Store(clock), Store(clock)
    watch_store(first)
    sampler(None, "info", measured())
    sampler.look_at_store()
    watch_store(second)
    sampler.look_at_store()
    assert (first.looks, second.looks) == (1, 1)
    second.closed = True
    sampler.look_at_store()
    assert first.looks == 2


@pytest.mark.parametrize("where", ["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_measurements_tell_of_the_real_store(request, tmp_path, logged, where):
    """Size, leads, those that wait, and the pool's connections; counting is not recorded."""
    url = tmp_path / "leads.db"
    if where == "postgres":
        url = request.getfixturevalue("postgres_database")
    leadlog.configure(memory_sample_seconds=0.01)
    with LeadDatabase(url) as db:
        db.add_leads([{"name": "Ada", "company": "Acme"}, {"name": "Bob", "company": "Acme"}])
        recorded = len(logged("database_operations"))
        for _ in range(1000):
            with leadlog.monitor_performance("look"):
                pass
            system = logged("performance_metrics")[-1]["system_info"]
            if system["total_leads"] is not None:
                break
        assert len(logged("database_operations")) == recorded
    assert system["total_leads"] == 2
    assert system["pending_syncs"] == 0
    assert system["database_size_mb"] > 0
    assert system["active_connections"] >= 1
    assert system["sample_age_ms"] >= 0


def test_a_database_in_memory_is_left_alone(logged):
    """Its only connection belongs to the application."""
    leadlog.configure(memory_sample_seconds=0.01)
    with LeadDatabase(":memory:"):
        for _ in range(20):
            with leadlog.monitor_performance("look"):
                pass
            assert logged("performance_metrics")[-1]["system_info"]["total_leads"] is None


def test_a_file_that_was_removed_is_not_made_again(tmp_path):
    """Looking at a store never creates one."""
    path = tmp_path / "leads.db"
    with LeadDatabase(path, capture=False) as db:
        for file in tmp_path.glob("leads.db*"):
            file.unlink()
        assert db.figures.sample() is None
    assert not path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell it cheaply")
def test_bytes_on_disk_are_counted_for_each_process(tmp_path: Path):
    """A forked child counts its own, not its parent's."""
    if disk_bytes() is None:
        pytest.skip("this system does not let a process read its own I/O counters")

    def write_one_megabyte() -> int:
        before = disk_bytes()
        with (tmp_path / f"out-{os.getpid()}").open("wb") as out:
            out.write(os.urandom(1_000_000))
            out.flush()
            os.fsync(out.fileno())
        return disk_bytes() - before

    if write_one_megabyte() < 900_000:
        pytest.skip("the file system of the tests does not count as storage")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(write_one_megabyte()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    counted = int(os.read(reading, 100))
    os.waitpid(child, 0)
    os.close(reading)
    assert counted >= 900_000
