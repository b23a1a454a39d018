"""The lead store: `LeadDatabase` on SQLite or PostgreSQL, and what it gives back."""

from leadlog.store.adding import AddResult
from leadlog.store.database import LeadDatabase
from leadlog.store.intake import AddOutcome
from leadlog.store.models import Lead, LeadKey

__all__ = ["AddOutcome", "AddResult", "Lead", "LeadDatabase", "LeadKey"]
