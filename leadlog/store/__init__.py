"""The lead store: `LeadDatabase` on SQLite or PostgreSQL, its twin for asyncio, what they give."""

from typing import TYPE_CHECKING, Any

from leadlog.store.adding import AddResult
from leadlog.store.database import LeadDatabase
from leadlog.store.intake import AddOutcome
from leadlog.store.merges import Undone
from leadlog.store.models import Lead, LeadKey
from leadlog.store.paging import LeadPage
from leadlog.store.suggestions import DuplicatePair

if TYPE_CHECKING:
    from leadlog.store.asynchronous import AsyncLeadDatabase

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
        from leadlog.store.asynchronous import AsyncLeadDatabase

        return AsyncLeadDatabase
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
