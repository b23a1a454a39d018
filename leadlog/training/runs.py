"""The runs of a log as one DuckDB table, the basis of features, targets and baselines.

| column | holds |
|---|---|
| `event_id`, `operation` | of the record |
| `kind` | operation, performance, sync or migration |
| `started_us`, `ended_us`, `us` | microseconds since 1970, and the duration |
| `w` | number of runs that the record represents, in thousandths |
| `success`, `failed`, `outcome`, `user_error`, `throttled`, `bulk` | its outcome |
| `items`, `megabytes` | its size, as far as known before its start |
| `session_id`, `transaction_id`, `leads` | its session, its transaction and its leads |
"""

import os
from typing import Any, Final

from leadlog.reading.analytics.durations import MOST_MS
from leadlog.reading.analytics.engine import DuckDBEngine
from leadlog.reading.analytics.subjects import OPERATION_NAME

__all__ = ["RUN_COLUMNS", "load_runs", "runs_engine"]

_LEAST_RATE: Final = 0.001
"""Lower bound of the sampling rate in weights, so that no record outweighs all others."""

RUN_COLUMNS: Final = (
    *("event_id", "operation", "kind", "started_us", "ended_us", "us", "w", "success", "failed"),
    *("outcome", "user_error", "throttled", "bulk", "items", "megabytes", "session_id"),
    *("transaction_id", "leads"),
)

_NONE: Final = {
    "said": "CAST(NULL AS VARCHAR)",
    "outcome": "CAST(NULL AS VARCHAR)",
    "operation_id": "CAST(NULL AS VARCHAR)",
    "throttled": "CAST(NULL AS BOOLEAN)",
    "bulk": "CAST(NULL AS BOOLEAN)",
    "items": "CAST(NULL AS DOUBLE)",
    "megabytes": "CAST(NULL AS DOUBLE)",
    "transaction_id": "CAST(NULL AS VARCHAR)",
    "leads": "CAST([] AS VARCHAR[])",
}

_SOURCES: Final = (
    (
        "operations",
        {
            "kind": "'operation'",
            "operation": OPERATION_NAME,
            "ms": "execution_time_ms",
            "said": "started_at",
            "outcome": "outcome",
            "operation_id": "operation_id",
            "bulk": "bulk",
            # For other bulk calls the count is known only at their end.
            "items": "CASE WHEN operation_type = 'add_leads' THEN CAST(lead_count AS DOUBLE) END",
            "transaction_id": "transaction_id",
            "leads": "list_filter(list_append(coalesce(lead_ids, []), lead_id), "
            "lambda x: x IS NOT NULL)",
        },
    ),
    (
        "performance",
        {
            "kind": "'performance'",
            "operation": "operation_name",
            "ms": "total_duration_ms",
            "said": "start_time",
            "operation_id": "operation_id",
        },
    ),
    (
        "syncs",
        {
            "kind": "'sync'",
            "operation": "concat('sync.', sync_type)",
            "ms": "execution_time_ms",
            "throttled": "airtable_rate_limited",
            "items": "CAST(total_leads AS DOUBLE)",
        },
    ),
    (
        "migrations",
        {
            "kind": "'migration'",
            "operation": "concat('migration.', migration_type)",
            "ms": "execution_time_ms",
            "megabytes": "list_sum(map_values(source_file_sizes_mb))",
        },
    ),
)


def _source(table: str, given: dict[str, str]) -> str:
    values = _NONE | given
    ms = values.pop("ms")
    columns = ", ".join(f"{sql} AS {name}" for name, sql in values.items())
    return (
        f"SELECT event_id, timestamp, session_id, sample_rate, success, {columns}, "
        f"CASE WHEN {ms} >= 0 AND {ms} <= {MOST_MS} THEN CAST(round({ms} * 1000) AS BIGINT) END "
        f"AS us FROM {table}"
    )


_RUNS: Final = f"""
    WITH found AS ({" UNION ALL ".join(_source(*one) for one in _SOURCES)}),
    once AS (
        SELECT * FROM found WHERE operation IS NOT NULL AND event_id IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY timestamp, kind) = 1
    ),
    faults AS (
        SELECT json_extract_string(context, '$.operation_id') AS operation_id,
            bool_or(user_error) AS user_error
        FROM errors GROUP BY 1
    ),
    timed AS (
        SELECT once.*, epoch_us(timestamp) AS ended_us,
            epoch_us(TRY_CAST(said AS TIMESTAMP)) AS said_us,
            coalesce(faults.user_error, false) AS user_error
        FROM once LEFT JOIN faults USING (operation_id)
    )
    SELECT event_id, operation, kind,
        CASE WHEN said_us <= ended_us THEN said_us ELSE ended_us - us END AS started_us,
        ended_us, us,
        CASE WHEN sample_rate > 0 AND sample_rate < 1
            THEN CAST(round(1000 / greatest(sample_rate, {_LEAST_RATE})) AS BIGINT)
            ELSE 1000 END AS w,
        success,
        CASE WHEN outcome IS NULL THEN coalesce(NOT success, false)
            ELSE outcome IN ('failed', 'commit_failed') END AS failed,
        outcome, user_error, throttled, bulk, items, megabytes, session_id, transaction_id, leads
    FROM timed
    ORDER BY ended_us, event_id
"""


def runs_engine(
    directory: str | os.PathLike[str], until: str | None = None, *, memory_mb: int = 1500
) -> DuckDBEngine:
    """Return a DuckDB engine over a log, to use as a context manager.

    Args:
        directory: The log directory.
        until: End of the period, in the format of `timestamp`; later events are ignored.
        memory_mb: Memory limit of DuckDB in 10^6 bytes; larger queries use temporary files.

    Raises:
        MissingExtraError: DuckDB is not installed.
    """
    return DuckDBEngine(directory, None, until, memory_mb=memory_mb)


def load_runs(engine: DuckDBEngine) -> int:
    """Create the table `runs` from all records of a log; return the number of runs.

    Raises:
        ReadError: A file cannot be read.
    """
    engine.rows(f"CREATE OR REPLACE TEMP TABLE runs AS {_RUNS}")
    found: list[dict[str, Any]] = engine.rows("SELECT count(*) AS n FROM runs")
    return int(found[0]["n"])
