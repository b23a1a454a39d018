"""The record contract as types: one read-only record per log type.

A record is the JSON object on one line of the log. Keys are always present unless they
are marked `NotRequired`; `None` (JSON `null`) means "not known" or "not measured". The
attribute docstrings are the reference: the JSON Schemas in this package and
docs/reference/records.md are generated from them (`make docs`).
"""

import json
from importlib import resources
from typing import Any

from leadlog.core.records.envelope import RecordEnvelope
from leadlog.core.records.error import ErrorLog
from leadlog.core.records.migration import MigrationOperation
from leadlog.core.records.monitoring import MonitoringData
from leadlog.core.records.operation import DatabaseOperation
from leadlog.core.records.performance import PerformanceMetrics
from leadlog.core.records.sync import SyncOperation

Record = (
    DatabaseOperation
    | SyncOperation
    | MigrationOperation
    | PerformanceMetrics
    | ErrorLog
    | MonitoringData
)
"""Any record."""

RECORDS: dict[str, Any] = {
    "database_operation": DatabaseOperation,
    "sync_operation": SyncOperation,
    "migration_operation": MigrationOperation,
    "performance_metrics": PerformanceMetrics,
    "error_log": ErrorLog,
    "monitoring_data": MonitoringData,
}
"""Log type to record."""


def json_schema(log_type: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a log type's record, as shipped in the package.

    Raises:
        KeyError: there is no such log type.
    """
    if log_type not in RECORDS:
        raise KeyError(f"no log type {log_type!r}; there are {', '.join(RECORDS)}")
    file = resources.files("leadlog.core.records") / "schemas" / f"{log_type}.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


__all__ = [
    "RECORDS",
    "DatabaseOperation",
    "ErrorLog",
    "MigrationOperation",
    "MonitoringData",
    "PerformanceMetrics",
    "Record",
    "RecordEnvelope",
    "SyncOperation",
    "json_schema",
]
