"""leadlog: the flight recorder of an application on SQLAlchemy.

Configure it once, and every CRUD call, sync, migration, error, measurement and health check
becomes one truthful, labelled JSON line in a category folder.

    import leadlog

    leadlog.configure()
    db = leadlog.LeadDatabase()
    db.add_lead({"name": "Ana Gómez", "company": "Acme", "email": "ana@acme.com"})

Submodules are imported when one of their names is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from leadlog.core.errors import (
        AirtableError,
        LeadlogError,
        LogDirectoryError,
        MigrationError,
        QuotaError,
        ReadError,
        SettingsError,
        StaleLeadError,
        StoreError,
        SyncBusyError,
        SyncError,
        TrainingError,
        UnknownFieldError,
        ValidationError,
    )
    from leadlog.leads.airtable import AirtableSyncManager
    from leadlog.leads.migration import MigrationManager
    from leadlog.leads.store import AsyncLeadDatabase, LeadDatabase
    from leadlog.logger import DatabaseLogger, log_database_event
    from leadlog.recording.capture.targets import capture
    from leadlog.recording.instrument import (
        instrument,
        instrument_asgi,
        instrument_celery,
        instrument_click,
        instrument_dramatiq,
        instrument_fastapi,
        instrument_flask,
        instrument_wsgi,
    )
    from leadlog.recording.performance import monitor_performance
    from leadlog.recording.pipeline import (
        LoggingHandler,
        Pipeline,
        Stats,
        bind,
        configure,
        flush,
        get_logger,
        session,
        shutdown,
        stats,
    )
    from leadlog.training.predicting import predict

_HOMES = {
    "AirtableError": "leadlog.core.errors",
    "AirtableSyncManager": "leadlog.leads.airtable",
    "AsyncLeadDatabase": "leadlog.leads.store",
    "DatabaseLogger": "leadlog.logger",
    "LeadDatabase": "leadlog.leads.store",
    "LeadlogError": "leadlog.core.errors",
    "LogDirectoryError": "leadlog.core.errors",
    "LoggingHandler": "leadlog.recording.pipeline",
    "MigrationError": "leadlog.core.errors",
    "MigrationManager": "leadlog.leads.migration",
    "Pipeline": "leadlog.recording.pipeline",
    "QuotaError": "leadlog.core.errors",
    "ReadError": "leadlog.core.errors",
    "SettingsError": "leadlog.core.errors",
    "StaleLeadError": "leadlog.core.errors",
    "Stats": "leadlog.recording.pipeline",
    "StoreError": "leadlog.core.errors",
    "SyncBusyError": "leadlog.core.errors",
    "SyncError": "leadlog.core.errors",
    "TrainingError": "leadlog.core.errors",
    "UnknownFieldError": "leadlog.core.errors",
    "ValidationError": "leadlog.core.errors",
    "bind": "leadlog.recording.pipeline",
    "capture": "leadlog.recording.capture.targets",
    "configure": "leadlog.recording.pipeline",
    "flush": "leadlog.recording.pipeline",
    "get_logger": "leadlog.recording.pipeline",
    "instrument": "leadlog.recording.instrument",
    "instrument_asgi": "leadlog.recording.instrument",
    "instrument_celery": "leadlog.recording.instrument",
    "instrument_click": "leadlog.recording.instrument",
    "instrument_dramatiq": "leadlog.recording.instrument",
    "instrument_fastapi": "leadlog.recording.instrument",
    "instrument_flask": "leadlog.recording.instrument",
    "instrument_wsgi": "leadlog.recording.instrument",
    "log_database_event": "leadlog.logger",
    "monitor_performance": "leadlog.recording.performance",
    "predict": "leadlog.training.predicting",
    "session": "leadlog.recording.pipeline",
    "shutdown": "leadlog.recording.pipeline",
    "stats": "leadlog.recording.pipeline",
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
    "MigrationError",
    "MigrationManager",
    "Pipeline",
    "QuotaError",
    "ReadError",
    "SettingsError",
    "StaleLeadError",
    "Stats",
    "StoreError",
    "SyncBusyError",
    "SyncError",
    "TrainingError",
    "UnknownFieldError",
    "ValidationError",
    "__version__",
    "bind",
    "capture",
    "configure",
    "flush",
    "get_logger",
    "instrument",
    "instrument_asgi",
    "instrument_celery",
    "instrument_click",
    "instrument_dramatiq",
    "instrument_fastapi",
    "instrument_flask",
    "instrument_wsgi",
    "log_database_event",
    "monitor_performance",
    "predict",
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
