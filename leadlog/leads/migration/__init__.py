"""Migrates files of leads into the lead store, without data loss and resumable after a crash."""

from leadlog.leads.migration.manager import MigrationManager
from leadlog.leads.migration.result import MigrationResult, Progress, Reject, SourceResult
from leadlog.leads.migration.verify import Verification

__all__ = [
    "MigrationManager",
    "MigrationResult",
    "Progress",
    "Reject",
    "SourceResult",
    "Verification",
]
