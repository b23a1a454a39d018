"""Rules: the training labels as pure functions of measured facts, as documented in `labels`.

A fact is None if it was not measured, and so is a label that depends on it.

>>> complexity_level("add_lead"), complexity_level("add_lead", queries=40)
('medium', 'high')
>>> sync_efficiency(total_leads=8, leads_synced=7, leads_failed=1, execution_time_ms=2500.0)
'good'
>>> batch_optimization(batch_size=10, total_leads=8, retry_attempts=0)
'optimal'
"""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any, Final, Literal

Complexity = Literal["low", "medium", "high"]
SyncEfficiency = Literal["excellent", "good", "acceptable", "poor", "unknown"]
BatchOptimization = Literal["optimal", "good", "acceptable", "inefficient", "no_batching"]
ResourceEfficiency = Literal["high", "medium", "low", "unknown"]
Scalability = Literal["good", "acceptable", "poor", "unknown"]

COMPLEXITY_SIZE_BYTES: Final = 10_000
COMPLEXITY_QUERIES: Final = 10
SYNC_BANDS: Final = ((0.95, 500.0), (0.85, 1000.0), (0.70, 2000.0))
"""Minimum share synchronised and upper bound of the time per lead (ms): excellent, good,
acceptable."""
BATCH_LIMIT: Final = 10
"""Maximum number of records in one Airtable call."""
BATCH_BANDS: Final = (1.5, 3.0)
"""Maximum calls per call needed: good, acceptable."""
MIGRATION_MS_PER_10K: Final = 60_000.0
MIGRATION_FLOOR_MS: Final = 5_000.0
RESOURCE_BANDS: Final = ((500.0, 200.0, 256.0), (5000.0, 1000.0, 1024.0))
"""Maximum duration (ms), CPU time (ms) and memory (10^6 bytes): high, medium."""
SCALABILITY_BANDS: Final = (100.0, 500.0)
"""Maximum duration (ms) per 1000 leads in the store: good, acceptable."""

USER_ERRORS: Final = frozenset(("validation_error", "input_error"))
SYSTEM_ERRORS: Final = frozenset(("database_error", "sync_error"))
DUPLICATE_CODES: Final = frozenset(
    (
        "23505",
        "SQLITE_CONSTRAINT_PRIMARYKEY",
        "SQLITE_CONSTRAINT_ROWID",
        "SQLITE_CONSTRAINT_UNIQUE",
    )
)
"""Error codes of a row refused because another one has its key."""

BASE_COMPLEXITY: Final[dict[str, Complexity]] = {
    "get_lead": "low",
    "update_lead": "medium",
    "add_lead": "medium",
    "delete_lead": "low",
    "search_leads": "medium",
    "add_leads": "high",
    "find_duplicates": "high",
    "to_airtable": "high",
    "from_airtable": "high",
    "bidirectional": "high",
    "bidirectional_sync": "high",
    "json_to_db": "high",
}
"""Operation to its level, before size and queries raise it."""

_BY_VERB: Final[dict[str, Complexity]] = {
    "get": "low",
    "read": "low",
    "delete": "low",
    "bulk": "high",
    "sync": "high",
    "migrate": "high",
    "migration": "high",
}
_RAISED: Final[dict[Complexity, Complexity]] = {"low": "medium", "medium": "high", "high": "high"}
_SMALLEST_STORE: Final = 1000
_SYNC_TIERS: Final[tuple[SyncEfficiency, ...]] = ("excellent", "good", "acceptable")


def complexity_level(
    operation_type: str | None,
    size_bytes: float | None = None,
    queries: float | None = None,
    bulk: bool | None = None,
    *,
    complexity_size_bytes: float = COMPLEXITY_SIZE_BYTES,
    complexity_queries: float = COMPLEXITY_QUERIES,
) -> Complexity | None:
    """Return the complexity of an operation for the store.

    Args:
        operation_type: add_lead, get_lead, …; unknown ones are classified by their verb (get, read,
            delete, bulk, sync, migrate), otherwise as medium.
        size_bytes: size of the data.
        queries: statements sent to the database.
        bulk: whether one call touched many leads.
        complexity_size_bytes: data size above which the level is one step higher.
        complexity_queries: number of queries above which it is; both together are still one step.
    """
    if operation_type is None:
        return None
    if bulk:
        return "high"
    level = BASE_COMPLEXITY.get(operation_type)
    if level is None:
        level = _BY_VERB.get(operation_type.partition("_")[0], "medium")
    if (queries is not None and queries > complexity_queries) or (
        size_bytes is not None and size_bytes > complexity_size_bytes
    ):
        return _RAISED[level]
    return level


