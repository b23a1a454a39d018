"""The built-in queries, each written once in SQL that DuckDB and Spark both run unchanged.

They read the flat tables of `leadlog.reading.tables` and use only the SQL on which both engines
agree to the last digit: count, sum of whole numbers, min, max, CASE, LN, CEIL, ROUND, CAST. So
durations are added as whole microseconds, and percentiles are computed from counts by bucket
(`BUCKET_WIDTH`), which add up exactly over days and machines; a bucket's upper limit is at most
2.02 % above its values.

A duration, count or rate that cannot have been measured is null in all of them, as in the summary,
so that no record stops a query.
"""

from leadlog.reading.analytics.durations import MOST_MS, bucket_sql
from leadlog.reading.analytics.subjects import LEAST_RATE, MOST_COUNT, OPERATION_NAME

__all__ = [
    "BATCHES",
    "BUILT_IN",
    "DURATIONS",
    "ERROR_GROUPS",
    "LAZY_LOADS",
    "REPEATED",
    "SHAPES",
    "SLOW",
    "SLOW_STATEMENTS",
    "VOLUME",
]

_RATE = (
    f"CASE WHEN sample_rate >= {LEAST_RATE} AND sample_rate < 1 THEN sample_rate "
    "ELSE CAST(1 AS DOUBLE) END"
)
"""The fraction of such events that was kept; 1 for records without a sample rate."""


def _ms(column: str) -> str:
    return f"CASE WHEN {column} >= 0 AND {column} <= {MOST_MS} THEN {column} END"


def _us(column: str) -> str:
    """Return SQL for whole microseconds, of a type that does not overflow in sums."""
    return f"CAST(ROUND(({_ms(column)}) * 1000) AS DECIMAL(38, 0))"


def _count(column: str) -> str:
    return f"CASE WHEN {column} >= 0 AND {column} <= {MOST_COUNT} THEN {column} END"


_RUNS = f"""(
    SELECT event_id, {_RATE} AS rate, {OPERATION_NAME} AS operation, success,
           {_ms("execution_time_ms")} AS ms, {_count("database_queries")} AS database_queries
    FROM operations
    UNION ALL
    SELECT event_id, {_RATE}, operation_name, success, {_ms("total_duration_ms")},
           {_count("database_queries")}
    FROM performance
    UNION ALL
    SELECT event_id, {_RATE}, event_name, success, {_ms("execution_time_ms")},
           CAST(NULL AS BIGINT)
    FROM syncs
    UNION ALL
    SELECT event_id, {_RATE}, event_name, success, {_ms("execution_time_ms")},
           CAST(NULL AS BIGINT)
    FROM migrations
)"""


def _meant(count: str) -> str:
    """Return SQL that estimates the number of all events from counts by rate, in any order."""
    return f"CAST(SUM(CAST(ROUND({count} / rate * 1000000) AS DECIMAL(38, 0))) AS DOUBLE) / 1000000"


def _meant_whole(total: str) -> str:
    """Return SQL for the same estimate of large sums, rounded to whole numbers."""
    return f"SUM(CAST(ROUND({total} / rate) AS DECIMAL(38, 0)))"


VOLUME = """
SELECT date, 'database_operations' AS category, COUNT(*) AS events FROM operations GROUP BY date
UNION ALL
SELECT date, 'sync_operations', COUNT(*) FROM syncs GROUP BY date
UNION ALL
SELECT date, 'migration_operations', COUNT(*) FROM migrations GROUP BY date
UNION ALL
SELECT date, 'performance_metrics', COUNT(*) FROM performance GROUP BY date
UNION ALL
SELECT date, 'error_logs', COUNT(*) FROM errors GROUP BY date
UNION ALL
SELECT date, 'monitoring_data', COUNT(*) FROM monitoring GROUP BY date
ORDER BY date, category
"""
"""Events by day and category."""

ERROR_GROUPS = f"""
SELECT g.fingerprint, e.error_type, e.exception_class, e.error_code, e.severity, c.events,
       g.sessions, g.first_seen, g.last_seen, g.last_event_id, e.error_message, e.stack_trace,
       e.session_id AS last_session_id, e.context AS last_context
FROM (
    SELECT COALESCE(fingerprint, error_type) AS fingerprint,
           COUNT(DISTINCT session_id) AS sessions, MIN(timestamp) AS first_seen,
           MAX(timestamp) AS last_seen, MAX(event_id) AS last_event_id
    FROM errors
    GROUP BY COALESCE(fingerprint, error_type)
) g
JOIN (
    SELECT fingerprint, {_meant("n")} AS events
    FROM (
        SELECT COALESCE(fingerprint, error_type) AS fingerprint, {_RATE} AS rate, COUNT(*) AS n
        FROM errors
        GROUP BY COALESCE(fingerprint, error_type), {_RATE}
    ) r
    GROUP BY fingerprint
) c ON c.fingerprint = g.fingerprint
JOIN errors e ON e.event_id = g.last_event_id
ORDER BY g.last_seen DESC, g.fingerprint
"""
"""Errors by fingerprint, each with its last occurrence as a sample. `events` estimates all
occurrences, including those that sampling dropped; `sessions` counts those in the log."""

