"""Features of a run as of its beginning: what was known of the runs that had ended by then.

A record is written when its run ends, so a join by `timestamp` sees the future: a run that began
earlier may have ended later. Every feature here comes from runs with `ended < began`, joined with
DuckDB's ASOF join, and none from the run's own record but what is known before it begins: its
operation and its time of beginning (and, of runs that are known to have succeeded, its size).

Sums are whole numbers, so they come out the same in whatever order they are added. Sampled records
count as many as they stand for.
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
"""Raised whenever a feature, or the SQL that computes it, changes its meaning."""

WEIGHT_UNIT: Final = 1000
"""Weights are kept in thousandths, as whole numbers."""

_SHORT, _LONG = 20, 200


class Feature(NamedTuple):
    """One column that a model may see.

    Attributes:
        name: of the column.
        kind: `category` or `number`.
        text: What it says, for people.
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
"""The allow-list: nothing else of the log reaches a model."""

SIZE_FEATURES: Final = (
    Feature("items", "number", "Leads that the run is about."),
    Feature("megabytes", "number", "Size of the files that it reads, 10^6 bytes."),
)
"""For `duration` alone, whose runs all succeeded: of a run that failed, the record often lacks
its size, so a null would reveal the outcome."""

CATEGORICAL: Final = ("operation",)


def _mean(total: str, weight: str) -> str:
    return f"CAST({total} AS DOUBLE) / nullif({weight}, 0)"


def make_history(connection: "DuckDBPyConnection", known: str = "known") -> None:
    """Make the tables that features are joined from: what was known after each end.

    Args:
        connection: Has a table or view of ended runs.
        known: Its name, with `event_id`, `operation`, `session_id`, `ended_us`, `us` (the
            duration), `w` (thousandths), `failed` and `label`; of the label, whole millionths.
    """
    for name, sql in _history(known).items():
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")


def _history(known: str) -> Mapping[str, str]:
    # One rank by end, so that the windows sort whole numbers; a tie has the order of its ids.
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
    # Of runs that ended in the same microsecond only the last row is joined.
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
    """Return the SELECT that gives `event_id` and every feature for the runs of a table.

    Args:
        asked: Its name, with `event_id`, `operation`, `session_id` and `started_us`, and with
            `items` and `megabytes`.
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