def sync_efficiency(
    total_leads: float | None,
    leads_synced: float | None,
    leads_failed: float | None = None,
    leads_skipped: float | None = None,
    execution_time_ms: float | None = None,
    *,
    ms_per_lead: float | None = None,
    bands: tuple[tuple[float, float], ...] = SYNC_BANDS,
) -> SyncEfficiency | None:
    """Return the efficiency of a sync run, by share synchronised and time per lead.

    Args:
        total_leads: leads that the run concerned.
        leads_synced: leads that are equal on both sides after the run.
        leads_failed: leads that could not be synchronised.
        leads_skipped: leads left out because nothing had changed. They are subtracted from the
            total unless too few leads would remain: not every caller includes them in it.
        execution_time_ms: wall time of the run.
        ms_per_lead: mean time per lead, if measured; otherwise wall time divided by leads.
        bands: minimum share and upper bound of the time, for excellent, good and acceptable.
    """
    if total_leads is None or leads_synced is None:
        return None
    attempted = total_leads - (leads_skipped or 0)
    if attempted < leads_synced + (leads_failed or 0):
        attempted = total_leads
    if attempted <= 0:
        return "unknown"
    if ms_per_lead is None:
        if execution_time_ms is None:
            return None
        ms_per_lead = execution_time_ms / attempted
    share = leads_synced / attempted
    for tier, (least_share, below_ms) in zip(_SYNC_TIERS, bands, strict=True):
        if share >= least_share and ms_per_lead < below_ms:
            return tier
    return "poor"


def error_recovery(retry_attempts: float | None, success: bool | None) -> bool | None:
    """Return whether a run needed retries and succeeded."""
    if retry_attempts is None:
        return None
    return success if retry_attempts > 0 else False


def batch_optimization(
    batch_size: float | None = None,
    total_leads: float | None = None,
    retry_attempts: float | None = None,
    api_calls_made: float | None = None,
    api_calls_minimum: float | None = None,
    *,
    batch_limit: float = BATCH_LIMIT,
    bands: tuple[float, float] = BATCH_BANDS,
) -> BatchOptimization | None:
    """Return the band of a sync run's API calls compared with the minimum.

    Args:
        batch_size: leads per call.
        total_leads: leads that the run concerned.
        retry_attempts: calls that were repeated.
        api_calls_made: calls sent, if counted; otherwise one per batch, plus the retries.
        api_calls_minimum: the minimum, if known; otherwise one per `batch_limit` leads.
        batch_limit: maximum leads in one call; a larger `batch_size` overrides it.
        bands: maximum calls per call needed, for good and acceptable.
    """
    if batch_size == 1:
        return "no_batching"
    size = batch_size if batch_size is not None and batch_size > 1 else None
    made, fewest = api_calls_made, api_calls_minimum
    if fewest is None and total_leads is not None:
        fewest = ceil(total_leads / max(batch_limit, size or 0))
    if made is None and size and total_leads is not None and retry_attempts is not None:
        made = ceil(total_leads / size) + retry_attempts
    if made is None or fewest is None:
        return None
    if made <= fewest:
        return "optimal"
    if fewest <= 0:
        return None
    good, acceptable = bands
    if made <= good * fewest:
        return "good"
    return "acceptable" if made <= acceptable * fewest else "inefficient"


def records_accounted_for(
    total: float | None,
    migrated: float | None,
    skipped: float | None,
    failed: float | None,
    duplicates: float | None,
) -> bool | None:
    """Return whether every record read was migrated, skipped, rejected or a duplicate.

    Duplicates may also be counted as migrated or skipped: only too small a sum is wrong.
    """
    if total is None or migrated is None or skipped is None or failed is None:
        return None
    accounted = migrated + skipped + failed
    if accounted >= total:
        return True
    return None if duplicates is None else accounted + duplicates >= total


