"""The log records of a migration: one for the run, and one per rejected record."""

from typing import Any

from leadlog.leads.migration.result import MigrationResult, Reject
from leadlog.logger import DatabaseLogger

__all__ = ["RejectLog", "record_run"]

_ERRORS_LOGGED = 100
_ERRORS_LISTED = 20


class RejectLog:
    """Logs rejects one by one up to a limit, and finally the number of further ones.

    Args:
        migration_id: Id of the migration.
    """

    def __init__(self, migration_id: str) -> None:
        self._migration_id = migration_id
        self._log = DatabaseLogger()
        self._count = 0

    def take(self, reject: Reject) -> None:
        """Log a reject, unless the limit is reached."""
        self._count += 1
        if self._count > _ERRORS_LOGGED:
            return
        self._error(
            f"{reject.source}, record {reject.ordinal}: {reject.reason}",
            lead_data=reject.record if isinstance(reject.record, dict) else None,
            data_loss=False,
        )

    def finish(self) -> None:
        """Log the number of rejects beyond the limit."""
        more = self._count - _ERRORS_LOGGED
        if more > 0:
            self._error(f"{more} more records were rejected", lead_data=None, data_loss=False)

    def _error(self, message: str, *, lead_data: dict[str, Any] | None, data_loss: bool) -> None:
        self._log.log_error(
            "validation_error",
            {
                "message": message,
                "severity": "low",
                "recovery_attempted": False,
                "data_loss": data_loss,
            },
            {
                "operation": "migration.json_to_db",
                "operation_id": self._migration_id,
                "lead_data": lead_data,
            },
        )


def record_run(
    result: MigrationResult, *, validated: bool, error: BaseException | None, wall_ms: float
) -> None:
    """Log the result of a run.

    Args:
        result: The result of the run.
        validated: Whether verification was requested.
        error: The error that aborted the run; None if it completed.
        wall_ms: Wall time of the run in milliseconds.
    """
    whole = error is None and result.data_integrity_maintained is not False
    message = None if error is None else str(error) or type(error).__name__
    if error is None and not whole:
        message = "the database does not contain all that was read; see validate_migration"
    DatabaseLogger().log_migration_operation(
        "json_to_db",
        {
            "migration_id": result.migration_id,
            "source_files": [source.path for source in result.sources],
            "backup_created": result.backup is not None,
            "backup_location": None if result.backup is None else str(result.backup),
            "validation_enabled": validated,
        },
        {
            "success": whole,
            "total_records": result.records,
            "records_migrated": result.migrated,
            "records_skipped": result.skipped,
            "records_failed": result.rejected,
            "duplicates_found": result.duplicates,
            "execution_time_ms": wall_ms,
            "validation_passed": result.data_integrity_maintained,
            "error": message,
        },
        {
            "source_file_sizes": {
                source.path: source.size_bytes / 1e6 for source in result.sources
            },
            "quality_distribution": result.quality,
            "field_completeness": result.completeness,
            "validation_errors": [
                f"{reject.source}, record {reject.ordinal}: {reject.reason}"
                for reject in result.rejects[:_ERRORS_LISTED]
            ],
            "validation_error_count": result.rejected,
        },
    )
