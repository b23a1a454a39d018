"""The record contract as types: one read-only record per log type.

A record is the JSON object on one line of the log. Keys are always present unless they
are marked `NotRequired`; `None` (JSON `null`) means "not known" or "not measured". The
attribute docstrings are the reference: the JSON Schemas in this package and
docs/reference/records.md are generated from them (`make docs`).
"""

import json
from collections.abc import Iterator, Mapping
from importlib import import_module, resources
from typing import Any

from leadlog.core.errors import SettingsError
from leadlog.core.records.envelope import RecordEnvelope
from leadlog.core.records.error import ErrorLog
from leadlog.core.records.migration import MigrationOperation
from leadlog.core.records.monitoring import MonitoringData
from leadlog.core.records.operation import DatabaseOperation
from leadlog.core.records.performance import PerformanceMetrics
from leadlog.core.records.schema import schema_of
from leadlog.core.records.sync import SyncOperation
from leadlog_processors.log_types import LOG_TYPES, VARIABLE

Record = (
    DatabaseOperation
    | SyncOperation
    | MigrationOperation
    | PerformanceMetrics
    | ErrorLog
    | MonitoringData
)
"""Any record."""


class _Records(Mapping[str, Any]):
    """Mapping of log types to record types; each is imported on first use."""

    def __init__(self) -> None:
        self._paths = {one.name: one.record for one in LOG_TYPES}

    def __getitem__(self, log_type: str) -> Any:
        module, _, name = self._paths[log_type].partition(":")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise SettingsError(
                f"{VARIABLE}: the record of {log_type!r} is not at {module}:{name}: {error}; add "
                "its folder to PYTHONPATH"
            ) from error

    def __contains__(self, log_type: object) -> bool:
        return log_type in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


RECORDS: Mapping[str, Any] = _Records()
"""Mapping of log types to record types."""


def json_schema(log_type: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a log type's record.

    leadlog's own are the schemas shipped in the package; those of other log types have no
    descriptions.

    Raises:
        KeyError: no such log type exists.
    """
    if log_type not in RECORDS:
        raise KeyError(f"no log type {log_type!r}; there are {', '.join(RECORDS)}")
    file = resources.files("leadlog.core.records") / "schemas" / f"{log_type}.json"
    if not file.is_file():
        return schema_of(RECORDS[log_type])
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
