"""All rolling figures together, updated event by event in any order."""

from collections.abc import Callable, Mapping
from sqlite3 import Connection
from typing import Any, Final, NamedTuple

from leadlog.core.clock import parse
from leadlog.core.records.operation import operation_name
from leadlog.monitor.figures.activity import Activity
from leadlog.monitor.figures.failures import Failed, Failures
from leadlog.monitor.figures.fingerprints import Fingerprints
from leadlog.monitor.figures.latencies import BASELINE_HOURS, Latencies
from leadlog.monitor.figures.minutes import DAYS, MINUTES_AHEAD, Tallies
from leadlog.monitor.figures.runs import LoggedSync, SyncRuns
from leadlog.reading.analytics.durations import is_duration

__all__ = ["OPERATIONS", "Gauge", "Rolling", "minute_of", "weight_of"]

OPERATIONS: Final = "(operations)"
"""The series of all database operations together."""

_MINUTE_US: Final = 60_000_000
_LEAST_RATE: Final = 1e-6
_MOST_GAUGE: Final = 1e15
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
    """The newest value of a measurement.

    Attributes:
        value: the number.
        minute: minute of the measurement, since 1970.
    """

    value: float
    minute: int


def minute_of(us: int) -> int:
    """Return the minute since 1970 of a time in microseconds since 1970."""
    return us // _MINUTE_US


def weight_of(event: Mapping[str, Any]) -> float:
    """Return the number of events a record represents: `1 / sample_rate`, at most a million."""
    rate = event.get("sample_rate")
    return 1.0 / rate if type(rate) is float and _LEAST_RATE <= rate < 1.0 else 1.0


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("a name that is not text")
    return value