SLOW = f"""
SELECT r.operation, r.n, r.failed, r.total_us, r.most_ms, r.queries, r.most_queries,
       MAX(s.event_id) AS slowest_event_id
FROM (
    SELECT operation, {_meant("n")} AS n, {_meant("failed")} AS failed,
           {_meant_whole("us")} AS total_us, MAX(most_ms) AS most_ms,
           {_meant_whole("queries")} AS queries, MAX(most_queries) AS most_queries
    FROM (
        SELECT operation, rate, COUNT(ms) AS n,
               SUM(CASE WHEN NOT success THEN 1 ELSE 0 END) AS failed,
               SUM({_us("ms")}) AS us, MAX(ms) AS most_ms,
               SUM(database_queries) AS queries, MAX(database_queries) AS most_queries
        FROM {_RUNS}
        WHERE ms IS NOT NULL
        GROUP BY operation, rate
    ) t
    GROUP BY operation
) r
JOIN {_RUNS} s ON s.operation = r.operation AND s.ms = r.most_ms
GROUP BY r.operation, r.n, r.failed, r.total_us, r.most_ms, r.queries, r.most_queries
ORDER BY r.total_us DESC, r.operation
"""
"""Operations by total time: operations of the store, monitored ones, syncs and migrations. Numbers
and sums estimate all runs, including those that sampling dropped."""

DURATIONS = f"""
SELECT operation, bucket, {_meant("n")} AS n
FROM (
    SELECT operation, rate,
           {bucket_sql("ms")} AS bucket,
           COUNT(*) AS n
    FROM {_RUNS}
    WHERE ms IS NOT NULL
    GROUP BY 1, 2, 3
) t
GROUP BY operation, bucket
ORDER BY operation, bucket
"""
"""Number of runs by operation and bucket of duration, including those that sampling dropped."""

SHAPES = f"""
SELECT operation_type, entity, bulk, fields_processed, {_meant("n")} AS n,
       {_meant_whole("us")} AS total_us, MAX(most_ms) AS most_ms,
       {_meant_whole("database_us")} AS database_us, {_meant_whole("queries")} AS queries,
       MAX(most_records) AS most_records
FROM (
    SELECT operation_type, entity, bulk, fields_processed, {_RATE} AS rate, COUNT(*) AS n,
           SUM({_us("execution_time_ms")}) AS us, MAX(execution_time_ms) AS most_ms,
           SUM({_us("database_time_ms")}) AS database_us,
           SUM({_count("database_queries")}) AS queries, MAX(records_affected) AS most_records
    FROM operations
    WHERE execution_time_ms >= 0 AND execution_time_ms <= {MOST_MS}
    GROUP BY operation_type, entity, bulk, fields_processed, {_RATE}
) t
GROUP BY operation_type, entity, bulk, fields_processed
ORDER BY total_us DESC, operation_type, entity, bulk, fields_processed
"""
"""Operations by the shape of their statements, since only slow ones record their SQL: operation
type, class and columns, for one row or for many. Numbers and sums estimate all runs."""

SLOW_STATEMENTS = f"""
SELECT r.statement_fingerprint, r.n, r.total_us, r.most_ms, MAX(s.statement) AS statement,
       MAX(s.session_id) AS session_id, MAX(s.event_id) AS slowest_event_id
FROM (
    SELECT statement_fingerprint, COUNT(*) AS n, SUM({_us("execution_time_ms")}) AS total_us,
           MAX({_ms("execution_time_ms")}) AS most_ms
    FROM operations
    WHERE statement IS NOT NULL AND success
    GROUP BY statement_fingerprint
) r
JOIN operations s ON s.statement_fingerprint = r.statement_fingerprint
                 AND s.execution_time_ms = r.most_ms AND s.statement IS NOT NULL
GROUP BY r.statement_fingerprint, r.n, r.total_us, r.most_ms
ORDER BY r.most_ms DESC, r.statement_fingerprint
"""
"""SQL of calls that were slow enough to record it, slowest first."""

REPEATED = f"""
SELECT operation_type, entity, COUNT(*) AS transactions, SUM(calls) AS calls,
       MAX(calls) AS most_calls, SUM(us) AS total_us, MAX(last_event_id) AS last_event_id
FROM (
    SELECT transaction_id, operation_type, entity, COUNT(*) AS calls,
           SUM({_us("execution_time_ms")}) AS us,
           MAX(event_id) AS last_event_id
    FROM operations
    WHERE transaction_id IS NOT NULL AND records_affected <= 1
    GROUP BY transaction_id, operation_type, entity
) t
WHERE calls >= 10
GROUP BY operation_type, entity
ORDER BY calls DESC, operation_type, entity
"""
"""The same call for single rows, at least ten times within one transaction: N+1."""

LAZY_LOADS = f"""
SELECT entity, COUNT(*) AS transactions, SUM(database_queries) AS calls,
       MAX(database_queries) AS most_calls, SUM({_us("execution_time_ms")}) AS total_us,
       MAX(event_id) AS last_event_id
FROM operations
WHERE load = 'lazy' AND database_queries >= 10 AND database_queries <= {MOST_COUNT}
GROUP BY entity
ORDER BY calls DESC, entity
"""
"""At least ten lazy loads of a class within one transaction: also N+1."""

BATCHES = f"""
SELECT batch_size, COUNT(*) AS runs, SUM(CASE WHEN success THEN 1 ELSE 0 END) AS succeeded,
       SUM({_count("leads_synced")}) AS leads_synced, SUM({_count("leads_failed")}) AS leads_failed,
       SUM({_count("api_calls_made")}) AS api_calls, SUM({_count("retry_attempts")}) AS retries,
       SUM(CASE WHEN airtable_rate_limited THEN 1 ELSE 0 END) AS rate_limited,
       SUM({_us("execution_time_ms")}) AS total_us
FROM syncs
WHERE batch_size IS NOT NULL
GROUP BY batch_size
ORDER BY batch_size
"""
"""Sync runs by batch size."""

BUILT_IN: dict[str, str] = {
    "volume": VOLUME,
    "errors": ERROR_GROUPS,
    "slow": SLOW,
    "durations": DURATIONS,
    "shapes": SHAPES,
    "repeated": REPEATED,
    "lazy_loads": LAZY_LOADS,
    "batches": BATCHES,
}
"""All built-in queries by name."""
