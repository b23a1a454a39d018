"""leadlog: the flight recorder of a lead store.

Configure it once, and every CRUD call, sync, migration, error, measurement and health check
becomes one truthful, labelled JSON line in a category folder.

    import leadlog

    leadlog.configure()
    db = leadlog.LeadDatabase()
    db.add_lead({"name": "Ana Gómez", "company": "Acme", "email": "ana@acme.com"})

Everything heavy is loaded when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from leadlog.airtable import AirtableSyncManager
    from leadlog.capturing.targets import capture
    from leadlog.errors import (
        AirtableError,
        LeadlogError,
        LogDirectoryError,
        QuotaError,
        ReadError,
        SettingsError,
        StaleLeadError,
        StoreError,
        SyncBusyError,
        SyncError,
        UnknownFieldError,
        ValidationError,
    )
    from leadlog.logger import DatabaseLogger, log_database_event
    from leadlog.monitoring.performance import monitor_performance
    from leadlog.pipeline import (
        LoggingHandler,
        Pipeline,
        Stats,
        configure,
        flush,
        get_logger,
        session,
        shutdown,
        stats,
    )
    from leadlog.store import AsyncLeadDatabase, LeadDatabase

_HOMES = {
    "AirtableError": "leadlog.errors",
    "AirtableSyncManager": "leadlog.airtable",
    "AsyncLeadDatabase": "leadlog.store",
    "DatabaseLogger": "leadlog.logger",
    "LeadDatabase": "leadlog.store",
    "LeadlogError": "leadlog.errors",
    "LogDirectoryError": "leadlog.errors",
    "LoggingHandler": "leadlog.pipeline",
    "Pipeline": "leadlog.pipeline",
    "QuotaError": "leadlog.errors",
    "ReadError": "leadlog.errors",
    "SettingsError": "leadlog.errors",
    "StaleLeadError": "leadlog.errors",
    "Stats": "leadlog.pipeline",
    "StoreError": "leadlog.errors",
    "SyncBusyError": "leadlog.errors",
    "SyncError": "leadlog.errors",
    "UnknownFieldError": "leadlog.errors",
    "ValidationError": "leadlog.errors",
    "capture": "leadlog.capturing.targets",
    "configure": "leadlog.pipeline",
    "flush": "leadlog.pipeline",
    "get_logger": "leadlog.pipeline",
    "log_database_event": "leadlog.logger",
    "monitor_performance": "leadlog.monitoring.performance",
    "session": "leadlog.pipeline",
    "shutdown": "leadlog.pipeline",
    "stats": "leadlog.pipeline",
}

__all__ = [
    "AirtableError",
    "AirtableSyncManager",
    "AsyncLeadDatabase",
    "DatabaseLogger",
    "LeadDatabase",
    "LeadlogError",
    "LogDirectoryError",
    "LoggingHandler",
    "Pipeline",
    "QuotaError",
    "ReadError",
    "SettingsError",
    "StaleLeadError",
    "Stats",
    "StoreError",
    "SyncBusyError",
    "SyncError",
    "UnknownFieldError",
    "ValidationError",
    "__version__",
    "capture",
    "configure",
    "flush",
    "get_logger",
    "log_database_event",
    "monitor_performance",
    "session",
    "shutdown",
    "stats",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("leadlog")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'leadlog' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
