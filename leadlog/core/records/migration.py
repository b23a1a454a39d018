"""migration_operation: one run of a migration."""

from typing import Literal

from typing_extensions import ReadOnly, TypedDict

from leadlog.core.records.envelope import WithContext


class MigrationDetails(TypedDict):
    """Input and options of the migration."""

    migration_type: ReadOnly[str]
    """json_to_db, backup_creation or rollback."""
    migration_id: ReadOnly[str]
    """Identifier of the run."""
    source_files: ReadOnly[list[str] | None]
    """Files read."""
    backup_created: ReadOnly[bool | None]
    """Whether a backup was made first."""
    backup_location: ReadOnly[str | None]
    """Path of the backup."""
    validation_enabled: ReadOnly[bool | None]
    """Whether the result was verified."""


class MigrationResults(TypedDict):
    """The outcome of the migration."""

    success: ReadOnly[bool | None]
    """Whether the run succeeded."""
    total_records_processed: ReadOnly[int | None]
    """Records read."""
    records_migrated: ReadOnly[int | None]
    """Records that are in the database after the run."""
    records_skipped: ReadOnly[int | None]
    """Records left out on purpose."""
    records_failed: ReadOnly[int | None]
    """Records rejected."""
    duplicates_found: ReadOnly[int | None]
    """Records of leads that the store had already."""
    execution_time_ms: ReadOnly[float | None]
    """Wall time of the run, milliseconds."""
    error_message: ReadOnly[str | None]
    """Why it failed."""


class DataSummary(TypedDict):
    """Properties of the migrated data."""

    source_file_sizes_mb: ReadOnly[dict[str, float | None] | None]
    """File to size, 10^6 bytes."""
    data_quality_distribution: ReadOnly[dict[str, int | None] | None]
    """Quality band to number of records."""
    field_completeness: ReadOnly[dict[str, float | None] | None]
    """Field to share of records that have a value for it."""
    validation_errors: ReadOnly[list[str] | None]
    """The first errors found."""
    validation_error_count: ReadOnly[int | None]
    """Number of errors found."""


class MigrationLabels(TypedDict):
    """Training labels of a migration."""

    migration_successful: ReadOnly[bool | None]
    """Same as `migration_results.success`."""
    data_integrity_maintained: ReadOnly[bool | None]
    """Verified by counting and comparing; null where it was not verified."""
    performance_acceptable: ReadOnly[bool | None]
    """Below 60 s per 10,000 records."""
    error_handling_effective: ReadOnly[bool | None]
    """Whether every record read was migrated, skipped, a duplicate or rejected."""


class MigrationOperation(WithContext):
    """One run of a migration."""

    log_type: ReadOnly[Literal["migration_operation"]]
    """Kind of record."""
    migration_details: ReadOnly[MigrationDetails]
    migration_results: ReadOnly[MigrationResults]
    data_summary: ReadOnly[DataSummary]
    training_labels: ReadOnly[MigrationLabels]