class Rolling:
    """The totals of the last minutes, hours and days.

    A failure caused by the user is not the system's: a duplicate, or an operation whose error_log
    says so. `bad` excludes such failures.

    Args:
        user_errors_count: count failures caused by the user in `bad` nevertheless.

    Attributes:
        now_minute: the current time in minutes since 1970; set by `advance`.
        known_since: minute of the oldest event counted; 0 for none.
        tallies: sums by `Class.operation`, and of all operations under `OPERATIONS`.
        latencies: durations by `Class.operation`.
        failures: failed operations whose errors may still show that the user caused them.
        fingerprints: errors by kind.
        syncs: the newest runs.
        events: minutes with events other than monitoring_data.
        sync_minutes: minutes with syncs.
        gauges: newest values by name.
        ignored: records that could not be used, or only in part: too old, too far ahead of the
            clock, or with an impossible value.
    """

    def __init__(self, *, user_errors_count: bool = False) -> None:
        self._user_errors_count = user_errors_count
        self.now_minute = 0
        self.known_since = 0
        self.tallies = Tallies()
        self.latencies = Latencies()
        self.failures = Failures()
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
        """Set the current time."""
        self.now_minute = minute_of(now_us)
        self.latencies.advance(self.now_minute)

    def take(self, event: Mapping[str, Any]) -> None:
        """Count one record; never raises, whatever it contains."""
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
            log_type = event["log_type"]
            self._takers[log_type](event, minute, weight_of(event))
            extra = event.get("extra")
            if extra and any(key.endswith("_ms") for key in extra):
                self.ignored += 1  # an impossible duration was moved there
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            self.ignored += 1
            return
        if log_type != "monitoring_data":
            if minute != self.events.last:
                # A writer's clock that is ahead must not make the log look active for longer.
                self.events.mark(min(minute, self.now_minute))
            if not self.known_since or minute < self.known_since:
                self.known_since = minute

    def _count(
        self,
        names: tuple[str, ...],
        minute: int,
        weight: float,
        ms: Any,
        *,
        bad: bool,
        slow: bool = False,
        score: Any = None,
        is_latency: bool = True,
    ) -> None:
        """Add one run to some series, and its duration to the latencies of the last of them."""
        timed = is_duration(ms)
        if timed and is_latency:
            self.latencies.add(names[-1], minute, ms, weight)
        if ms is not None and not timed:
            self.ignored += 1
        if self.now_minute - minute > DAYS * 1440:
            return
        scored = (type(score) is float or type(score) is int) and 0 <= score <= 1
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
        slow = labels.get("performance_tier") in _SLOW_TIERS
        score = labels.get("data_quality_score")
        name = operation_name(_text(details["operation_type"]), details.get("entity"))
        names = OPERATIONS, name
        bad = details["success"] is False
        if bad and not self._user_errors_count:
            bad = details.get("duplicate_detected") is not True and not self.failures.fail(
                details.get("operation_id"), Failed(minute, weight, names)
            )
        ms = details["execution_time_ms"]
        self._count(names, minute, weight, ms, bad=bad, slow=slow, score=score)

    def _performance(self, event: Mapping[str, Any], minute: int, weight: float) -> None:
        info = event["operation_info"]
        labels = event.get("training_labels") or _NOTHING
        name = f"performance.{_text(info['operation_name'])}"
        slow = labels.get("performance_tier") in _SLOW_TIERS
        ms, bad = info["total_duration_ms"], info["success"] is False
        self._count((name,), minute, weight, ms, bad=bad, slow=slow)
        self._gauge("pending_syncs", event["system_info"].get("pending_syncs"), minute)
        self._gauge("process_memory_mb", event["performance_data"].get("memory_usage_mb"), minute)

    def _sync(self, event: Mapping[str, Any], minute: int, weight: float) -> None:
        details, results = event["sync_details"], event["sync_results"]
        name = f"sync.{_text(details['sync_type'])}"
        success = results["success"]
        ms = results["execution_time_ms"]
        self._count((name,), minute, weight, ms, bad=success is False)
        run = LoggedSync(
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
        name = f"migration.{_text(event['migration_details']['migration_type'])}"
        results = event["migration_results"]
        ms, bad = results["execution_time_ms"], results["success"] is False
        self._count((name,), minute, weight, ms, bad=bad, is_latency=False)

    def _error(self, event: Mapping[str, Any], minute: int, weight: float) -> None:
        operation_id = event["context"].get("operation_id")
        if (event.get("training_labels") or _NOTHING).get("user_error") is not True:
            self.fingerprints.take(event, minute, weight, self.failures.settle(operation_id))
            return
        failed = self.failures.excuse(operation_id, minute)
        if failed is None or self._user_errors_count:
            return
        for name in failed.series:
            tally = self.tallies.get(name)
            at = tally.slot(failed.minute)
            if at >= 0:
                tally.bad[at] -= failed.weight

    def _monitoring(self, event: Mapping[str, Any], minute: int, weight: float) -> None:  # noqa: ARG002 - as the other methods of the table
        self._gauge("pending_syncs", event["system_health"].get("sync_queue_size"), minute)

    def _gauge(self, name: str, value: Any, minute: int) -> None:
        if type(value) is not float and type(value) is not int:
            return
        if not 0 <= value <= _MOST_GAUGE:
            self.ignored += 1
            return
        known = self.gauges.get(name)
        if known is None or minute >= known.minute:
            self.gauges[name] = Gauge(float(value), minute)

    def measured(self, values: Mapping[str, float]) -> None:
        """Record current measurements by name."""
        for name, value in values.items():
            self.gauges[name] = Gauge(value, self.now_minute)

    # ---------------------------------------------------------------------------------- keeping

    def load(self, connection: Connection) -> None:
        """Create the tables if they are missing, and read them."""
        for statement in _SCHEMA:
            connection.execute(statement)
        for part in (
            self.tallies,
            self.latencies,
            self.failures,
            self.fingerprints,
            self.syncs,
        ):
            part.load(connection)
        self.events.load(connection)
        self.sync_minutes.load(connection)
        for name, value, minute in connection.execute("SELECT name, value, minute FROM gauges"):
            self.gauges[name] = Gauge(value, minute)
        for name, value in connection.execute("SELECT name, value FROM figures"):
            setattr(self, name, value)

    def save(self, connection: Connection) -> None:
        """Write pending changes into the open transaction; call `saved` once it is committed."""
        now = self.now_minute
        self.tallies.save(connection, now)
        self.latencies.save(connection, now)
        self.failures.save(connection)
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
        """Discard the pending changes after the commit."""
        for part in (
            self.tallies,
            self.latencies,
            self.failures,
            self.fingerprints,
            self.syncs,
        ):
            part.saved()
        self.events.saved()
        self.sync_minutes.saved()
