"""What a tally counts of each kind of record, and where the record has it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from leadlog.core.records.coerce import MOST
from leadlog.core.records.operation import STATEMENT_OPERATIONS

__all__ = ["LEAST_RATE", "MOST_COUNT", "OPERATION_NAME", "SUBJECTS", "Subject"]

LEAST_RATE: Final = 0.000001
"""A smaller share of kept events was not set by anybody, and counts as none."""

MOST_COUNT: Final = int(MOST)
"""A larger number of rows, statements or calls was not counted by anything, and is null."""

OPERATION_NAME: Final = (
    f"CASE WHEN entity IS NOT NULL AND operation_type IN {STATEMENT_OPERATIONS} "
    "THEN concat(entity, '.', operation_type) ELSE operation_type END"
)
"""SQL over `operations` for what `leadlog.core.records.operation.operation_name` gives."""


class Subject(NamedTuple):
    """Where a kind of record has what is counted, as (section, key).

    Attributes:
        operation: its name.
        success: how it ended.
        duration_ms: how long it took.
        id: its identifier; None where it is not ranked among the slowest.
        sums: name in the tally to number to add up.
        memory_mb: numbers of which the highest is kept.
        cpu_percent: the same.
        outermost: which key has to be null, for the sums to count.
    """

    operation: tuple[str, str]
    success: tuple[str, str]
    duration_ms: tuple[str, str]
    id: tuple[str, str] | None = None
    sums: Mapping[str, tuple[str, str]] = {}
    memory_mb: tuple[tuple[str, str], ...] = ()
    cpu_percent: tuple[str, str] | None = None
    outermost: tuple[str, str] | None = None


SUBJECTS: Mapping[str, Subject] = {
    "database_operation": Subject(
        ("operation_details", "operation_type"),
        ("operation_details", "success"),
        ("operation_details", "execution_time_ms"),
        ("operation_details", "operation_id"),
        memory_mb=(("performance_metrics", "memory_usage_mb"),),
    ),
    "sync_operation": Subject(
        ("sync_details", "sync_type"),
        ("sync_results", "success"),
        ("sync_results", "execution_time_ms"),
        sums={
            "leads_synced": ("sync_results", "leads_synced"),
            "leads_failed": ("sync_results", "leads_failed"),
            "conflicts_resolved": ("sync_results", "conflicts_resolved"),
            "api_calls_made": ("performance_metrics", "api_calls_made"),
        },
        memory_mb=(("performance_metrics", "memory_peak_mb"),),
    ),
    "migration_operation": Subject(
        ("migration_details", "migration_type"),
        ("migration_results", "success"),
        ("migration_results", "execution_time_ms"),
        sums={
            "records_migrated": ("migration_results", "records_migrated"),
            "records_skipped": ("migration_results", "records_skipped"),
            "records_failed": ("migration_results", "records_failed"),
            "duplicates_found": ("migration_results", "duplicates_found"),
        },
    ),
    "performance_metrics": Subject(
        ("operation_info", "operation_name"),
        ("operation_info", "success"),
        ("operation_info", "total_duration_ms"),
        ("operation_info", "operation_id"),
        sums={"monitored_api_calls": ("performance_data", "api_calls")},
        memory_mb=(("performance_data", "memory_usage_mb"), ("performance_data", "memory_peak_mb")),
        cpu_percent=("performance_data", "cpu_usage_percent"),
        outermost=("operation_info", "parent_operation_id"),
    ),
}
"""Log type to where its records have what is counted."""
