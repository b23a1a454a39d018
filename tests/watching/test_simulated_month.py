"""A normal month is silent, and each planted fault is found by the default rules."""

import os
import random
from contextlib import closing

import attrs
import pytest

from leadlog.monitor.health import Check
from tests.watching.simulation import MINUTE_US, START, Shop, Watch, copy_of

SOAK = bool(os.environ.get("SOAK"))
DAY = 1440
WARM = (15 if SOAK else 8) * DAY + 10 * 60 + 1  # a Tuesday, ten o'clock
LONGEST = 12 * 60  # minutes within which a fault must be found


FAULTS = {
    "an error burst": ("burn_rate", {"failing": 0.3}),
    "a leak of errors": ("burn_rate", {"failing": 0.08}),
    "a slow database": ("latency", {"slower": {"": 200.0}}),
    "one operation twelve times slower": ("latency", {"slower": {"search_leads": 12.0}}),
    "operations that hang": ("slow_operations", {"hanging": 0.08}),
    "a new kind of error": ("fingerprint_new", {"fingerprint": "f99", "extra_errors": 0.1}),
    "an old error again": ("fingerprint_returned", {"fingerprint": "f-old", "extra_errors": 0.1}),
    "a surging error": ("fingerprint_surging", {"fingerprint": "f00", "extra_errors": 1.0}),
    "syncs that fail": ("sync_failures", {"sync_fails": 1.0}),
    "a growing backlog": ("sync_backlog", {"gauges": {"pending_syncs": 4_000.0}}),
    "Airtable's quota": ("rate_limited", {"sync_limited": 1.0}),
    "worse data": ("data_quality", {"score": 0.5}),
    "a disk that fills": ("disk", {"gauges": {"disk_free_percent": 3.0, "disk_free_mb": 900.0}}),
    "memory that fills": (
        "memory",
        {"gauges": {"memory_free_percent": 3.0, "memory_free_mb": 200.0}},
    ),
    "dropped events": ("dropped_events", {"dropped": 5.0}),
    "an application that stands still": ("no_events", {"traffic": 0.0, "syncs": False}),
    "syncs that stop": ("no_syncs", {"syncs": False}),
    "a database that is down": (
        "health_check",
        {"checks": [Check("database", "critical", message="does not answer")]},
    ),
}


def changed(changes: dict) -> Shop:
    """Return a shop with a fault."""
    shop = Shop()
    changes = dict(changes)
    gauges = {**shop.gauges, **changes.pop("gauges", {})}
    return attrs.evolve(shop, gauges=gauges, **changes)


def delay_of(normal: Watch, rule: str, changes: dict) -> float:
    """Return the minutes until a rule fires in a formerly normal shop with a fault."""
    with copy_of(normal) as watch:

        def found() -> bool:
            return any(one[1] == rule for one in watch.fired)

        watch.minutes(WARM, WARM + LONGEST, changed(changes), random.Random(9), until=found)
        times = [one[0] for one in watch.fired if one[1] == rule]
        assert times, f"{changes} was not found; fired: {watch.fired}"
        return (times[0] - START) / MINUTE_US - WARM


@pytest.mark.timeout(600)
def test_normal_weeks_are_silent_and_each_planted_fault_is_found():
    """Seasons, silent nights, weekends, imports and a few errors fire nothing; each fault does.

    The delays are printed (pytest -rP), and listed in docs/explanation/monitoring.md.
    """
    with closing(Watch()) as normal:
        old = Shop(fingerprint="f-old", extra_errors=0.1)
        normal.minutes(0, 60, old, random.Random(7), every=30)
        normal.minutes(60, WARM, Shop(), random.Random(8), every=1 if SOAK else 60)
        assert normal.fired == []
        assert normal.figures.ignored == 0
        for fault, (rule, changes) in FAULTS.items():
            print(f"{fault}: {rule} after {delay_of(normal, rule, changes):.0f} min")


@pytest.mark.slow
@pytest.mark.skipif(not SOAK, reason="a whole month each; SOAK=1")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(3))
def test_nothing_fires_in_a_normal_month(seed):
    """Thirty days, evaluated each minute with other random numbers, fire nothing."""
    watch = Watch()
    watch.minutes(0, 30 * DAY, Shop(), random.Random(seed))
    assert watch.fired == []
    watch.close()
