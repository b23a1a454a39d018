"""The lead store: `LeadDatabase` on SQLite or PostgreSQL, and what it gives back."""

from leadlog.store.adding import AddResult
from leadlog.store.database import LeadDatabase
from leadlog.store.intake import AddOutcome
from leadlog.store.merges import Undone
from leadlog.store.models import Lead, LeadKey
from leadlog.store.suggestions import DuplicatePair

__all__ = [
    "AddOutcome",
    "AddResult",
    "DuplicatePair",
    "Lead",
    "LeadDatabase",
    "LeadKey",
    "Undone",
]
