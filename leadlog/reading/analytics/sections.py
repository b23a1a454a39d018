"""The sections of a summary, computed from a tally.

Percentiles are ranks: of `n` durations the one at rank `ceil(share * n)`. `p50_ms`, `p95_ms` and
`p99_ms` are measured durations, and null if single durations are not available; `p50_bucket_ms`
and so on are the middles of their buckets, at most 1 % off, and always available.
"""

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any, TypeVar

from leadlog.reading.analytics.durations import middle_of
from leadlog.reading.analytics.tally import LISTED, RunKey, Tally

__all__ = ["PERCENTS", "Exact", "at_ranks", "sections", "weighted"]

T = TypeVar("T")

Exact = Mapping[str, Mapping[str, float | None]]
"""Exact percentiles by operation."""

PERCENTS: Mapping[str, int] = {"p50": 50, "p95": 95, "p99": 99}

TIERS: tuple[str, ...] = ("excellent", "good", "acceptable", "slow", "very_slow")
QUALITIES: tuple[str, ...] = ("high", "medium", "low", "invalid")

_ALMOST = 1 - 1e-12  # sums of weights such as 1/0.3 miss whole ranks by rounding


def at_ranks(pairs: Iterable[tuple[T, float]]) -> list[T | None]:
    """Return the values at the ranks of `PERCENTS`; nulls without values.

    Args:
        pairs: values in order, each with its weight.
    """
    listed = list(pairs)
    if not listed:
        return [None for _ in PERCENTS]
    passed = list(accumulate(weight for _, weight in listed))
    return [
        listed[bisect_left(passed, passed[-1] * share / 100 * _ALMOST)][0]
        for share in PERCENTS.values()
    ]


def sections(tally: Tally, exact: Exact | None = None) -> dict[str, Any]:
    """Return the sections of the record contract's "Daily summary", without `summary_info`.

    Args:
        tally: tally of the days.
        exact: exact percentiles; null without them.
    """
    runs: defaultdict[str, defaultdict[str, _Runs]] = defaultdict(lambda: defaultdict(_Runs))
    for run, counted in tally.runs.items():
        runs[run.log_type][run.operation or "unknown"].add(run, *counted)
    operations = runs["database_operation"]
    store, sync, migration = (
        _Runs.together(runs[f"{kind}_operation"].values())
        for kind in ("database", "sync", "migration")
    )
    return {
        "operation_summary": {
            "total_database_operations": store.total(),
            "successful_operations": store.total(True),
            "failed_operations": store.total(False),
            "success_rate_percent": store.success_percent(),
            "average_operation_time_ms": store.mean_ms(),
            "operations": {
                name: {
                    "total": one.total(),
                    "failed": one.total(False),
                    "average_ms": one.mean_ms(),
                    **one.percentiles((exact or {}).get(name)),
                }
                for name, one in sorted(operations.items())
            },
            "performance_tiers": _labels(store.tiers, TIERS),
            "data_quality": _labels(tally.qualities, QUALITIES),
        },
        "sync_summary": {
            "total_sync_operations": sync.total(),
            "sync_success_rate": sync.success_percent(),
            "average_sync_time_ms": sync.mean_ms(),
            **_sums(tally, "leads_synced", "leads_failed", "conflicts_resolved", "api_calls_made"),
        },
        "migration_summary": {
            "total_migration_operations": migration.total(),
            "migration_success_rate": migration.success_percent(),
            "average_migration_time_ms": migration.mean_ms(),
            **_sums(
                tally,
                "records_migrated",
                "records_skipped",
                "records_failed",
                "duplicates_found",
            ),
        },
        "error_summary": _errors(tally),
        "performance_summary": _performance(tally),
    }


