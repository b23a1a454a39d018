"""The registry of log types: one entry for each kind of record, with its names and type.

An application adds a log type by an entry in the environment. Writers and readers of the log need
the same entry; it is read when this module is imported:

    LEADLOG_LOG_TYPES=audit_event:audit_events:shop.records:AuditEvent

that is, name, folder, and module and name of the record's type; several entries are separated by
commas.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["LOG_TYPES", "VARIABLE", "LogType", "own_log_types"]

VARIABLE: Final = "LEADLOG_LOG_TYPES"
"""Environment variable with the application's own log types."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_PATH = re.compile(r"[\w.]+:\w+", re.ASCII)


@dataclass(frozen=True, slots=True)
class LogType:
    """One kind of record.

    Attributes:
        name: value of `log_type` in its records.
        category: folder below the log directory.
        table: name of its flat table in SQL, whose columns are the keys of all sections.
        record: module and name of its TypedDict, `leadlog.core.records.error:ErrorLog`; imported
            on first use.
        ids: paths of ids in a record that `leadlog show` finds, besides `event_id` and
            `session_id`.
    """

    name: str
    category: str
    table: str
    record: str
    ids: tuple[str, ...] = ()


_SHIPPED: Final = (
    LogType(
        "database_operation",
        "database_operations",
        "operations",
        "leadlog.core.records.operation:DatabaseOperation",
        ("operation_details.operation_id", "operation_details.transaction_id"),
    ),
    LogType(
        "sync_operation",
        "sync_operations",
        "syncs",
        "leadlog.core.records.sync:SyncOperation",
        ("sync_details.sync_id",),
    ),
    LogType(
        "migration_operation",
        "migration_operations",
        "migrations",
        "leadlog.core.records.migration:MigrationOperation",
        ("migration_details.migration_id",),
    ),
    LogType(
        "performance_metrics",
        "performance_metrics",
        "performance",
        "leadlog.core.records.performance:PerformanceMetrics",
        ("operation_info.operation_id",),
    ),
    LogType(
        "error_log",
        "error_logs",
        "errors",
        "leadlog.core.records.error:ErrorLog",
        ("error_details.error_id", "context.operation_id"),
    ),
    LogType(
        "monitoring_data",
        "monitoring_data",
        "monitoring",
        "leadlog.core.records.monitoring:MonitoringData",
        ("monitoring_info.monitoring_id",),
    ),
)
_TAKEN: Final = frozenset({"events", "archive", "quarantine", "index"})


def own_log_types(text: str, others: Iterable[LogType] = _SHIPPED) -> tuple[LogType, ...]:
    """Return the log types defined by a value of `LEADLOG_LOG_TYPES`.

        >>> own_log_types("audit_event:audit_events:shop.records:AuditEvent")[0].category
        'audit_events'

    Args:
        text: entries separated by commas.
        others: existing log types, whose names are taken.

    Raises:
        ValueError: an entry is malformed, or its name is taken.
    """
    found: list[LogType] = []
    taken = {name for one in others for name in (one.name, one.category, one.table)} | _TAKEN
    for entry in filter(None, map(str.strip, text.split(","))):
        name, category, record = (*entry.split(":", 2), "", "")[:3]
        if not (_NAME.fullmatch(name) and _NAME.fullmatch(category) and _PATH.fullmatch(record)):
            raise ValueError(
                f"{VARIABLE}: {entry!r} is not a log type; write name:folder:module:Type, such as "
                "audit_event:audit_events:shop.records:AuditEvent"
            )
        for word in {name, category}:
            if word in taken:
                raise ValueError(
                    f"{VARIABLE}: the name {word!r} of {entry!r} is taken; take another"
                )
        taken |= {name, category}
        found.append(LogType(name, category, category, record))
    return tuple(found)


LOG_TYPES: Final = (*_SHIPPED, *own_log_types(os.environ.get(VARIABLE, "")))
"""All log types, beginning with leadlog's six."""
