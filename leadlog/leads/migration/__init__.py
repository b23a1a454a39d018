"""Migrates files of leads into the lead store, so that nothing is lost and it can be killed."""

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
