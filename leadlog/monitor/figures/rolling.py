"""All rolling figures together: takes events, one by one, in any order."""

from collections.abc import Callable, Mapping
from sqlite3 import Connection
from typing import Any, Final, NamedTuple

from leadlog.core.clock import parse
from leadlog.monitor.figures.activity import Activity
from leadlog.monitor.figures.fingerprints import Fingerprints
from leadlog.monitor.figures.latencies import BASELINE_HOURS, Latencies
from leadlog.monitor.figures.minutes import DAYS, MINUTES_AHEAD, Tallies
from leadlog.monitor.figures.runs import SyncRun, SyncRuns

__all__ = ["OPERATIONS", "Gauge", "Rolling", "minute_of"]

OPERATIONS: Final = "(operations)"
"""The series of all database operations together."""

_MINUTE_US: Final = 60_000_000
_SLOW_TIERS: Final = frozenset(("slow", "very_slow"))
_NOTHING: Final[dict[str, Any]] = {}

_SCHEMA: Final = (
    (
        "CREATE TABLE IF NOT EXISTS gauges "
        "(name TEXT PRIMARY KEY, value REAL NOT NULL, minute INTEGER NOT NULL) WITHOUT ROWID"
    ),
    "CREATE TABLE IF NOT EXISTS figures (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
)


class Gauge(NamedTuple):
    """The newest value of something measured.

    Attributes:
        value: the number.
        minute: when it was measured, minutes since 1970.
    """

    value: float
    minute: int


def minute_of(us: int) -> int:
    """The minute of a moment in microseconds since 1970."""
    return us // _MINUTE_US


