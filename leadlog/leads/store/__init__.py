"""The lead store: `LeadDatabase` on SQLite or PostgreSQL, its twin for asyncio, what they give."""

from typing import TYPE_CHECKING, Any

from leadlog.leads.store.database import LeadDatabase
from leadlog.leads.store.intake import AddOutcome, AddResult
from leadlog.leads.store.merges import Undone
from leadlog.leads.store.models import Lead, LeadKey
from leadlog.leads.store.search import LeadPage
from leadlog.leads.store.similarity import DuplicatePair

if TYPE_CHECKING:
    from leadlog.leads.store.asynchronous import AsyncLeadDatabase

__all__ = [
    "AddOutcome",
    "AddResult",
    "AsyncLeadDatabase",
    "DuplicatePair",
    "Lead",
    "LeadDatabase",
    "LeadKey",
    "LeadPage",
    "Undone",
]


def __getattr__(name: str) -> Any:
    if name == "AsyncLeadDatabase":  # asyncio's part of SQLAlchemy is loaded where it is used
        from leadlog.leads.store.asynchronous import AsyncLeadDatabase

        return AsyncLeadDatabase
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
