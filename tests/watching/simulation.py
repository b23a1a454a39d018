"""A simulated shop: its normal weeks, minute by minute, and possible faults.

Seeded, so that every run is the same. Days are busy, nights nearly silent, weekends slow; each
night there is an import, each quarter of an hour a sync; some operations fail, some users make
errors.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection, connect
from typing import Any

import attrs

from leadlog.core.clock import format_us
from leadlog.core.records import shape
from leadlog.monitor import storage
from leadlog.monitor.alarms import Alarms
from leadlog.monitor.configuration import Configuration, configure
from leadlog.monitor.figures.rolling import Rolling
from leadlog.monitor.health import Check
from leadlog.monitor.notification import outbox
from leadlog.monitor.notification.outbox import Outbox
from leadlog.monitor.rules.base import RuleView

MINUTE_US = 60_000_000
START = 1_793_577_600_000_000  # 2026-11-02T00:00:00Z, a Monday

OPERATIONS = {  # share, median ms, spread
    "get_lead": (0.5, 2.0, 0.6),
    "search_leads": (0.2, 15.0, 0.8),
    "update_lead": (0.15, 8.0, 0.6),
    "add_lead": (0.14, 12.0, 0.6),
    "find_duplicates": (0.01, 180.0, 0.5),
}
FINGERPRINTS = [f"f{number:02}" for number in range(8)]


@attrs.define
class Shop:
    """The current state of the shop, changed by faults.

    Attributes:
        traffic: factor of the number of operations.
        failing: fraction of operations that fail.
        slower: factor of the duration, by operation; "" applies to all.
        hanging: fraction of operations that take six seconds.
        fingerprint: fingerprint of the errors; one of the usual ones if None.
        extra_errors: errors per minute with that fingerprint, in addition to failing operations.
        score: mean data-quality score.
        syncs: whether syncs run.
        sync_fails: fraction of syncs that fail.
        sync_limited: fraction of syncs that Airtable throttles.
        gauges: measurements by name.
        dropped: events dropped in each minute.
        checks: results of the health checks.
    """

    traffic: float = 1.0
    failing: float = 0.002
    slower: dict[str, float] = attrs.field(factory=dict)
    hanging: float = 0.0005
    fingerprint: str | None = None
    extra_errors: float = 0.0
    score: float = 0.82
    syncs: bool = True
    sync_fails: float = 0.01
    sync_limited: float = 0.02
    gauges: dict[str, float] = attrs.field(
        factory=lambda: {
            "disk_free_percent": 40.0,
            "disk_free_mb": 80_000.0,
            "memory_free_percent": 50.0,
            "memory_free_mb": 4_000.0,
            "pending_syncs": 20.0,
        }
    )
    dropped: float = 0.0
    checks: list[Check] = attrs.field(factory=lambda: [Check("database", "ok")])


def rate(minute: int, shop: Shop) -> float:
    """Return operations per minute: hourly waves, one in ten minutes at night, quiet weekends."""
    hour = minute / 60 % 24
    day = minute // 1440 % 7  # the simulation starts on a Monday
    wave = max(math.sin((hour - 7) / 13 * math.pi), 0.0) if 7 <= hour <= 20 else 0.0
    busy = 4.0 * wave * (0.2 if day >= 5 else 1.0)
    imports = 3.0 if 2 <= hour < 2.25 else 0.0
    return (0.1 + busy + imports) * shop.traffic


def _count(mean: float, draw: random.Random) -> int:
    """Return a Poisson-distributed number."""
    limit, found, product = math.exp(-mean), 0, draw.random()
    while product > limit:
        found += 1
        product *= draw.random()
    return found


def events(minute: int, shop: Shop, draw: random.Random) -> Iterator[dict[str, Any]]:
    """Yield the records of one minute since the start."""
    began = START + minute * MINUTE_US
    names = list(OPERATIONS)
    shares = [share for share, _, _ in OPERATIONS.values()]
    for _ in range(_count(rate(minute, shop), draw)):
        at = format_us(began + draw.randrange(MINUTE_US))
        (name,) = draw.choices(names, shares)
        yield from _operation(at, name, shop, draw)
    for _ in range(_count(shop.extra_errors, draw)):
        at = format_us(began + draw.randrange(MINUTE_US))
        yield _error(at, shop.fingerprint or "f00", "of no operation")
    if shop.syncs and minute % 15 == 0:
        yield _sync(format_us(began + draw.randrange(MINUTE_US)), shop, draw)


_numbers = itertools.count()


def _operation(at: str, name: str, shop: Shop, draw: random.Random) -> Iterator[dict[str, Any]]:
    _, median, spread = OPERATIONS[name]
    ms = median * math.exp(draw.gauss(0, spread))
    ms *= shop.slower.get(name, shop.slower.get("", 1.0))
    if draw.random() < shop.hanging:
        ms = 6_000.0
    fails, errs = draw.random() < shop.failing, draw.random() < 0.01
    event = shape.blank("database_operation")
    event["timestamp"] = at
    event["operation_details"].update(
        operation_type=name,
        operation_id=f"{at} {next(_numbers)}",
        success=not (fails or errs),
        execution_time_ms=ms,
    )
    operation_id = event["operation_details"]["operation_id"]
    tier = "very_slow" if ms > 5000 else "slow" if ms > 2000 else "good"
    event["training_labels"]["performance_tier"] = tier
    if name in ("add_lead", "update_lead"):
        score = min(max(draw.gauss(shop.score, 0.12), 0.0), 1.0)
        event["training_labels"]["data_quality_score"] = score
    yield event
    if fails:
        usual = FINGERPRINTS[min(int(draw.expovariate(0.7)), 7)]
        yield _error(at, shop.fingerprint or usual, operation_id)
    elif errs:
        yield _error(at, "u00", operation_id, user=True)


def _error(at: str, fingerprint: str, operation_id: str, *, user: bool = False) -> dict[str, Any]:
    event = shape.blank("error_log")
    event["timestamp"] = at
    kind = "validation_error" if user else "database_error"
    event["error_details"].update(
        fingerprint=fingerprint, error_type=kind, error_message="made up", severity="error"
    )
    event["context"]["operation_id"] = operation_id
    event["training_labels"]["user_error"] = user
    return event


def _sync(at: str, shop: Shop, draw: random.Random) -> dict[str, Any]:
    event = shape.blank("sync_operation")
    event["timestamp"] = at
    event["sync_details"].update(sync_type="to_airtable", sync_id=at)
    event["sync_results"].update(
        success=draw.random() >= shop.sync_fails,
        execution_time_ms=900.0,
        airtable_rate_limited=draw.random() < shop.sync_limited,
    )
    return event


class Watch:
    """The figures and alarms of a shop, in an in-memory database, without files and threads.

    Args:
        database: the database to continue from; an empty one by default.
        configuration: the rules; the defaults by default.
    """

    def __init__(
        self, database: Connection | None = None, configuration: Configuration | None = None
    ) -> None:
        self.connection = connect(":memory:")
        if database is not None:
            database.backup(self.connection)
        storage.create(self.connection)
        outbox.create(self.connection)
        self.figures = Rolling()
        nowhere = Outbox(Path("nowhere"), {"sink": _Sink()}, monotonic=lambda: 0.0)
        self.outbox = nowhere
        self.alarms = Alarms(Path("log"), configuration or configure(), nowhere, self._never)
        self.figures.load(self.connection)
        self.alarms.load(self.connection)
        self.fired: list[tuple[int, str, str]] = []
        self.told: list[str] = []

    @staticmethod
    def _never(text: str) -> None:
        raise AssertionError(text)

    def minutes(
        self,
        first: int,
        last: int,
        shop: Shop,
        draw: random.Random,
        *,
        every: int = 1,
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run the shop from minute `first` up to `last`, evaluating every `every` minutes."""
        for minute in range(first, last):
            now = START + (minute + 1) * MINUTE_US
            self.figures.advance(now)
            for event in events(minute, shop, draw):
                self.figures.take(event)
            if minute % every == 0:
                self._look(now, shop, 60.0 * every)
                if until():
                    return

    def _look(self, now: int, shop: Shop, elapsed: float) -> None:
        self.figures.measured(shop.gauges)
        if shop.dropped:
            tally = self.figures.tallies.get("(dropped)")
            tally.total[tally.slot(self.figures.now_minute)] += shop.dropped
        view = RuleView(self.figures, shop.checks)
        with self.connection:
            self.alarms.evaluate(self.connection, view, elapsed, now)
            self.figures.save(self.connection)
            self.alarms.save(self.connection)
        self.figures.saved()
        for one in reversed(self.alarms.saved()):
            change = one.transition
            if change.alert.state == "firing":
                self.fired.append((now, change.alert.rule, change.alert.message))

    def close(self) -> None:
        """Close the database."""
        self.connection.close()


class _Sink:
    name = "sink"

    def send(self, title: str, body: str, severity: str) -> None:
        """Accept every message."""


def copy_of(watch: Watch) -> closing[Watch]:
    """Return another watch that continues from this one's state, as a new process would."""
    return closing(Watch(watch.connection))
