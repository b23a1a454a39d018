"""Subjects of a tally: what is counted of each kind of record, and where it stands."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from leadlog.core.records.coerce import MOST
from leadlog.core.records.operation import STATEMENT_OPERATIONS

__all__ = ["LEAST_RATE", "MOST_COUNT", "OPERATION_NAME", "SUBJECTS", "Subject"]

LEAST_RATE: Final = 0.000001
"""Least plausible sample rate; a smaller one counts as none."""

MOST_COUNT: Final = int(MOST)
"""Largest plausible number of rows, statements or calls; a larger one counts as null."""

OPERATION_NAME: Final = (
    f"CASE WHEN entity IS NOT NULL AND operation_type IN {STATEMENT_OPERATIONS} "
    "THEN concat(entity, '.', operation_type) ELSE operation_type END"
)
"""SQL over `operations` for `leadlog.core.records.operation.operation_name`."""


class Subject(NamedTuple):
    """The places of a record type's counted values, as (section, key).

    Attributes:
        operation: name of the operation.
        success: outcome of the operation.
        duration_ms: duration of the operation.
        id: its identifier; None if it is not ranked among the slowest.
        sums: numbers to add up, by name in the tally.
        memory_mb: numbers of which the maximum is kept.
        cpu_percent: number of which the maximum is kept.
        outermost: key that must be null for the sums to count.
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
"""Subjects by log type."""