class Rolling:
    """What the last minutes, hours and days add up to.

    A record that sampling kept with a rate stands for `1 / sample_rate` events. The failures of
    which an error_log says that they were the user's are no failures of the system: `bad` leaves
    them out.

    Attributes:
        now_minute: the clock, in minutes since 1970; set by `advance`.
        known_since: minute of the oldest event taken; 0 for none.
        tallies: sums by operation, and under `OPERATIONS` those of all.
        latencies: durations by operation.
        fingerprints: errors by kind.
        syncs: the last runs.
        events: minutes with events other than monitoring_data.
        sync_minutes: minutes with syncs.
        gauges: newest values by name.
        ignored: records that could not be used: too old, too far ahead of the clock, or odd.
    """

    def __init__(self) -> None:
        self.now_minute = 0
        self.known_since = 0
        self.tallies = Tallies()
        self.latencies = Latencies()
        self.fingerprints = Fingerprints()
        self.syncs = SyncRuns()
        self.events = Activity("events")
        self.sync_minutes = Activity("syncs")
        self.gauges: dict[str, Gauge] = {}
        self.ignored = 0
        self._stamp = ""
        self._minute = 0
        self._takers: dict[str, Callable[[Mapping[str, Any], int, float], None]] = {
            "database_operation": self._operation,
            "performance_metrics": self._performance,
            "sync_operation": self._sync,
            "migration_operation": self._migration,
            "error_log": self._error,
            "monitoring_data": self._monitoring,
        }

    def advance(self, now_us: int) -> None:
        """Sets the clock."""
        self.now_minute = minute_of(now_us)
        self.latencies.advance(self.now_minute)

    def take(self, event: Mapping[str, Any]) -> None:
        """Takes one record; never raises, whatever it holds."""
        try:
            stamp = event["timestamp"][:16]
            if stamp != self._stamp:
                self._minute = minute_of(parse(event["timestamp"]))
                self._stamp = stamp
            minute = self._minute
            age = self.now_minute - minute
            if not -MINUTES_AHEAD <= age <= BASELINE_HOURS * 60:
                self.ignored += 1
                return
            rate = event.get("sample_rate")
            weight = 1.0 / rate if type(rate) is float and 0.0 < rate < 1.0 else 1.0
            log_type = event["log_type"]
            self._takers[log_type](event, minute, weight)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            self.ignored += 1
            return
        if log_type != "monitoring_data":
            if minute != self.events.last:
                # A writer's clock that is ahead must not make the log look alive for longer.
                self.events.mark(min(minute, self.now_minute))
            if not self.known_since or minute < self.known_since:
                self.known_since = minute

    def _count(
        self,
        names: tuple[str, ...],
        minute: int,
        weight: float,
        success: Any,
        ms: Any,
        *,
        slow: bool = False,
        score: Any = None,
    ) -> None:
        """Adds one run to some series."""
        if self.now_minute - minute > DAYS * 1440:
            return
        bad = success is False
        timed = type(ms) is float or type(ms) is int
        scored = type(score) is float or type(score) is int
        for name in names:
            tally = self.tallies.get(name)
            at = tally.slot(minute)
            if at < 0:
                continue
            tally.total[at] += weight
            if bad:
                tally.bad[at] += weight
            if slow:
                tally.slow[at] += weight
            if timed:
                tally.ms[at] += ms * weight
                tally.timed[at] += weight
            if scored:
                tally.score[at] += score * weight
                tally.scored[at] += weight

    def _operation(self, event: Mapping[str, Any], minute: int, weight: float) -> None:
        details = event["operation_details"]
        labels = event.get("training_labels") or _NOTHING
        success, ms = details["success"], details["execution_time_ms"]
        slow = labels.get("performance_tier") in _SLOW_TIERS
        score = labels.get("data_quality_score")
        name = details["operation_type"]
        self._count((OPERATIONS, name), minute, weight, success, ms, slow=slow, score=score)
        if type(ms) is float or type(ms) is int:
            self.latencies.add(name, minute, ms, weight)

    def _performance(self, event: Mapping[str, Any], minute: int, weight: float) -> None:
        info = event["operation_info"]
        labels = event.get("training_labels") or _NOTHING
        name = f"performance.{info['operation_name']}"
        slow = labels.get("performance_tier") in _SLOW_TIERS
        ms = info["total_duration_ms"]
        self._count((name,), minute, weight, info["success"], ms, slow=slow)
        if type(ms) is float or type(ms) is int:
            self.latencies.add(name, minute, ms, weight)
        self._gauge("pending_syncs", event["system_info"].get("pending_syncs"), minute)
        self._gauge("process_memory_mb", event["performance_data"].get("memory_usage_mb"), minute)

    def _sync(self, event: Mapping[str, Any], minute: int, weight: float) -> None:
        details, results = event["sync_details"], event["sync_results"]
        name = f"sync.{details['sync_type']}"
        success = results["success"]
        ms = results["execution_time_ms"]
        self._count((name,), minute, weight, success, ms)
        if type(ms) is float or type(ms) is int:
            self.latencies.add(name, minute, ms, weight)
        run = SyncRun(
            event["timestamp"],
            str(details["sync_id"]),
            minute,
            success if type(success) is bool else None,
            results.get("airtable_rate_limited") is True,
            str(results.get("error_message") or "")[:300],
        )
        self.syncs.take(run)
        self.sync_minutes.mark(min(minute, self.now_minute))

    def _migration(self, event: Mapping[str, Any], minute: int, weight: float) -> None:
        name = f"migration.{event['migration_details']['migration_type']}"
        results = event["migration_results"]
        ms = results["execution_time_ms"]
        self._count((name,), minute, weight, results["success"], ms)

    def _error(self, event: Mapping[str, Any], minute: int, weight: float) -> None:
        if (event.get("training_labels") or _NOTHING).get("user_error") is not True:
            self.fingerprints.take(event["error_details"], minute, weight)
            return
        # Its operation, written in the same moment, counted as failed.
        if event["context"].get("operation_id") is not None:
            tally = self.tallies.get(OPERATIONS)
            at = tally.slot(minute)
            if at >= 0:
                tally.bad[at] -= weight

    def _monitoring(self, event: Mapping[str, Any], minute: int, weight: float) -> None:  # noqa: ARG002 - a taker's signature
        self._gauge("pending_syncs", event["system_health"].get("sync_queue_size"), minute)

    def _gauge(self, name: str, value: Any, minute: int) -> None:
        if type(value) is not float and type(value) is not int:
            return
        known = self.gauges.get(name)
        if known is None or minute >= known.minute:
            self.gauges[name] = Gauge(float(value), minute)

    def measured(self, values: Mapping[str, float]) -> None:
        """Takes what was measured now, by name."""
        for name, value in values.items():
            self.gauges[name] = Gauge(value, self.now_minute)

    # ---------------------------------------------------------------------------------- keeping

    def load(self, connection: Connection) -> None:
        """Makes the tables where they are missing, and reads them."""
        for statement in _SCHEMA:
            connection.execute(statement)
        for part in (self.tallies, self.latencies, self.fingerprints, self.syncs):
            part.load(connection)
        self.events.load(connection)
        self.sync_minutes.load(connection)
        for name, value, minute in connection.execute("SELECT name, value, minute FROM gauges"):
            self.gauges[name] = Gauge(value, minute)
        for name, value in connection.execute("SELECT name, value FROM figures"):
            setattr(self, name, value)

    def save(self, connection: Connection) -> None:
        """Writes what changed into the open transaction; `saved` says that it was committed."""
        now = self.now_minute
        self.tallies.save(connection, now)
        self.latencies.save(connection, now)
        self.fingerprints.save(connection)
        self.syncs.save(connection)
        self.events.save(connection, now)
        self.sync_minutes.save(connection, now)
        connection.executemany(
            "INSERT OR REPLACE INTO gauges VALUES (?, ?, ?)",
            [(name, *gauge) for name, gauge in self.gauges.items()],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO figures VALUES (?, ?)",
            [("known_since", self.known_since), ("ignored", self.ignored)],
        )

    def saved(self) -> None:
        """Forgets what was to be written."""
        for part in (self.tallies, self.latencies, self.fingerprints, self.syncs):
            part.saved()
        self.events.saved()
        self.sync_minutes.saved()