class _Runs:
    """Totals of some runs."""

    def __init__(self) -> None:
        self.tiers: defaultdict[tuple[str | None, float], int] = defaultdict(int)
        self._ends: defaultdict[tuple[bool | None, float], int] = defaultdict(int)
        self._total_ns: defaultdict[float, int] = defaultdict(int)
        self._timed: defaultdict[float, int] = defaultdict(int)
        self._buckets: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)

    def add(self, run: RunKey, count: int, total_ns: int) -> None:
        self.tiers[run.tier, run.rate] += count
        self._ends[run.success, run.rate] += count
        if run.bucket is not None:
            self._total_ns[run.rate] += total_ns
            self._timed[run.rate] += count
            self._buckets[run.bucket].append((run.rate, count))

    @classmethod
    def together(cls, several: "Iterable[_Runs]") -> "_Runs":
        """Return the totals of several, without percentiles."""
        found = cls()
        for one in several:
            for name in ("tiers", "_ends", "_total_ns", "_timed"):
                counts = getattr(found, name)
                for key, count in getattr(one, name).items():
                    counts[key] += count
        return found

    def _ended(self, *ends: bool | None) -> float:
        return weighted((rate, n) for (success, rate), n in self._ends.items() if success in ends)

    def total(self, *ends: bool) -> int:
        return round(self._ended(*(ends or (True, False, None))))

    def success_percent(self) -> float | None:
        """Return the percentage of success among runs with a known outcome."""
        ended = self._ended(True, False)
        return round(100 * self._ended(True) / ended, 3) if ended else None

    def mean_ms(self) -> float | None:
        number = weighted(self._timed.items())
        total = weighted(self._total_ns.items())
        return round(total / number / 1_000_000, 3) if number else None

    def percentiles(self, exact: Mapping[str, float | None] | None) -> dict[str, Any]:
        near = at_ranks(
            (bucket, weighted(counts)) for bucket, counts in sorted(self._buckets.items())
        )
        return {
            "n": sum(self._timed.values()),
            **{f"{name}_ms": (exact or {}).get(name) for name in PERCENTS},
            **{
                f"{name}_bucket_ms": None if at is None else float(f"{middle_of(at):.6g}")
                for name, at in zip(PERCENTS, near, strict=True)
            },
        }


def _labels(counts: Mapping[tuple[Any, float], int], known: tuple[str, ...]) -> dict[str, int]:
    return {
        label: round(weighted((rate, n) for (one, rate), n in counts.items() if one == label))
        for label in known
    }


def weighted(counts: Iterable[tuple[float, int]]) -> float:
    """Return the estimated number of events from the number kept at each sample rate."""
    by_rate: dict[float, int] = {}
    for rate, count in counts:
        by_rate[rate] = by_rate.get(rate, 0) + count
    if len(by_rate) == 1:  # nearly always: nothing was sampled
        ((rate, count),) = by_rate.items()
        return count / rate
    return math.fsum(count / rate for rate, count in by_rate.items())


def _sums(tally: Tally, *names: str) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for name in names:
        counted = [(key[1], total) for key, (_, total) in tally.sums.items() if key[0] == name]
        found[name] = round(weighted(counted)) if counted else None
    return found


def _errors(tally: Tally) -> dict[str, Any]:
    by_cause: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for (fingerprint, _, _, rate), count in tally.errors.items():
        if fingerprint is not None:
            by_cause[fingerprint].append((rate, count))
    common = sorted(
        ((weighted(counts), fingerprint) for fingerprint, counts in by_cause.items()),
        key=lambda one: (-one[0], one[1]),
    )
    every = [
        (rate, severity, recovered, n) for (_, severity, recovered, rate), n in tally.errors.items()
    ]
    return {
        "total_errors": round(weighted((rate, n) for rate, _, _, n in every)),
        "critical_errors": round(
            weighted((r, n) for r, level, _, n in every if level == "critical")
        ),
        "recoverable_errors": round(
            weighted((rate, n) for rate, _, recovered, n in every if recovered)
        ),
        "most_common_errors": [
            {
                "fingerprint": fingerprint,
                "count": round(count),
                "error_type": tally.causes[fingerprint].error_type,
                "error_message": tally.causes[fingerprint].error_message,
                "last_seen": tally.causes[fingerprint].last_seen,
            }
            for count, fingerprint in common[:LISTED]
        ],
    }


def _performance(tally: Tally) -> dict[str, Any]:
    """Return peaks, slowest operations, and API calls.

    The calls are those of the syncs; on days without syncs, those of the outermost monitored
    operations. The two are not added: a monitored operation counts the calls of a sync inside it.
    """
    calls = _sums(tally, "api_calls_made", "monitored_api_calls")
    slowest = [
        {
            "operation": one.operation,
            "duration_ms": -one.minus_ms,
            "timestamp": one.timestamp,
            "event_id": one.event_id or None,
            "operation_id": one.operation_id,
        }
        for one in tally.slowest
    ]
    return {
        "peak_memory_usage_mb": tally.memory_mb,
        "peak_cpu_usage_percent": tally.cpu_percent,
        "slowest_operation_ms": slowest[0]["duration_ms"] if slowest else None,
        "slowest_operations": slowest,
        "total_api_calls": calls["monitored_api_calls"]
        if calls["api_calls_made"] is None
        else calls["api_calls_made"],
    }
