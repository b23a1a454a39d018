"""The targets that a model can predict, each with its population and its SQL.

They are separate from the labels in the records, which are reports: with their fixed thresholds
nearly every operation of a log is `excellent`, so there is nothing to learn from them. Targets vary
between runs, exist only as columns of a data set, and have their own versions.
"""

from typing import Final, NamedTuple

from leadlog.core.errors import TrainingError
from leadlog.reading.analytics.durations import RATIO, bucket_sql
from leadlog.training.features import FEATURES, SIZE_FEATURES, Feature

__all__ = ["TARGETS", "Target", "target_named", "thresholds_sql"]

_CHUNK: Final = 100
_CHUNKS: Final = 10


class Target(NamedTuple):
    """A target of prediction.

    Attributes:
        name: As in `--target`.
        version: Incremented whenever its meaning changes; older data sets are then stale.
        kind: `binary` or `duration`.
        text: A description for people.
        label: SQL expression over `runs` (and `threshold_us`) for the label: 0 or 1, or
            milliseconds; null for a run without a label.
        population: SQL condition over `runs` that selects the examples.
    """

    name: str
    version: int
    kind: str
    text: str
    label: str
    population: str

    @property
    def features(self) -> tuple[Feature, ...]:
        """The columns that a model of this target may use."""
        if self.kind == "binary":
            return FEATURES
        return *(one for one in FEATURES if "label" not in one.name), *SIZE_FEATURES


TARGETS: Final = (
    Target(
        "slow",
        1,
        "binary",
        "Whether the run takes longer than the 95th percentile of its operation's last "
        f"{_CHUNK * (_CHUNKS - 1)} to {_CHUNK * _CHUNKS} ended runs, or than the objective that "
        "was given.",
        "CASE WHEN us IS NULL OR threshold_us IS NULL THEN NULL "
        "WHEN us > threshold_us THEN 1 ELSE 0 END",
        "kind IN ('operation', 'performance')",
    ),
    Target(
        "failed",
        1,
        "binary",
        "Whether the run fails because of the database or of the program. Errors of the user's "
        "(bad input, duplicates) and unknown outcomes have no label.",
        "CASE WHEN failed THEN (CASE WHEN user_error THEN NULL ELSE 1 END) "
        "WHEN success IS NULL AND outcome IS NULL OR outcome = 'unknown' THEN NULL ELSE 0 END",
        "kind IN ('operation', 'performance')",
    ),
    Target(
        "duration",
        1,
        "duration",
        "How long a bulk operation, a monitored function, a sync or a migration takes that "
        "succeeds, milliseconds.",
        "us / 1000.0::DOUBLE",
        "success AND us IS NOT NULL AND (bulk OR kind <> 'operation')",
    ),
    Target(
        "throttled",
        1,
        "binary",
        "Whether Airtable throttles the sync run, or the run fails.",
        "CASE WHEN throttled OR failed THEN 1 WHEN success IS NULL THEN NULL ELSE 0 END",
        "kind = 'sync'",
    ),
)


def target_named(name: str) -> Target:
    """Return the target with a name.

    Raises:
        TrainingError: There is no such target.
    """
    for one in TARGETS:
        if one.name == name:
            return one
    raise TrainingError(f"no target {name!r}; there are {', '.join(one.name for one in TARGETS)}")


def thresholds_sql(objective_ms: float | None) -> str:
    """Return the SELECT of `operation`, `ended_us` and the `threshold_us` of slow runs after it.

    The weighted percentile is computed from counts per bucket (at most 2.02 % above the exact one),
    and recomputed after every 100 ended runs of an operation, over at most its last 1,000 runs.

    Args:
        objective_ms: A fixed limit in milliseconds for all operations instead.
    """
    if objective_ms is not None:
        return (
            "SELECT DISTINCT operation, CAST(-9000000000000000000 AS BIGINT) AS ended_us, "
            f"CAST({round(objective_ms * 1000)} AS BIGINT) AS threshold_us FROM runs"
        )
    bucket = bucket_sql("(us / 1000.0::DOUBLE)")
    return f"""
        WITH numbered AS (
            SELECT operation, ended_us, w, {bucket} AS bucket,
                (row_number() OVER (PARTITION BY operation ORDER BY ended_us, event_id) - 1)
                    // {_CHUNK} AS chunk
            FROM runs WHERE us IS NOT NULL
        ), full_chunks AS (
            SELECT operation, chunk, max(ended_us) AS ended_us
            FROM numbered GROUP BY operation, chunk HAVING count(*) = {_CHUNK}
        ), counts AS (
            SELECT operation, chunk, bucket, sum(w) AS w FROM numbered GROUP BY ALL
        ), spread AS (
            SELECT operation, chunk + k AS place, bucket, sum(w) AS w
            FROM counts, range({_CHUNKS}) t(k) GROUP BY ALL
        ), ranked AS (
            SELECT operation, place, bucket,
                sum(w) OVER (PARTITION BY operation, place ORDER BY bucket) AS upto,
                sum(w) OVER (PARTITION BY operation, place) AS total
            FROM spread
        ), percentiles AS (
            SELECT operation, place, min(bucket) AS bucket
            FROM ranked WHERE upto * 100 >= total * 95 GROUP BY operation, place
        )
        SELECT f.operation, f.ended_us,
            CAST(ceil(1000 * pow({RATIO!r}, p.bucket)) AS BIGINT) AS threshold_us
        FROM full_chunks f JOIN percentiles p ON p.operation = f.operation AND p.place = f.chunk"""
