"""The lead store: `LeadDatabase`, its asyncio counterpart, and the types that they return."""

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
    if name == "AsyncLeadDatabase":  # load SQLAlchemy's asyncio support only when it is used
        from leadlog.leads.store.asynchronous import AsyncLeadDatabase

        return AsyncLeadDatabase
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