def migration_performance(
    total: float | None,
    execution_time_ms: float | None,
    *,
    ms_per_10k: float = MIGRATION_MS_PER_10K,
    floor_ms: float = MIGRATION_FLOOR_MS,
) -> bool | None:
    """Return whether a migration was fast enough for the records it read.

    Args:
        total: records read.
        execution_time_ms: wall time of the run.
        ms_per_10k: upper bound of the time for 10,000 records.
        floor_ms: duration below which any run is fast enough.
    """
    if total is None or execution_time_ms is None:
        return None
    return execution_time_ms < max(floor_ms, total * ms_per_10k / 10_000)


def recoverable(attempted: bool | None, successful: bool | None) -> bool | None:
    """Return whether the recovery from an error succeeded; False if none was attempted."""
    return False if successful is None and attempted is False else successful


def resource_efficiency(
    duration_ms: float | None,
    cpu_time_ms: float | None,
    memory_mb: float | None,
    *,
    bands: tuple[tuple[float, float, float], ...] = RESOURCE_BANDS,
) -> ResourceEfficiency:
    """Return the worst band of an operation's duration, CPU time and memory.

    Args:
        duration_ms: wall time.
        cpu_time_ms: CPU time.
        memory_mb: memory in use, 10^6 bytes.
        bands: maximum of each, for high and medium.
    """
    if duration_ms is None or cpu_time_ms is None or memory_mb is None:
        return "unknown"
    levels: tuple[ResourceEfficiency, ...] = ("high", "medium")
    for level, (most_ms, most_cpu_ms, most_mb) in zip(levels, bands, strict=True):
        if duration_ms <= most_ms and cpu_time_ms <= most_cpu_ms and memory_mb <= most_mb:
            return level
    return "low"


def scalability_indicator(
    duration_ms: float | None,
    total_leads: float | None,
    *,
    bands: tuple[float, float] = SCALABILITY_BANDS,
) -> Scalability:
    """Return the band of the duration relative to the size of the store.

    Args:
        duration_ms: wall time.
        total_leads: leads in the store; fewer than 1000 count as 1000, because the fixed cost of an
            operation reveals nothing about growth.
        bands: maximum milliseconds per 1000 leads, for good and acceptable.
    """
    if duration_ms is None or total_leads is None:
        return "unknown"
    per_thousand = duration_ms * 1000 / max(total_leads, _SMALLEST_STORE)
    good, acceptable = bands
    return (
        "good" if per_thousand <= good else "acceptable" if per_thousand <= acceptable else "poor"
    )


def above(value: float | None, limit: float) -> bool | None:
    """Return whether `value` is above `limit`."""
    return None if value is None else value > limit


def below(value: float | None, limit: float) -> bool | None:
    """Return whether `value` is below `limit`."""
    return None if value is None else value < limit


def is_user_error(error_type: str, code: str | None) -> bool:
    """Return whether the error is the user's: bad input, a duplicate, or a 4xx response.

    Another service's response to a sync or a migration never counts as the user's error.

    Args:
        error_type: database_error, validation_error, …
        code: a SQLSTATE, SQLite's name of an error, or an HTTP status.
    """
    if error_type in USER_ERRORS or code in DUPLICATE_CODES:
        return True
    if code is None or error_type in ("sync_error", "migration_error"):
        return False
    return len(code) == 3 and code[0] == "4" and code.isascii() and code.isdecimal()


def system_healthy(
    alerts: Iterable[Mapping[str, Any]] | None, *, measured: bool = True
) -> bool | None:
    """Return whether no critical alert is firing; an alert without a state counts as firing.

    Args:
        alerts: the reported alerts.
        measured: whether anything was measured; if not, the absence of alerts means nothing.
    """
    if alerts is None:
        return None
    critical = any(
        alert.get("severity") == "critical" and alert.get("state") in (None, "firing")
        for alert in alerts
    )
    return False if critical else True if measured else None
