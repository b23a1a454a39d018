"""Features of a run as of its start, computed from the runs that had ended by then.

A record is written when its run ends, so a join by `timestamp` would see the future: a run that
began earlier may have ended later. All features are computed from runs with `ended < began`
(`leadlog.training.as_of`). From the run's own record they use only what is known before it begins:
its operation and its start (and its size, for targets whose runs all succeeded).

Sums are of integers, so they do not depend on the order of addition. Sampled records are weighted
by the number of runs that they represent.
"""

from typing import Final, NamedTuple

__all__ = [
    "CATEGORICAL",
    "FEATURES",
    "SIZE_FEATURES",
    "SQL_VERSION",
    "Feature",
]

SQL_VERSION: Final = 1
"""Incremented whenever the meaning of a feature or of its SQL changes."""


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
