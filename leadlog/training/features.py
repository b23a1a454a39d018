"""Features of a run as of its start, computed from the runs that had ended by then.

A record is written when its run ends, so a join by `timestamp` would see the future: a run that
began earlier may have ended later. All features are computed from runs with `ended < began` by
DuckDB's ASOF join. From the run's own record they use only what is known before it begins: its
operation and its start (and its size, for targets whose runs all succeeded).

Sums are of integers, so they do not depend on the order of addition. Sampled records are weighted
by the number of runs that they represent.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = [
    "CATEGORICAL",
    "FEATURES",
    "SIZE_FEATURES",
    "SQL_VERSION",
    "Feature",
    "features_sql",
    "make_history",
]

SQL_VERSION: Final = 1
"""Incremented whenever the meaning of a feature or of its SQL changes."""

WEIGHT_UNIT: Final = 1000
"""Weights are stored as integers, in thousandths."""

_SHORT, _LONG = 20, 200


class Feature(NamedTuple):
    """A column that a model may use.

    Attributes:
        name: Name of the column.
        kind: `category` or `number`.
        text: A description for people.
    """

    name: str
    kind: str
    text: str


FEATURES: Final = (
    Feature("operation", "category", "What is about to run; rare names are `other`."),
    Feature("hour", "number", "UTC hour of the beginning, with its fraction."),
    Feature("weekday", "number", "UTC day of the week of the beginning; Monday is 1."),
    Feature("operation_last_ms", "number", "How long the operation's last ended run took."),
    Feature("operation_last_label", "number", "The target of the operation's last ended run."),
    Feature("operation_since_s", "number", "Seconds since the operation's last run ended."),
    Feature("operation_mean_ms_20", "number", "Mean duration of its last 20 ended runs."),
    Feature("operation_mean_ms_200", "number", "Mean duration of its last 200 ended runs."),
    Feature("operation_label_20", "number", "Mean target of its last 20 ended runs."),
    Feature("operation_label_200", "number", "Mean target of its last 200 ended runs."),
    Feature("session_runs", "number", "Runs of the session that had ended, by weight."),
    Feature("session_last_label", "number", "The target of the session's last ended run."),
    Feature("session_label", "number", "Mean target of the session's ended runs."),
    Feature("session_since_s", "number", "Seconds since the session's last run ended."),
    Feature("all_since_s", "number", "Seconds since any run ended."),
    Feature(
        "all_span_s", "number", "Seconds from the end of the 200th last ended run to the last."
    ),
    Feature("all_label_200", "number", "Mean target of the last 200 ended runs of any kind."),
    Feature("all_failed_200", "number", "Share of failures among the last 200 ended runs."),
)
"""The allow-list of features: no other value of the log reaches a model."""

SIZE_FEATURES: Final = (
    Feature("items", "number", "Leads that the run is about."),
    Feature("megabytes", "number", "Size of the files that it reads, 10^6 bytes."),
)
"""Features for `duration` only, whose runs all succeeded: the record of a failed run often lacks
its size, so a null would leak the outcome."""

CATEGORICAL: Final = ("operation",)


def _mean(total: str, weight: str) -> str:
    return f"CAST({total} AS DOUBLE) / nullif({weight}, 0)"


def make_history(connection: "DuckDBPyConnection", known: str = "known") -> None:
    """Create the tables from which features are joined: the state after each run's end.

    Args:
        connection: A connection with a table or view of ended runs.
        known: Its name. Its columns are `event_id`, `operation`, `session_id`, `ended_us`, `us`
            (the duration), `w` (in thousandths), `failed` and `label` (in millionths).
    """
    for name, sql in _history(known).items():
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")


def _history(known: str) -> Mapping[str, str]:
    # One rank by end, so that the windows sort integers; ties are sorted by id.
    ranked = f"""
        SELECT row_number() OVER (ORDER BY ended_us, event_id) AS n, operation, session_id,
            ended_us, us, label, failed, w, CASE WHEN us IS NOT NULL THEN w END AS wu,
            w * CAST(us AS HUGEINT) AS wus, CASE WHEN label IS NOT NULL THEN w END AS wl,
            w * label AS wlabel
        FROM {known}"""
    short, long = (f"ROWS BETWEEN {n - 1} PRECEDING AND CURRENT ROW" for n in (_SHORT, _LONG))
    mean_us, mean_label = (
        f"{_mean('sum(wus) OVER {0}', 'sum(wu) OVER {0}')} / 1000",
        f"{_mean('sum(wlabel) OVER {0}', 'sum(wl) OVER {0}')} / 1000000",
    )
    # Of runs that ended in the same microsecond, only the last row is joined.
    last = "QUALIFY lead(ended_us) OVER ends IS DISTINCT FROM ended_us"
    return {
        "history_ranked": ranked,
        "history_operation": f"""
            SELECT operation, ended_us, us, label,
                {mean_us.format("short")} AS mean_short,
                {mean_us.format("long")} AS mean_long,
                {mean_label.format("short")} AS label_short,
                {mean_label.format("long")} AS label_long
            FROM history_ranked
            WINDOW ends AS (PARTITION BY operation ORDER BY n),
                short AS (PARTITION BY operation ORDER BY n {short}),
                long AS (PARTITION BY operation ORDER BY n {long})
            {last}""",
        "history_session": f"""
            SELECT session_id, ended_us, label, sum(w) OVER past AS runs,
                {mean_label.format("past")} AS label_past
            FROM history_ranked
            WHERE session_id IS NOT NULL
            WINDOW ends AS (PARTITION BY session_id ORDER BY n),
                past AS (PARTITION BY session_id ORDER BY n ROWS UNBOUNDED PRECEDING)
            {last}""",
        "history_all": f"""
            SELECT ended_us, (ended_us - lag(ended_us, {_LONG - 1}) OVER ends) / 1e6 AS span,
                {mean_label.format("long")} AS label_long,
                {_mean("sum(CASE WHEN failed THEN w ELSE 0 END) OVER long", "sum(w) OVER long")}
                    AS failed_long
            FROM history_ranked
            WINDOW ends AS (ORDER BY n), long AS (ORDER BY n {long})
            {last}""",
    }


def features_sql(asked: str = "asked") -> str:
    """Return the SELECT of `event_id` and all features for the runs of a table.

    Args:
        asked: Name of the table, with the columns `event_id`, `operation`, `session_id`,
            `started_us`, `items` and `megabytes`.
    """
    since = "(a.started_us - {}.ended_us) / 1e6"
    return f"""
        SELECT a.event_id, a.operation,
            (a.started_us // 1000000 % 86400) / 3600.0::DOUBLE AS hour,
            CAST((a.started_us // 86400000000 + 3) % 7 + 1 AS DOUBLE) AS weekday,
            o.us / 1000.0::DOUBLE AS operation_last_ms,
            o.label / 1e6::DOUBLE AS operation_last_label,
            {since.format("o")} AS operation_since_s,
            o.mean_short AS operation_mean_ms_20,
            o.mean_long AS operation_mean_ms_200,
            o.label_short AS operation_label_20,
            o.label_long AS operation_label_200,
            coalesce(CAST(s.runs AS DOUBLE) / {WEIGHT_UNIT}, 0) AS session_runs,
            s.label / 1e6::DOUBLE AS session_last_label,
            s.label_past AS session_label,
            {since.format("s")} AS session_since_s,
            {since.format("h")} AS all_since_s,
            h.span AS all_span_s,
            h.label_long AS all_label_200,
            h.failed_long AS all_failed_200,
            a.items, a.megabytes
        FROM {asked} a
        ASOF LEFT JOIN history_operation o
            ON a.operation = o.operation AND a.started_us > o.ended_us
        ASOF LEFT JOIN history_session s
            ON a.session_id = s.session_id AND a.started_us > s.ended_us
        ASOF LEFT JOIN history_all h ON a.started_us > h.ended_us"""
