"""The Airtable sync: `AirtableSyncManager`, and what it gives."""

from leadlog.airtable.manager import AirtableSyncManager
from leadlog.airtable.report import Conflict, LeadOutcome, SyncResult

__all__ = ["AirtableSyncManager", "Conflict", "LeadOutcome", "SyncResult"]
