"""The tally of days by SQL that DuckDB and Spark both run unchanged: the same as event by event.

Engines return only whole numbers, extremes and unchanged rows; weights, means and percentiles are
computed from them in Python, in the same way for every engine. Like the built-in queries
(`leadlog.reading.analytics.queries`) it reads flat tables, each named here by its category.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from leadlog.core.layout import CATEGORIES
from leadlog.core.records import RECORDS
from leadlog.reading.analytics.durations import MOST_MS, NO_TIME, RATIO, bucket_sql
from leadlog.reading.analytics.sections import PERCENTS, Exact, at_ranks, weighted
from leadlog.reading.analytics.subjects import (
    LEAST_RATE,
    MOST_COUNT,
    OPERATION_NAME,
    SUBJECTS,
    Subject,
)
from leadlog.reading.analytics.tally import LISTED, Cause, RunKey, Slow, Tally
from leadlog.reading.columns import flat_columns
from leadlog.reading.moments import stamp

__all__ = ["TIMED", "Rows", "TallyQueries", "columns_of", "events_in"]

Rows = Callable[[str, Mapping[str, str]], Sequence[Sequence[Any]]]
"""Function that runs SQL with the parameters `$name` from a mapping, and returns all rows."""

_LOG_TYPE_OF: Mapping[str, str] = dict(zip(CATEGORIES, RECORDS, strict=True))

TIMED = CATEGORIES[0]
"""The category whose single durations `TallyQueries.exact` needs."""

_RATE = f"CASE WHEN sample_rate >= {LEAST_RATE} AND sample_rate < 1 THEN sample_rate ELSE 1.0 END"


def columns_of(category: str) -> str:
    """Return the columns of a category's flat table that a tally needs, for a SELECT."""
    log_type = _LOG_TYPE_OF[category]
    if log_type == "error_log":
        return (
            f"date, timestamp, coalesce(event_id, '') AS event_id, {_RATE} AS rate, fingerprint, "
            "severity, coalesce(recoverable, false) AS recoverable, error_type, error_message"
        )
    subject = SUBJECTS.get(log_type)
    if subject is None:
        return f"date, {_RATE} AS rate"
    name = _names(category)
    timed = name(subject.duration_ms)
    chosen = {
        "date": "date",
        "rate": _RATE,
        "operation": OPERATION_NAME
        if log_type == "database_operation"
        else name(subject.operation),
        "success": name(subject.success),
        "tier": _optional(category, "performance_tier"),
        "quality": _optional(category, "data_quality"),
        "ms": f"CASE WHEN {timed} >= 0 AND {timed} <= {MOST_MS!r} THEN {timed} END",
        "bucket": f"CASE WHEN {timed} >= 0 AND {timed} <= {MOST_MS!r} THEN {bucket_sql(timed)} END",
        "memory_mb": _greatest([name(place) for place in subject.memory_mb]),
        "cpu_percent": _greatest([name(place) for place in (subject.cpu_percent,) if place]),
        **_counted(subject, name),
    }
    if subject.id is not None:
        chosen |= {
            "timestamp": "timestamp",
            "event_id": "coalesce(event_id, '')",
            "id": name(subject.id),
        }
    return ", ".join(f"{of} AS {column}" for column, of in chosen.items())


def events_in(table: str, category: str, since: str, until: str) -> str:
    """Return SQL for a category's flat table, limited to the UTC days `since` to `until`."""
    return (
        f"(SELECT {columns_of(category)} FROM {table} "
        f"WHERE date >= DATE '{since}' AND date <= DATE '{until}')"
    )


