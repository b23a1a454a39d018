"""The queries of a lead store: the reading part of `LeadDatabase`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, bindparam, select

from leadlog.core.errors import ValidationError
from leadlog.leads.store import reports, search, values
from leadlog.leads.store.engine import OpenStore
from leadlog.leads.store.merges import merges_of
from leadlog.leads.store.models import COLUMNS, Lead, from_row
from leadlog.leads.store.search import Keyset, LeadPage
from leadlog.leads.store.similarity import DuplicatePair, pairs
from leadlog.recording.capture.operation import current_operation, operation

__all__ = ["LeadQueries", "checked_id"]

_BY_ID = select(*COLUMNS).where(Lead.id == bindparam("id"))
_PAGE = select(*COLUMNS).order_by(Lead.id).limit(bindparam("size"))
_NEXT_PAGE = _PAGE.where(Lead.id > bindparam("last"))
_PENDING = select(*COLUMNS).where(Lead.sync_pending).order_by(Lead.updated_at, Lead.id)


def checked_id(lead_id: object) -> str:
    """Return the id of a lead as text.

    Raises:
        ValidationError: It cannot be the id of a lead.
    """
    if isinstance(lead_id, UUID):
        return str(lead_id)
    if not isinstance(lead_id, str):
        raise ValidationError(
            f"lead id {values.shown(lead_id)} is a {type(lead_id).__name__}; give the text that "
            "add_lead returned"
        )
    return values.storable(lead_id, "lead id")


class LeadQueries:
    """The reading part of a store.

    Args:
        store: The open database that the parts of the store share.
    """

    def __init__(self, store: OpenStore) -> None:
        self._connections = store.connections
        self._capture = store.capture
        self._now = store.now

    def _select(self, statement: Select[Any], **parameters: Any) -> list[dict[str, Any]]:
        return self._connections.reading(
            lambda connection: [from_row(row) for row in connection.execute(statement, parameters)]
        )

    @operation("get_lead", event_name="lead.get")
    def get_lead(self, lead_id: str) -> dict[str, Any] | None:
        """See `LeadDatabase.get_lead`."""
        lead_id = checked_id(lead_id)
        row = self._connections.reading(
            lambda connection: connection.execute(_BY_ID, {"id": lead_id}).one_or_none()
        )
        lead = None if row is None else from_row(row)
        call = current_operation()
        if call is not None:
            call.identify(lead or {"id": lead_id}, whole=lead is not None)
            call.records_affected = int(lead is not None)
        return lead

    @operation("search_leads", event_name="lead.search")
    def search_leads(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        limit: int | None = 100,
        offset: int = 0,
        order_by: str | Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """See `LeadDatabase.search_leads`."""
        found = self._select(search.query(filters, limit, offset, order_by))
        _note_found(found)
        return found

    @operation("search_leads", event_name="lead.search")
    def search_page(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        limit: int = 100,
        order_by: str | Sequence[str] | None = None,
        after: str | None = None,
    ) -> LeadPage:
        """See `LeadDatabase.search_page`."""
        limit = values.count(limit, "limit", least=1)
        keyset = Keyset(filters, order_by, after)

        def work(connection: Connection) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            # One lead more than asked for shows whether there is a next page.
            for statement in keyset.statements(limit + 1):
                wanted = limit + 1 - len(found)
                if wanted:
                    found += map(from_row, connection.execute(statement.limit(wanted)))
            return found

        found = self._connections.reading(work)
        more, leads = len(found) > limit, found[:limit]
        _note_found(leads)
        return LeadPage(leads, keyset.cursor(leads[-1]) if more else None)

    @operation("get_all_leads", event_name="lead.get_all", bulk=True)
    def get_all_leads(self, page_size: int = 500) -> Iterator[dict[str, Any]]:
        """See `LeadDatabase.get_all_leads`."""
        page_size = values.count(page_size, "page_size", least=1)
        call = current_operation()
        given = 0
        page = self._select(_PAGE, size=page_size)
        if call is not None:
            call.identify_many((lead["id"] for lead in page), None)
        try:
            while page:
                for lead in page:
                    given += 1
                    yield lead
                if len(page) < page_size:
                    return
                page = self._select(_NEXT_PAGE, size=page_size, last=page[-1]["id"])
        finally:
            if call is not None:
                call.records_affected = call.lead_count = given

    @operation("find_duplicates", event_name="lead.find_duplicates")
    def find_duplicates(
        self, lead: Mapping[Any, Any], *, min_score: float | None = 0.85, limit: int = 20
    ) -> list[dict[str, Any]]:
        """See `LeadDatabase.find_duplicates`."""
        least = None if min_score is None else values.share(min_score, "min_score")
        limit = values.count(limit, "limit")
        found = self._connections.reading(
            lambda connection: reports.duplicates_of(connection, lead, least, limit)
        )
        _note_found(found)
        return found

    @operation("find_all_duplicates", event_name="lead.find_all_duplicates", bulk=True)
    def find_all_duplicates(self, min_score: float = 0.85) -> Iterator[DuplicatePair]:
        """See `LeadDatabase.find_all_duplicates`."""
        least = values.share(min_score, "min_score")
        call = current_operation()
        found = 0
        try:
            with self._connections.read() as connection:
                for pair in pairs(connection, least):
                    found += 1
                    yield pair
        finally:
            if call is not None:
                call.records_affected = found

    @operation("get_merges", event_name="lead.get_merges")
    def get_merges(self, lead_id: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """See `LeadDatabase.get_merges`."""
        wanted = None if lead_id is None else checked_id(lead_id)
        limit = values.count(limit, "limit")
        found = self._connections.reading(lambda connection: merges_of(connection, wanted, limit))
        call = current_operation()
        if call is not None:
            call.records_affected = len(found)
        return found

    @operation("get_sync_pending_leads", event_name="lead.get_sync_pending")
    def get_sync_pending_leads(self, limit: int | None = None) -> list[dict[str, Any]]:
        """See `LeadDatabase.get_sync_pending_leads`."""
        statement = _PENDING if limit is None else _PENDING.limit(values.count(limit, "limit"))
        found = self._select(statement)
        _note_found(found)
        return found

    @operation("stats", event_name="lead.stats")
    def stats(self) -> dict[str, Any]:
        """See `LeadDatabase.stats`."""
        today = self._now().replace(hour=0, minute=0, second=0, microsecond=0)
        return self._connections.reading(lambda connection: reports.numbers(connection, today))


def _note_found(leads: Sequence[Mapping[str, Any]]) -> None:
    call = current_operation()
    if call is not None:
        call.records_affected = len(leads)
        call.identify_many((lead["id"] for lead in leads), len(leads))
