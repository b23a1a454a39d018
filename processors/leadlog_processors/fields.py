"""Names shared by the processors: log types, their folders and their sections.

The names are part of the record format, so they are defined once, here.
"""

from typing import Final

from leadlog_processors.log_types import LOG_TYPES as _REGISTRY

DATABASE_OPERATION: Final = "database_operation"
SYNC_OPERATION: Final = "sync_operation"
MIGRATION_OPERATION: Final = "migration_operation"
PERFORMANCE_METRICS: Final = "performance_metrics"
ERROR_LOG: Final = "error_log"
MONITORING_DATA: Final = "monitoring_data"

CATEGORIES: Final[dict[str, str]] = {one.name: one.category for one in _REGISTRY}
"""Log type to category; a category is a folder below the log directory."""

SCHEMA_VERSION: Final = 1
"""Version of the record contract."""

LOG_TYPES: Final = tuple(CATEGORIES)

LEAD: Final = "_lead"
"""Transient key of the whole lead to score. Never rendered."""
