"""The Airtable sync: `AirtableSyncManager` and the types that it returns."""

from leadlog.leads.airtable.manager import AirtableSyncManager
from leadlog.leads.airtable.report import Conflict, LeadOutcome, SyncResult

__all__ = ["AirtableSyncManager", "Conflict", "LeadOutcome", "SyncResult"]
