"""Detects unusually long runs without a model, by the median and MAD per operation and hour.

A run is compared with runs that ended on earlier days: with those of the same operation at the same
UTC hour if there are at least 20, else with all runs of the operation. Median and MAD (median
absolute deviation) are of the logarithm of the duration, so that a few long runs move neither.
"""

import math
import os
from typing import Any, Final

from leadlog.core.clock import format_us, parse
from leadlog.training.runs import load_runs, runs_engine

__all__ = ["anomalies"]

_LEAST: Final = 20
_TO_SIGMA: Final = 1.4826
"""Standard deviation of a normal distribution, in MADs."""
_LEAST_MAD: Final = math.log(1.05)
"""Lower bound of the MAD: even durations that hardly vary count as varying by five percent."""
_DAY_US: Final = 86_400_000_000

_SQL: Final = """
    WITH timed AS (
        SELECT event_id, operation, started_us, ended_us, us / 1000.0::DOUBLE AS ms,
            ln(greatest(us, 1) / 1000.0::DOUBLE) AS x,
            started_us // 86400000000 AS day, started_us // 3600000000 % 24 AS hour
        FROM runs WHERE us IS NOT NULL AND started_us IS NOT NULL
    ), days AS (
        SELECT DISTINCT operation, day, hour FROM timed
        WHERE started_us >= $since AND started_us < $until
    ), baselines AS (
        SELECT d.operation, d.day, d.hour,
            list(t.x ORDER BY t.x) FILTER (t.hour = d.hour) AS same, list(t.x ORDER BY t.x) AS every
        FROM days d JOIN timed t
            ON t.operation = d.operation AND t.ended_us < d.day * 86400000000
            AND t.ended_us >= d.day * 86400000000 - $window
        GROUP BY ALL
    ), chosen AS (
        SELECT operation, day, hour, len(same) >= $least AS by_hour,
            CASE WHEN len(same) >= $least THEN same ELSE every END AS known
        FROM baselines WHERE len(every) >= $least
    ), medians AS (
        SELECT *, list_median(known) AS centre FROM chosen
    ), robust AS (
        SELECT *, greatest(list_median(list_transform(known, lambda x: abs(x - centre))), $mad)
            * $sigma AS spread
        FROM medians
    )
    SELECT t.event_id, t.operation, t.started_us, t.ms, exp(r.centre) AS median_ms,
        exp(r.centre + $limit * r.spread) AS limit_ms, (t.x - r.centre) / r.spread AS score,
        r.by_hour, len(r.known) AS known
    FROM timed t JOIN robust r USING (operation, day, hour)
    WHERE t.started_us >= $since AND t.started_us < $until
        AND (t.x - r.centre) / r.spread > $limit
    ORDER BY score DESC, t.event_id
"""


def anomalies(
    directory: str | os.PathLike[str],
    *,
    since: str,
    until: str,
    limit: float = 6.0,
    days: int = 28,
    most: int = 100,
) -> list[dict[str, Any]]:
    """Return the runs that took unusually long, most unusual first.

    Args:
        directory: The log directory.
        since: Earliest start of the runs, in the format of `timestamp` in the records.
        until: End of the period; only runs that began before it are checked.
        limit: Number of robust standard deviations above the median that is unusual.
        days: Number of earlier days to compare with.
        most: Maximum number of runs to return.

    Returns:
        One dictionary per run: `event_id`, `operation`, `started_at`, `ms`, `median_ms`,
        `limit_ms`, `score`, `by_hour` (whether only the same hour was compared) and `known` (the
        number of runs compared).

    Raises:
        ReadError: A log file cannot be read.
        MissingExtraError: DuckDB is not installed.
    """
    with runs_engine(directory) as engine:
        load_runs(engine)
        cursor = engine.connection.execute(
            _SQL,
            {
                "since": parse(since),
                "until": parse(until),
                "window": days * _DAY_US,
                "least": _LEAST,
                "mad": _LEAST_MAD,
                "sigma": _TO_SIGMA,
                "limit": limit,
            },
        )
        names = [column[0] for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(most)]
    for row in rows:
        row["started_at"] = format_us(row.pop("started_us"))
    return rows
