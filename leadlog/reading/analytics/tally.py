"""Tallies of events in whole numbers, so that those of days and processes add up exactly.

Durations are counted in buckets, their sums are in nanoseconds. A sampled event is counted under
its `sample_rate`; weights are applied at the end, when the counts of all days are known. So the
order of additions does not matter.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from leadlog.core.records.operation import operation_name
from leadlog.reading.analytics.durations import bucket_of, is_duration, nanoseconds
from leadlog.reading.analytics.subjects import LEAST_RATE, MOST_COUNT, SUBJECTS, Subject

__all__ = ["LISTED", "Cause", "RunKey", "Slow", "Tally"]

Data = Mapping[str, Any]

LISTED = 10
"""Number of slowest operations to keep."""


class RunKey(NamedTuple):
    """The values that runs share to be counted together.

    Attributes:
        log_type: log type of the records.
        operation: name of the operation.
        success: true, false, or null.
        tier: the label `performance_tier`.
        rate: fraction of such events that was kept; 1.0 for all.
        bucket: bucket of the duration; None if it was not measured.
    """

    log_type: str
    operation: str | None
    success: bool | None
    tier: str | None
    rate: float
    bucket: int | None


class Cause(NamedTuple):
    """The first record of a fingerprint, and the time of the last one.

    Attributes:
        first_seen: `timestamp` of the first record.
        event_id: event_id of the first record.
        error_type: error type of the first record.
        error_message: message of the first record.
        last_seen: `timestamp` of the last record.
    """

    first_seen: str
    event_id: str
    error_type: str | None
    error_message: str | None
    last_seen: str

    def with_other(self, other: "Cause") -> "Cause":
        """Return the cause of both together."""
        first = min(self, other, key=lambda one: (one.first_seen, one.event_id))
        return first._replace(last_seen=max(self.last_seen, other.last_seen))


class Slow(NamedTuple):
    """One of the slowest operations; the slowest sorts first.

    Attributes:
        minus_ms: its negated duration.
        timestamp: time of its end.
        event_id: event_id of its record, or "".
        operation: its name.
        operation_id: its identifier.
    """

    minus_ms: float
    timestamp: str
    event_id: str
    operation: str | None
    operation_id: str | None


@dataclass
class Tally:
    """Counts, sums and extremes of events; `add` adds one event, `merge` another tally.

    Attributes:
        runs: number of records and their total nanoseconds, by shared values.
        qualities: number of database operations by (data-quality label, rate).
        sums: count and sum of the measured numbers by (name, rate).
        errors: number of records by (fingerprint, severity, recoverable, rate).
        causes: first and last occurrence by fingerprint.
        others: number of records of other types by (log type, rate).
        memory_mb: the highest measured value.
        cpu_percent: the highest measured value.
        slowest: the ten slowest operations, slowest first.
        lines_skipped: number of lines that are not events; None if the source does not know.
    """

    runs: dict[RunKey, list[int]] = field(default_factory=dict)
    qualities: dict[tuple[str, float], int] = field(default_factory=dict)
    sums: dict[tuple[str, float], list[int]] = field(default_factory=dict)
    errors: dict[tuple[str | None, str | None, bool, float], int] = field(default_factory=dict)
    causes: dict[str, Cause] = field(default_factory=dict)
    others: dict[tuple[str, float], int] = field(default_factory=dict)
    memory_mb: float | None = None
    cpu_percent: float | None = None
    slowest: list[Slow] = field(default_factory=list)
    lines_skipped: int | None = 0

    def add(self, event: Data) -> None:
        """Add one event."""
        rate = _rate(event.get("sample_rate"))
        log_type = _text(event.get("log_type"))
        subject = SUBJECTS.get(log_type or "")
        if subject is not None and log_type is not None:
            self._add_run(event, log_type, subject, rate)
        elif log_type == "error_log":
            self._add_error(event, rate)
        else:
            self.add_other(log_type or "unknown", rate, 1)

    def _add_run(self, event: Data, log_type: str, subject: Subject, rate: float) -> None:
        duration = _value(event, subject.duration_ms)
        ms = duration if is_duration(duration) else None
        labels = _section(event, "training_labels")
        operation = _text(_value(event, subject.operation))
        if log_type == "database_operation":
            entity = _section(event, "operation_details").get("entity")
            operation = operation_name(operation, entity)
        success = _value(event, subject.success)
        run = RunKey(
            log_type,
            operation,
            success if isinstance(success, bool) else None,
            _text(labels.get("performance_tier")),
            rate,
            None if ms is None else bucket_of(ms),
        )
        self.add_runs(run, 1, 0 if ms is None else nanoseconds(ms))
        quality = _text(labels.get("data_quality"))
        if quality is not None and log_type == "database_operation":
            self.add_quality(quality, rate, 1)
        if subject.outermost is None or _value(event, subject.outermost) is None:
            for name, place in subject.sums.items():
                number = _value(event, place)
                if type(number) is int and 0 <= number <= MOST_COUNT:
                    self.add_sum(name, rate, 1, number)
        for place in subject.memory_mb:
            self.add_peaks(_value(event, place), None)
        if subject.cpu_percent is not None:
            self.add_peaks(None, _value(event, subject.cpu_percent))
        if ms is not None and subject.id is not None:
            ranked = Slow(
                -float(ms),
                str(event["timestamp"]),
                _text(event.get("event_id")) or "",
                operation,
                _text(_value(event, subject.id)),
            )
            if len(self.slowest) < LISTED or ranked < self.slowest[-1]:
                self.add_slow([ranked])

    def _add_error(self, event: Data, rate: float) -> None:
        details = _section(event, "error_details")
        fingerprint = _text(details.get("fingerprint"))
        recoverable = _section(event, "training_labels").get("recoverable") is True
        self.add_errors(fingerprint, _text(details.get("severity")), recoverable, rate, 1)
        if fingerprint is not None:
            stamp = str(event["timestamp"])
            cause = Cause(
                stamp,
                _text(event.get("event_id")) or "",
                _text(details.get("error_type")),
                _text(details.get("error_message")),
                stamp,
            )
            self.add_cause(fingerprint, cause)

    def add_runs(self, run: RunKey, count: int, total_ns: int) -> None:
        """Add a number of runs with the same values."""
        known = self.runs.setdefault(run, [0, 0])
        known[0] += count
        known[1] += total_ns

    def add_quality(self, quality: str, rate: float, count: int) -> None:
        """Add a number of database operations whose data have this label."""
        key = quality, rate
        self.qualities[key] = self.qualities.get(key, 0) + count

    def add_sum(self, name: str, rate: float, count: int, total: int) -> None:
        """Add `count` numbers whose sum is `total`."""
        if count:
            known = self.sums.setdefault((name, rate), [0, 0])
            known[0] += count
            known[1] += total

    def add_errors(
        self,
        fingerprint: str | None,
        severity: str | None,
        recoverable: bool,
        rate: float,
        count: int,
    ) -> None:
        """Add a number of errors with the same values."""
        key = fingerprint, severity, recoverable, rate
        self.errors[key] = self.errors.get(key, 0) + count

    def add_cause(self, fingerprint: str, cause: Cause) -> None:
        """Add an occurrence of a fingerprint."""
        known = self.causes.get(fingerprint)
        self.causes[fingerprint] = cause if known is None else known.with_other(cause)

    def add_other(self, log_type: str, rate: float, count: int) -> None:
        """Add a number of records of another log type."""
        key = log_type, rate
        self.others[key] = self.others.get(key, 0) + count

    def add_peaks(self, memory_mb: Any, cpu_percent: Any) -> None:
        """Update the peaks; values that are not numbers are ignored."""
        self.memory_mb = _highest(self.memory_mb, memory_mb)
        self.cpu_percent = _highest(self.cpu_percent, cpu_percent)

    def add_slow(self, slow: Iterable[Slow]) -> None:
        """Add operations to the list of the slowest, as far as they qualify."""
        self.slowest = sorted([*self.slowest, *slow], key=_by_slowness)[:LISTED]

    def merge(self, other: "Tally") -> None:
        """Add another tally."""
        for run, (count, total_ns) in other.runs.items():
            self.add_runs(run, count, total_ns)
        for (quality, rate), count in other.qualities.items():
            self.add_quality(quality, rate, count)
        for (name, rate), (count, total) in other.sums.items():
            self.add_sum(name, rate, count, total)
        for key, count in other.errors.items():
            self.add_errors(*key, count)
        for fingerprint, cause in other.causes.items():
            self.add_cause(fingerprint, cause)
        for (log_type, rate), count in other.others.items():
            self.add_other(log_type, rate, count)
        self.add_peaks(other.memory_mb, other.cpu_percent)
        self.add_slow(other.slowest)
        if self.lines_skipped is None or other.lines_skipped is None:
            self.lines_skipped = None
        else:
            self.lines_skipped += other.lines_skipped

    def counts(self) -> Iterator[tuple[float, int]]:
        """Yield (rate, number of records) of everything counted."""
        yield from ((run.rate, count) for run, (count, _) in self.runs.items())
        yield from ((key[-1], count) for key, count in self.errors.items())
        yield from ((key[-1], count) for key, count in self.others.items())


def _by_slowness(one: Slow) -> tuple[float, str, str]:
    return one[:3]


def _highest(known: float | None, value: Any) -> float | None:
    if (type(value) is not float and type(value) is not int) or not 0 <= value <= MOST_COUNT:
        return known
    return float(value) if known is None else max(known, float(value))


def _rate(value: Any) -> float:
    return value if isinstance(value, float) and LEAST_RATE <= value < 1.0 else 1.0


def _section(event: Data, name: str) -> Data:
    section = event.get(name)
    return section if isinstance(section, dict) else {}


def _value(event: Data, place: tuple[str, str]) -> Any:
    return _section(event, place[0]).get(place[1])


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
