"""Names that the processors share: log types, their folders and their sections.

The names are the wire format of a leadlog record, so they are written down once, here.
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
"""Of the record contract."""

LOG_TYPES: Final = tuple(CATEGORIES)

LEAD: Final = "_lead"
"""Transient key: the whole lead to score. Never rendered."""