class TallyQueries:
    """Counts relations with the columns of `columns_of`, on one engine.

    Args:
        rows: runs a query.

    Attributes:
        days: tallies of everything counted, by UTC day.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.days: defaultdict[str, Tally] = defaultdict(Tally)

    def count(self, category: str, relation: str) -> None:
        """Add the events of a relation to the tallies of their days.

        Args:
            category: category of the events.
            relation: a table's name, or a SELECT in parentheses.
        """
        log_type = _LOG_TYPE_OF[category]
        if log_type in SUBJECTS:
            self._count_runs(log_type, relation)
        elif log_type == "error_log":
            self._count_errors(relation)
        else:
            grouped = self._rows(
                f"SELECT date, rate, COUNT(*) FROM {relation} t GROUP BY date, rate", {}
            )
            for day, rate, count in grouped:
                self.days[str(day)].add_other(log_type, rate, count)

    def _count_runs(self, log_type: str, relation: str) -> None:
        subject = SUBJECTS[log_type]
        sums = "".join(f", COUNT({name}), SUM({name})" for name in subject.sums)
        common = "date, operation, success, tier, rate, bucket"
        grouped = self._rows(
            f"SELECT {common}, COUNT(*), "
            "SUM(CAST(CAST(FLOOR(ms * 1000000 + 0.5) AS BIGINT) AS DECIMAL(38, 0))), "
            f"MAX(memory_mb), MAX(cpu_percent){sums} FROM {relation} t GROUP BY {common}",
            {},
        )
        for day, operation, success, tier, rate, bucket, count, ns, *rest in grouped:
            tally = self.days[str(day)]
            tally.add_runs(
                RunKey(log_type, operation, success, tier, rate, bucket), count, int(ns or 0)
            )
            tally.add_peaks(*rest[:2])
            for name, number, total in zip(subject.sums, rest[2::2], rest[3::2], strict=True):
                tally.add_sum(name, rate, number, int(total or 0))
        if log_type == "database_operation":
            labelled = self._rows(
                f"SELECT date, quality, rate, COUNT(*) FROM {relation} t WHERE quality IS NOT NULL "
                "GROUP BY date, quality, rate",
                {},
            )
            for day, quality, rate, count in labelled:
                self.days[str(day)].add_quality(quality, rate, count)
        if subject.id is not None:
            self._rank(log_type, relation)

    def _rank(self, log_type: str, relation: str) -> None:
        """Find the slowest operations; only the buckets that contain them are sorted."""
        least = {day: _last_buckets(tally, log_type) for day, tally in self.days.items()}
        among = " OR ".join(
            f"(date = DATE '{day}' AND ms >= {_least_of(bucket)!r} AND bucket >= {bucket})"
            for day, bucket in least.items()
            if bucket is not None
        )
        if not among:
            return
        columns = "date, ms, timestamp, event_id, operation, id"
        slow = self._rows(
            f"SELECT {columns} FROM (SELECT {columns}, ROW_NUMBER() OVER (PARTITION BY date "
            f"ORDER BY ms DESC, timestamp, event_id) AS place FROM {relation} t WHERE {among}) t "
            f"WHERE place <= {LISTED}",
            {},
        )
        for day, ms, at, *what in slow:
            self.days[str(day)].add_slow([Slow(-ms, stamp(at), *what)])

    def _count_errors(self, relation: str) -> None:
        common = "date, fingerprint, severity, recoverable, rate"
        for day, *what in self._rows(
            f"SELECT {common}, COUNT(*) FROM {relation} t GROUP BY {common}", {}
        ):
            self.days[str(day)].add_errors(*what)
        causes = self._rows(
            "SELECT date, fingerprint, timestamp, event_id, error_type, error_message, last_seen "
            "FROM (SELECT date, fingerprint, timestamp, event_id, error_type, error_message, "
            "MAX(timestamp) OVER (PARTITION BY date, fingerprint) AS last_seen, "
            "ROW_NUMBER() OVER (PARTITION BY date, fingerprint ORDER BY timestamp, event_id, "
            f"coalesce(error_type, ''), coalesce(error_message, '')) AS place FROM {relation} t "
            "WHERE fingerprint IS NOT NULL) t WHERE place = 1",
            {},
        )
        for day, fingerprint, at, event_id, kind, text, last in causes:
            cause = Cause(stamp(at), event_id, kind, text, stamp(last))
            self.days[str(day)].add_cause(fingerprint, cause)

    def exact(self, relation: str) -> Exact:
        """Return the exact percentiles of everything counted, by operation of the store.

        Only the durations in the buckets with these ranks are queried.

        Args:
            relation: the operations that were counted; needs the columns `operation`, `rate`, `ms`
                and `bucket`.
        """
        weights = self._weights()
        if not weights:
            return {}
        at = {
            name: [bucket for bucket in at_ranks(own.items()) if bucket is not None]
            for name, own in weights.items()
        }
        names = {f"operation_{number}": name for number, name in enumerate(weights)}
        where = " OR ".join(
            f"(coalesce(operation, 'unknown') = ${key} AND bucket IN "
            f"({', '.join(map(str, sorted(set(at[name]))))}))"
            for key, name in names.items()
        )
        found: defaultdict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
        for operation, bucket, ms, rate, count in self._rows(
            "SELECT coalesce(operation, 'unknown'), bucket, ms, rate, COUNT(*) "
            f"FROM {relation} t WHERE {where} GROUP BY operation, bucket, ms, rate",
            names,
        ):
            found[operation, bucket].append((ms, count / rate))
        return {
            name: dict(
                zip(
                    PERCENTS,
                    _measured(own, [(bucket, sorted(found[name, bucket])) for bucket in at[name]]),
                    strict=True,
                )
            )
            for name, own in weights.items()
        }

    def _weights(self) -> dict[str, dict[int, float]]:
        """Return the weight of durations by operation of the store and bucket, in order."""
        counts: defaultdict[str, defaultdict[int, list[tuple[float, int]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for tally in self.days.values():
            for run, (count, _) in tally.runs.items():
                if run.log_type == "database_operation" and run.bucket is not None:
                    name = "unknown" if run.operation is None else run.operation
                    counts[name][run.bucket].append((run.rate, count))
        return {
            name: {bucket: weighted(own[bucket]) for bucket in sorted(own)}
            for name, own in sorted(counts.items())
        }


def _measured(
    weights: Mapping[int, float], at: Sequence[tuple[int, list[tuple[float, float]]]]
) -> list[float]:
    """Return the durations at the ranks.

    Args:
        weights: weight of durations by bucket, in order.
        at: for each rank its bucket, with the durations in it and their weights.
    """
    single = dict(at)
    pairs: list[tuple[float | None, float]] = []
    for bucket, weight in weights.items():
        pairs += single.get(bucket, [(None, weight)])
    # Rounding of weights such as 1/0.3 may make a rank miss its bucket by one duration.
    return [
        own[-1][0] if ms is None else ms for (_, own), ms in zip(at, at_ranks(pairs), strict=True)
    ]


def _last_buckets(tally: Tally, log_type: str) -> int | None:
    """Return the lowest bucket needed to list the slowest operations."""
    counts = sorted(
        (
            (run.bucket, count)
            for run, (count, _) in tally.runs.items()
            if run.log_type == log_type and run.bucket is not None
        ),
        reverse=True,
    )
    left = LISTED
    for bucket, count in counts:
        left -= count
        if left <= 0:
            return bucket
    return counts[-1][0] if counts else None


def _least_of(bucket: int) -> float:
    """Return milliseconds below a bucket's values; comparing them is cheaper than logarithms."""
    return 0.0 if bucket == NO_TIME else RATIO ** (bucket - 1) * (1 - 1e-9)


def _names(category: str) -> Callable[[tuple[str, str]], str]:
    paths = {path: name for name, path in flat_columns(category).items()}
    return lambda place: paths[f'"{place[0]}"."{place[1]}"']


def _optional(category: str, column: str) -> str:
    return column if column in flat_columns(category) else "CAST(NULL AS STRING)"


def _greatest(columns: Sequence[str]) -> str:
    measured = [f"CASE WHEN {one} >= 0 AND {one} <= {MOST_COUNT} THEN {one} END" for one in columns]
    if not measured:
        return "CAST(NULL AS DOUBLE)"
    return f"greatest({', '.join(measured)})" if len(measured) > 1 else measured[0]


def _counted(subject: Subject, name: Callable[[tuple[str, str]], str]) -> dict[str, str]:
    """Return the SQL of the numbers to add up, by column."""
    outermost = f" AND {name(subject.outermost)} IS NULL" if subject.outermost else ""
    return {
        column: f"CASE WHEN {name(place)} >= 0 AND {name(place)} <= {MOST_COUNT}{outermost} "
        f"THEN {name(place)} END"
        for column, place in subject.sums.items()
    }
